"""What makes one motion tracker different from another: its stages of association, its filter, its life cycle.

`Stage` and `Life` are read by the frame step (`step.py` and its twin `_step.c`) as rows of float64, in the order in
which their fields stand here.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

ACTIVE, INACTIVE, TENTATIVE = 1, 2, 4  # states of a target; sets of them are sums
CONFIRMED = ACTIVE + INACTIVE
ANY = CONFIRMED + TENTATIVE

BOX, NO_VELOCITY_OF_SIDES, FULL = 0, 1, 2  # filters: the last box alone, sides at rest, all

RATE = 30.0  # noise and ages that others give for a frame are those of a thirtieth of a second
MATRICES = 2  # further likenesses that a stage can weigh: appearance, correlation response


@dataclass(frozen=True, slots=True)
class Stage:
    """One round of association: which targets meet which detections, what makes a pair alike, who gets whom.

    The score of a pair is iou * IoU + size * size likeness + confidence * (1 - difference of confidences) +
    direction * how well the way to the detection agrees with the way so far (-0.5 to 0.5, times its confidence) +
    extra * further matrices. A pair is allowed where its boxes overlap, every `min_` is reached, and its score is
    above `min_score`. Each stage takes what those before left.
    """

    states: float = ANY
    recent: float = 0  # 1: only targets that the look before found
    low: float = 0.0  # detections of low <= confidence < high
    high: float = math.inf
    last: float = 0  # 1: the last observed box counts, not the predicted one
    buffer: float = 0.0  # boxes grow by so much of their sides, on all four sides, before they are compared
    growth: float = 0.0  # and those of targets by so much more a second unseen
    buffer_most: float = 0.0
    iou: float = 1.0
    size: float = 0.0
    confidence: float = 0.0
    direction: float = 0.0
    fuse: float = 0  # 1: the score is multiplied by the detection's confidence
    height: float = 0  # 1: IoU is multiplied by the overlap of the boxes' heights
    min_iou: float = 0.0
    min_size: float = 0.0
    min_score: float = 0.0
    mahalanobis: float = -1.0  # squared distance at most, -1: any
    greedy: float = 0  # 1: the best pair first; 0: the best sum
    class_penalty: float = 1.0  # taken off IoU where kinds differ; 1: never together
    extra: tuple[float, float] = (0.0, 0.0)
    min_extra: tuple[float, float] = (-math.inf, -math.inf)


@dataclass(frozen=True, slots=True)
class Life:
    """The filter of a target (see kalman.py), and how it lives.

    Noise is a standard deviation: a part of the box's side for each thirtieth of a second (velocities: sides a second),
    besides a variance in pixels² (`_abs`). Times are seconds.
    """

    filter: float = FULL
    by_axis: float = 0  # 1: noise of x and width goes by the width; 0: all by the height
    noise_place: float = 1 / 20
    noise_velocity: float = RATE / 160
    noise_measured: float = 1 / 20
    place_abs: float = 0.0
    size_abs: float = 0.0
    velocity_abs: float = 0.0
    measured_abs: float = 0.0
    first_place: float = 2 / 20
    first_velocity: float = 10 * RATE / 160
    confidence_noise: float = 0.0  # a measurement of confidence c is 1 + this * (1 - c) times as uncertain (variance)
    damping: float = 0.0  # of an unseen target: velocity falls to 1 / (1 + damping * seconds)
    hold_size: float = 0  # 1: sides of an unseen target do not change
    reupdate: float = 0  # 1: found again, it is as if it had been seen on a straight way (observation-centric)
    moment: float = 0.1  # how long ago the observation is from which a direction is taken
    new_confidence: float = 0.4  # detections from here up start targets,
    new_iou: float = 1.0  # if they overlap no target by more than this
    most: float = 1000  # targets of a stream
    hits: float = 3  # detections that make it active
    probation: float = 0.0  # and its age, at least
    early: float = 1  # looks in a row that a tentative target may miss, less one
    max_age: float = 2.0  # unseen for longer, it is terminated
    duplicate: float = 1.0  # a shadow that overlaps an active target by more is dropped if it is not the older
    evidence: float = 0.0  # a target becomes active when the confidences of its detections add up to this,
    settled: float = math.inf  # or when it is so old


def stages_array(stages: tuple[Stage, ...]) -> NDArray[np.float64]:
    """[stages, columns] float64."""
    return np.array([_row(stage) for stage in stages], dtype=np.float64)


def life_array(life: Life) -> NDArray[np.float64]:
    """[columns] float64."""
    return np.array(_row(life), dtype=np.float64)


def _row(rules: Stage | Life) -> list[float]:
    row: list[float] = []
    for each in fields(rules):
        value = getattr(rules, each.name)
        row.extend(value if isinstance(value, tuple) else (value,))
    return row
