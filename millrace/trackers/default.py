"""The tracker that is used where none is named: the best that motion alone gives."""

from __future__ import annotations

from dataclasses import dataclass

from .base import Rules
from .rules import ACTIVE, CONFIRMED, RATE, TENTATIVE, Life, Stage

SETTLED = 0.1  # seconds: at few frames a second, fewer detections must do


@dataclass(kw_only=True)
class Default(Rules):
    """ByteTrack's rounds, with scores that also weigh direction and the overlap of heights, and a calmer filter.

    Detections of at least `high_confidence` are matched first, to all identities; then those down to `low_confidence`,
    to identities that were seen a moment ago. Only a confident detection starts a target; those down to
    `tentative_confidence` go on with it. It becomes an identity when it was detected `min_hits` times and the
    confidences add up to `evidence` (three times for sure detections) or a tenth of a second has passed; at once where
    `min_hits` is 1, and in the first frame of a stream. Unseen, it is kept for `max_age` seconds of stream time, and
    for the first `coast` seconds still reported, where it should be: detectors blink. `iou` is the least score of the
    first round, `low_iou` the least overlap of the second; where the classes differ, `class_penalty` is taken off the
    overlap: detectors waver between car and truck, so a thing that hardly moved may change its class (1: never, 0:
    classes do not matter).
    """

    coast: float = 0.1
    max_age: float = 2.0
    min_hits: int = 2
    evidence: float = 2.2
    high_confidence: float = 0.4
    low_confidence: float = 0.1
    tentative_confidence: float = 0.25
    iou: float = 0.2
    low_iou: float = 0.5
    direction: float = 0.2
    class_penalty: float = 0.3

    name = "default"

    def stages(self) -> tuple[Stage, ...]:
        first = Stage(
            states=CONFIRMED, low=self.high_confidence, min_score=self.iou, direction=self.direction, height=1,
            class_penalty=self.class_penalty,
        )  # fmt: skip
        second = Stage(
            states=ACTIVE, recent=1, low=self.low_confidence, high=self.high_confidence, min_iou=self.low_iou,
            class_penalty=self.class_penalty,
        )  # fmt: skip
        third = Stage(
            states=TENTATIVE, low=min(self.tentative_confidence, self.high_confidence),
            min_iou=self.iou, class_penalty=self.class_penalty,
        )  # fmt: skip
        return first, second, third

    def life(self) -> Life:
        return Life(
            by_axis=1, noise_velocity=0.7 * RATE / 160, noise_measured=0.1, confidence_noise=1, damping=0.2,
            reupdate=1, new_confidence=self.high_confidence, most=self.max_targets, hits=self.min_hits,
            evidence=self.evidence if self.min_hits > 1 else 0.0, settled=SETTLED, max_age=self.max_age,
        )  # fmt: skip
