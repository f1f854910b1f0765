"""How near an engine's answers are to those of the model in FP32, on the same pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..metrics.agreement import Outputs, cosine, errors, f1, top1
from .subject import Subject

SAME = 1e-3  # errors up to this, in terms of the outputs' range, count as none: other orders of summing give them
FEW = 20  # detections (or pictures) below which an agreement says little


@dataclass(frozen=True, slots=True)
class Accuracy:
    """`largest` and `mean` error of all outputs, in terms of the largest value that FP32 gave in each.

    `agreement`, 0..1, is measured as `how` says: "F1" of detections at IoU 0.5, class by class, against those of
    FP32; "top-1" for scores of classes (attributes at 0.5), no more than one less their mean error; "cosine" of whole
    outputs, the worst picture's.
    `evidence`: detections or pictures that it rests on. `ap`: average precision where labels are given.
    """

    largest: float
    mean: float
    agreement: float
    how: str
    evidence: int
    ap: float | None = None

    @property
    def exact(self) -> bool:
        return self.largest <= SAME

    @property
    def thin(self) -> bool:
        """Whether it rests on too little to allow a loss."""
        return self.evidence < FEW

    def fits(self, limit: float) -> bool:
        """Whether the engine may be chosen: as good as equal, or shown to agree well enough."""
        return self.exact or (self.agreement >= limit and not self.thin)


def compare(subject: Subject, reference: Sequence[Outputs], outputs: Sequence[Outputs]) -> Accuracy:
    """Answers for the same pictures, one call a picture. Raises ValueError where outputs differ in name or shape."""
    largest, mean = errors(reference, outputs)
    if not np.isfinite(largest):
        return Accuracy(largest, mean, 0.0, "not a number", len(outputs))
    if subject.kind == "detections":
        agreement, evidence = f1(
            [subject.detections(each, 1)[0] for each in reference],
            [subject.detections(each, 1)[0] for each in outputs],
        )
        return Accuracy(largest, mean, agreement, "F1", evidence)
    if subject.kind == "classes":
        return Accuracy(largest, mean, min(top1(reference, outputs), 1.0 - mean), "top-1", len(outputs))
    return Accuracy(largest, mean, cosine(reference, outputs), "cosine", len(outputs))
