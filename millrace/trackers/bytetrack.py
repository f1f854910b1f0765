"""Tracking that looks at every detection, the weak ones last."""

from __future__ import annotations

from dataclasses import dataclass

from .base import Rules
from .rules import ACTIVE, CONFIRMED, TENTATIVE, Life, Stage


@dataclass(kw_only=True)
class ByteTrack(Rules):
    """Confident detections meet all targets; weak ones continue those that the look before found.

    Zhang et al., "ByteTrack: Multi-object tracking by associating every detection box", ECCV 2022, with its values
    (a lost target is kept for 30 frames of 30 a second). `iou` is the least overlap times confidence of the first
    round, `low_iou` and `young_iou` the least overlap of the second and the third. Only detections of at least
    `new_confidence` start targets.
    """

    max_age: float = 1.0
    min_hits: int = 2
    high_confidence: float = 0.6
    low_confidence: float = 0.1
    new_confidence: float = 0.7
    iou: float = 0.2
    low_iou: float = 0.5
    young_iou: float = 0.3
    class_penalty: float = 1.0

    name = "bytetrack"

    def stages(self) -> tuple[Stage, ...]:
        first = Stage(
            states=CONFIRMED, low=self.high_confidence, fuse=1, min_score=self.iou, class_penalty=self.class_penalty
        )
        second = Stage(
            states=ACTIVE, recent=1, low=self.low_confidence, high=self.high_confidence, min_iou=self.low_iou,
            class_penalty=self.class_penalty,
        )  # fmt: skip
        third = Stage(
            states=TENTATIVE, low=self.high_confidence, fuse=1, min_score=self.young_iou,
            class_penalty=self.class_penalty,
        )  # fmt: skip
        return first, second, third

    def life(self) -> Life:
        return Life(
            hold_size=1, new_confidence=self.new_confidence, most=self.max_targets, hits=self.min_hits,
            max_age=self.max_age,
        )  # fmt: skip
