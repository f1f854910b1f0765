"""Objects ↔ the arrays of a step (the twin of that in `_step.c`)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..media import Object
from .table import BORN, CONFIDENCE, HITS, ID, KIND, MISSES, SEEN, Columns, corners, speeds

Kinds = dict[
    tuple[str | None, int], int
]  # (stage, class) → number: what may never be the same thing has different ones
Known = list[tuple[int, str, str | None]]  # what an object of a kind says: class, label, stage


def gather(objects: list[Object], found: Columns, kinds: Kinds, known: Known) -> None:
    """Read objects into detections [m, 6]; `detected_box` becomes the box they came with.

    What has no size, or no finite numbers, gets the confidence -1 and is never tracked.
    """
    for row, item in zip(found, objects, strict=False):
        item.detected_box = item.box
        row[:4] = item.box
        row[4] = item.confidence
        if not np.isfinite(row[:5]).all() or not (row[2] > row[0] and row[3] > row[1]):
            row[4] = -1.0
        key = (item.stage, item.class_id)
        number = kinds.get(key)
        if number is None:
            number = kinds[key] = len(known)
            known.append((item.class_id, item.label, item.stage))
        row[5] = number


def publish(
    objects: list[Object], match: NDArray[np.int32], table: Columns, boxes: Any, filtered: bool, now: float
) -> int:
    """Write what is known of targets to their objects; with `boxes` (float32 [m, 4], to be filled) the filter's box.

    How many targets were detected in this frame.
    """
    where, velocity = corners(table), speeds(table, filtered)
    for n, (item, row) in enumerate(zip(objects, match[: len(objects)].tolist(), strict=True)):
        if row < 0:
            continue
        target = table[row]
        if boxes is not None:
            boxes[n] = where[row]
            item.box = boxes[n]
        if target[ID] > 0:
            item.id = int(target[ID])
        item.track_confidence = float(target[CONFIDENCE])
        item.age = float(now - target[BORN])
        if target[HITS] >= 2:  # seen once: nobody knows how it moves
            item.velocity = (float(velocity[row, 0]), float(velocity[row, 1]))
    return int(np.count_nonzero(match[: len(objects)] >= 0))


Unseen = tuple[int, int, float, float, float, tuple[float, float], tuple[float, float, float, float]]


def unseen(
    table: Columns, n: int, filtered: bool, now: float, coast: float, unlooked: bool, longest: float
) -> list[Unseen]:
    """The identities that were not detected in this frame and are shown all the same.

    Of each: identity, kind, confidence, seconds since it was seen and since it was first, velocity, box. They are those
    that a look lost at most `coast` seconds ago; with `unlooked`, when no model looked, those that the last look saw.
    """
    table = table[:n]
    since = now - table[:, SEEN]
    lost = table[:, MISSES] > 0
    shown = np.flatnonzero((table[:, ID] > 0) & np.where(lost, since <= coast, unlooked & (since <= longest)))
    return describe(table[shown], filtered, now)


def describe(table: Columns, filtered: bool, now: float) -> list[Unseen]:
    """What `unseen` says of targets."""
    rows = zip(table.tolist(), speeds(table, filtered).tolist(), corners(table).tolist(), strict=True)
    return [
        (int(t[ID]), int(t[KIND]), t[CONFIDENCE], now - t[SEEN], now - t[BORN], tuple(speed), tuple(box))
        for t, speed, box in rows
    ]
