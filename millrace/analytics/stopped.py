"""Who stands still."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import pairwise

from .dwell import Change
from .sightings import SECOND, Anchor, Point, Sighting

NEAR = 0.4  # metres
SLOW = 0.5  # metres per second: a box's trembling looks like so much, a walker does more


@dataclass(slots=True)
class Rest:
    """Where one identity has been since it came to rest."""

    label: str
    since: int
    seen: int
    point: Point  # the mean of its points there
    number: int = 1
    told: bool = False
    ground: list[tuple[float, float, float]] = field(default_factory=list)  # seconds, x, y in metres


class Stopped:
    """Tells identities that stay in one place for `after` seconds of stream time.

    In place means within `reach` object heights of the mean of the points since it came to rest, which a trembling box
    does not leave and a slow walker does within a second; and, where its places on the ground are known, no faster
    than SLOW over all that time: one who comes straight towards the camera hardly moves in the picture. One that
    leaves, or is unseen for `patience` seconds, is no longer stopped.
    """

    def __init__(self, after: float, *, reach: float = 0.25, anchor: Anchor = "bottom", patience: float = 1.0) -> None:
        self.after = round(after * SECOND)
        self.reach = reach
        self.anchor: Anchor = anchor
        self.patience = round(patience * SECOND)
        self.rests: dict[int, Rest] = {}

    def update(self, seen: Iterable[Sighting], pts: int, ground: Mapping[int, Point] | None = None) -> list[Change]:
        """`ground` holds the places in metres of those for whom they are known."""
        out = []
        for found in seen:
            point = found.point(self.anchor)
            rest = self.rests.get(found.id)
            if rest is None:
                self.rests[found.id] = Rest(found.label, pts, pts, point)
                continue
            away, limit = math.dist(point, rest.point), self.reach * found.height
            if away > limit:
                if rest.told:
                    out.append(Change(found.id, rest.label, False, rest.since, {"away": away, "reach": limit}))
                self.rests[found.id] = Rest(found.label, pts, pts, point)
                continue
            rest.number += 1
            share = 1 / min(rest.number, 50)
            rest.point = (
                rest.point[0] + (point[0] - rest.point[0]) * share, rest.point[1] + (point[1] - rest.point[1]) * share,
            )  # fmt: skip
            rest.seen = pts
            if ground and not rest.told and found.id in ground:
                rest.ground.append((pts / SECOND, *ground[found.id]))
            if not rest.told and pts - rest.since >= self.after:
                if drift(rest.ground) > SLOW:
                    self.rests[found.id] = Rest(found.label, pts, pts, point)
                    continue
                rest.since = max(rest.since, settled(rest.ground))
                if pts - rest.since < self.after:
                    continue
                rest.told = True
                facts: dict[str, object] = {"point": rest.point, "reach": limit, "after": self.after / SECOND}
                out.append(Change(found.id, rest.label, True, rest.since, facts))
        for key, rest in list(self.rests.items()):
            if pts - rest.seen > self.patience:
                del self.rests[key]
                if rest.told:
                    out.append(Change(key, rest.label, False, rest.since, {"gone": True}))
        return out

    def now(self) -> list[int]:
        """The identities that are stopped now."""
        return [key for key, rest in self.rests.items() if rest.told]

    def forget(self) -> None:
        self.rests.clear()


def settled(places: list[tuple[float, float, float]]) -> int:
    """Since when (ns) all places have been about the mean of the later half: within NEAR, or three deviations.

    One that comes straight towards the camera seems to stand, in the picture, before it does.
    """
    if len(places) < 6:
        return 0
    half = places[len(places) // 2 :]
    x, y = (sum([place[n] for place in half]) / len(half) for n in (1, 2))
    off = math.sqrt(sum([(place[1] - x) ** 2 + (place[2] - y) ** 2 for place in half]) / len(half))
    limit = max(NEAR, 3 * off)
    since = places[0][0]
    for (_, before_x, before_y), (time, _, _) in pairwise(places):
        if math.hypot(before_x - x, before_y - y) > limit:
            since = time
    return round(since * SECOND)


def drift(places: list[tuple[float, float, float]]) -> float:
    """Metres per second by least squares over places (seconds, x, y); 0 for fewer than three."""
    if len(places) < 3:
        return 0.0
    means = [sum(column) / len(places) for column in zip(*places, strict=True)]
    spread = sum([(t - means[0]) ** 2 for t, _, _ in places])
    x, y = (sum([(place[0] - means[0]) * (place[n] - means[n]) for place in places]) for n in (1, 2))
    return math.hypot(x, y) / spread if spread else 0.0
