"""Parts of a picture made unrecognisable, on luma and chroma.

Both ways first reduce an area to a few cells, each the mean of its pixels, and then build it up again: `pixelate` as
squares, `blur` smoothly. So a blurred area holds no more than its cells, at most 8 along its longer side, and nothing
that sharpening could bring back (a plain Gaussian blur can be undone: Hill et al., PoPETs 2016(4), 403-417).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from ..media import Image
from .base import Conceal

CELLS = 8  # most along the longer side of an area


def conceal(image: Image, areas: Sequence[Any], mode: Conceal = "pixelate", strength: float = 1.0) -> Image:
    """Hide boxes (x1 y1 x2 y2) and polygons ([[x, y], …]); draws on `image.writable()` and returns it.

    `strength` 1 leaves 8 cells along an area's longer side, 2 leaves 4, 8 and more a single colour; less than 1 counts
    as 1. Areas are widened to even pixels; what lies outside the picture or is no number is left out.
    """
    shapes = [shape for area in areas if (shape := shape_of(area, image.width, image.height)) is not None]
    if not shapes:
        return image
    image = image.writable()
    for box, polygon in shapes:
        _hide(image, box, polygon, mode, strength)
    return image


def shape_of(area: Any, width: int, height: int) -> tuple[tuple[int, int, int, int], NDArray[np.float64] | None] | None:
    """The whole even pixels that an area touches, and its corners when it is no box."""
    array = np.asarray(area, np.float64)
    if not array.size or not np.isfinite(array).all():
        return None
    corners = array.reshape(-1, 2)
    low, high = corners.min(axis=0), corners.max(axis=0)
    x1, y1 = (int(max(0.0, v) // 2 * 2) for v in low)
    x2, y2 = (int(min(m, max(0.0, np.ceil(v / 2) * 2))) for v, m in zip(high, (width, height), strict=True))
    if x1 >= x2 or y1 >= y2:
        return None
    return (x1, y1, x2, y2), (corners if array.ndim == 2 else None)


def _hide(
    image: Image, box: tuple[int, int, int, int], polygon: NDArray[Any] | None, mode: Conceal, strength: float
) -> None:
    x1, y1, x2, y2 = box
    width, height = x2 - x1, y2 - y1
    cell = max(width, height) / CELLS * max(1.0, strength)
    cells = max(1, int(width / cell)), max(1, int(height / cell))
    mask = None if polygon is None else _mask(polygon, box)
    for index, plane in enumerate(image.planes):
        scale = 2 if index else 1
        region = plane[y1 // scale : -(-y2 // scale), x1 // scale : -(-x2 // scale)]
        few = cv2.resize(region, cells, interpolation=cv2.INTER_AREA)
        how = cv2.INTER_NEAREST if mode == "pixelate" else cv2.INTER_LINEAR
        hidden = cv2.resize(few, (region.shape[1], region.shape[0]), interpolation=how).reshape(region.shape)
        if mask is None:
            region[...] = hidden
        else:
            cv2.copyTo(hidden, mask if scale == 1 else _any_of_four(mask), region)


def _mask(polygon: NDArray[Any], box: tuple[int, int, int, int]) -> NDArray[np.uint8]:
    """255 on every pixel of the box that the polygon touches."""
    x1, y1, x2, y2 = box
    mask = np.zeros((y2 - y1, x2 - x1), np.uint8)
    at = np.rint((polygon - (x1 + 0.5, y1 + 0.5)) * 16).astype(np.int32)
    cv2.fillPoly(mask, [at], (255,), cv2.LINE_8, 4)
    cv2.polylines(mask, [at], True, (255,), 2, cv2.LINE_8, 4)  # pixels that it only grazes
    return mask


def _any_of_four(mask: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """255 on chroma where any of its luma pixels is hidden."""
    height, width = mask.shape
    even = np.zeros(((height + 1) // 2 * 2, (width + 1) // 2 * 2), np.uint8)
    even[:height, :width] = mask
    return np.asarray(even.reshape(even.shape[0] // 2, 2, even.shape[1] // 2, 2).max(axis=(1, 3)))
