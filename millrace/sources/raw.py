"""Raw pictures in a file, one behind the other, as `raw` of this project and GStreamer's filesink write them."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import av
import av.error

from ..core.element import setting
from ..core.errors import SourceError
from .file import FileSource


class RawSource(FileSource):
    """Reads raw pictures: `RawSource(stream="a", uri="raw://out.nv12", width=1280, height=720, format="nv12")`.

    The file says nothing of itself, so size, format and rate are settings. What is too short for a picture at its end
    is left out.
    """

    uri: str = setting(help="raw:// and a path")
    width: int = setting(default=1280, help="pixels of each picture", minimum=1, maximum=32768)
    height: int = setting(default=720, help="pixels of each picture", minimum=1, maximum=32768)
    format: str = setting(default="yuv420p", help="FFmpeg's name of the pixel format: yuv420p, nv12, rgba, gray, …")
    fps: float = setting(default=25.0, help="pictures a second", minimum=0.001)

    def _open(self, path: str) -> Any:
        path = path.removeprefix("raw://")
        try:
            av.VideoFormat(self.format, self.width, self.height)
        except ValueError:
            raise SourceError(self.stream, f"{path}: there is no pixel format {self.format!r}") from None
        rate = Fraction(self.fps).limit_denominator(1001)
        options = {
            "video_size": f"{self.width}x{self.height}", "pixel_format": self.format,
            "framerate": f"{rate.numerator}/{rate.denominator}",
        }  # fmt: skip
        try:
            return av.open(f"file:{path}", format="rawvideo", options=options)
        except FileNotFoundError:
            raise SourceError(self.stream, f"there is no file {path}") from None
        except (av.error.FFmpegError, OSError) as error:
            raise SourceError(self.stream, f"cannot open {path}: {error.strerror}") from None
