"""A check of what comes by."""

from __future__ import annotations

from ..core.element import Element, setting
from ..core.errors import StreamError
from ..core.item import StreamStart


class Expect(Element):
    """Refuses streams that are not what is said here, and passes all others: `expect: {codec: [h264]}`.

    Frames and packets may come; what a stream does not tell of itself is not checked. A stream that goes on as another
    (a new size) is looked at again.
    """

    takes = None

    codec: list[str] | None = setting(default=None, help="codecs of the packets: h264, hevc, av1, vp9, mjpeg, png, …")
    width: list[int] | None = setting(default=None, help="least and most pixels")
    height: list[int] | None = setting(default=None, help="least and most pixels")
    by: str = setting(default="", help="who asks for it, for the message")

    def validate(self) -> None:
        for name in ("width", "height"):
            bounds = getattr(self, name)
            if bounds is not None and (len(bounds) != 2 or bounds[0] > bounds[1]):
                from ..core.errors import SettingError

                raise SettingError("expect", name, bounds, "it is [least, most]")

    def start_stream(self, start: StreamStart) -> StreamStart:
        who = f"{self.by}: " if self.by else ""
        codec = start.caps.get("codec")
        parameters = start.caps.get("parameters")
        codec = getattr(parameters, "codec", None) or codec
        if self.codec is not None and isinstance(codec, str) and codec not in self.codec:
            raise StreamError(start.stream, f"{who}the stream is {codec}, and {' or '.join(self.codec)} is expected")
        for name in ("width", "height"):
            bounds, value = getattr(self, name), start.caps.get(name)
            if bounds is not None and isinstance(value, int) and not bounds[0] <= value <= bounds[1]:
                said = str(bounds[0]) if bounds[0] == bounds[1] else f"{bounds[0]} to {bounds[1]}"
                raise StreamError(start.stream, f"{who}the {name} is {value}, and {said} is expected")
        return start
