"""A picture: planes of pixels, where they live, and what their numbers mean."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np

from .buffers import copy

Format = Literal["I420", "NV12", "P010", "RGB", "BGR", "GRAY8", "GRAY16"]
Matrix = Literal["bt601", "bt709", "bt2020"]

CPU = "cpu"


class Image:
    """Pixels as arrays. On the CPU these are NumPy arrays; on a device, anything with DLPack.

    Planes, for a picture of w x h pixels (cw = (w + 1) // 2, ch = (h + 1) // 2):

    * I420: Y (h, w), U (ch, cw), V (ch, cw), uint8, rows may be padded (strided views)
    * NV12: Y (h, w), UV (ch, cw, 2), uint8; P010: the same in uint16, the 10 bits in the upper part
    * RGB, BGR: one plane (h, w, 3) uint8; GRAY8: (h, w) uint8; GRAY16: (h, w) uint16

    `matrix` and `full_range` come from the stream's tags, else BT.601 limited. `read_only` pixels belong to
    someone else (a decoder still predicts from them): `writable()` gives a picture that may be drawn on.
    `owner` keeps the memory behind borrowed planes alive. On a device `ready` is the producer's event.
    """

    __slots__ = (
        "format",
        "full_range",
        "height",
        "matrix",
        "memory",
        "owner",
        "planes",
        "read_only",
        "ready",
        "width",
    )

    def __init__(
        self,
        format: Format,
        planes: Sequence[Any],
        width: int,
        height: int,
        *,
        matrix: Matrix = "bt601",
        full_range: bool = False,
        memory: str = CPU,
        read_only: bool = False,
        owner: object = None,
        ready: object = None,
    ) -> None:
        self.format: Format = format
        self.planes = tuple(planes)
        self.width = width
        self.height = height
        self.matrix: Matrix = matrix
        self.full_range = full_range
        self.memory = memory
        self.read_only = read_only
        self.owner = owner
        self.ready = ready

    def __repr__(self) -> str:
        return f"Image({self.format} {self.width}x{self.height} {self.memory})"

    def with_planes(self, planes: Sequence[Any]) -> Image:
        """A picture of the same kind over other memory, which is ours to write."""
        return Image(
            self.format, planes, self.width, self.height,
            matrix=self.matrix, full_range=self.full_range, memory=self.memory,
        )  # fmt: skip

    def copy(self) -> Image:
        """The same pixels in memory of our own, on the same device."""
        if self.memory == CPU:
            return self.with_planes([copy(plane) for plane in self.planes])
        return self.with_planes([plane.copy() for plane in self.planes])

    def share(self) -> Image:
        """For a second owner: from now on both must copy before they write."""
        self.read_only = True
        return self

    def writable(self) -> Image:
        """This picture if it may be written, else a copy."""
        return self.copy() if self.read_only else self

    def keep(self) -> Image:
        """A picture that may be held past `process`: decoder surfaces are few, so they are copied."""
        return self.copy() if self.memory != CPU else self

    def to_rgb(self) -> np.ndarray[Any, np.dtype[np.uint8]]:
        """Pixels as (h, w, 3) uint8 RGB on the CPU: slow, plain, for people and tests.

        Chroma is repeated, not interpolated. BT.601/709/2020 equations of ITU-R BT.601-7, BT.709-6, BT.2020-2.
        """
        from .colour import to_rgb

        return to_rgb(self)
