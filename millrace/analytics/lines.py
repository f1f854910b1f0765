"""Counting what crosses a line."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from ..media.geometry import side
from .sightings import MEMORY, Anchor, Sighting

Point = tuple[float, float]


class Crossing(NamedTuple):
    """One identity has crossed, `direction` is "in" or "out"."""

    id: int
    label: str
    direction: str
    point: Point


@dataclass(slots=True)
class Path:
    """How one identity moves about the line."""

    point: Point  # last seen there
    distance: float  # from the line through both ends, > 0 to the right
    home: bool  # the side that it was last known to be on: True is the right one
    seen: int
    through: bool = False  # it last passed that line between the ends


class LineCounter:
    """Counts identities that move across the segment from `start` to `end` (source pixels, y down).

    "in" is from the left to the right of somebody who walks in the picture from start to end, "out" the reverse: for
    a line drawn from left to right, "in" is downwards. The point of an object (`anchor`) is followed from sighting
    to sighting, however far apart; passing beyond an end is no crossing. A crossing counts in the frame in which the
    point is past the line by `margin` object heights, so one who trembles on the line or turns back is not counted.
    """

    def __init__(self, start: Point, end: Point, *, margin: float = 0.05, anchor: Anchor = "bottom") -> None:
        if start == end:
            raise ValueError(f"a line needs two different points, got {start} twice")
        self.margin = margin
        self.anchor: Anchor = anchor
        self.counts = {"in": 0, "out": 0}
        self.classes: dict[str, Counter[str]] = {}
        self.place(start, end)

    def place(self, start: Point, end: Point) -> None:
        """Put the line elsewhere: counts stay, identities are forgotten."""
        self.start, self.end = start, end
        self.length = math.dist(start, end)
        self.forget()

    def forget(self) -> None:
        """The stream jumped or ended: what was seen before says nothing about what comes."""
        self.paths: dict[int, Path] = {}
        self._purged = -MEMORY

    def update(self, seen: Iterable[Sighting], pts: int) -> list[Crossing]:
        """The crossings of this frame, in the order of the sightings. `pts` is ns of stream time."""
        out = []
        for found in seen:
            point = found.point(self.anchor)
            distance = side(point, self.start, self.end) / self.length
            right = distance > 0
            path = self.paths.get(found.id)
            if path is None:
                self.paths[found.id] = Path(point, distance, right, pts)
                continue
            if right != (path.distance > 0):
                path.through = self._between(path, point, distance)
            if right != path.home and abs(distance) >= self.margin * found.height:
                path.home = right
                if path.through:
                    out.append(self._count(found, "in" if right else "out", point))
            path.point, path.distance, path.seen = point, distance, pts
        if pts - self._purged > MEMORY:
            self._purged = pts
            self.paths = {key: path for key, path in self.paths.items() if pts - path.seen <= MEMORY}
        return out

    def totals(self) -> dict[str, object]:
        """{"in", "out", "classes": {label: {"in", "out"}}}"""
        return {
            **self.counts,
            "classes": {label: {"in": n["in"], "out": n["out"]} for label, n in sorted(self.classes.items())},
        }

    def _between(self, path: Path, point: Point, distance: float) -> bool:
        """Whether the way from the last point to this one meets the line between its ends."""
        part = path.distance / (path.distance - distance)
        x = path.point[0] + (point[0] - path.point[0]) * part
        y = path.point[1] + (point[1] - path.point[1]) * part
        along_x, along_y = self.end[0] - self.start[0], self.end[1] - self.start[1]
        along = (x - self.start[0]) * along_x + (y - self.start[1]) * along_y
        return 0.0 <= along <= self.length**2

    def _count(self, found: Sighting, direction: str, point: Point) -> Crossing:
        self.counts[direction] += 1
        self.classes.setdefault(found.label, Counter())[direction] += 1
        return Crossing(found.id, found.label, direction, point)
