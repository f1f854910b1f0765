"""Non-maximum suppression: of boxes that overlap, the best stays."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

BLOCK = 64  # boxes compared with one another at once: bounds the memory, and the work when few stay


def nms(
    boxes: NDArray[np.float32], scores: NDArray[np.float32], classes: NDArray[np.int64] | None, iou: float
) -> NDArray[np.int64]:
    """Indices of the boxes [n, 4] that stay, best first.

    Greedy: the best box stays and removes those of its class (of any class when `classes` is None) whose
    intersection over union with it is above `iou`; then the next best. Equal scores keep their order.
    """
    kept = np.zeros(0, np.int64)
    order = np.argsort(-scores, kind="stable")
    while len(order):
        block, order = order[:BLOCK], order[BLOCK:]
        if len(kept):
            block = block[~_above(boxes, classes, kept, block, iou).any(axis=0)]
        removes = _above(boxes, classes, block, block, iou)
        stays = np.ones(len(block), bool)
        for place in range(len(block)):
            if stays[place]:
                stays[place + 1 :] &= ~removes[place, place + 1 :]
        kept = np.concatenate([kept, block[stays]])
    return kept


def _above(
    boxes: NDArray[np.float32], classes: NDArray[np.int64] | None, a: Any, b: Any, limit: float
) -> NDArray[np.bool_]:
    """[len(a), len(b)]: whether boxes a and b are of one class and overlap by more than the limit."""
    ax1, ay1, ax2, ay2 = boxes[a].T[:, :, None]
    bx1, by1, bx2, by2 = boxes[b].T[:, None, :]
    wide = np.minimum(ax2, bx2) - np.maximum(ax1, bx1)
    high = np.minimum(ay2, by2) - np.maximum(ay1, by1)
    both = np.maximum(wide, 0) * np.maximum(high, 0)
    above = both > limit * ((ax2 - ax1) * (ay2 - ay1) + (bx2 - bx1) * (by2 - by1) - both)
    if classes is not None:
        above &= classes[a][:, None] == classes[b]
    return np.asarray(above, bool)
