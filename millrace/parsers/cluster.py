"""Candidates that mean the same thing become one detection: the ways in which that is done, class by class."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..media.geometry import iou as overlap
from .base import ParserSettings
from .nms import nms

Boxes = NDArray[np.float32]
Scores = NDArray[np.float32]
Clustered = tuple[NDArray[np.int64], Boxes]  # of what stays: its row among the candidates, its box
ATHR = 60.0  # most pixels of a cluster's side for each of its boxes


def cluster(mode: str, boxes: Boxes, scores: Scores, classes: NDArray[np.int64], settings: ParserSettings) -> Clustered:
    """What stays of candidates [n], best first: rows of the candidates, and their boxes.

    A cluster that merges several boxes into one gets the mean box and stands for its best member, whose confidence it
    has. Each class is clustered by itself (`nms` over all at once if `class_agnostic`), then loses what is not above
    its `confidence_after`, then all but its `class_top_k` best.

    * nms: see parsers.nms
    * groups: OpenCV's groupRectangles (after Viola and Jones, IJCV 57(2), 2004): boxes whose sides lie closer than
      `eps` times their mean size form a group; groups of at most `group_size` go, and those inside a larger one
    * dbscan: Ester et al., KDD 1996, with 1 - IoU as distance; clusters of fewer than `min_boxes` boxes about their
      core, or with a sum of confidences under `min_score`, go, and those with few boxes for their size (ATHR)
    * hybrid: boxes that belong to no cluster go, the others are left to nms
    * none: all stay
    """
    if mode == "none" and not settings.limits:
        order = np.argsort(-scores, kind="stable")
        return order, boxes[order]
    if mode == "nms" and not settings.limits:
        kept = nms(boxes, scores, None if settings.class_agnostic else classes, settings.iou)
        return kept, boxes[kept]
    if mode == "nms" and settings.class_agnostic:
        kept = nms(boxes, scores, None, settings.iou)
        rows, merged = _limited(mode, kept, boxes[kept], scores, classes, settings)
    else:
        parts = []
        for number in np.unique(classes).tolist():
            mine = np.flatnonzero(classes == number)
            kept, own = _MODES[mode](boxes[mine], scores[mine], number, settings)
            parts.append((mine[kept], own))
        rows, merged = (np.concatenate(column) for column in zip(*parts, strict=True))
        rows, merged = _limited(mode, rows, merged, scores, classes, settings)
    order = np.argsort(-scores[rows], kind="stable")
    return rows[order], merged[order]


def _limited(
    mode: str, rows: NDArray[np.int64], boxes: Boxes, scores: Scores, classes: NDArray[np.int64], s: ParserSettings
) -> Clustered:
    """Without what is not sure enough after clustering, and what is more than a class may have."""
    kept = []
    for number in np.unique(classes[rows]).tolist():
        mine = np.flatnonzero(classes[rows] == number)
        after, most = s.rule(number, "confidence_after"), s.rule(number, "class_top_k")
        if mode != "none":  # nvinfer's rules: above it for nms, at least that for dbscan
            sure = scores[rows[mine]]
            mine = mine[(sure >= after) if mode == "dbscan" else (sure > after)]
        mine = mine[np.argsort(-scores[rows[mine]], kind="stable")]
        kept.append(mine if most is None else mine[:most])
    chosen = np.concatenate(kept) if kept else np.zeros(0, np.int64)
    return rows[chosen], boxes[chosen]


def _none(boxes: Boxes, scores: Scores, number: int, settings: ParserSettings) -> Clustered:
    return np.arange(len(boxes)), boxes


def _nms(boxes: Boxes, scores: Scores, number: int, settings: ParserSettings) -> Clustered:
    kept = nms(boxes, scores, None, settings.rule(number, "iou"))
    return kept, boxes[kept]


def _group(boxes: Boxes, scores: Scores, number: int, settings: ParserSettings) -> Clustered:
    least, eps = settings.rule(number, "group_size"), settings.rule(number, "eps")
    if least <= 0:
        return _none(boxes, scores, number, settings)
    sizes = boxes[:, 2:] - boxes[:, :2]
    reach = eps * 0.5 * (np.minimum(sizes[:, None], sizes[None]).sum(axis=2))
    groups = _connected((np.abs(boxes[:, None] - boxes[None]) <= reach[..., None]).all(axis=2))
    groups = [group for group in groups if len(group) > least]
    means = np.array([boxes[group].mean(axis=0) for group in groups], np.float32).reshape(-1, 4)
    outer = [n for n in range(len(groups)) if not _inside_another(n, groups, means, eps)]
    best = np.array([groups[n][scores[groups[n]].argmax()] for n in outer], np.int64)
    return best, means[outer]


def _inside_another(n: int, groups: list[NDArray[np.int64]], means: Boxes, eps: float) -> bool:
    """Whether a group's box lies in that of a larger group, a little allowed."""
    for other, (x1, y1, x2, y2) in enumerate(means):
        dx, dy = (x2 - x1) * eps, (y2 - y1) * eps
        a1, b1, a2, b2 = means[n]
        within = a1 >= x1 - dx and b1 >= y1 - dy and a2 <= x2 + dx and b2 <= y2 + dy
        if other != n and within and (len(groups[other]) > max(3, len(groups[n])) or len(groups[n]) < 3):
            return True
    return False


