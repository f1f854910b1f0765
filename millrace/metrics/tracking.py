"""How well identities were kept: HOTA, CLEAR MOT and identity measures.

* HOTA, DetA, AssA: Luiten et al., "HOTA: A Higher Order Metric for Evaluating Multi-Object Tracking", IJCV 2021.
* MOTA, MOTP, IDs (switches), Frag, MT, ML: Bernardin and Stiefelhagen, "Evaluating Multiple Object Tracking
  Performance: The CLEAR MOT Metrics", 2008; Li et al., "Learning to Associate", CVPR 2009 (mostly tracked, lost).
* IDF1: Ristani et al., "Performance Measures and a Data Set for Multi-Target, Multi-Camera Tracking", 2016.

Values agree with TrackEval's, the challenge's own program.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, fields

import numpy as np
from numpy.typing import NDArray

from ..trackers.matching import assign
from .mot import EPSILON, Judged, Pairs

Floats = NDArray[np.float64]

ALPHAS = np.arange(0.05, 0.99, 0.05)  # the overlaps over which HOTA is the mean
ENOUGH = 0.5  # the overlap of CLEAR MOT and IDF1
NONE = -1


def _alphas() -> Floats:
    return np.zeros(len(ALPHAS))


@dataclass(slots=True)
class Tally:
    """What was counted in one sequence, or in several together: the sums that the figures are made of."""

    frames: int = 0
    right: Floats = field(default_factory=_alphas)  # boxes that fit, at each of HOTA's overlaps
    missed: Floats = field(default_factory=_alphas)
    wrong: Floats = field(default_factory=_alphas)
    association: Floats = field(default_factory=_alphas)  # sum over those that fit of how much of the tracks agree
    hits: int = 0
    misses: int = 0
    false: int = 0
    switches: int = 0
    fragments: int = 0
    overlap: float = 0.0  # sum over hits
    mostly_tracked: int = 0
    mostly_lost: int = 0
    same: int = 0  # boxes of the best identities
    only_truth: int = 0
    only_found: int = 0

    def __add__(self, other: Tally) -> Tally:
        return Tally(*(getattr(self, each.name) + getattr(other, each.name) for each in fields(self)))

    def figures(self) -> dict[str, float]:
        """The measures by their usual names; shares in per cent."""
        judged = np.maximum(1, self.right + self.missed + self.wrong)
        detection = self.right / judged
        association = self.association / np.maximum(1, self.right)
        true = max(1, self.hits + self.misses)
        identity = max(1, self.same + 0.5 * (self.only_truth + self.only_found))
        return {
            "HOTA": 100 * float(np.sqrt(detection * association).mean()),
            "DetA": 100 * float(detection.mean()),
            "AssA": 100 * float(association.mean()),
            "MOTA": 100 * (self.hits - self.false - self.switches) / true,
            "MOTP": 100 * self.overlap / max(1, self.hits),
            "IDF1": 100 * self.same / identity,
            "IDs": self.switches,
            "Frag": self.fragments,
            "TP": self.hits,
            "FP": self.false,
            "FN": self.misses,
            "MT": self.mostly_tracked,
            "ML": self.mostly_lost,
        }


def total(tallies: Iterable[Tally]) -> Tally:
    """Several sequences as one."""
    return sum(tallies, Tally())


def tally(sequence: Judged) -> Tally:
    """Count everything in a sequence."""
    out = Tally(frames=len(sequence.frames))
    _hota(sequence, out)
    _clear(sequence, out)
    _identities(sequence, out)
    return out


def _hota(sequence: Judged, out: Tally) -> None:
    shape = (sequence.truth, sequence.found)
    alike = np.zeros(shape)
    present = [np.zeros(length) for length in shape]
    for frame in sequence.frames:
        present[0][frame.truth] += 1
        present[1][frame.found] += 1
        if frame.overlap.size:
            among = frame.overlap.sum(0)[None] + frame.overlap.sum(1)[:, None] - frame.overlap
            share = np.where(among > EPSILON, frame.overlap / np.maximum(among, EPSILON), 0.0)
            alike[np.ix_(frame.truth, frame.found)] += share
    whole = present[0][:, None] + present[1][None]
    likeness = alike / np.maximum(whole - alike, EPSILON)
    together = np.zeros((len(ALPHAS), *shape))
    for frame in sequence.frames:
        n, m = frame.overlap.shape
        score = likeness[np.ix_(frame.truth, frame.found)] * frame.overlap
        rows, columns = assign(-score, 0.0)
        reached = frame.overlap[rows, columns] >= ALPHAS[:, None] - EPSILON
        fits = reached.sum(1)
        out.right += fits
        out.missed += n - fits
        out.wrong += m - fits
        together[:, frame.truth[rows], frame.found[columns]] += reached
    out.association += (together * (together / np.maximum(1, whole - together))).sum((1, 2))


def _clear(sequence: Judged, out: Tally) -> None:
    before = np.full(sequence.truth, NONE)  # what each was found as, whenever that was
    present = np.full(sequence.truth, NONE)  # the same in the frame before alone
    seen, hit, begun = (np.zeros(sequence.truth, int) for _ in range(3))
    for frame in sequence.frames:
        n, m = frame.overlap.shape
        seen[frame.truth] += 1
        if not n or not m:  # such a frame does not break what was found before it
            out.misses += n
            out.false += m
            continue
        rows, columns = _fitting(frame, present)
        real, ours = frame.truth[rows], frame.found[columns]
        out.switches += int(np.count_nonzero((before[real] != NONE) & (before[real] != ours)))
        was = present != NONE
        before[real] = ours
        present[:] = NONE
        present[real] = ours
        begun += ~was & (present != NONE)
        hit[real] += 1
        out.hits += len(real)
        out.misses += n - len(real)
        out.false += m - len(real)
        out.overlap += float(frame.overlap[rows, columns].sum())
    share = hit / np.maximum(1, seen)
    out.mostly_tracked += int(np.count_nonzero(share > 0.8))
    out.mostly_lost += int(np.count_nonzero((share < 0.2) & (seen > 0)))
    out.fragments += int((begun[begun > 0] - 1).sum())


def _fitting(frame: Pairs, present: NDArray[np.intp]) -> tuple[list[int], list[int]]:
    """The pairs that hold on to what was found in the frame before, then those of greatest overlap."""
    score = 1000.0 * (frame.found[None] == present[frame.truth][:, None]) + frame.overlap
    return assign(np.where(frame.overlap >= ENOUGH - EPSILON, -score, 0.0), 0.0)


def _identities(sequence: Judged, out: Tally) -> None:
    together = np.zeros((sequence.truth, sequence.found))
    boxes = [0, 0]
    for frame in sequence.frames:
        together[np.ix_(frame.truth, frame.found)] += frame.overlap >= ENOUGH
        boxes[0] += len(frame.truth)
        boxes[1] += len(frame.found)
    rows, columns = assign(-together, 0.0)
    same = int(together[rows, columns].sum())
    out.same += same
    out.only_truth += boxes[0] - same
    out.only_found += boxes[1] - same
