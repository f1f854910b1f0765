"""Small sources and elements for tests of the faces: no codec, no model."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from millrace.core import Caps, Context, Element, Source, SourceError, StreamStart, setting, state
from millrace.media import Event, Frame, Image, Object, box


def frame(stream: str = "a", index: int = 0, grey: int = 0) -> Frame:
    """A black-and-white frame of 16 x 8 pixels at 10 frames a second."""
    planes = [np.full((8, 16), grey, np.uint8), np.full((4, 8), 128, np.uint8), np.full((4, 8), 128, np.uint8)]
    return Frame(stream, index, index * 100_000_000, Image("I420", planes, 16, 8))


class Pictures(Source):
    """Yields `count` frames; raises SourceError after `fail_at` of them; reads for ever when count is None."""

    stream: str = setting(help="name")
    count: int | None = setting(default=5, help="frames")
    fail_at: int | None = setting(default=None, help="frames before it fails")
    given: int = state(int)
    stopped: list[bool] = state(list)

    def read(self) -> Iterator[Any]:
        self.stopped.clear()
        yield StreamStart(self.stream, Caps("frames", width=16, height=8, frames=self.count))
        index = 0
        while (self.count is None or index < self.count) and not self.stopped:
            if index == self.fail_at:
                raise SourceError(self.stream, "the cable is out")
            self.given = index + 1
            yield frame(self.stream, index)
            index += 1

    def interrupt(self) -> None:
        self.stopped.append(True)


class Mark(Element):
    """Adds an object, an identity on every second frame, and a crossing on the third."""

    label: str = setting(default="car", help="of the object")
    live: int = setting(default=0, help="may change", live=True)

    def process_frame(self, item: Frame) -> None:
        identity = 1 if item.index % 2 else None
        item.objects.append(Object(box([1, 2, 5, 6]), 2, self.label, 0.9, id=identity))
        if item.index == 2:
            item.events.append(Event("line", item.stream, item.pts, "door", 1, self.label, "in"))


class Broken(Element):
    """Fails at the third frame."""

    def open(self, context: Context) -> None:
        self.name = context.name

    def process_frame(self, item: Frame) -> None:
        if item.index == 2:
            raise ValueError("no such luck")
