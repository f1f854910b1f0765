"""Frozen pictures are noticed, and their camera opened anew."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from ..core.element import Context, Element, Seconds, setting, state
from ..core.item import Item, StreamStart
from ..media import Frame

_STEP = 4  # every so many rows are looked at: noise, motion and a clock in the picture reach all of them


@dataclass(slots=True)
class Still:
    """The picture that a stream shows, and since when (pts)."""

    digest: int
    since: int
    told: bool = False


class Watch(Element):
    """Notices a camera that sends the same picture again and again: `watch: {frozen: 10s}`.

    Such a stream still has packets, so its source sees nothing wrong. There is a warning, and the source opens the
    stream anew: the same stream, the next epoch. Streams that are not live are left alone.
    """

    frozen: Seconds = setting(default=10.0, help="seconds of stream time with the very same picture", minimum=0.1)
    restart: bool = setting(default=True, help="open the stream anew; false: only warn")

    stills: dict[str, Still | None] = state(dict)
    context: Context | None = state(lambda: None)

    def open(self, context: Context) -> None:
        self.context = context

    def start_stream(self, start: StreamStart) -> StreamStart:
        self.stills.pop(start.stream, None)
        if start.live:
            self.stills[start.stream] = None
            if self.context is not None and start.caps.get("memory", "cpu") != "cpu":
                self.context.warn(f"pictures in the memory of {start.caps['memory']} are not watched", start.stream)
                del self.stills[start.stream]
        return start

    def process_frame(self, frame: Frame) -> None:
        if frame.stream not in self.stills:
            return
        digest = zlib.crc32(np.ascontiguousarray(frame.image.planes[0][::_STEP]).data)
        still = self.stills[frame.stream]
        if still is None or still.digest != digest:
            self.stills[frame.stream] = Still(digest, frame.pts)
        elif not still.told and frame.pts - still.since >= self.frozen * 1e9 and self.context is not None:
            still.told = True
            what = "; it is opened anew" if self.restart else ""
            self.context.warn(f"the picture has been the same for {self.frozen:g} s{what}", frame.stream)
            if self.restart:
                self.context.restart(frame.stream)

    def end_stream(self, stream: str) -> Iterator[Item]:
        self.stills.pop(stream, None)
        return super().end_stream(stream)
