"""What a stream carries: the kind of its items and the facts that stay the same from item to item."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

PACKETS = "packets"
FRAMES = "frames"


class Caps(Mapping[str, Any]):
    """An immutable description of a stream, compared by value: `Caps("frames", width=640, height=360)`.

    Keys that `packets` carry: codec, width, height, time_base (Fraction), fps (Fraction or None),
    frames (int or None), duration (ns or None), extradata, rotation, and `parameters`, the demuxer's own
    codec parameters. Keys that `frames` carry: format, width, height, time_base, fps, frames, duration,
    sample_aspect (a pixel's width / height, Fraction or None), matrix, full_range, memory. The core reads none of
    them.
    """

    __slots__ = ("_fields", "kind")

    def __init__(self, kind: str, **fields: Any) -> None:
        self.kind = kind
        self._fields = fields

    def __getitem__(self, key: str) -> Any:
        return self._fields[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._fields)

    def __len__(self) -> int:
        return len(self._fields)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Caps) and self.kind == other.kind and self._fields == other._fields

    def __hash__(self) -> int:
        return hash((self.kind, tuple(sorted(self._fields))))

    def __repr__(self) -> str:
        fields = ", ".join(f"{key}={value!r}" for key, value in self._fields.items())
        return f"Caps({self.kind!r}{', ' if fields else ''}{fields})"

    def replace(self, kind: str | None = None, **fields: Any) -> Caps:
        """The same caps with some fields changed."""
        return Caps(kind or self.kind, **{**self._fields, **fields})
