"""Which way identities go: the direction of DeepStream's nvdsanalytics, by name."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple

from .directed_lines import FORGOTTEN, HISTORY, History, cosine, displacement, unit
from .sightings import Point, Sighting

LEAST, COSINE, FRAMES = 3000, 0.5, 10  # pixels² of displacement, to the direction, sightings before
STILL_X, STILL_Y = 400.0, 0.01  # variance of the centre's x in pixels², of its y by the mean height: it stands


class Heading(NamedTuple):
    """One identity goes this way, for the first time if `first`."""

    id: int
    label: str
    first: bool
    cosine: float


class Direction:
    """Finds identities that go in a direction (two points, from → to), by the way of their last 50 sightings.

    As the reference does: the way must be longer than √3000 pixels and within 60° of the direction, after ten
    sightings. One that hardly moved over all of them has stopped and goes nowhere (`stopped`).
    """

    def __init__(self, points: list[Point]) -> None:
        self.identities: Counter[str] = Counter()
        self.place(points)

    def place(self, points: list[Point]) -> None:
        self.way = unit(*points)
        self.forget()

    def forget(self) -> None:
        self.histories: dict[int, History] = {}
        self.now: list[Heading] = []
        self.stopped: list[int] = []

    def update(self, seen: Iterable[Sighting], pts: int) -> list[Heading]:
        """Those who go this way now."""
        for key in [key for key, history in self.histories.items() if pts - history.seen > FORGOTTEN]:
            del self.histories[key]
        self.now, self.stopped = [], []
        for found in seen:
            history = self.histories.setdefault(found.id, History())
            history.add(found, pts)
            if self._stands(history):
                self.stopped.append(found.id)
                continue
            old, new, squared = displacement(history)
            if squared <= LEAST or history.frames <= FRAMES:
                continue
            lifted = int(history.mean_height()) // 2
            agrees = cosine(self.way, (old.x, old.y + lifted), (new.x, new.y + lifted))
            if agrees >= COSINE:
                self.now.append(Heading(found.id, found.label, not history.crossed, agrees))
                if not history.crossed:
                    history.crossed = True
                    self.identities[found.label] += 1
        return self.now

    def totals(self) -> dict[str, object]:
        """{"identities" that went this way, "classes": {label: identities}}"""
        return {"identities": self.identities.total(), "classes": dict(sorted(self.identities.items()))}

    @staticmethod
    def _stands(history: History) -> bool:
        if history.frames <= HISTORY:
            return False
        x, y = history.variance()
        return x <= STILL_X and y / max(1.0, history.mean_height()) <= STILL_Y
