"""Tracking by motion and overlap, in a cascade."""

from __future__ import annotations

from dataclasses import dataclass

from .base import Rules
from .rules import ACTIVE, CONFIRMED, RATE, TENTATIVE, Life, Stage


@dataclass(kw_only=True)
class Sort(Rules):
    """Kalman prediction and a cascade of associations that weigh overlap, size and confidence.

    Bewley et al., "Simple online and realtime tracking", ICIP 2016, as DeepStream's NvSORT does it, with its usual
    values: detections of at least `high_confidence` meet targets seen before, by a joint score of at least
    `min_score`; then weaker ones, down to `low_confidence`, those that were seen a moment ago, by an overlap of
    `low_iou`; then those left over, tentative targets.
    """

    max_age: float = 26 / 30
    min_hits: int = 3
    probation: float = 0.0
    high_confidence: float = 0.2331
    low_confidence: float = 0.1345
    iou: float = 0.2159
    size: float = 0.4019
    min_score: float = 0.2543
    iou_weight: float = 0.3836
    size_weight: float = 0.1365
    confidence_weight: float = 0.1
    low_iou: float = 0.2867
    new_iou: float = 0.578
    class_penalty: float = 1.0

    name = "sort"

    def stages(self) -> tuple[Stage, ...]:
        confirmed = Stage(
            states=CONFIRMED, low=self.high_confidence, iou=self.iou_weight, size=self.size_weight,
            confidence=self.confidence_weight, min_iou=self.iou, min_size=self.size, min_score=self.min_score,
            class_penalty=self.class_penalty,
        )  # fmt: skip
        weak = Stage(
            states=ACTIVE, low=self.low_confidence, high=self.high_confidence, min_iou=self.low_iou,
            class_penalty=self.class_penalty,
        )  # fmt: skip
        young = Stage(
            states=TENTATIVE, low=self.high_confidence, min_iou=self.iou, class_penalty=self.class_penalty
        )  # fmt: skip
        return confirmed, weak, young

    def life(self) -> Life:
        return Life(
            noise_place=0.0301, noise_velocity=0.0017 * RATE, noise_measured=1 / 20,
            new_confidence=self.high_confidence, new_iou=self.new_iou, most=self.max_targets, hits=self.min_hits,
            probation=self.probation, max_age=self.max_age,
        )  # fmt: skip
