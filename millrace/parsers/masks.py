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
    products = coefficients.astype(np.float32) @ prototypes[:, y1:y2, x1:x2].reshape(count, -1)
    return in_window(products, (x1, y1, x2, y2), box, (per_x, per_y))


def from_windows(
    products: NDArray[np.float32],
    windows: NDArray[np.int32],
    rows: NDArray[np.int64],
    boxes: Any,
    size: tuple[int, int],
) -> list[Floats]:
    """The same for cells of a picture and their boxes, of what a runtime worked out: MASKS and MASK_WINDOWS."""
    _, _, wide, high = windows[-1].tolist()
    starts = np.concatenate([[0], np.prod(windows[:-1, 2:] - windows[:-1, :2], axis=1, dtype=np.int64).cumsum()])
    masks = []
    for row, box in zip(rows.tolist(), boxes, strict=True):
        start, end = starts[row : row + 2].tolist()
        part = tuple(windows[row].tolist())
        per = (wide / size[0], high / size[1])
        masks.append(in_window(products[start:end], part, box, per) if end > start else np.zeros((1, 1), np.float32))
    return masks


def in_window(
    products: NDArray[np.float32], window: tuple[int, ...], box: NDArray[np.float32], per: tuple[float, float]
) -> Floats:
    """The mask in a box, of products in a window x1 y1 x2 y2 about it; there are `per` of them to an input pixel."""
    x1, y1, x2, y2 = window
    weights = sigmoid(products).reshape(y2 - y1, x2 - x1)
    wide, high = _pixels(box[2] - box[0]), _pixels(box[3] - box[1])
    part = ((box[0] * per[0] - x1), (box[1] * per[1] - y1), (box[2] * per[0] - x1), (box[3] * per[1] - y1))
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
