"""How alike targets and detections are, by one stage's rules (the twin of that in `_step.c`).

IoU of boxes with a buffer: Yang et al., "Hard to Track Objects with Irregular Motions and Similar Appearances? Make It
Easier by Buffering the Matching Space", WACV 2023. Direction: Cao et al., "Observation-Centric SORT", CVPR 2023.
Overlap of heights and likeness of confidences: Yang et al., "Hybrid-SORT: Weak Cues Matter", AAAI 2024.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .kalman import measured_noise
from .rules import Life, Stage
from .table import (
    BOX,
    CONFIDENCE,
    COUNT,
    KIND,
    MARK,
    MARKS,
    POSITION,
    RING,
    SEEN,
    XX,
    Columns,
    centred,
    corners,
)

TINY = 1e-12
PI = 3.141592653589793
NOT_ALLOWED = -1.0


def scores(
    table: Columns, found: Columns, stage: Stage, life: Life, now: float, extras: Columns | None = None
) -> Columns:
    """[n, m] for targets [n, …] and detections [m, 6]: the score, -1 where a pair is not allowed."""
    boxes = table[:, BOX : BOX + 4] if stage.last > 0 else corners(table)
    most = max(stage.buffer_most, stage.buffer)
    buffers = np.minimum(stage.buffer + stage.growth * (now - table[:, SEEN]), most)
    a, b = widened(boxes, buffers), widened(found[:, :4], np.full(len(found), stage.buffer))
    iou, inner, outer = overlaps(a, b)
    touch = iou > 0
    if stage.height > 0:
        iou = iou * (inner / np.maximum(outer, TINY))
    iou = iou - stage.class_penalty * (table[:, KIND][:, None] != found[:, 5][None])
    sides = [(boxes[:, k + 2] - boxes[:, k], found[:, k + 2] - found[:, k]) for k in (0, 1)]
    size = _ratio(*sides[0]) * _ratio(*sides[1])
    allowed = touch & (iou >= stage.min_iou) & (iou > 0) & (size >= stage.min_size)
    if stage.mahalanobis >= 0:
        allowed &= ~(_far(table, life, found) > stage.mahalanobis)
    score = stage.iou * iou + stage.size * size
    score = score + stage.confidence * (1.0 - np.abs(table[:, CONFIDENCE][:, None] - found[:, 4][None]))
    if stage.direction > 0:
        score = score + stage.direction * _direction(table, found, now, life.moment) * found[:, 4][None]
    if extras is not None:
        for value, weight, least in zip(extras, stage.extra, stage.min_extra, strict=True):
            allowed &= value >= least
            score = score + weight * value
    if stage.fuse > 0:
        score = score * found[:, 4][None]
    return np.where(allowed & (score > stage.min_score), score, NOT_ALLOWED)


def widened(boxes: Columns, buffer: Columns) -> Columns:
    """Boxes that have grown on all sides by a part of their width and height."""
    w, h = boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1]
    return np.stack(
        (boxes[:, 0] - buffer * w, boxes[:, 1] - buffer * h, boxes[:, 2] + buffer * w, boxes[:, 3] + buffer * h), axis=1
    )


def overlaps(a: Columns, b: Columns) -> tuple[Columns, Columns, Columns]:
    """IoU [n, m] of every pair; and of their heights the part in common, and the whole."""
    ax1, ay1, ax2, ay2 = a.T[:, :, None]
    bx1, by1, bx2, by2 = b.T
    w = np.maximum(np.minimum(ax2, bx2) - np.maximum(ax1, bx1), 0)
    h = np.maximum(np.minimum(ay2, by2) - np.maximum(ay1, by1), 0)
    inter = w * h
    areas = [np.maximum(c[:, 2] - c[:, 0], 0) * np.maximum(c[:, 3] - c[:, 1], 0) for c in (a, b)]
    iou = inter / np.maximum(areas[0][:, None] + areas[1][None] - inter, TINY)
    return iou, h, np.maximum(ay2, by2) - np.minimum(ay1, by1)


def _ratio(a: Columns, b: Columns) -> Columns:
    return np.minimum(a[:, None], b[None]) / np.maximum(np.maximum(a[:, None], b[None]), TINY)


def _far(table: Columns, life: Life, found: Columns) -> Columns:
    """Squared Mahalanobis distance of every pair."""
    seen, noise = centred(found), measured_noise(table, life, 1.0)
    out = np.zeros((len(table), len(found)))
    for k in range(4):
        error = seen[:, k][None] - table[:, POSITION + k][:, None]
        out += error * error / (table[:, XX + k] + noise[:, k])[:, None]
    return out


def _direction(table: Columns, found: Columns, now: float, moment: float) -> Columns:
    """0.5 - angle / pi between the way a target came and the way to a detection; 0 where one stands still."""
    mark, way, moves = _ways(table, now, moment)
    centre = centred(found)
    x, y = (centre[:, k][None] - mark[:, k][:, None] for k in (0, 1))
    length = np.sqrt(x * x + y * y)
    known = moves[:, None] & (length >= TINY)
    length = np.where(known, length, 1.0)
    c = (x / length) * way[:, 0][:, None] + (y / length) * way[:, 1][:, None]
    return np.where(known, 0.5 - arc_cosine(np.maximum(np.minimum(c, 1.0), -1.0)) / PI, 0.0)


def _ways(table: Columns, now: float, moment: float) -> tuple[Columns, Columns, NDArray[np.bool_]]:
    """Of every target: where it was observed a `moment` ago (or at the earliest), and the unit vector from there."""
    mark, way = np.zeros((len(table), 2)), np.zeros((len(table), 2))
    moves = np.zeros(len(table), bool)
    counts, rings = table[:, COUNT].astype(int).tolist(), table[:, RING:].tolist()
    for row, (count, ring) in enumerate(zip(counts, rings, strict=True)):
        chosen = None
        for back in range(2, min(count, MARKS) + 1):
            at = MARK * ((count - back) % MARKS)
            chosen = ring[at : at + MARK]
            if now - chosen[0] >= moment:
                break
        if chosen is None:
            continue
        at = MARK * ((count - 1) % MARKS)
        x, y = ring[at + 1] - chosen[1], ring[at + 2] - chosen[2]
        length = float(np.sqrt(x * x + y * y))
        if length >= TINY:
            mark[row], way[row], moves[row] = chosen[1:], (x / length, y / length), True
    return mark, way, moves


def arc_cosine(x: Columns) -> Columns:
    """To 7e-5, by plain products, alike everywhere: Abramowitz and Stegun, "Mathematical Functions", 4.4.45."""
    a = np.abs(x)
    r = np.sqrt(1.0 - a) * (1.5707288 + a * (-0.2121144 + a * (0.0742610 + a * -0.0187293)))
    return np.where(x < 0, PI - r, r)
