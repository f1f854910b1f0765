"""An identity that ended may begin again: a new target stands where the old one's motion leads, or looks like it.

By motion alone only for a short time and a small distance. Where looks are known, both are weighed; what looks very
much alike may be taken up wherever it is.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from .appearance import Vectors, alike
from .table import BORN, COUNT, HITS, ID, KIND, MARK, MARKS, POSITION, RING, SAVED, SEEN

LONG_ENOUGH = 5  # detections that a way must have to lead anywhere
REACH = 0.5  # of the mean side: how far off a new target may stand at once,
DRIFT = 0.5  # and how much farther for each second
ALIKE = 0.6  # the smaller area to the larger
TRUST = 1.0  # seconds for which velocity is believed
TINY = 1e-6  # pixels: boxes without an inside reach no farther


@dataclass(frozen=True, slots=True)
class Terms:
    """When a new target takes up an identity that ended, `within` seconds after it was last seen.

    Motion is told by how far off the new target began: 1 where it was led to, 0 at the end of the reach. Where both
    have looks, the identity may be taken up if these are alike by `least_look` (cosine), motion by `least_motion`
    (below 0: wherever it is), and `motion` and `look` times these two make `least` or more. Without looks motion alone
    decides, if `blind`. `reach` widens the reach. What is seen beside the new target is known to be another: the
    identity that ended must look more like it than any of those, by `margin`.
    """

    within: float = 0.0
    reach: float = 1.0
    least_look: float = 0.0
    least_motion: float = 0.0
    motion: float = 1.0
    look: float = 1.0
    least: float = 0.0
    margin: float = -math.inf
    blind: bool = True


@dataclass(slots=True, eq=False)
class Lost:
    """An identity that ended: what it was when it was last seen. Times are seconds since the stream's first frame."""

    id: int
    kind: float
    born: float
    seen: float
    hits: int
    state: list[float]  # centre x, centre y, width, height, and their velocities
    looks: Vectors | None = None

    @classmethod
    def of(cls, target: Any, looks: Vectors | None = None) -> Lost:
        """From a row of the table."""
        state = target[SAVED : SAVED + 8].tolist()
        return cls(int(target[ID]), target[KIND], target[BORN], target[SEEN], int(target[HITS]), state, looks)


def heir_of(
    target: Any, lost: Iterable[Lost], terms: Terms, looks: Vectors | None = None,
    others: Sequence[Vectors] = (),
    shift: float = 0.0,
) -> Lost | None:  # fmt: skip
    """The ended identity that a new target goes on with, if any: the one that suits it best.

    `looks` are the target's, `others` those of the identities that are in view beside it; `shift` is added to cosines.
    """
    count = int(target[COUNT])
    first = RING + MARK * ((count - min(count, MARKS)) % MARKS)
    began, x, y = target[first : first + MARK]
    w, h = target[POSITION + 2], target[POSITION + 3]
    best, highest = None, 0.0
    rival = max((alike(looks, other) + shift for other in others), default=-1.0) if looks is not None else -1.0
    for one in lost:
        gap = began - one.seen
        seen = looks is not None and one.looks is not None
        if one.kind != target[KIND] or not 0 < gap <= terms.within or (one.hits < LONG_ENOUGH and not seen):
            continue
        cx, cy, width, height, vx, vy, *_ = one.state
        led = min(gap, TRUST)
        off = math.hypot(x - cx - vx * led, y - cy - vy * led)
        reach = max(0.5 * (width + height), TINY) * (REACH + DRIFT * gap)
        if looks is not None and one.looks is not None:
            likely, look = 1 - off / max(reach * terms.reach, TINY), alike(looks, one.looks) + shift
            if look < max(terms.least_look, rival + terms.margin) or likely < terms.least_motion:
                continue
            score = terms.motion * max(likely, 0.0) + terms.look * look
            if score < terms.least:
                continue
        elif not terms.blind or min(w * h, width * height) < ALIKE * max(w * h, width * height):
            continue
        else:
            score = 1 - off / reach
        if score > highest:
            best, highest = one, score
    return best
