"""What moves through a pipeline: items, and the two markers that keep their place among them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from .caps import Caps


class Item(Protocol):
    """Anything that a node may push. `stream` is None for an item that spans streams (a batch).

    An item that others of its stream may need has `leads`: False when it needs those before it (core/channel.py).
    """

    @property
    def stream(self) -> str | None: ...
    @property
    def droppable(self) -> bool: ...
    def fork(self) -> Item:
        """A second owner: the same pixels, metadata of its own."""
        ...


@runtime_checkable
class Bundle(Protocol):
    """An item made of frames, in order. A node unpacks it for elements that define `process_frame`."""

    frames: Sequence[Any]

    def select(self, stream: str) -> Bundle | None:
        """The frames of one stream only; None when there is none."""
        ...


@dataclass(frozen=True, slots=True)
class StreamStart:
    """A stream opens here, or changes: a second one for an open stream is a renegotiation.

    `discontinuity` marks a loop or a reconnect: same stream, epoch + 1, pts keeps growing.
    """

    stream: str
    caps: Caps
    live: bool = False
    epoch: int = 0
    discontinuity: bool = False
    droppable = False

    def fork(self) -> StreamStart:
        return self


@dataclass(frozen=True, slots=True)
class StreamEnd:
    """A stream ends here; `error` says why when it did not end by itself.

    The engine also passes on the end of a stream that never started, so that a batch or a join does not wait for it;
    elements and taps do not see that one. `last` is what is told of the stream beyond its frames (`Element.closing`).
    """

    stream: str
    error: str | None = None
    last: Any = None
    droppable = False

    def fork(self) -> StreamEnd:
        return self


def leads(item: Item) -> bool:
    """Whether what follows it needs nothing that came before; true of all that do not say."""
    return getattr(item, "leads", True)


def streams_of(bundle: Any) -> set[str]:
    """The streams of an item that spans streams."""
    return {frame.stream for frame in getattr(bundle, "frames", ())}
