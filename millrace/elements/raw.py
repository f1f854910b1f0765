"""Frames → a file of their pixels."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from typing import Any, BinaryIO, ClassVar

import numpy as np

from ..core.element import Element, setting, state
from ..core.errors import ConfigError, OutputError
from ..core.item import Item
from ..devices import part
from ..imaging.base import Imaging
from ..media import Frame

FORMATS = {  # GStreamer's names of formats → FFmpeg's
    "I420": "yuv420p", "YV12": "yuv420p", "NV12": "nv12", "NV21": "nv21", "RGB": "rgb24", "BGR": "bgr24",
    "RGBA": "rgba", "BGRA": "bgra", "ARGB": "argb", "ABGR": "abgr", "RGBx": "rgb0", "BGRx": "bgr0", "xRGB": "0rgb",
    "xBGR": "0bgr", "GRAY8": "gray", "GRAY16_LE": "gray16le", "YUY2": "yuyv422", "UYVY": "uyvy422", "YVYU": "yvyu422",
    "Y42B": "yuv422p", "Y444": "yuv444p", "GBR": "gbrp", "P010_10LE": "p010le", "I420_10LE": "yuv420p10le",
    "I420_12LE": "yuv420p12le", "I422_10LE": "yuv422p10le", "Y444_10LE": "yuv444p10le", "Y444_12LE": "yuv444p12le",
    "BGR10A2_LE": "x2rgb10le", "GBR_10LE": "gbrp10le", "GBR_12LE": "gbrp12le",
}  # fmt: skip


class Raw(Element):
    """Write the pixels of each stream's frames one behind the other: `raw: {path: out.nv12, format: NV12}`.

    The frames are passed on. `{stream}` in the path stands for the stream's name; without it, and with more than one
    stream, `-NAME` is put before the ending. A file says nothing of itself: `raw://out.nv12` with width, height and
    format reads it again (not all formats that are written).
    """

    threaded: ClassVar[bool] = True
    writes: ClassVar[bool] = True

    path: str = setting(help="where to write; {stream} stands for the stream's name")
    format: str = setting(default="I420", help="of the pictures in the file", choices=tuple(FORMATS))

    files: dict[str, BinaryIO] = state(dict)
    makers: dict[str, Any] = state(dict)  # outputs.rawvideo.RawBytes
    imagings: dict[str, Imaging] = state(dict)
    several: bool = state(bool)
    base: str = state(str)

    def validate(self) -> None:
        from ..outputs.rawvideo import base_of

        self.base = base_of(FORMATS[self.format])
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
            maker = self.makers[frame.stream] = RawBytes(
                image.width, image.height, FORMATS[self.format], image.full_range
            )
        planes = [plane if isinstance(plane, np.ndarray) else plane.numpy() for plane in image.planes]
        if self.format == "YV12":
            planes = [planes[0], planes[2], planes[1]]
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
