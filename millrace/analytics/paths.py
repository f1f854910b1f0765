"""Where each identity has been in the last second, how much its box trembles, and how fast it goes."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from . import native
from .sightings import MEMORY, SECOND, Point, Sighting
from .states import Course

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


class Path(Course):
    """The way of one identity."""

    __slots__ = ("places",)

    def __init__(self) -> None:
        super().__init__()
        self.places: deque[Place] = deque()  # the last ones, where somebody asks for them

    @property
    def doubt(self) -> float:
        """One deviation of its trembling, pixels; 0 while little is known."""
        return math.sqrt(self.noise) if self.residuals >= _FIRST else 0.0

    def add(self, x: float, y: float, height: float, pts: int) -> None:
        """The next place."""
        if self.held == 2 and self._learn(x, y, height, pts):
            self.held = 0
        self._follow(x, y, pts - self.last_pts if self.held else 0)
        self.first_pts, self.first_x, self.first_y = self.last_pts, self.last_x, self.last_y
        self.last_pts, self.last_x, self.last_y = pts, x, y
        self.held = 2 if self.held else 1

    def remember(self, place: Place, window: int) -> None:
        """Keep the place that was added last, and those before it in the window (ns)."""
        places = self.places
        if self.held == 1:  # the path has begun anew
            places.clear()
        places.append(place)
        oldest = place.pts - window
        while len(places) > 3 and places[0].pts < oldest:
            places.popleft()

    def _learn(self, now_x: float, now_y: float, height: float, pts: int) -> bool:
        """From how far the new place lies from where the two before it lead. True when it has jumped.

        With a deviation s in each, the difference varies by s² (1 + (1 + k)² + k²), k the ratio of the time steps.
        """
        step = self.last_pts - self.first_pts
        if step <= 0 or pts - self.last_pts > 5 * step:
            return False
        k = (pts - self.last_pts) / step
        x = now_x - self.last_x - k * (self.last_x - self.first_x)
        y = now_y - self.last_y - k * (self.last_y - self.first_y)
        varies = 1 + (1 + k) ** 2 + k * k
        far = x * x + y * y
        if far > (_JUMP * height) ** 2 and far > 18 * varies * self.noise:
            return True
        found = far / (2 * varies)
        self.residuals += 1
        if self.residuals <= _FIRST:
            self.noise += (found - self.noise) / self.residuals
        else:
            self.noise += _GAIN * (min(found, _HIGH * self.noise + 1e-6) - self.noise)
        return False

    def settled(self) -> tuple[float, float, float]:
        """How far the last place should be moved to lie where the last half second leads, x and y; its doubt then."""
        return self.x - self.last_x, self.y - self.last_y, self.doubt * math.sqrt(self.share)

    def _follow(self, x: float, y: float, step: int) -> None:
        """The end of a straight line through the last places, by least squares, one place at a time.

        `step` is the time since the last place, 0 where there is none. For n evenly spaced places the gains are
        2 (2n - 1) / n (n + 1) and 6 / n (n + 1), and the first is the variance of the end against that of a place. n
        grows up to the places of half a second; from then on the gains stay, and that variance is lower (Brookner,
        "Tracking and Kalman Filtering Made Easy", 1998, sections 1.2.8 and 1.2.10).
        """
        if step <= 0:
            self.x, self.y, self.vx, self.vy, self.number, self.share = x, y, 0.0, 0.0, 1, 1.0
            return
        self.number += 1
        most = max(4, SETTLE // step)
        n = min(self.number, most)
        g, h = 2 * (2 * n - 1) / (n * (n + 1)), 6 / (n * (n + 1))
        self.share = g if self.number <= most else (2 * g * g + h * (2 - 3 * g)) / (g * (4 - 2 * g - h))
        turn = h / step
        off_x, off_y = x - self.x - self.vx * step, y - self.y - self.vy * step
        self.x, self.y = x - (1 - g) * off_x, y - (1 - g) * off_y
        self.vx, self.vy = self.vx + turn * off_x, self.vy + turn * off_y

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


def _shifted(found: Sighting, x: float, y: float, doubt: float) -> Sighting:
    return found._replace(x1=found.x1 + x, y1=found.y1 + y, x2=found.x2 + x, y2=found.y2 + y, doubt=doubt)


class Paths:
    """The paths of one stream's identities, by their feet (the middle of the lower side of the box).

    With `places` those of the last `window` seconds are kept, for speeds and directions.
    """

    def __init__(self, window: float = 1.0, places: bool = True) -> None:
        self.window = round(window * SECOND)
        self.places = places
        self.known: dict[int, Path] = {}
        self._purged = -MEMORY

    def update(
        self, seen: Iterable[Sighting], pts: int, ground: Sequence[Point | None] | None = None
    ) -> list[Sighting]:
        """The same sightings with their `doubt`; those that tremble are moved to where their path leads.

        `ground` are their places on the floor plan, in order.
        """
        seen = list(seen)
        if native.steps is not None:
            moved: list[Sighting] = native.steps.paths(self.known, seen, pts, Path, _shifted)
        else:
            moved = [self._add(found, pts) for found in seen]
        for n, found in enumerate(seen if self.places else ()):
            foot = found.point("bottom"), ground[n] if ground is not None else None
            self.known[found.id].remember(Place(pts, *foot, found.height), self.window)
        self.purge(pts)
        return moved

    def _add(self, found: Sighting, pts: int) -> Sighting:
        path = self.known.get(found.id)
        if path is None:
            path = self.known[found.id] = Path()
        height = found.height
        path.add(*found.point("bottom"), height, pts)
        return _shifted(found, *path.settled()) if path.doubt > STEADY * height else found

    def purge(self, pts: int) -> None:
        """Forget those that were not seen for long, now and then."""
        if pts - self._purged > MEMORY:
            self._purged = pts
            self.known = {key: path for key, path in self.known.items() if pts - path.last_pts <= MEMORY}

    def forget(self) -> None:
        """The stream jumped or ended."""
        self.known.clear()
        self._purged = -MEMORY
