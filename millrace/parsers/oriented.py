"""Boxes at an angle: how far they overlap, and suppression by it."""

from __future__ import annotations

import math
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray


def rotated_iou(a: Any, angle_a: float, b: Any, angle_b: float) -> float:
    """Intersection over union of two boxes x1 y1 x2 y2, each turned about its centre by radians (clockwise as seen)."""
    first, second = _rectangle(a, angle_a), _rectangle(b, angle_b)
    kind, points = cv2.rotatedRectangleIntersection(first, second)
    if kind == cv2.INTERSECT_NONE or points is None:
        return 0.0
    both = float(cv2.contourArea(cv2.convexHull(points)))
    whole = first[1][0] * first[1][1] + second[1][0] * second[1][1] - both
    return both / max(whole, 1e-9)


def rotated_nms(
    boxes: NDArray[np.float32], angles: NDArray[Any], scores: NDArray[Any], classes: NDArray[Any] | None, iou: float
) -> NDArray[np.int64]:
    """Greedy suppression as in parsers.nms, by the overlap of the turned boxes. Returns what stays, best first."""
    centres = (boxes[:, :2] + boxes[:, 2:]) / 2
    reach = np.hypot(boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1]) / 2
    kept: list[int] = []
    for row in np.argsort(-scores, kind="stable").tolist():
        far = np.hypot(*(centres[kept] - centres[row]).T) if kept else np.zeros(0)
        near = [k for k, distance in zip(kept, far, strict=True) if distance < reach[k] + reach[row]]
        same = [k for k in near if classes is None or classes[k] == classes[row]]
        if all(rotated_iou(boxes[k], float(angles[k]), boxes[row], float(angles[row])) <= iou for k in same):
            kept.append(row)
    return np.array(kept, np.int64)


def _rectangle(box: Any, angle: float) -> tuple[tuple[float, float], tuple[float, float], float]:
    """As OpenCV writes it: centre, size, degrees clockwise."""
    x1, y1, x2, y2 = (float(v) for v in box)
    return ((x1 + x2) / 2, (y1 + y2) / 2), (max(x2 - x1, 1e-3), max(y2 - y1, 1e-3)), math.degrees(angle)


def hull(boxes: NDArray[np.float32], angles: NDArray[np.float32]) -> NDArray[np.float32]:
    """The upright boxes [n, 4] about turned ones."""
    centres, half = (boxes[:, :2] + boxes[:, 2:]) / 2, (boxes[:, 2:] - boxes[:, :2]) / 2
    cos, sin = np.abs(np.cos(angles))[:, None], np.abs(np.sin(angles))[:, None]
    reach = half * cos + half[:, ::-1] * sin
    return np.asarray(np.concatenate([centres - reach, centres + reach], axis=1), np.float32)