def _dbscan(boxes: Boxes, scores: Scores, number: int, settings: ParserSettings) -> Clustered:
    if settings.rule(number, "min_boxes") <= 0:
        return _none(boxes, scores, number, settings)
    found = _dense(boxes, scores, number, settings)
    best = np.array([group[scores[group].argmax()] for group in found], np.int64)
    means = [np.average(boxes[group], axis=0, weights=np.maximum(scores[group], 1e-6)) for group in found]
    return best, np.array(means, np.float32).reshape(-1, 4)


def _hybrid(boxes: Boxes, scores: Scores, number: int, settings: ParserSettings) -> Clustered:
    if settings.rule(number, "min_boxes") <= 0:
        return _nms(boxes, scores, number, settings)
    groups = _dense(boxes, scores, number, settings)
    kept = np.sort(np.concatenate(groups)) if groups else np.zeros(0, np.int64)
    chosen = kept[nms(boxes[kept], scores[kept], None, settings.rule(number, "iou"))]
    return chosen, boxes[chosen]


def _dense(boxes: Boxes, scores: Scores, number: int, settings: ParserSettings) -> list[NDArray[np.int64]]:
    """The clusters of DBSCAN: cores that are neighbours, and the boxes about them."""
    near = 1.0 - overlap(boxes, boxes) <= settings.rule(number, "eps") + 1e-9
    np.fill_diagonal(near, True)
    dense = near.sum(axis=1) >= settings.rule(number, "min_boxes")
    cores = np.flatnonzero(dense & (near @ scores >= settings.rule(number, "min_score")))
    most = float(settings.extras.get("athr", ATHR))
    found, taken = [], np.zeros(len(boxes), bool)
    for group in _connected(near[np.ix_(cores, cores)]):
        members = np.flatnonzero(near[cores[group]].any(axis=0) & ~taken)
        taken[members] = True
        hull = np.concatenate([boxes[members, :2].min(axis=0), boxes[members, 2:].max(axis=0)])
        if float(np.sqrt(np.prod(np.maximum(hull[2:] - hull[:2], 0)))) <= most * len(members):
            found.append(members)
    return found


def _connected(linked: NDArray[np.bool_]) -> list[NDArray[np.int64]]:
    """Which rows hang together, directly or by way of others, in the order of their first row."""
    groups, free = [], np.ones(len(linked), bool)
    for start in range(len(linked)):
        if not free[start]:
            continue
        group = np.zeros(len(linked), bool)
        front = np.array([start])
        while len(front):
            group[front] = True
            front = np.flatnonzero(linked[front].any(axis=0) & ~group)
        free &= ~group
        groups.append(np.flatnonzero(group))
    return groups


_MODES: dict[str, Callable[[Any, Any, int, ParserSettings], Clustered]] = {
    "nms": _nms,
    "dbscan": _dbscan,
    "hybrid": _hybrid,
    "groups": _group,
    "none": _none,
}
