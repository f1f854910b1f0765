"""Frames → a file of their pixels."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from typing import Any, BinaryIO, ClassVar

import numpy as np

from ..core.element import Element, setting, state
from ..core.errors import ConfigError, OutputError, SettingError
from ..core.item import Item
from ..devices import part
from ..imaging.base import Imaging
from ..media import Frame


class Raw(Element):
    """Write the pixels of each stream's frames one behind the other, and pass them on: `raw: {path: out.nv12}`.

    `{stream}` in the path stands for the stream's name; without it, and with more than one stream, `-NAME` is put
    before the ending. A file says nothing of itself: `raw://out.nv12` with width, height and format reads it again.
    """

    threaded: ClassVar[bool] = True
    writes: ClassVar[bool] = True

    path: str = setting(help="where to write; {stream} stands for the stream's name")
    format: str = setting(default="yuv420p", help="FFmpeg's name of the pixel format: yuv420p, nv12, rgba, gray, …")

    files: dict[str, BinaryIO] = state(dict)
    makers: dict[str, Any] = state(dict)  # outputs.rawvideo.RawBytes
    imagings: dict[str, Imaging] = state(dict)
    several: bool = state(bool)
    base: str = state(str)

    def validate(self) -> None:
        from ..outputs.rawvideo import base_of

        try:
            self.base = base_of(self.format)
        except ValueError as error:
            raise SettingError("raw", "format", self.format, str(error)) from None
        folder = os.path.dirname(self.path) or "."
        if "{stream}" not in folder and not os.path.isdir(folder):
            raise ConfigError(f"raw: {self.path} cannot be written: there is no folder {folder}")

    def open(self, context: Any) -> None:
        self.validate()

    def expect(self, streams: Sequence[str]) -> None:
        self.several = self.several or len(streams) > 1

    def process_frame(self, frame: Frame) -> None:
        from ..outputs.rawvideo import RawBytes

        image = frame.image
        if image.memory not in self.imagings:
            self.imagings[image.memory] = part(image.memory, "imaging")(image.memory)
        image = self.imagings[image.memory].convert(image, self.base)
        maker = self.makers.get(frame.stream)
        if maker is None or maker.size != (image.width, image.height):
            maker = self.makers[frame.stream] = RawBytes(image.width, image.height, self.format, image.full_range)
        planes = [plane if isinstance(plane, np.ndarray) else plane.numpy() for plane in image.planes]
        data = maker.bytes_of(planes)
        try:
            file = self.files.get(frame.stream)
            if file is None:
                file = self.files[frame.stream] = open(self._path(frame.stream), "wb")  # noqa: SIM115  see close
            file.write(data)
        except OSError as error:
            raise OutputError(self._path(frame.stream), error) from error

    def _path(self, stream: str) -> str:
        from ..outputs.jsonl import stream_path

        return stream_path(self.path, stream, self.several)

    def end_stream(self, stream: str) -> Iterator[Item]:
        self.makers.pop(stream, None)
        if file := self.files.pop(stream, None):
            try:
                file.close()
            except OSError as error:
                raise OutputError(self._path(stream), error) from error
        yield from ()

    def close(self) -> None:
        for file in self.files.values():
            file.close()
        self.files.clear()
