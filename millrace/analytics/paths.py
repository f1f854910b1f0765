"""Where each identity has been in the last second, how much its box trembles, and how fast it goes."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from .sightings import MEMORY, SECOND, Point, Sighting

_GAIN = 0.12  # of a new residual on the estimate of the trembling: about eight sightings are remembered
_FIRST = 4  # residuals before the estimate is used
SETTLE = SECOND // 2  # of the places by which a trembling one is settled
STEADY = 0.01  # heights: one that trembles less is left as it is
_HIGH = 8  # times the usual residual at most
_JUMP = 0.5  # heights off where its path leads: that is no trembling, the path begins anew


class Place(NamedTuple):
    """Where the foot of an identity was; `ground` is metres on the floor plan where there is a calibration."""

    pts: int
    point: Point
    ground: Point | None
    height: float


@dataclass(slots=True)
class Path:
    """The last places of one identity."""

    places: deque[Place] = field(default_factory=deque)
    noise: float = 0.0  # variance of a coordinate, pixels²
    residuals: int = 0

    @property
    def doubt(self) -> float:
        """One deviation of its trembling, pixels; 0 while little is known."""
        return math.sqrt(self.noise) if self.residuals >= _FIRST else 0.0

    def add(self, place: Place, window: int) -> None:
        places = self.places
        if len(places) >= 2 and self._learn(places[-2], places[-1], place):
            places.clear()
        places.append(place)
        oldest = place.pts - window
        while len(places) > 3 and places[0].pts < oldest:
            places.popleft()

    def _learn(self, first: Place, last: Place, now: Place) -> bool:
        """From how far the new place lies from where the two before it lead. True when it has jumped.

        With a deviation s in each, the difference varies by s² (1 + (1 + k)² + k²), k the ratio of the time steps.
        """
        step = last.pts - first.pts
        if step <= 0 or now.pts - last.pts > 5 * step:
            return False
        k = (now.pts - last.pts) / step
        x = now.point[0] - last.point[0] - k * (last.point[0] - first.point[0])
        y = now.point[1] - last.point[1] - k * (last.point[1] - first.point[1])
        varies = 1 + (1 + k) ** 2 + k * k
        if x * x + y * y > max((_JUMP * now.height) ** 2, 18 * varies * self.noise):
            return True
        found = (x * x + y * y) / (2 * varies)
        self.residuals += 1
        if self.residuals <= _FIRST:
            self.noise += (found - self.noise) / self.residuals
        else:
            self.noise += _GAIN * (min(found, _HIGH * self.noise + 1e-6) - self.noise)
        return False

    def settled(self) -> tuple[float, float, float]:
        """How far the last place should be moved to lie where the last half second leads, x and y, and its doubt then.

        A straight line through n places, by least squares, has at its end 2/√n of the deviation of a single one.
        """
        last = self.places[-1]
        oldest = last.pts - SETTLE
        near = [place for place in self.places if place.pts >= oldest]
        n = len(near)
        if n < 4:
            return 0.0, 0.0, self.doubt
        times = [(place.pts - last.pts) / SECOND for place in near]
        mean = sum(times) / n
        spread = sum([(t - mean) ** 2 for t in times])
        moved = []
        for axis in (0, 1):
            values = [place.point[axis] for place in near]
            middle = sum(values) / n
            slope = sum([(t - mean) * (v - middle) for t, v in zip(times, values, strict=True)]) / spread
            moved.append(middle - slope * mean - last.point[axis])
        return moved[0], moved[1], self.doubt * math.sqrt(1 / n + mean * mean / spread)

    def velocity(self, least: int, ground: bool = False) -> Point | None:
        """Pixels per second (metres with `ground`) by least squares over the places; None over less than `least` ns."""
        places = self.places
        if len(places) < 3 or places[-1].pts - places[0].pts < least:
            return None
        if ground and any(place.ground is None for place in places):
            return None
        times = [(place.pts - places[0].pts) / SECOND for place in places]
        points = [place.ground if ground and place.ground is not None else place.point for place in places]
        n, mean = len(times), sum(times) / len(times)
        spread = sum([(t - mean) ** 2 for t in times])
        mean_x, mean_y = sum([x for x, _ in points]) / n, sum([y for _, y in points]) / n
        x = sum([(t - mean) * (p[0] - mean_x) for t, p in zip(times, points, strict=True)])
        y = sum([(t - mean) * (p[1] - mean_y) for t, p in zip(times, points, strict=True)])
        return x / spread, y / spread


class Paths:
    """The paths of one stream's identities, by their feet (the middle of the lower side of the box)."""

    def __init__(self, window: float = 1.0) -> None:
        self.window = round(window * SECOND)
        self.known: dict[int, Path] = {}
        self._purged = -MEMORY

    def update(
        self, seen: Iterable[Sighting], pts: int, ground: Sequence[Point | None] | None = None
    ) -> list[Sighting]:
        """The same sightings with their `doubt`; those that tremble are moved to where their path leads.

        `ground` are their places on the floor plan, in order.
        """
        out = []
        for n, found in enumerate(seen):
            path = self.known.get(found.id)
            if path is None:
                path = self.known[found.id] = Path()
            point = ((found.x1 + found.x2) / 2, found.y2)
            path.add(Place(pts, point, ground[n] if ground is not None else None, found.height), self.window)
            doubt = path.doubt
            if doubt > STEADY * found.height:
                x, y, doubt = path.settled()
                found = found._replace(x1=found.x1 + x, y1=found.y1 + y, x2=found.x2 + x, y2=found.y2 + y, doubt=doubt)
            out.append(found)
        if pts - self._purged > MEMORY:
            self._purged = pts
            self.known = {key: path for key, path in self.known.items() if pts - path.places[-1].pts <= MEMORY}
        return out

    def forget(self) -> None:
        """The stream jumped or ended."""
        self.known.clear()
        self._purged = -MEMORY
