"""What all sources that can be read again have in common: passes, a part in time, and the pace of a clock."""

from __future__ import annotations

import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import NamedTuple

from ..core.caps import PACKETS, Caps
from ..core.element import Seconds, Source, setting, state
from ..core.item import Item, StreamStart
from ..media import Frame, Packet

SECOND = 1_000_000_000


class Opened(NamedTuple):
    """What a pass begins with, and whenever what is read changes its kind."""

    caps: Caps
    origin: int = 0  # ns: the time of its first picture, in its own times
    period: int = 40_000_000  # ns from a picture to the next, where an item does not say its duration


class RecordedSource(Source, ABC):
    """Reads something that has a beginning and an end, once or several times over.

    A subclass gives one pass over it: `once(begin, end)` yields an `Opened`, then packets or frames with their own
    times; those before `begin` ns after the origin may be left out, and those at or after `end`.
    """

    stream: str = setting(help="name of the stream")

    loop: int = setting(default=1, help="how many times it is read; 0: for ever", minimum=0)
    pace: bool = setting(default=False, help="at its own speed, by the clock; else as fast as it is taken")
    live: bool | None = setting(
        default=None, help="treat it as a camera, whose frames are dropped when nobody takes them; default: as pace"
    )
    start: Seconds = setting(default=0.0, help="begin so far behind its first picture", minimum=0)
    stop: Seconds | None = setting(default=None, help="end so far behind its first picture", minimum=0)

    halt: threading.Event = state(threading.Event)

    @abstractmethod
    def once(self, begin: int, end: int | None) -> Iterator[Opened | Item]: ...

    def say(self, caps: Caps) -> Caps:
        return caps

    @property
    def quick(self) -> bool:
        return not self.pace and not self.live

    def interrupt(self) -> None:
        self.halt.set()

    @property
    def stopped(self) -> bool:
        return self.halt.is_set()

    def read(self) -> Iterator[Item | StreamStart]:
        self.halt.clear()
        clock = _Clock(self.halt) if self.pace else None
        passes = _Passes(self)
        while not self.stopped:
            before = passes.items
            if clock is None:
                yield from passes.next()
            else:
                for item in passes.next():
                    if isinstance(item, (Packet, Frame)) and not clock.wait(item):
                        return
                    yield item
            if passes.items == before or passes.epoch == self.loop:
                return


class _Passes:
    """One pass after the other, on one line of stream time."""

    def __init__(self, source: RecordedSource) -> None:
        self.source = source
        self.epoch = 0
        self.items = 0
        self._frames = 0
        self._last: int | None = None  # the end of what has been given so far, in stream time

    def next(self) -> Iterator[Item | StreamStart]:
        source = self.source
        live = source.pace if source.live is None else source.live
        begin = round(source.start * SECOND)
        end = None if source.stop is None else round(source.stop * SECOND)
        shift, period, stop, fresh = 0, 0, None, True
        for item in source.once(begin, end):
            if isinstance(item, Opened):
                period = item.period
                if fresh and self._last is not None:
                    shift = self._last - item.origin - begin
                stop = None if end is None else item.origin + shift + end
                caps = source.say(self._caps(item, begin, end, shift))
                yield StreamStart(source.stream, caps, live, self.epoch, fresh and self.epoch > 0)
                fresh = False
            else:
                self.items += 1
                self._move(item, shift, period, stop)
                yield item
        self.epoch += 1

    def _caps(self, opened: Opened, begin: int, end: int | None, shift: int) -> Caps:
        """With how many frames there will be, and the part of stream time that shall be seen of packets."""
        caps, origin = opened.caps, opened.origin + shift
        frames = caps.get("frames")
        if (begin or end is not None) and caps.kind == PACKETS:
            caps = caps.replace(window=(origin + begin, None if end is None else origin + end), frames=None)
        if frames and self.source.loop != 1 and caps["frames"]:
            caps = caps.replace(frames=frames * self.source.loop or None)
        return caps

    def _move(self, item: Item, shift: int, period: int, stop: int | None) -> None:
        assert isinstance(item, (Packet, Frame))
        item.epoch = self.epoch
        when = item.pts
        if when is not None:
            when = item.pts = when + shift
        if isinstance(item, Frame):
            item.index = self._frames
            self._frames += 1
        elif item.dts is not None:
            item.dts += shift
            when = item.dts if when is None else when
        if when is not None:
            after = when + (item.duration or period)
            if stop is not None and after > stop:
                after = stop
            if self._last is None or after > self._last:
                self._last = after


class _Clock:
    """Lets items pass when they are due: the first now, the others so much later as their times are."""

    def __init__(self, halt: threading.Event) -> None:
        self._halt = halt
        self._zero: int | None = None

    def wait(self, item: Packet | Frame) -> bool:
        """False when the source was told to stop. Its `arrived` becomes the time when it was due."""
        dts = item.dts if isinstance(item, Packet) else None
        when = item.pts if dts is None else dts
        if when is None:
            return True
        if self._zero is None:
            self._zero = time.monotonic_ns() - when
        late = time.monotonic_ns() - self._zero - when
        if late > SECOND:  # it was held up; what was missed is not made up for in a rush
            self._zero += late
        item.arrived = self._zero + when
        return late >= 0 or not self._halt.wait(-late / SECOND)
