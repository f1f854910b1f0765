"""Every way of clustering on boxes whose right answer is plain to see, and against slow, obvious code."""

from __future__ import annotations

import numpy as np
import pytest

from millrace.parsers.base import ParserSettings
from millrace.parsers.cluster import cluster
from millrace.parsers.common import finish

CROWD = [(10, 10, 50, 50, 0.9), (12, 11, 52, 51, 0.8), (9, 9, 49, 50, 0.5), (200, 100, 240, 140, 0.7)]


def run(mode, rows=CROWD, classes=None, **settings):
    rows = np.array(rows, np.float32)
    classes = np.zeros(len(rows), np.int64) if classes is None else np.array(classes)
    kept, boxes = cluster(mode, rows[:, :4], rows[:, 4], classes, ParserSettings(640, 384, **settings))
    return kept.tolist(), boxes


def test_none_keeps_all_best_first():
    kept, boxes = run("none")
    assert kept == [0, 1, 3, 2]
    np.testing.assert_array_equal(boxes[2], [200, 100, 240, 140])


def test_nms_keeps_the_best_of_each_heap():
    assert run("nms")[0] == [0, 3]
    assert run("nms", rules={0: {"iou": 0.95}})[0] == [0, 1, 3, 2]
    assert run("nms", class_agnostic=True, classes=[0, 1, 2, 3])[0] == [0, 3]
    assert run("nms", classes=[0, 1, 0, 0])[0] == [0, 1, 3]


def test_after_nms_confidence_must_be_above_the_limit():
    assert run("nms", confidence_after=0.7)[0] == [0]  # not 0.7 itself
    assert run("nms", confidence_after=0.95)[0] == []
    assert run("nms", rules={0: {"confidence_after": 0.6}})[0] == [0, 3]


def test_top_k_of_a_class():
    assert run("none", class_top_k=1)[0] == [0]
    assert run("none", classes=[0, 0, 1, 1], class_top_k=1)[0] == [0, 3]
    assert run("none", classes=[0, 0, 1, 1], rules={1: {"class_top_k": 0}})[0] == [0, 1]


def test_group_takes_the_mean_and_drops_the_lonely():
    kept, boxes = run("groups", group_size=1, eps=0.2)
    assert kept == [0]
    np.testing.assert_allclose(boxes[0], np.mean([r[:4] for r in CROWD[:3]], axis=0), atol=1e-4)
    assert run("groups", group_size=3, eps=0.2)[0] == []
    assert run("groups", group_size=0)[0] == [0, 1, 3, 2]  # not grouped at all


def test_a_small_group_within_a_large_one_goes():
    large = [(0, 0, 100, 100, 0.6)] * 5
    small = [(40, 40, 60, 60, 0.9)] * 2
    assert len(run("groups", large + small, group_size=1, eps=0.2)[0]) == 1


def test_dbscan_takes_the_weighted_mean_and_drops_noise():
    kept, boxes = run("dbscan", min_boxes=2, eps=0.3)
    assert kept == [0]
    weights = [r[4] for r in CROWD[:3]]
    np.testing.assert_allclose(boxes[0], np.average([r[:4] for r in CROWD[:3]], axis=0, weights=weights), atol=1e-4)
    assert run("dbscan", min_boxes=1, eps=0.3)[0] == [0, 3]
    assert run("dbscan", min_boxes=0)[0] == [0, 1, 3, 2]  # not clustered
    assert run("dbscan", min_boxes=2, eps=0.3, min_score=2.3)[0] == []  # 0.9 + 0.8 + 0.5 is less
    assert run("dbscan", min_boxes=2, eps=0.3, min_score=2.1)[0] == [0]
    assert run("dbscan", min_boxes=1, eps=0.3, confidence_after=0.7)[0] == [0, 3]  # at least, not above


def test_dbscan_drops_large_clusters_of_few_boxes():
    one = [(0, 0, 200, 200, 0.9)]
    assert run("dbscan", one, min_boxes=1, eps=0.3)[0] == []  # 200 pixels for one box
    assert run("dbscan", one * 4, min_boxes=1, eps=0.3)[0] == [0]
    assert run("dbscan", one, min_boxes=1, eps=0.3, extras={"athr": 1000})[0] == [0]


def test_hybrid_is_nms_without_noise():
    kept, boxes = run("hybrid", min_boxes=2, eps=0.3, iou=0.95)
    assert kept == [0, 1, 2]
    np.testing.assert_array_equal(boxes[0], CROWD[0][:4])
    assert run("hybrid", min_boxes=2, eps=0.3)[0] == [0]
    assert run("hybrid", min_boxes=0)[0] == [0, 3]


@pytest.mark.parametrize("mode", ["nms", "dbscan", "hybrid", "groups", "none"])
def test_classes_do_not_meet_and_nothing_gives_nothing(mode):
    rows = [(10, 10, 50, 50, 0.9)] * 3
    kept, _ = run(mode, rows, classes=[0, 1, 2], min_boxes=1, eps=0.3, group_size=0)
    assert sorted(kept) == [0, 1, 2]
    found = finish(np.zeros((0, 4)), np.zeros(0), np.zeros(0, int), ParserSettings(640, 384, cluster=mode))
    assert len(found) == 0


def slow_dbscan(boxes, eps, least):
    """Straight from the paper: the cluster of each box, -1 for noise."""

    def distance(a, b):
        w, h = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
        both = max(w, 0) * max(h, 0)
        area = sum((c[2] - c[0]) * (c[3] - c[1]) for c in (a, b))
        return 1 - both / (area - both)

    around = [[j for j in range(len(boxes)) if distance(boxes[i], boxes[j]) <= eps] for i in range(len(boxes))]
    of = [None] * len(boxes)
    number = -1
    for i in range(len(boxes)):
        if of[i] is not None or len(around[i]) < least:
            continue
        number += 1
        seeds = [i]
        while seeds:
            j = seeds.pop()
            if of[j] is not None:
                continue
            of[j] = number
            if len(around[j]) >= least:
                seeds += around[j]
    return [-1 if c is None else c for c in of]


def test_the_same_clusters_as_the_paper():
    random = np.random.default_rng(3)
    for _ in range(20):
        corners = random.uniform(0, 60, (30, 2))
        boxes = np.concatenate([corners, corners + random.uniform(20, 40, (30, 2))], axis=1)
        scores = random.uniform(0.3, 1, 30)
        of = slow_dbscan(boxes, 0.45, 3)
        rows = np.column_stack([boxes, scores])
        kept, _ = run("dbscan", rows, min_boxes=3, eps=0.45, extras={"athr": 1e9})
        assert len(kept) == max(of) + 1
        assert all(of[row] >= 0 for row in kept) and len({of[row] for row in kept}) == len(kept)


def test_thresholds_of_a_class_may_be_lower_than_that_of_all():
    boxes = np.array([[0, 0, 10, 10], [30, 30, 40, 40], [60, 60, 70, 70]], np.float32)
    scores, classes = np.array([0.4, 0.4, 0.15], np.float32), np.array([0, 1, 1])
    settings = ParserSettings(100, 100, confidence=0.5, rules={1: {"confidence": 0.2}})
    assert settings.floor == 0.2
    assert finish(boxes, scores, classes, settings).classes.tolist() == [1]
