"""An identity that ended may begin again: a new target stands where the old one's motion leads.

By motion alone, and so for a short time and a small distance only. The reference projects trajectories the same way
before it looks at appearance.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from .table import BORN, COUNT, HITS, ID, KIND, MARK, MARKS, POSITION, RING, SAVED, SEEN

LONG_ENOUGH = 5  # detections that a way must have to lead anywhere
REACH = 0.5  # of the mean side: how far off a new target may stand at once,
DRIFT = 0.5  # and how much farther for each second
ALIKE = 0.6  # the smaller area to the larger
TRUST = 1.0  # seconds for which velocity is believed


@dataclass(slots=True, eq=False)
class Lost:
    """An identity that ended: what it was when it was last seen. Times are seconds since the stream's first frame."""

    id: int
    kind: float
    born: float
    seen: float
    hits: int
    state: list[float]  # centre x, centre y, width, height, and their velocities

    @classmethod
    def of(cls, target: Any) -> Lost:
        """From a row of the table."""
        state = target[SAVED : SAVED + 8].tolist()
        return cls(int(target[ID]), target[KIND], target[BORN], target[SEEN], int(target[HITS]), state)


def heir_of(target: Any, lost: Iterable[Lost], within: float) -> Lost | None:
    """The ended identity that a new target goes on with, if any: the one whose way leads nearest to where it began."""
    count = int(target[COUNT])
    first = RING + MARK * ((count - min(count, MARKS)) % MARKS)
    began, x, y = target[first : first + MARK]
    w, h = target[POSITION + 2], target[POSITION + 3]
    best, nearest = None, 1.0
    for one in lost:
        gap = began - one.seen
        if one.kind != target[KIND] or one.hits < LONG_ENOUGH or not 0 < gap <= within:
            continue
        cx, cy, width, height, vx, vy, *_ = one.state
        if min(w * h, width * height) < ALIKE * max(w * h, width * height):
            continue
        led = min(gap, TRUST)
        off = math.hypot(x - cx - vx * led, y - cy - vy * led)
        reach = 0.5 * (width + height) * (REACH + DRIFT * gap)
        if off / reach < nearest:
            best, nearest = one, off / reach
    return best
