"""Whatever GStreamer can read: `gst:` and a launch line without its sink."""

from __future__ import annotations

import time
from collections.abc import Iterator
from fractions import Fraction
from typing import Any, ClassVar

from ..core.caps import PACKETS, Caps
from ..core.element import Context, setting, state
from ..core.errors import SourceError
from ..core.item import Item, StreamStart
from ..gstreamer.process import Fragment, GstError, Picture
from ..media import Frame, Image, Packet
from ..media.codec import CodecParameters
from .base import CodedSource
from .pictures import frame_caps

_FREE = 1_000_000_000  # ns: the time base of packets


class GstSource(CodedSource):
    """A GStreamer fragment as a source: `gst:v4l2src device=/dev/video2 ! image/jpeg,width=1280`.

    What it gives is taken as it is: raw video as frames, H.264, HEVC and JPEG as packets, with GStreamer's times. It
    runs in a process of its own with the Python that has PyGObject (docs/gstreamer.md).
    """

    gives: ClassVar[str | None] = None

    stream: str = setting(help="name of the stream")
    uri: str = setting(help="gst: and the launch line, whose last element has a free source pad")

    fragment: Fragment | None = state(lambda: None)
    context: Context | None = state(lambda: None)
    stopped: bool = state(bool)

    def open(self, context: Context) -> None:
        self.context = context

    def read(self) -> Iterator[Item | StreamStart]:
        launch = self.uri.removeprefix("gst:")
        try:
            self.fragment = fragment = Fragment(launch)
        except GstError as error:
            raise SourceError(self.stream, f"gst: {error}") from error
        try:
            if self.stopped:  # while it began
                return
            yield from self._items(fragment)
        except GstError as error:
            if not self.stopped:
                raise SourceError(self.stream, f"gst: {error}") from error
        finally:
            fragment.stop()

    def interrupt(self) -> None:
        self.stopped = True
        if self.fragment is not None:
            self.fragment.interrupt()

    def _items(self, fragment: Fragment) -> Iterator[Item | StreamStart]:
        caps: Caps | None = None
        index, last = 0, -1
        for out in fragment.receive():
            if isinstance(out, str):
                if self.context is not None:
                    self.context.warn(f"gst: {out}", self.stream)
                continue
            found = self._caps(fragment, out)
            if found != caps:
                caps = found
                yield StreamStart(self.stream, caps, fragment.live)
            item = self._item(out, index, last)
            item.arrived = time.monotonic_ns() if fragment.live else 0
            last = max(last, item.pts if item.pts is not None else -1)
            index += 1
            yield item
        if caps is None and not self.stopped:
            raise SourceError(self.stream, "gst: it ended before anything came")

    def _item(self, out: Picture, index: int, last: int) -> Any:
        if isinstance(out.content, Image):
            pts = last + 1 if out.pts is None else max(out.pts, last + 1)
            return Frame(self.stream, index, pts, out.content, 0, out.duration)
        return Packet(self.stream, out.content, out.pts, out.dts, out.duration, out.key)

    def _caps(self, fragment: Fragment, out: Picture) -> Caps:
        found = fragment.found
        if isinstance(out.content, Image):
            aspect = Fraction(*found["aspect"]) if found.get("aspect") else None
            return frame_caps(out.content, fragment.fps).replace(sample_aspect=aspect)
        codec = fragment.codec or ""
        parameters = CodecParameters(codec, found["width"], found["height"])
        return self.say(
            Caps(PACKETS, codec=codec, width=found["width"], height=found["height"], time_base=Fraction(1, _FREE),
                 fps=fragment.fps, frames=None, duration=None, extradata=None, rotation=0, parameters=parameters)
        )  # fmt: skip
