"""Tracking that trusts observations more than the filter."""

from __future__ import annotations

from dataclasses import dataclass

from .base import Rules
from .rules import ANY, Life, Stage


@dataclass(kw_only=True)
class OcSort(Rules):
    """Overlap and direction, a second chance at the last observed place, and a filter that repairs itself.

    Cao et al., "Observation-Centric SORT: Rethinking SORT for robust multi-object tracking", CVPR 2023, with its
    values: `direction` weighs how well a detection lies on the way of the last `moment` seconds (momentum), targets
    that are left meet detections at the place of their last observation (recovery), and a target that is found again
    is filtered anew as if it had been seen on a straight way (re-update).
    """

    max_age: float = 1.0
    min_hits: int = 3
    high_confidence: float = 0.6
    iou: float = 0.3
    direction: float = 0.2
    moment: float = 0.1
    class_penalty: float = 1.0

    name = "ocsort"

    def stages(self) -> tuple[Stage, ...]:
        first = Stage(
            states=ANY, low=self.high_confidence, min_iou=self.iou, direction=self.direction,
            class_penalty=self.class_penalty,
        )  # fmt: skip
        second = Stage(states=ANY, low=self.high_confidence, last=1, min_iou=self.iou, class_penalty=self.class_penalty)
        return first, second

    def life(self) -> Life:
        return Life(
            reupdate=1, moment=self.moment, new_confidence=self.high_confidence, most=self.max_targets,
            hits=self.min_hits, max_age=self.max_age,
        )  # fmt: skip
