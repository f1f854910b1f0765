"""Where each identity has been in the last seconds, how much its box trembles, and how fast it goes."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from .sightings import MEMORY, SECOND, Point, Sighting

_GAIN = 0.12  # of a new residual on the estimate of the trembling: about eight sightings are remembered
_FIRST = 4  # residuals before the estimate is used
WINDOW = SECOND  # of the motion that is looked at
_HIGH = 8  # times the usual residual at most: a jump is no trembling


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
        if len(places) >= 2:
            self._learn(places[-2], places[-1], place)
        places.append(place)
        oldest = place.pts - window
        while len(places) > 3 and places[0].pts < oldest:
            places.popleft()

    def _learn(self, first: Place, last: Place, now: Place) -> None:
        """From how far the new place lies from where the two before it lead.

        With a deviation s in each, the difference varies by s² (1 + (1 + k)² + k²), k the ratio of the time steps.
        """
        step = last.pts - first.pts
        if step <= 0 or now.pts - last.pts > 5 * step:
            return
        k = (now.pts - last.pts) / step
        x = now.point[0] - last.point[0] - k * (last.point[0] - first.point[0])
        y = now.point[1] - last.point[1] - k * (last.point[1] - first.point[1])
        found = (x * x + y * y) / (2 * (1 + (1 + k) ** 2 + k * k))
        self.residuals += 1
        if self.residuals <= _FIRST:
            self.noise += (found - self.noise) / self.residuals
        else:
            self.noise += _GAIN * (min(found, _HIGH * self.noise + 1e-6) - self.noise)

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
        """The same sightings with their `doubt`. `ground` are their places on the floor plan, in order."""
        out = []
        for n, found in enumerate(seen):
            path = self.known.get(found.id)
            if path is None:
                path = self.known[found.id] = Path()
            point = ((found.x1 + found.x2) / 2, found.y2)
            path.add(Place(pts, point, ground[n] if ground is not None else None, found.height), self.window)
            doubt = path.doubt
            out.append(found._replace(doubt=doubt) if doubt else found)
        if pts - self._purged > MEMORY:
            self._purged = pts
            self.known = {key: path for key, path in self.known.items() if pts - path.places[-1].pts <= MEMORY}
        return out

    def forget(self) -> None:
        """The stream jumped or ended."""
        self.known.clear()
        self._purged = -MEMORY
