"""The picture of something that lies at an angle, turned upright."""

from __future__ import annotations

import math
from typing import Any

import cv2
import numpy as np

from ..media import Image
from .compose import crop
from .convert import convert


def straighten(image: Image, box: Any, angle: float) -> Image:
    """What a box x1 y1 x2 y2 shows that is turned about its centre by `angle` radians (clockwise), as RGB or grey.

    Bilinear; what lies beyond the picture repeats its edge. Never makes RGB of more than the upright box about it.
    """
    x1, y1, x2, y2 = (float(v) for v in box)
    cx, cy, wide, high = (x1 + x2) / 2, (y1 + y2) / 2, max(1.0, x2 - x1), max(1.0, y2 - y1)
    cos, sin = math.cos(angle), math.sin(angle)
    reach = (abs(cos) * wide + abs(sin) * high) / 2 + 2, (abs(sin) * wide + abs(cos) * high) / 2 + 2
    left, top = (max(0, int(centre - half)) // 2 * 2 for centre, half in zip((cx, cy), reach, strict=True))
    right, bottom = (
        max(low + 2, min(size, math.ceil(centre + half)))
        for centre, half, size, low in zip((cx, cy), reach, (image.width, image.height), (left, top), strict=True)
    )
    part = crop(image, (min(left, image.width - 2), min(top, image.height - 2), right, bottom))
    if part.format in ("I420", "NV12", "P010"):
        part = convert(part, "RGB")
    size = round(wide), round(high)
    corner = cx - left - cos * wide / 2 + sin * high / 2, cy - top - sin * wide / 2 - cos * high / 2
    steps = np.array([[cos * wide / size[0], -sin * high / size[1]], [sin * wide / size[0], cos * high / size[1]]])
    offset = np.array(corner) + steps @ (0.5, 0.5) - 0.5  # centres of pixels stand at halves
    way = np.column_stack([steps, offset])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    pixels = cv2.warpAffine(part.planes[0], way, size, flags=flags, borderMode=cv2.BORDER_REPLICATE)
    return Image(part.format, [pixels], size[0], size[1], full_range=part.full_range)
