"""Non-maximum suppression: of boxes that overlap, the best stays."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def nms(
    boxes: NDArray[np.float32], scores: NDArray[np.float32], classes: NDArray[np.int64] | None, iou: float
) -> NDArray[np.int64]:
    """Indices of the boxes [n, 4] that stay, best first.

    Greedy: the best box stays and removes those of its class (of any class when `classes` is None) whose
    intersection over union with it is above `iou`; then the next best. Equal scores keep their order.
    """
    order = np.argsort(-scores, kind="stable")
    if len(order) < 2:
        return order
    x1, y1, x2, y2 = boxes[order].T
    areas = (x2 - x1) * (y2 - y1)
    kinds = None if classes is None else classes[order]
    alive = np.ones(len(order), bool)
    kept = []
    place = 0
    while place < len(order):
        kept.append(place)
        after = slice(place + 1, None)
        wide = np.minimum(x2[after], x2[place]) - np.maximum(x1[after], x1[place])
        high = np.minimum(y2[after], y2[place]) - np.maximum(y1[after], y1[place])
        both = np.maximum(wide, 0) * np.maximum(high, 0)
        overlaps = both > iou * (areas[after] + areas[place] - both)
        if kinds is not None:
            overlaps &= kinds[after] == kinds[place]
        alive[after] &= ~overlaps
        rest = alive[after]
        step = int(rest.argmax()) if rest.size else 0
        if not rest.size or not rest[step]:
            break
        place += 1 + step
    return order[kept]
