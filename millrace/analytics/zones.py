"""Who is in an area."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from .sightings import MEMORY, SECOND, Anchor, Sighting

Point = tuple[float, float]


class Passage(NamedTuple):
    """One identity has come or gone, `direction` is "enter" or "leave"."""

    id: int
    label: str
    direction: str
    point: Point


@dataclass(slots=True)
class Visit:
    """What is known of one identity."""

    label: str
    seen: int
    point: Point
    inside: bool = False
    counted: bool = False  # among the unique identities


class ZoneCounter:
    """Follows which identities are inside a polygon (source pixels, y down; even-odd rule).

    The point of an object (`anchor`) must pass the boundary by `margin` object heights to come or go; one that is
    first seen inside enters at once. One that was not seen for `patience` seconds of stream time has left.
    """

    def __init__(
        self, polygon: Sequence[Point], *, margin: float = 0.05, anchor: Anchor = "bottom", patience: float = 1.0
    ) -> None:
        self.margin = margin
        self.anchor: Anchor = anchor
        self.patience = round(patience * SECOND)
        self.entered = self.left = self.most = 0
        self.identities: Counter[str] = Counter()  # how many different ones were inside, by label
        self.place(polygon)

    def place(self, polygon: Sequence[Point]) -> None:
        """Put the zone elsewhere: counts stay, identities are forgotten."""
        if len(polygon) < 3:
            raise ValueError(f"a zone needs at least 3 points, got {len(polygon)}")
        self.edges = [(polygon[n - 1], polygon[n]) for n in range(len(polygon))]
        self.forget()

    def forget(self) -> None:
        """The stream jumped or ended: nobody is inside, without leaving."""
        self.visits: dict[int, Visit] = {}

    def update(self, seen: Iterable[Sighting], pts: int) -> list[Passage]:
        """Who came and went in this frame. `pts` is ns of stream time."""
        out = []
        for found in seen:
            point = found.point(self.anchor)
            visit = self.visits.get(found.id)
            least = 0.0 if visit is None else self.margin * found.height
            if visit is None:
                visit = self.visits[found.id] = Visit(found.label, pts, point)
            visit.label, visit.seen, visit.point = found.label, pts, point
            depth = signed_distance(point, self.edges)
            if visit.inside and depth < -least:
                out.append(self._leave(found.id, visit))
            elif not visit.inside and depth > least:
                out.append(self._enter(found.id, visit))
        for key, visit in list(self.visits.items()):
            if visit.inside and pts - visit.seen > self.patience:
                out.append(self._leave(key, visit))
            if pts - visit.seen > MEMORY:
                del self.visits[key]
        if out:
            self.most = max(self.most, self.present())
        return out

    def present(self) -> int:
        """How many are inside now."""
        return sum([visit.inside for visit in self.visits.values()])

    def occupancy(self) -> Counter[str]:
        """How many are inside now, by label."""
        return Counter(visit.label for visit in self.visits.values() if visit.inside)

    def totals(self) -> dict[str, object]:
        """{"entered", "left", "most" at once, "now": {label: n}, "identities", "classes": {label: identities}}"""
        return {
            "entered": self.entered,
            "left": self.left,
            "most": self.most,
            "now": dict(sorted(self.occupancy().items())),
            "identities": self.identities.total(),
            "classes": dict(sorted(self.identities.items())),
        }

    def _enter(self, key: int, visit: Visit) -> Passage:
        visit.inside = True
        self.entered += 1
        if not visit.counted:
            visit.counted = True
            self.identities[visit.label] += 1
        return Passage(key, visit.label, "enter", visit.point)

    def _leave(self, key: int, visit: Visit) -> Passage:
        visit.inside = False
        self.left += 1
        return Passage(key, visit.label, "leave", visit.point)


def signed_distance(point: Point, edges: Sequence[tuple[Point, Point]]) -> float:
    """How far a point is from a polygon's boundary, pixels: > 0 inside, < 0 outside (even-odd rule).

    In plain numbers: for polygons of a few edges this is quicker than arrays.
    """
    x, y = point
    inside, nearest = False, math.inf
    for (x1, y1), (x2, y2) in edges:
        along_x, along_y = x2 - x1, y2 - y1
        if (y1 > y) != (y2 > y) and x < x1 + along_x * (y - y1) / along_y:
            inside = not inside
        length = along_x * along_x + along_y * along_y
        part = ((x - x1) * along_x + (y - y1) * along_y) / length if length else 0.0
        part = min(1.0, max(0.0, part))
        nearest = min(nearest, math.hypot(x - x1 - part * along_x, y - y1 - part * along_y))
    return nearest if inside else -nearest
