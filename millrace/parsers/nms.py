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
    order = np.argsort(-scores, kind="stable")
    sides = np.ascontiguousarray(boxes[order].T)
    kinds = None if classes is None else classes[order]
    first = _best(_above(sides, kinds, slice(0, BLOCK), slice(0, BLOCK), iou))
    kept = np.array(first, np.int64)
    for start in range(BLOCK, len(order), BLOCK):
        block = np.arange(start, min(start + BLOCK, len(order)))
        block = block[~_above(sides, kinds, kept, block, iou).any(axis=0)]
        kept = np.concatenate([kept, block[_best(_above(sides, kinds, block, block, iou))]])
    return order[kept]


def _best(removes: NDArray[np.bool_]) -> list[int]:
    """Which of at most BLOCK boxes, best first, stay, when each that stays removes those after it that its row names.

    Rows are whole numbers of as many bits: a step of the loop costs a tenth of one with arrays.
    """
    bits = np.packbits(removes, axis=1, bitorder="little")
    gone, stays = 0, []
    for place, row in enumerate(bits):
        if not gone >> place & 1:
            stays.append(place)
            gone |= int.from_bytes(row.tobytes(), "little")
    return stays


def _above(
    sides: NDArray[np.float32], classes: NDArray[np.int64] | None, a: Any, b: Any, limit: float
) -> NDArray[np.bool_]:
    """[len(a), len(b)]: whether boxes a and b of sides [4, n] are of one class and overlap by more than the limit."""
    ax1, ay1, ax2, ay2 = sides[:, a, None]
    bx1, by1, bx2, by2 = sides[:, None, b]
    wide = np.minimum(ax2, bx2) - np.maximum(ax1, bx1)
    high = np.minimum(ay2, by2) - np.maximum(ay1, by1)
    both = np.maximum(wide, 0) * np.maximum(high, 0)
    above = both > limit * ((ax2 - ax1) * (ay2 - ay1) + (bx2 - bx1) * (by2 - by1) - both)
    if classes is not None:
        above &= classes[a, None] == classes[None, b]
    return np.asarray(above, bool)
