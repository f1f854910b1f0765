"""Masks of single objects: cut from prototypes, and brought to the pixels of a box."""

from __future__ import annotations

import math
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from .common import Floats, sigmoid

_LARGEST = 1024  # pixels of a mask's side: more is of no use to anybody


def from_prototypes(
    prototypes: NDArray[np.float32], coefficients: NDArray[np.float32], box: NDArray[np.float32], size: tuple[int, int]
) -> Floats:
    """The mask of one object in its box, a weight for each input pixel: sigmoid(coefficients @ prototypes).

    `prototypes` [k, h, w] cover the input of `size` (width, height); `box` is in its pixels (Bolya et al., YOLACT,
    arXiv 1904.02689; the layout is that of YOLOv8-seg).
    """
    count, rows, columns = prototypes.shape
    per_x, per_y = columns / size[0], rows / size[1]
    x1, y1 = (max(0, int(v * per) - 1) for v, per in ((box[0], per_x), (box[1], per_y)))
    x2 = min(columns, max(x1 + 1, math.ceil(box[2] * per_x) + 1))
    y2 = min(rows, max(y1 + 1, math.ceil(box[3] * per_y) + 1))
    if x1 >= x2 or y1 >= y2:
        return np.zeros((1, 1), np.float32)
    window = prototypes[:, y1:y2, x1:x2].reshape(count, -1)
    weights = sigmoid(coefficients.astype(np.float32) @ window).reshape(y2 - y1, x2 - x1)
    wide, high = _pixels(box[2] - box[0]), _pixels(box[3] - box[1])
    part = ((box[0] * per_x - x1), (box[1] * per_y - y1), (box[2] * per_x - x1), (box[3] * per_y - y1))
    return sampled(weights, part, wide, high)


def sampled(mask: NDArray[Any], part: tuple[float, ...], wide: int, high: int) -> Floats:
    """A part x1 y1 x2 y2 (in the mask's cells, borders may lie outside) of a mask as [high, wide], bilinear."""
    x1, y1, x2, y2 = (float(v) for v in part)
    sx, sy = (x2 - x1) / wide, (y2 - y1) / high
    way = np.array([[sx, 0, x1 + sx / 2 - 0.5], [0, sy, y1 + sy / 2 - 0.5]], np.float64)
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    source = np.ascontiguousarray(mask, np.float32)
    out = cv2.warpAffine(source, way, (wide, high), flags=flags, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(out, np.float32)


def in_box(mask: NDArray[Any], box: Any, inside: Any, threshold: float) -> NDArray[np.bool_]:
    """A mask stretched over `box`, as booleans of the part of it that lies `inside`, a value for each pixel of that.

    Both are x1 y1 x2 y2 of one picture; `inside` is the box cut at the picture's edges.
    """
    high, wide = mask.shape
    width, height = max(float(box[2] - box[0]), 1e-3), max(float(box[3] - box[1]), 1e-3)
    part = (
        (inside[0] - box[0]) / width * wide,
        (inside[1] - box[1]) / height * high,
        (inside[2] - box[0]) / width * wide,
        (inside[3] - box[1]) / height * high,
    )
    size = _pixels(inside[2] - inside[0]), _pixels(inside[3] - inside[1])
    return np.asarray(sampled(mask, part, *size) > threshold, bool)


def around(mask: NDArray[Any], threshold: float) -> tuple[int, int, int, int] | None:
    """The box x1 y1 x2 y2 about the cells of a mask that are above the threshold; None where there are none."""
    over = mask > threshold
    columns, rows = np.flatnonzero(over.any(axis=0)), np.flatnonzero(over.any(axis=1))
    if not len(rows):
        return None
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


def _pixels(length: Any) -> int:
    return int(min(_LARGEST, max(1, round(float(length)))))
