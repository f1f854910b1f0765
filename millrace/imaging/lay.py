"""Maps of colours laid over a picture: classes of pixels, motion."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from ..media import Image
from .base import Area
from .convert import convert
from .scale import scale

_EIGHT_BIT = {"P010": "NV12", "GRAY16": "GRAY8"}


def lay(image: Image, colours: NDArray[np.uint8], area: Area | None, opacity: float, smooth: bool = False) -> Image:
    """RGB colours [rows, columns, 3] stretched over an area (none: all) and blended in; returns what was drawn on.

    The area is widened to even pixels; what lies beyond the picture is left out. `smooth`: between the colours, else
    each keeps its edges. A picture of 10 or 16 bits leaves with 8.
    """
    image = convert(image, _EIGHT_BIT.get(image.format, image.format))
    colours, (x1, y1, x2, y2) = visible(colours, area, image.width, image.height)
    if x1 >= x2 or y1 >= y2 or not opacity > 0:
        return image
    rows, columns = colours.shape[:2]
    tags: Any = {"matrix": image.matrix, "full_range": image.full_range}
    whole = scale(Image("RGB", [colours], columns, rows, **tags), x2 - x1, y2 - y1, None,
                  "bilinear" if smooth else "nearest")  # fmt: skip
    whole = convert(whole, image.format)
    if opacity >= 1 and (x2 - x1, y2 - y1) == (image.width, image.height):
        return whole
    image = image.writable()
    for index, (plane, over) in enumerate(zip(image.planes, whole.planes, strict=True)):
        halves = 2 if index else 1
        part = plane[y1 // halves : -(-y2 // halves), x1 // halves : -(-x2 // halves)]
        part[...] = cv2.addWeighted(np.ascontiguousarray(part), 1 - min(opacity, 1.0), over, min(opacity, 1.0), 0)
    return image


def visible(colours: NDArray[np.uint8], area: Area | None, width: int, height: int) -> tuple[NDArray[np.uint8], Area]:
    """What of a map stretched over an area lies in a picture of width x height, and where, on even pixels.

    The map of an area that is cut has a colour for each pixel then. An area that is outside has no inside.
    """
    left, top, right, bottom = area or (0, 0, width, height)
    columns, x1, x2 = _side(left, right, width, colours.shape[1])
    rows, y1, y2 = _side(top, bottom, height, colours.shape[0])
    if x1 < x2 and y1 < y2:
        colours = colours if columns is None else colours[:, columns]
        colours = colours if rows is None else colours[rows]
    return colours, (x1, y1, x2, y2)


def _side(start: int, end: int, limit: int, cells: int) -> tuple[NDArray[np.intp] | None, int, int]:
    """One side: the cell of each pixel in the picture (None: all cells, stretched), the first pixel, and the end."""
    start, end = start // 2 * 2, limit if end == limit else -(-end // 2) * 2
    first, last = max(0, start), min(limit, end)
    if first >= last or (first, last) == (start, end):
        return None, first, last
    at = (np.arange(first, last) + 0.5 - start) * cells / (end - start)
    return np.minimum(at.astype(np.intp), cells - 1), first, last
