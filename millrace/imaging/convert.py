"""One picture format into another on the CPU, at full size and with the picture's own matrix and range."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from ..media import Image
from ..media.buffers import copy
from ..media.colour import LUMA, yuv_to_rgb
from ..media.image import Format
from .yuv import to_8_bit

FORMATS: tuple[Format, ...] = ("I420", "NV12", "RGB", "BGR", "GRAY8")


def convert(image: Image, format: str) -> Image:
    """A picture of `format`: itself when it has it already, else a new one. 10 and 16 bits are rounded to 8.

    The tags stay: RGB made from BT.709 becomes BT.709 again. Chroma is repeated on the way to RGB and averaged over
    2x2 pixels on the way back. GRAY8 is 0..255 whatever the range. Raises ValueError for other formats.
    """
    if image.format == format:
        return image
    for wanted in FORMATS:
        if wanted == format:
            return _as(image, wanted, _planes(image, wanted))
    raise ValueError(f"convert: {format!r} is not one of {', '.join(FORMATS)}")


def _as(image: Image, format: Format, planes: list[NDArray[Any]]) -> Image:
    return Image(
        format, planes, image.width, image.height, matrix=image.matrix, full_range=image.full_range,
        memory=image.memory,
    )  # fmt: skip


def _planes(image: Image, format: Format) -> list[NDArray[Any]]:
    if image.format in ("I420", "NV12", "P010"):
        if format in ("I420", "NV12"):
            return _other_yuv(image, format)
        if format == "GRAY8":
            return [_grey(image)]
        rgb = _rgb(image)
        return [rgb if format == "RGB" else cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR)]
    first = to_8_bit(image.planes[0])
    if image.format in ("GRAY8", "GRAY16"):
        if format in ("I420", "NV12"):
            return _grey_yuv(first, image, format)
        return [copy(first) if format == "GRAY8" else cv2.cvtColor(first, cv2.COLOR_GRAY2BGR)]
    if format == "GRAY8":
        return [cv2.cvtColor(first, cv2.COLOR_RGB2GRAY if image.format == "RGB" else cv2.COLOR_BGR2GRAY)]
    if format in ("RGB", "BGR"):
        return [cv2.cvtColor(first, cv2.COLOR_RGB2BGR)]
    return _yuv(first, image, format)


def _other_yuv(image: Image, format: Format) -> list[NDArray[Any]]:
    luma = copy(to_8_bit(image.planes[0]))
    if image.format == "I420":
        return [luma, cv2.merge([image.planes[1], image.planes[2]])]
    chroma = to_8_bit(image.planes[1])
    if format == "NV12":
        return [luma, copy(chroma)]
    return [luma, cv2.extractChannel(chroma, 0), cv2.extractChannel(chroma, 1)]


def _levels(values: NDArray[Any]) -> NDArray[np.uint8]:
    return np.asarray(np.clip(np.rint(values), 0, 255), dtype=np.uint8)


def _grey(image: Image) -> NDArray[Any]:
    offset, gain = yuv_to_rgb(image.matrix, image.full_range)[:2]
    luma = to_8_bit(image.planes[0])
    return np.asarray(cv2.LUT(luma, _levels((np.arange(256) - offset) * gain)))


def _grey_yuv(grey: NDArray[Any], image: Image, format: Format) -> list[NDArray[Any]]:
    offset, gain = yuv_to_rgb(image.matrix, image.full_range)[:2]
    luma = cv2.LUT(grey, _levels(np.arange(256) / gain + offset))
    half = ((image.height + 1) // 2, (image.width + 1) // 2)
    if format == "NV12":
        return [luma, np.full((*half, 2), 128, np.uint8)]
    return [luma, np.full(half, 128, np.uint8), np.full(half, 128, np.uint8)]


def _rgb(image: Image) -> NDArray[Any]:
    """(h, w, 3) RGB, chroma repeated: one affine step over the three planes laid side by side."""
    height, width = image.height, image.width
    luma = to_8_bit(image.planes[0])
    chroma = image.planes[1:] if image.format == "I420" else cv2.split(to_8_bit(image.planes[1]))
    full = [cv2.resize(c, None, fx=2, fy=2, interpolation=cv2.INTER_NEAREST)[:height, :width] for c in chroma]
    offset, gain, v_to_r, u_to_g, v_to_g, u_to_b = yuv_to_rgb(image.matrix, image.full_range)
    matrix = np.array([[gain, 0.0, v_to_r], [gain, u_to_g, v_to_g], [gain, u_to_b, 0.0]])
    shift = matrix @ np.array([-offset, -128.0, -128.0])
    return np.asarray(cv2.transform(cv2.merge([luma, *full]), np.column_stack([matrix, shift])))


def _yuv(packed: NDArray[Any], image: Image, format: Format) -> list[NDArray[Any]]:
    """I420 or NV12 planes of (h, w, 3) in the picture's own order of colours."""
    kr, kb = LUMA[image.matrix]
    luma = np.array([kr, 1.0 - kr - kb, kb])
    u, v = (np.array([0.0, 0.0, 1.0]) - luma) / (2 - 2 * kb), (np.array([1.0, 0.0, 0.0]) - luma) / (2 - 2 * kr)
    y_gain, c_gain, offset = (1.0, 1.0, 0.0) if image.full_range else (219.0 / 255.0, 224.0 / 255.0, 16.0)
    matrix = np.stack([luma * y_gain, u * c_gain, v * c_gain])
    if image.format == "BGR":
        matrix = matrix[:, ::-1]
    planes = cv2.split(cv2.transform(packed, np.column_stack([matrix, [offset, 128.0, 128.0]])))
    half = ((image.width + 1) // 2, (image.height + 1) // 2)
    bottom, right = image.height % 2, image.width % 2
    even = [cv2.copyMakeBorder(c, 0, bottom, 0, right, cv2.BORDER_REPLICATE) for c in planes[1:]]
    chroma = [cv2.resize(c, half, interpolation=cv2.INTER_AREA) for c in even]
    return [planes[0], *chroma] if format == "I420" else [planes[0], cv2.merge(chroma)]
