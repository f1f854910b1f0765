"""Tracking by overlap alone."""

from __future__ import annotations

from dataclasses import dataclass

from .base import Rules
from .rules import ANY, BOX, Life, Stage


@dataclass(kw_only=True)
class Iou(Rules):
    """The best overlaps first, against where a target was last detected; no filter, no prediction.

    Bochinski et al., "High-speed tracking-by-detection without using image information", AVSS 2017, in the form of
    DeepStream's IOU tracker, with its usual values. `iou` is the least overlap, `size_weight` how much likeness of size
    counts beside overlap (0 to 1). A target that more than `new_iou` of an old one overlaps is not started.
    """

    max_age: float = 38 / 30
    min_hits: int = 2
    probation: float = 4 / 30
    high_confidence: float = 0.0
    iou: float = 0.0
    size_weight: float = 0.4
    new_iou: float = 0.5
    class_penalty: float = 1.0

    name = "iou"

    def stages(self) -> tuple[Stage, ...]:
        return (
            Stage(
                states=ANY, low=self.high_confidence, iou=1 - self.size_weight, size=self.size_weight,
                min_iou=self.iou, greedy=1, class_penalty=self.class_penalty,
            ),
        )  # fmt: skip

    def life(self) -> Life:
        return Life(
            filter=BOX, new_confidence=self.high_confidence, new_iou=self.new_iou, most=self.max_targets,
            hits=self.min_hits, probation=self.probation, max_age=self.max_age,
        )  # fmt: skip
