"""Pictures turned by quarters, plane by plane."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np

from ..media import Image
from ..media.buffers import empty

_HOW = {90: cv2.ROTATE_90_CLOCKWISE, 180: cv2.ROTATE_180, 270: cv2.ROTATE_90_COUNTERCLOCKWISE}


def turned(image: Image, degrees: int) -> Image:
    """The picture turned clockwise by 0, 90, 180 or 270 degrees, in memory of its own; CPU pictures only.

    Chroma planes are turned as they are: with an odd width or height they come to lie up to one luma pixel off.
    """
    if not degrees:
        return image
    planes = [_turn(plane, degrees) for plane in image.planes]
    width, height = (image.width, image.height) if degrees == 180 else (image.height, image.width)
    return Image(image.format, planes, width, height, matrix=image.matrix, full_range=image.full_range)


def _turn(plane: Any, degrees: int) -> Any:
    height, width = plane.shape[:2]
    shape = (height, width) if degrees == 180 else (width, height)
    out = empty((*shape, *plane.shape[2:]), plane.dtype)
    return cv2.rotate(np.asarray(plane), _HOW[degrees], dst=out)
