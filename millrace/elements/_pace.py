"""What is given to those who watch comes at its own speed: files are held back, live streams are not."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, ClassVar

from ..core.element import Element, state
from ..core.errors import OutputError
from ..core.item import Item, StreamStart
from ..media import Batch, Frame, Packet

LATE = 0.5  # seconds behind its time at which a stream's clock starts anew
AHEAD = 30.0  # the same before its time: a jump, not a slow stream


class Paced(Element, ABC):
    """Gives each item to somebody when it is due, and passes it on; a subclass has the setting `sync` and `give`."""

    threaded: ClassVar[bool] = True
    writes: ClassVar[bool] = True

    if TYPE_CHECKING:
        sync: bool

    live: set[str] = state(set)
    clocks: dict[str, int] = state(dict)  # what to add to stream time to get when it is due, ns of time.monotonic
    held: Item | None = state(lambda: None)  # it is not due yet

    @abstractmethod
    def give(self, item: Frame | Packet) -> None:
        """Hand it to those who watch, without waiting for them."""

    def begin_clock(self, start: StreamStart) -> None:
        """A stream has started, or starts again: what comes next is due as it comes."""
        self.clocks.pop(start.stream, None)
        (self.live.add if start.live else self.live.discard)(start.stream)

    def forget_clock(self, stream: str) -> None:
        self.clocks.pop(stream, None)
        self.live.discard(stream)

    @property
    def ready(self) -> bool:
        return self.held is None

    def process(self, item: Any) -> Iterator[Item]:
        yield from self._release()
        due = [at for each in _parts(item) if (at := self._due(each)) is not None]
        if due:
            self.held, self.deadline = item, max(due)
            return
        yield from self._pass_on(item)

    def on_deadline(self) -> Iterator[Item]:
        yield from self._release()

    def flush(self, stream: str) -> Iterator[Item]:
        yield from self._release()

    def _release(self) -> Iterator[Item]:
        held, self.held = self.held, None
        if held is not None:
            yield from self._pass_on(held)

    def _pass_on(self, item: Any) -> Iterator[Item]:
        try:
            for each in _parts(item):
                self.give(each)
        except OutputError:
            yield item  # what is beside it loses nothing
            raise
        yield item

    def _due(self, item: Frame | Packet) -> float | None:
        """When an item is due by its stream's clock, in seconds of time.monotonic; None: now."""
        if item.stream in self.live or not self.sync or item.pts is None:
            return None
        if isinstance(item, Packet) and item.kind == "audio":
            return None  # it goes with the pictures
        at = item.dts if isinstance(item, Packet) and item.dts is not None else item.pts
        now = time.monotonic_ns()
        due = self.clocks.get(item.stream, now - at) + at
        if item.stream not in self.clocks or not -LATE < (due - now) / 1e9 < AHEAD:
            self.clocks[item.stream], due = now - at, now
        return due / 1e9 if due > now else None


def _parts(item: Any) -> list[Frame | Packet]:
    """The frames and packets of an item."""
    if isinstance(item, Batch):
        return list(item.frames)
    return [item] if isinstance(item, (Frame, Packet)) else []
