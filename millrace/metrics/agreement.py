"""How near one runtime's answers are to another's for the same pictures: errors of tensors, agreement of answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..media.geometry import iou
from ..media.tensor import Detections

Outputs = Mapping[str, NDArray[Any]]

BOXES = ("detector", "instances", "oriented")
OVERLAP = 0.5
UNDECIDED = 0.02  # a score that crosses 0.5 by less than this has not changed sides


def agreement(
    kind: str | None,
    reference: Sequence[Outputs],
    outputs: Sequence[Outputs],
    parse: Callable[[Outputs], Any],
) -> float:
    """How far answers agree, 0..1, as is fit for the kind of model: see f1, top1, cosine. Equal tensors agree fully.

    `parse` reads the Detections of one picture; it is called for models of boxes only.
    """
    largest, mean = errors(reference, outputs)
    if not np.isfinite(largest):
        return 0.0
    if kind in BOXES:
        return f1([parse(each) for each in reference], [parse(each) for each in outputs])[0]
    if kind == "classifier":
        return min(top1(reference, outputs), 1.0 - mean)
    return cosine(reference, outputs)


def errors(reference: Sequence[Outputs], outputs: Sequence[Outputs]) -> tuple[float, float]:
    """The largest and the mean absolute error, each in terms of the largest absolute value of its output in FP32."""
    largest, means = 0.0, []
    for name in reference[0]:
        scale = max(float(np.abs(each[name]).max(initial=0.0)) for each in reference) or 1.0
        for wanted, got in zip(reference, outputs, strict=True):
            if name not in got or got[name].shape != wanted[name].shape:
                if name in got and _rows_only(wanted[name], got[name]):
                    continue  # as many rows as there were detections: these are compared as such
                raise ValueError(f"output {name} is {got[name].shape if name in got else 'missing'}")
            off = np.abs(got[name].astype(np.float64) - wanted[name].astype(np.float64)) / scale
            largest = max(largest, float(off.max(initial=0.0))) if np.isfinite(off).all() else float("inf")
            means.append(float(off.mean()) if off.size else 0.0)
    return largest, float(np.mean(means)) if means else 0.0


def _rows_only(a: NDArray[np.generic], b: NDArray[np.generic]) -> bool:
    """Whether two arrays differ in one dimension only: a number of found things."""
    return a.ndim == b.ndim and sum(x != y for x, y in zip(a.shape, b.shape, strict=True)) == 1


def f1(reference: Sequence[Detections], found: Sequence[Detections]) -> tuple[float, int]:
    """F1 of `found` against `reference` picture by picture, and how many detections the reference has.

    Matched as for VOC: the surest first, each to the free detection of its class with the largest IoU of at least
    0.5. Without any detection on either side it is 1.
    """
    right = sum(matched(a, b) for a, b in zip(reference, found, strict=True))
    wanted, got = sum(map(len, reference)), sum(map(len, found))
    return (2 * right / (wanted + got) if wanted + got else 1.0), wanted


def matched(reference: Detections, found: Detections) -> int:
    """How many detections of one picture find their partner."""
    overlaps = iou(found.boxes, reference.boxes)
    free = np.ones(len(reference), bool)
    count = 0
    for k in np.argsort(-found.scores, kind="stable"):
        fits = np.where(free & (reference.classes == found.classes[k]), overlaps[k], 0.0)
        if len(fits) and fits.max() >= OVERLAP:
            free[int(fits.argmax())] = False
            count += 1
    return count


def top1(reference: Sequence[Outputs], outputs: Sequence[Outputs]) -> float:
    """How often the best class is the same; of scores that do not sum up to one each attribute, at 0.5."""
    same: list[float] = []
    for name, first in reference[0].items():
        if not is_scores(first.shape):
            continue
        wanted = np.concatenate([each[name].reshape(len(each[name]), -1) for each in reference])
        got = np.concatenate([each[name].reshape(len(each[name]), -1) for each in outputs])
        if _attributes(wanted):
            near = np.abs(got - wanted) < UNDECIDED
            same.append(float((((wanted > 0.5) == (got > 0.5)) | near).mean()))
        else:
            same.append(float((wanted.argmax(1) == got.argmax(1)).mean()))
    return min(same, default=1.0)


def _attributes(scores: NDArray[np.floating]) -> bool:
    """Whether each score is one of its own: all of 0..1, and not one distribution a picture."""
    inside = bool((scores >= 0).all() and (scores <= 1).all())
    return inside and bool((np.abs(scores.sum(1) - 1.0) > 0.01).any())


def cosine(reference: Sequence[Outputs], outputs: Sequence[Outputs]) -> float:
    """The least cosine of an output of a picture with that of FP32."""
    least = 1.0
    for wanted, got in zip(reference, outputs, strict=True):
        for name in wanted:
            a, b = (np.asarray(each[name], np.float64).ravel() for each in (wanted, got))
            if a.shape != b.shape:
                return 0.0
            length = float(np.linalg.norm(a) * np.linalg.norm(b))
            least = min(least, float(a @ b) / length if length else float(np.array_equal(a, b)))
    return least


def is_scores(shape: Sequence[int | None]) -> bool:
    """[N, C], [N, C, 1, 1]: scores of classes or attributes."""
    return len(shape) >= 2 and all(d == 1 for d in shape[2:]) and (shape[1] or 0) > 1
