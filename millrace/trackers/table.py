"""The table of targets: a row of float64 each, in the order in which they came. `_step.c` has the same columns."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Columns = NDArray[np.float64]

# the filter: centre x, centre y, width, height; their velocities (pixels a second); variances of place, of place with
# velocity, and of velocity; and all of that as it was when the target was last seen
POSITION, VELOCITY, XX, XV, VV, SAVED = 0, 4, 8, 12, 16, 20
FILTER = 20
BOX = 40  # x1 y1 x2 y2 as last detected
SEEN, CONFIDENCE, ID, KIND, STATE, BORN, HITS, MISSES, SERIAL, EVIDENCE, COUNT = range(44, 55)
RING, MARKS, MARK = 56, 8, 3  # the last observations: time, centre x, centre y
WIDTH = 80

DETECTION = 6  # x1 y1 x2 y2, confidence (-1: no box to speak of), kind


def centred(boxes: NDArray[Any]) -> Columns:
    """x1 y1 x2 y2 → centre x, centre y, width, height, in float64."""
    out = np.empty((len(boxes), 4))
    np.subtract(boxes[:, 2:4], boxes[:, :2], out=out[:, 2:])
    np.add(boxes[:, :2], out[:, 2:] * 0.5, out=out[:, :2])
    return out


def corners(table: Columns) -> Columns:
    """x1 y1 x2 y2 of where the filter holds every target to be [n, 4]."""
    position = table[:, POSITION : POSITION + 4]
    half = position[:, 2:] * 0.5
    out = np.empty((len(position), 4))
    np.subtract(position[:, :2], half, out=out[:, :2])
    np.add(position[:, :2], half, out=out[:, 2:])
    return out


def speeds(table: Columns, filtered: bool) -> Columns:
    """Velocity of the centre, x and y, pixels a second [n, 2]: the filter's, or between observations."""
    if filtered:
        return table[:, VELOCITY : VELOCITY + 2].copy()
    rows = np.arange(len(table))
    count = table[:, COUNT].astype(int)
    kept = np.minimum(count, MARKS)
    first = RING + MARK * ((count - kept) % MARKS)
    last = RING + MARK * ((count - 1) % MARKS)
    seconds = table[rows, last] - table[rows, first]
    out = np.zeros((len(table), 2))
    moved = (seconds > 0) & (count > 0)  # after a jump of the stream nothing was observed yet
    for k in (0, 1):
        way = table[rows, last + 1 + k] - table[rows, first + 1 + k]
        out[moved, k] = way[moved] / seconds[moved]
    return out
