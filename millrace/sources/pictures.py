"""Sources that make or hold pictures rather than coded video: frames of a fixed rate."""

from __future__ import annotations

import time
from abc import abstractmethod
from collections.abc import Iterator
from fractions import Fraction
from typing import ClassVar

from ..core.caps import FRAMES, Caps
from ..core.item import Item
from ..media import Frame, Image
from .recorded import SECOND, Opened, RecordedSource


class PictureSource(RecordedSource):
    """Frames made one by one. A subclass says `rate`, `count` and gives `picture(index)`."""

    gives: ClassVar[str | None] = FRAMES
    quick: ClassVar[bool] = False  # to make a picture is work

    @property
    @abstractmethod
    def rate(self) -> Fraction:
        """Frames a second."""

    @property
    @abstractmethod
    def count(self) -> int | None:
        """How many frames there are; None: without end."""

    @abstractmethod
    def picture(self, index: int) -> Image:
        """The picture of frame `index`, from 0; its memory is given away."""

    def once(self, begin: int, end: int | None) -> Iterator[Opened | Item]:
        rate, count = self.rate, self.count
        first, last = self._at(begin), count
        if end is not None:
            last = self._at(end) if count is None else min(self._at(end), count)
        index = first
        while not self.stopped and (last is None or index < last):
            image = self.picture(index)
            if index == first:
                frames = None if last is None else last - first
                yield Opened(frame_caps(image, rate, frames), 0, round(SECOND / rate))
            pts = self._time(index)
            yield Frame(self.stream, index, pts, image, 0, self._time(index + 1) - pts, time.monotonic_ns())
            index += 1

    def _time(self, index: int) -> int:
        return round(index * SECOND / self.rate)

    def _at(self, when: int) -> int:
        """The first frame at or after a time."""
        index = int(when * self.rate / SECOND)
        return index if self._time(index) >= when else index + 1


def frame_caps(image: Image, rate: Fraction | None, frames: int | None = None) -> Caps:
    """The caps of a stream whose pictures are like this one."""
    duration = None if frames is None or not rate else round(frames * SECOND / rate)
    return Caps(
        FRAMES, format=image.format, width=image.width, height=image.height, time_base=1 / rate if rate else None,
        fps=rate, frames=frames, duration=duration, matrix=image.matrix, full_range=image.full_range,
        memory=image.memory,
    )  # fmt: skip
