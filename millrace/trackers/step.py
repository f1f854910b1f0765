"""One frame of one stream of a motion tracker: association in stages, correction, life cycle.

`_step.c` does the same, to the bit, and is used where it was built. The functions here change a table of targets
(table.py) in place; what is new to Python (identities, labels, metadata) is left to motion.py.

The life of a target is that of DeepStream's trackers. A detection that nobody claims starts a TENTATIVE one; it becomes
ACTIVE when it was detected often and long enough, and is dropped when a look misses it too early. A look that does not
find an ACTIVE target makes it INACTIVE (a shadow: predicted, not reported); found again, it is ACTIVE; unseen for too
long, it is gone.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from . import kalman
from .likeness import overlaps, scores, widened
from .matching import greedy, optimal
from .rules import ACTIVE, INACTIVE, TENTATIVE, Life, Stage
from .rules import BOX as BOX_ALONE
from .table import (
    BORN,
    BOX,
    CONFIDENCE,
    COUNT,
    EVIDENCE,
    FILTER,
    HITS,
    KIND,
    MARK,
    MARKS,
    MISSES,
    POSITION,
    RING,
    SAVED,
    SEEN,
    SERIAL,
    STATE,
    WIDTH,
    Columns,
    centred,
    corners,
)

LONGEST = 100  # steps of a re-update
SLACK = 1e-6  # seconds: times that are meant to be equal may differ by rounding

Match = NDArray[np.int32]


class Outcome(NamedTuple):
    """What a step did: rows in the table now, rows in `gone`, targets that became active, the next serial number."""

    n: int
    gone: int
    activated: int
    serial: float


def step(
    table: Columns, n: int, found: Columns, rules: tuple[tuple[Stage, ...], Life], now: float, first: bool,
    serial: float, match: Match, gone: Columns, extras: Columns | None = None,
) -> Outcome:  # fmt: skip
    """Bring detections [m, 6] to `n` targets that were predicted to `now` (seconds).

    `match` [m] becomes the row of each detection's target, -1 for none; terminated rows are copied to `gone`. `first`
    makes new targets active at once. `extras` [2, n, m] are further likenesses that stages may weigh.
    """
    (stages, life), m = rules, len(found)
    match[:m] = -1
    touched = np.zeros(n, bool)
    for stage in stages:
        _associate(table[:n], found, stage, life, now, match, touched, extras)
    activated = _correct(table, found, life, now, match)
    doomed = _age(table[:n], life, now, touched)
    lost = int(doomed.sum())
    gone[:lost] = table[:n][doomed]
    kept = n - lost
    if lost:
        moved = np.cumsum(~doomed) - 1
        table[:kept] = table[:n][~doomed]
        match[:m] = np.where(match[:m] >= 0, moved[match[:m]], -1)
    fresh, grown = _start(table, kept, found, life, now, first, serial, match)
    return Outcome(kept + fresh, lost, activated + grown, serial + fresh)


def _associate(
    table: Columns, found: Columns, stage: Stage, life: Life, now: float, match: Match,
    touched: NDArray[np.bool_], extras: Columns | None,
) -> None:  # fmt: skip
    free = ~touched & (table[:, STATE].astype(int) & int(stage.states) != 0)
    if stage.recent > 0:
        free &= table[:, MISSES] == 0
    rows = np.flatnonzero(free)
    confidence = found[:, 4]
    columns = np.flatnonzero((match[: len(found)] < 0) & (confidence >= stage.low) & (confidence < stage.high))
    if not len(rows) or not len(columns):
        return
    part = extras[:, rows[:, None], columns] if extras is not None else None
    score = scores(table[rows], found[columns], stage, life, now, part)
    floor = max(stage.min_score, -1.0)
    for a, b in enumerate(greedy(score, floor) if stage.greedy > 0 else optimal(score, floor)):
        if b >= 0:
            match[columns[b]] = rows[a]
            touched[rows[a]] = True


def _correct(table: Columns, found: Columns, life: Life, now: float, match: Match) -> int:
    """The matched targets take their detections; how many became active."""
    columns = np.flatnonzero(match[: len(found)] >= 0)
    rows = match[columns]
    seen, boxes = table[rows], found[columns]
    again = (seen[:, MISSES] > 0) if life.reupdate > 0 and life.filter != BOX_ALONE else np.zeros(len(rows), bool)
    plain, straight = seen[~again], boxes[~again]
    kalman.update(plain, life, straight, straight[:, 4])
    seen[~again] = plain
    for k in np.flatnonzero(again):
        one = seen[k : k + 1]
        _reupdate(one, boxes[k : k + 1], life, now)
        seen[k] = one[0]
    _observe(seen, boxes, now)
    activated = _grow_up(seen, life, now, False)
    table[rows] = seen
    return activated


def _reupdate(one: Columns, found: Columns, life: Life, now: float) -> None:
    """Go back to when it was last seen, and let it be seen on a straight way from there (observation-centric)."""
    steps = int(min(one[0, MISSES], LONGEST)) + 1
    seconds = (now - one[0, SEEN]) / steps
    one[:, POSITION : POSITION + FILTER] = one[:, SAVED : SAVED + FILTER]
    start = one[:, BOX : BOX + 4].copy()
    for k in range(1, steps + 1):
        kalman.predict(one, life, seconds)
        kalman.update(one, life, start + (found[:, :4] - start) * (k / steps), found[:, 4])


def _observe(table: Columns, found: Columns, now: float) -> None:
    table[:, SAVED : SAVED + FILTER] = table[:, POSITION : POSITION + FILTER]
    table[:, BOX : BOX + 4] = found[:, :4]
    table[:, SEEN] = now
    table[:, CONFIDENCE], table[:, KIND] = found[:, 4], found[:, 5]
    table[:, HITS] += 1
    table[:, EVIDENCE] += found[:, 4]
    table[:, MISSES] = 0
    at = RING + MARK * (table[:, COUNT].astype(int) % MARKS)
    rows, centre = np.arange(len(table)), centred(found)
    table[rows, at] = now
    table[rows, at + 1], table[rows, at + 2] = centre[:, 0], centre[:, 1]
    table[:, COUNT] += 1


def _grow_up(table: Columns, life: Life, now: float, first: bool) -> int:
    """ACTIVE where it has been seen often and long enough, or was a shadow."""
    state = table[:, STATE]
    young = state == TENTATIVE
    ripe = young & (
        (table[:, HITS] >= life.hits)
        & ((table[:, EVIDENCE] >= life.evidence) | (now - table[:, BORN] >= life.settled - SLACK))
        & (now - table[:, BORN] >= life.probation - SLACK)
        | first
    )
    state[ripe | (state == INACTIVE)] = ACTIVE
    return int(ripe.sum())


def _age(table: Columns, life: Life, now: float, touched: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Which targets end, after those that were not found have become older."""
    missed, state = ~touched, table[:, STATE]
    table[missed, MISSES] += 1
    young = missed & (state == TENTATIVE)
    doomed: NDArray[np.bool_] = young & (table[:, MISSES] >= life.early)
    state[missed & (state != TENTATIVE)] = INACTIVE
    doomed |= missed & (now - table[:, SEEN] > life.max_age + SLACK)
    if life.duplicate < 1.0:
        boxes, length = corners(table), table[:, SEEN] - table[:, BORN]
        shadows = np.flatnonzero((state == INACTIVE) & ~doomed)
        others = np.flatnonzero(touched & (state == ACTIVE) & ~doomed)
        upon = _plain(boxes[shadows], boxes[others]) > life.duplicate
        doomed[shadows] |= (upon & (length[shadows][:, None] <= length[others][None])).any(axis=1)
    return doomed


def _start(
    table: Columns, n: int, found: Columns, life: Life, now: float, first: bool, serial: float, match: Match
) -> tuple[int, int]:
    """New targets at the end of the table: how many, and how many of them are active."""
    free = (match[: len(found)] < 0) & (found[:, 4] >= life.new_confidence)
    if life.new_iou < 1.0 and n:
        free &= ~(_plain(corners(table[:n]), found[:, :4]) > life.new_iou).any(axis=0)
    columns = np.flatnonzero(free)[: max(0, int(life.most) - n)]
    fresh = np.zeros((len(columns), WIDTH))
    kalman.begin(fresh, life, found[columns])
    fresh[:, STATE], fresh[:, BORN] = TENTATIVE, now
    fresh[:, SERIAL] = serial + np.arange(len(columns))
    _observe(fresh, found[columns], now)
    grown = _grow_up(fresh, life, now, first)
    table[n : n + len(columns)] = fresh
    match[columns] = n + np.arange(len(columns))
    return len(columns), grown


def _plain(a: Columns, b: Columns) -> Columns:
    zero: Any = np.zeros
    return overlaps(widened(a, zero(len(a))), widened(b, zero(len(b))))[0]
