"""Pictures in files: one still image, a numbered sequence, or a folder of images as one stream."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import av
import av.error

from ..core.caps import Caps
from ..core.element import setting
from ..core.errors import SourceError
from ..core.item import Item
from ..media import Packet
from .base import CodedSource
from .file import file_path, parameters_of
from .listing import IMAGES, natural
from .recorded import SECOND, Opened, RecordedSource

_NUMBER = re.compile(r"%(0?)(\d*)d")


class ImagesSource(CodedSource, RecordedSource):
    """Images as a stream of `fps`: `ImagesSource(stream="a", uri="frames/%04d.png", fps=25)`.

    `uri` is an image, a folder of images, or a path whose name has one %d (as FFmpeg writes sequences); the images
    stand in natural order (2 before 10). They leave as packets, each a key picture, and are decoded as all others.
    """

    stream: str = setting(help="name of the stream")
    uri: str = setting(help="an image, a folder of images, or a path with %d or %04d in its name")
    fps: float = setting(default=25.0, help="images per second", minimum=0.001)

    def once(self, begin: int, end: int | None) -> Iterator[Opened | Item]:
        paths = image_paths(self.uri)
        if not paths:
            raise SourceError(self.stream, f"{self.uri} names no images ({', '.join(IMAGES)})")
        kind = None
        for index, path in enumerate(paths):
            pts = self._time(index)
            if self.stopped or (end is not None and pts >= end):
                return
            content = self._content(path)
            if (magic := content[:4]) != kind and (kind is None or not _same_codec(magic, kind)):
                caps = self._caps(path, len(paths))
                kind = magic
                yield Opened(caps, 0, self._time(1))
            if pts >= begin:
                yield Packet(self.stream, content, pts, pts, self._time(index + 1) - pts, True)

    def _time(self, index: int) -> int:
        return round(index * SECOND / self.fps)

    def _content(self, path: str) -> bytes:
        try:
            with open(path, "rb") as file:
                content = file.read()
        except FileNotFoundError:
            raise SourceError(self.stream, f"there is no file {path}") from None
        except OSError as error:
            raise SourceError(self.stream, f"cannot read {path}: {error.strerror}") from None
        if not content:
            raise SourceError(self.stream, f"{path} is empty (0 bytes)")
        return content

    def _caps(self, path: str, count: int) -> Caps:
        try:
            with av.open(f"file:{path}") as container:
                parameters: Any = parameters_of(container.streams.video[0])
        except (av.error.FFmpegError, IndexError, AttributeError):
            parameters = None
        if parameters is None or not parameters.width:
            raise SourceError(self.stream, f"{path} is not an image that FFmpeg can read, or it is damaged")
        rate = Fraction(self.fps).limit_denominator(1001)
        return Caps(
            "packets", codec=parameters.codec, width=parameters.width, height=parameters.height, time_base=1 / rate,
            fps=rate, frames=count, duration=self._time(count), extradata=None, rotation=0, parameters=parameters,
        )  # fmt: skip


def image_paths(uri: str) -> list[str]:
    """The images that a path names, in natural order."""
    path = file_path(uri)
    if os.path.isdir(path):
        names = [name for name in os.listdir(path) if name.lower().endswith(IMAGES)]
        return [os.path.join(path, name) for name in sorted(names, key=natural)]
    folder, name = os.path.split(path)
    number = _NUMBER.search(name)
    if number is None or os.path.exists(path):
        return [path]
    digits = f"(\\d{{{int(number[2] or 1)},}})" if number[1] else r"(\d+)"
    pattern = re.compile(re.escape(name[: number.start()]) + digits + re.escape(name[number.end() :]))
    found = [match for each in _names(folder) if (match := pattern.fullmatch(each))]
    return [os.path.join(folder, match[0]) for match in sorted(found, key=lambda match: int(match[1]))]


def _names(folder: str) -> list[str]:
    try:
        return os.listdir(folder or ".")
    except OSError:
        return []


def _same_codec(one: bytes, other: bytes) -> bool:
    """Whether two files' first bytes are of one format; JPEGs differ in their fourth byte, RIFF and TIFF do not."""
    return one[:3] == other[:3]
