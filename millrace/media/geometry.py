"""Boxes, points, lines and polygons, as NumPy columns. Boxes are x1 y1 x2 y2."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Points = Sequence[Sequence[float]]


def area(boxes: NDArray[Any]) -> NDArray[Any]:
    """[n] of boxes [n, 4]; a box turned inside out has none."""
    return np.asarray(np.maximum(boxes[:, 2] - boxes[:, 0], 0) * np.maximum(boxes[:, 3] - boxes[:, 1], 0))


def iou(a: NDArray[Any], b: NDArray[Any]) -> NDArray[Any]:
    """Intersection over union of every pair: [n, m] of boxes a [n, 4] and b [m, 4]."""
    ax1, ay1, ax2, ay2 = a.T[:, :, None]
    bx1, by1, bx2, by2 = b.T
    inter = np.minimum(ax2, bx2) - np.maximum(ax1, bx1)
    inter = np.maximum(inter, 0) * np.maximum(np.minimum(ay2, by2) - np.maximum(ay1, by1), 0)
    union = area(a)[:, None] + area(b) - inter
    return np.asarray(inter / np.maximum(union, 1e-12))


def to_pixels(points: Points, width: int, height: int) -> NDArray[np.float64]:
    """Points of a configuration in source pixels: coordinates that are all at most 1 are fractions."""
    array = np.asarray(points, dtype=np.float64).reshape(-1, 2)
    if array.size and array.max() <= 1.0:
        return array * (width, height)
    return array


def inside(point: tuple[float, float], polygon: NDArray[np.float64]) -> bool:
    """Whether a point lies in a polygon [n, 2] (even-odd rule; Shimrat, CACM 5(8), 1962)."""
    x, y = point
    x1, y1 = polygon[:, 0], polygon[:, 1]
    x2, y2 = np.roll(x1, -1), np.roll(y1, -1)
    spans = (y1 > y) != (y2 > y)
    rise = np.where(spans, y2 - y1, 1.0)
    return bool(np.count_nonzero(spans & (x < (x2 - x1) * (y - y1) / rise + x1)) % 2)


def side(point: tuple[float, float], start: tuple[float, float], end: tuple[float, float]) -> float:
    """> 0 when the point lies to the right of start → end as seen in the picture (y down), 0 on the line."""
    return (end[0] - start[0]) * (point[1] - start[1]) - (end[1] - start[1]) * (point[0] - start[0])


def segments_cross(
    a: tuple[float, float], b: tuple[float, float], c: tuple[float, float], d: tuple[float, float]
) -> bool:
    """Whether segment a-b crosses segment c-d."""
    return side(a, c, d) * side(b, c, d) < 0 and side(c, a, b) * side(d, a, b) < 0
