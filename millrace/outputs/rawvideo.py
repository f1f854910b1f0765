"""Pictures → their bytes in a pixel format of FFmpeg, without container or compression."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import av
import av.error
import numpy as np
from numpy.typing import NDArray

_RGB = ("rgb", "bgr", "argb", "abgr", "0rgb", "0bgr", "gbrp", "x2rgb", "x2bgr")


def base_of(format: str) -> str:
    """The format of ours, I420, RGB or GRAY8, from which a pixel format of FFmpeg is made with the least loss."""
    if format.startswith("gray"):
        return "GRAY8"
    return "RGB" if format.startswith(_RGB) else "I420"


class RawBytes:
    """Pictures of one size → bytes. `planes` are those of `base_of(format)`, 8 bits."""

    def __init__(self, width: int, height: int, format: str, full_range: bool = False) -> None:
        self.size = (width, height)
        self._format = format
        self._base = {"I420": "yuv420p", "RGB": "rgb24", "GRAY8": "gray"}[base_of(format)]
        self._full = full_range
        self._coder: Any = av.CodecContext.create("rawvideo", "w")
        self._coder.width, self._coder.height = width, height
        self._coder.pix_fmt, self._coder.time_base = format, Fraction(1, 25)

    def bytes_of(self, planes: list[NDArray[np.uint8]]) -> bytes:
        frame = av.VideoFrame(*self.size, self._base)
        for plane, source in zip(frame.planes, planes, strict=True):
            rows = np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size)
            flat = np.ascontiguousarray(source).reshape(source.shape[0], -1)
            rows[: flat.shape[0], : flat.shape[1]] = flat
        if self._format != self._base:
            levels = {"src_color_range": 2, "dst_color_range": 2} if self._full else {}
            frame = frame.reformat(format=self._format, **levels)
        frame.pts = None
        return b"".join(bytes(packet) for packet in self._coder.encode(frame))
