"""Pictures → whole levels of red, green and blue, and planes in other sizes, with OpenCV and NumPy.

What models were trained on: every pixel converted to 8 bits a channel as libswscale does it (nearly everyone sees video
through it), and only then resized as cv2.resize does it. `_kernels.c` does both in one pass and gives the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from ..media import Image
from ..media.buffers import empty
from ..media.colour import yuv_to_rgb
from ..media.image import Matrix
from ..media.tensor import Part

Plane = NDArray[np.uint8]
Levels = NDArray[np.int16]

YUV = ("I420", "NV12", "P010")
BAND = 64  # rows converted at a time: what lies between stays in the processor's cache, and in memory used before


def resize(plane: NDArray[Any], width: int, height: int, antialias: bool = False) -> NDArray[Any]:
    """Bilinear with half-pixel centres; with `antialias` the mean over each pixel's area where it shrinks."""
    have_height, have_width = plane.shape[:2]
    if (have_width, have_height) == (width, height):
        return plane
    how = cv2.INTER_AREA if antialias and shrinks(have_width, have_height, width, height) else cv2.INTER_LINEAR
    out = empty((height, width, *plane.shape[2:]), plane.dtype)
    return np.asarray(cv2.resize(plane, (width, height), dst=out, interpolation=how))


def shrinks(have_width: int, have_height: int, width: int, height: int) -> bool:
    """Whether neither side grows: only then is there an area to take the mean of."""
    return width <= have_width and height <= have_height


def to_8_bit(plane: NDArray[Any]) -> Plane:
    """uint16 whose value stands in the upper bits (P010, GRAY16) as uint8, rounded, halves to even."""
    return plane if plane.dtype == np.uint8 else np.asarray(cv2.convertScaleAbs(plane, alpha=1.0 / 256.0))


def samples(image: Image) -> tuple[NDArray[Any], ...]:
    """A view (h, w) of each kind of sample: Y, U, V; red, green, blue; or grey."""
    if image.format == "I420":
        return tuple(image.planes)
    if image.format in ("NV12", "P010"):
        luma, chroma = image.planes
        return luma, chroma[..., 0], chroma[..., 1]
    if image.format in ("RGB", "BGR"):
        order = (0, 1, 2) if image.format == "RGB" else (2, 1, 0)
        return tuple(image.planes[0][..., index] for index in order)
    return (image.planes[0],)


def levels(image: Image, part: Part, grey: bool) -> Sequence[Plane]:
    """The pixels x1 y1 x2 y2 of a picture as planes (h, w): red, green and blue, or one of grey.

    Grey of a video is its luma stretched to 0..255; of other pictures OpenCV's weighted sum. A grey picture is three
    times the same.
    """
    x1, y1, x2, y2 = part
    if image.format in YUV:
        out = empty((1 if grey else 3, y2 - y1, x2 - x1), np.uint8)
        for top in range(y1, y2, BAND):
            bottom = min(y2, top + BAND)
            _convert(image, (x1, top, x2, bottom), out[:, top - y1 : bottom - y1])
        return list(out)
    pixels = to_8_bit(np.ascontiguousarray(image.planes[0][y1:y2, x1:x2]))
    if image.format in ("GRAY8", "GRAY16"):
        return [pixels] * (1 if grey else 3)
    if grey:
        return [cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY if image.format == "RGB" else cv2.COLOR_BGR2GRAY)]
    return [cv2.extractChannel(pixels, index) for index in ((0, 1, 2) if image.format == "RGB" else (2, 1, 0))]


def _convert(image: Image, part: Part, out: Plane) -> None:
    """The part of a picture of YUV into `out` [3 or 1, h, w]."""
    x1, y1, x2, y2 = part
    luma_table, (red, green_u, green_v, blue) = _tables(image.matrix, image.full_range)
    luma_plane, *chroma_planes = samples(image)
    luma = cv2.LUT(to_8_bit(np.ascontiguousarray(luma_plane[y1:y2, x1:x2])), luma_table)
    if len(out) == 1:
        np.copyto(out[0], np.clip(luma, 0, 255, out=luma), casting="unsafe")
        return
    half = np.s_[y1 // 2 : (y2 + 1) // 2, x1 // 2 : (x2 + 1) // 2]
    u, v = (to_8_bit(np.ascontiguousarray(plane[half])) for plane in chroma_planes)
    tints = (cv2.LUT(v, red), cv2.add(cv2.LUT(u, green_u), cv2.LUT(v, green_v)), cv2.LUT(u, blue))
    total = np.empty_like(luma)
    for plane, tint in zip(out, tints, strict=True):
        twice = (tint.view(np.uint16).astype(np.uint32) * 0x10001).view(np.int16)  # each two times: quicker than repeat
        twice = twice[:, x1 % 2 : x1 % 2 + luma.shape[1]]
        for row in (0, 1):  # of the two that share a row of chroma
            lines = luma[row::2]
            np.add(lines, twice[(row + y1 % 2) // 2 :][: len(lines)], out=total[row::2])
        np.copyto(plane, np.clip(total, 0, 255, out=total), casting="unsafe")


@lru_cache(maxsize=16)
def factors(matrix: Matrix, full_range: bool) -> tuple[int, int, int, int, int, int]:
    """(offset, y, v to red, u to green, v to green, u to blue) as libswscale counts: factors in 1/8192."""
    offset, *terms = yuv_to_rgb(matrix, full_range)
    y, v_to_r, u_to_g, v_to_g, u_to_b = (round(term * 8192) for term in terms)
    return round(offset), y, v_to_r, u_to_g, v_to_g, u_to_b


@lru_cache(maxsize=16)
def _tables(matrix: Matrix, full_range: bool) -> tuple[Levels, tuple[Levels, Levels, Levels, Levels]]:
    """What each Y, and each V, U, V, U adds to the channels, in whole levels: libswscale drops every term's fraction,
    which makes pictures about a level darker than the equations say, and boxes of small objects follow that."""
    offset, y, *others = factors(matrix, full_range)
    all_levels = np.arange(256)
    red, green_u, green_v, blue = (((all_levels - 128) * factor >> 13).astype(np.int16) for factor in others)
    return ((all_levels - offset) * y >> 13).astype(np.int16), (red, green_u, green_v, blue)
