"""Files of raw pictures, one behind the other, as `filesink` writes them: `raw:///data/out.nv12`."""

from __future__ import annotations

import os
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..core.element import setting
from ..core.errors import SourceError
from ..media import Image
from ..media.image import Format
from .pictures import PictureSource

FORMATS = ("I420", "YV12", "NV12", "NV21", "P010", "RGB", "BGR", "RGBA", "BGRA", "YUY2", "UYVY", "GRAY8", "GRAY16")
_HALF = ("I420", "YV12", "NV12", "NV21", "P010")
_BYTES = {"RGB": 3, "BGR": 3, "RGBA": 4, "BGRA": 4, "YUY2": 2, "UYVY": 2, "GRAY8": 1, "GRAY16": 2}


class RawSource(PictureSource):
    """Raw pictures of one size: `raw:///data/out.nv12` with `{width: 1280, height: 720, format: NV12, fps: 30}`.

    Rows stand without padding between them. YV12 and NV21 become I420 and NV12, RGBA and BGRA lose their alpha, YUY2
    and UYVY become I420 (two rows share their colours). A file that does not hold whole pictures is an error.
    """

    stream: str = setting(help="name of the stream")
    uri: str = setting(help="raw:// and a path")
    width: int = setting(help="pixels", minimum=1)
    height: int = setting(help="pixels", minimum=1)
    format: str = setting(default="I420", help="of the pictures in the file", choices=FORMATS)
    fps: float = setting(default=25.0, help="frames per second", minimum=0.001)
    matrix: str = setting(default="bt601", help="of YUV", choices=("bt601", "bt709", "bt2020"))
    full_range: bool = setting(default=False, help="levels of YUV are 0 to 255, not 16 to 235")

    @property
    def path(self) -> str:
        return self.uri.removeprefix("raw://")

    @property
    def rate(self) -> Fraction:
        return Fraction(self.fps).limit_denominator(1001)

    @property
    def size(self) -> int:
        """Bytes of a picture."""
        pixels, half = self.width * self.height, -(-self.width // 2) * -(-self.height // 2)
        if self.format in _HALF:
            return (pixels + 2 * half) * (2 if self.format == "P010" else 1)
        wide = self.width + self.width % 2 if self.format in ("YUY2", "UYVY") else self.width
        return wide * self.height * _BYTES[self.format]

    @property
    def count(self) -> int:
        try:
            whole = os.path.getsize(self.path)
        except OSError as error:
            raise SourceError(self.stream, f"cannot read {self.path}: {error.strerror}") from None
        number, rest = divmod(whole, self.size)
        if not number or rest:
            raise SourceError(
                self.stream,
                f"{self.path} has {whole} bytes, and a picture of {self.width}x{self.height} {self.format} has "
                f"{self.size}: they are not so many whole ones; give its width, height and format",
            )
        return number

    def picture(self, index: int) -> Image:
        with open(self.path, "rb") as file:
            file.seek(index * self.size)
            data = np.frombuffer(file.read(self.size), np.uint8).copy()
        if len(data) < self.size:
            raise SourceError(self.stream, f"{self.path} became shorter while it was read")
        format, planes = _planes(data, self.format, self.width, self.height)
        matrix: Any = self.matrix
        yuv = format not in ("RGB", "BGR")
        return Image(format, planes, self.width, self.height, matrix=matrix if yuv else "bt601",
                     full_range=self.full_range and yuv)  # fmt: skip


def _planes(data: NDArray[np.uint8], format: str, width: int, height: int) -> tuple[Format, list[NDArray[Any]]]:
    """The planes of a picture, in a format that pictures have here."""
    half = -(-height // 2), -(-width // 2)
    if format in ("I420", "YV12", "NV12", "NV21", "P010"):
        samples: NDArray[Any] = data.view("<u2").astype(np.uint16) if format == "P010" else data
        luma, chroma = samples[: width * height].reshape(height, width), samples[width * height :]
        if format in ("I420", "YV12"):
            first, second = chroma.reshape(2, *half)
            return "I420", [luma, first, second] if format == "I420" else [luma, second, first]
        pairs = chroma.reshape(*half, 2)
        if format == "P010":
            return "P010", [luma, pairs]
        return "NV12", [luma, pairs if format == "NV12" else np.ascontiguousarray(pairs[..., ::-1])]
    if format in ("YUY2", "UYVY"):
        return "I420", _packed(data.reshape(height, -1, 4), format, width)
    if format == "GRAY16":
        return "GRAY16", [data.view("<u2").astype(np.uint16).reshape(height, width)]
    if format == "GRAY8":
        return "GRAY8", [data.reshape(height, width)]
    pixels = data.reshape(height, width, -1)
    return ("RGB" if format.startswith("RGB") else "BGR"), [np.ascontiguousarray(pixels[..., :3])]


def _packed(pairs: NDArray[np.uint8], format: str, width: int) -> list[NDArray[Any]]:
    """I420 of two pixels in four bytes [h, w / 2, 4]: chroma is the mean of two rows."""
    order = (0, 2, 1, 3) if format == "YUY2" else (1, 3, 0, 2)  # where Y, Y, U, V stand
    luma = np.ascontiguousarray(pairs[..., order[:2]].reshape(len(pairs), -1)[:, :width])
    planes: list[NDArray[Any]] = [luma]
    for place in order[2:]:
        rows = np.pad(pairs[..., place].astype(np.uint16), ((0, len(pairs) % 2), (0, 0)), mode="edge")
        planes.append(((rows[::2] + rows[1::2] + 1) // 2).astype(np.uint8))
    return planes
