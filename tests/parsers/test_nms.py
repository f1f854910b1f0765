"""Suppression against the obvious loop."""

from __future__ import annotations

import numpy as np
import pytest

from millrace.media.geometry import iou as overlaps
from millrace.parsers.nms import nms


def plain(boxes, scores, classes, limit):
    kept = []
    for n in sorted(range(len(scores)), key=lambda i: (-scores[i], i)):
        pairs = [k for k in kept if classes is None or classes[k] == classes[n]]
        if all(overlaps(boxes[[n]], boxes[[k]])[0, 0] <= limit for k in pairs):
            kept.append(n)
    return kept


@pytest.mark.parametrize("count", [0, 1, 2, 30, 300])
@pytest.mark.parametrize("by_class", [True, False])
def test_same_as_the_obvious_loop(count, by_class):
    rng = np.random.default_rng(count)
    corner = rng.uniform(0, 100, (count, 2))
    boxes = np.concatenate([corner, corner + rng.uniform(5, 60, (count, 2))], axis=1).astype(np.float32)
    scores = rng.integers(1, 20, count).astype(np.float32) / 20  # with many equal ones
    classes = rng.integers(0, 3, count) if by_class else None
    for limit in (0.3, 0.45, 0.8):
        assert nms(boxes, scores, classes, limit).tolist() == plain(boxes, scores, classes, limit)


def test_boxes_without_area_do_not_divide_by_zero():
    boxes = np.zeros((3, 4), np.float32)
    assert nms(boxes, np.ones(3, np.float32), None, 0.5).tolist() == [0, 1, 2]
