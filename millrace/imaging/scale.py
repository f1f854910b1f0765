"""Pictures in other sizes, plane by plane on the CPU, in the format that they have."""

from __future__ import annotations

from typing import Any, Literal, cast

import cv2
import numpy as np
from numpy.typing import NDArray

from ..media import Image
from ..media.buffers import empty
from ..media.colour import rgb_to_yuv
from .base import Area, Colour
from .yuv import shrinks

Method = Literal["auto", "nearest", "bilinear", "cubic", "area", "lanczos"]
METHODS: tuple[Method, ...] = ("auto", "nearest", "bilinear", "cubic", "area", "lanczos")
_FLAGS = {
    "nearest": cv2.INTER_NEAREST_EXACT,
    "bilinear": cv2.INTER_LINEAR,
    "cubic": cv2.INTER_CUBIC,
    "area": cv2.INTER_AREA,
    "lanczos": cv2.INTER_LANCZOS4,
}


def scale(
    image: Image, width: int, height: int, area: Area | None = None, method: str = "auto", colour: Colour = (0, 0, 0)
) -> Image:
    """The picture stretched over `area` (x1 y1 x2 y2, none: all) of a new one of width x height, the rest one colour.

    Format, matrix and range stay. Centres of pixels stand at halves. `auto` takes the mean of areas where neither
    side grows, else bilinear. Raises ValueError for an unknown method and for an area that does not lie in the new
    picture, or not on even pixels (right and bottom may be its edge).
    """
    if method not in METHODS:
        raise ValueError(f"scale: method {method!r} is not one of {', '.join(METHODS)}")
    x1, y1, x2, y2 = area = area or (0, 0, width, height)
    outside = not (0 <= x1 < x2 <= width and 0 <= y1 < y2 <= height)
    if outside or x1 % 2 or y1 % 2 or (x2 % 2 and x2 != width) or (y2 % 2 and y2 != height):
        raise ValueError(f"scale: {area} is no area of {width}x{height} on even pixels")
    flag = _flag(image, x2 - x1, y2 - y1, method)
    levels = None if area == (0, 0, width, height) else _levels(image, colour)
    planes = []
    for index, plane in enumerate(image.planes):
        halves = 2 if index else 1
        shape = (-(-height // halves), -(-width // halves), *plane.shape[2:])
        out = empty(shape, plane.dtype)
        if levels is not None:
            out[:] = levels[index]
        part = out[y1 // halves : -(-y2 // halves), x1 // halves : -(-x2 // halves)]
        _resize(plane, part, flag)
        planes.append(out)
    return Image(
        image.format, planes, width, height, matrix=image.matrix, full_range=image.full_range, memory=image.memory
    )  # fmt: skip


def _flag(image: Image, width: int, height: int, method: str) -> int:
    if method == "auto":
        method = "area" if shrinks(image.width, image.height, width, height) else "bilinear"
    return _FLAGS[method]


def _resize(plane: NDArray[Any], out: NDArray[Any], flag: int) -> None:
    size = (out.shape[1], out.shape[0])
    if plane.shape[:2] == out.shape[:2]:
        out[:] = plane
    elif out.flags.c_contiguous:
        cv2.resize(plane, size, dst=out, interpolation=flag)
    else:
        out[:] = cv2.resize(plane, size, interpolation=flag)


def _levels(image: Image, colour: Colour) -> list[NDArray[Any]]:
    """The colour as samples of each plane."""
    wide = image.format in ("P010", "GRAY16")
    y, u, v = rgb_to_yuv(*colour, image.matrix, image.full_range)
    grey = round(0.299 * colour[0] + 0.587 * colour[1] + 0.114 * colour[2])
    samples: dict[str, list[Any]] = {
        "I420": [y, u, v], "NV12": [y, (u, v)], "P010": [y, (u, v)], "RGB": [colour], "BGR": [colour[::-1]],
        "GRAY8": [grey], "GRAY16": [grey],
    }  # fmt: skip
    dtype, factor = (np.uint16, 256) if wide else (np.uint8, 1)
    return [np.asarray(np.asarray(each) * factor, cast(Any, dtype)) for each in samples[image.format]]
