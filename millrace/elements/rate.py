"""Frames at a steady rate."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from typing import Any

from ..core.element import Element, setting, state
from ..core.item import Item, StreamStart
from ..media import Batch, Frame

SECOND = 1_000_000_000


class Rate(Element):
    """Gives frames at a steady rate: `rate: {fps: 10}`. It goes by the times of the stream, not by a clock.

    Each tick has the frame whose time is nearest: of more frames the others are dropped, and one is given again where
    there are fewer. With `repeat: false` frames are only dropped, and keep their times. Put it before what is costly.
    """

    fps: float = setting(help="frames a second", minimum=0.001, maximum=1000)
    repeat: bool = setting(default=True, help="give a frame again where a tick has none of its own")

    held: dict[str, Frame] = state(dict)  # the newest frame of each stream, not given for good yet
    first: dict[str, int] = state(dict)  # time of the first frame, ns
    ticks: dict[str, int] = state(dict)  # the next tick's number

    @property
    def rate(self) -> Fraction:
        return Fraction(self.fps).limit_denominator(1001)

    def start_stream(self, start: StreamStart) -> StreamStart:
        caps: Any = start.caps
        known = caps.get("fps")
        frames = caps.get("frames")
        if frames and known:
            frames = max(1, round(frames * self.rate / Fraction(known)))
        caps = caps.replace(fps=self.rate if self.repeat else known and min(known, self.rate), frames=frames)
        return StreamStart(start.stream, caps, start.live, start.epoch, start.discontinuity)

    def process(self, item: Any) -> Iterator[Item]:
        for frame in item.frames if isinstance(item, Batch) else (item,):
            yield from self._take(frame)

    def _take(self, frame: Frame) -> Iterator[Item]:
        stream = frame.stream
        if stream not in self.first:
            self.first[stream], self.ticks[stream] = frame.pts, 0
        if not self.repeat:
            if frame.pts >= self._time(stream) - self._half:
                self.ticks[stream] = (
                    max(self.ticks[stream], round((frame.pts - self.first[stream]) * self.rate / SECOND)) + 1
                )
                yield frame
            return
        before = self.held.get(stream)
        if before is not None:
            middle = (before.pts + frame.pts) // 2
            yield from self._give(before, middle)
        self.held[stream] = frame

    def flush(self, stream: str) -> Iterator[Item]:
        """What is held goes as long as it lasts; after that ticks are counted anew."""
        last = self.held.pop(stream, None)
        if last is not None:
            yield from self._give(last, last.pts + max(0, (last.duration or 1) - 1))
        self.first.pop(stream, None)
        self.ticks.pop(stream, None)

    @property
    def _half(self) -> int:
        return round(SECOND / self.rate / 2)

    def _time(self, stream: str) -> int:
        return self.first[stream] + round(self.ticks[stream] * SECOND / self.rate)

    def _give(self, frame: Frame, until: int) -> Iterator[Frame]:
        """The frame for every tick up to a time; each time with metadata of its own."""
        again = False
        while (when := self._time(frame.stream)) <= until:
            self.ticks[frame.stream] += 1
            out = frame.fork() if again else frame
            if again:
                out.events = []  # they have happened once
            out.pts = when
            again = True
            yield out
