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

    The area is widened to even pixels and cut at the edges. `smooth`: between the colours, else each keeps its edges.
    A picture of 10 or 16 bits leaves with 8.
    """
    image = convert(image, _EIGHT_BIT.get(image.format, image.format))
    x1, y1, x2, y2 = area or (0, 0, image.width, image.height)
    x1, y1 = max(0, x1) // 2 * 2, max(0, y1) // 2 * 2
    x2, y2 = (min(limit, -(-value // 2) * 2) for value, limit in ((x2, image.width), (y2, image.height)))
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
