"""Counting what crosses a line."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple

from ..media.geometry import side
from . import native
from .sightings import MEMORY, SECOND, Anchor, Point, Sighting

LOST = SECOND  # unseen for so long near the line: worth telling, where tracing is on
NEAR = 0.5  # heights


class Crossing(NamedTuple):
    """One identity has crossed, `direction` is "in" or "out"."""

    id: int
    label: str
    direction: str
    point: Point
    first: bool = True  # it had not crossed in this direction before
    why: dict[str, Any] | None = None  # the facts, where tracing is on


class Miss(NamedTuple):
    """One identity came to the line and was not counted: why, and the facts. Only where tracing is on."""

    id: int
    label: str
    reason: str
    facts: dict[str, Any]


@dataclass(slots=True)
class Path:
    """How one identity moves about the line."""

    label: str
    point: Point  # last seen there
    distance: float  # from the line through both ends, > 0 to the right
    home: bool  # the side that it was last known to be on: True is the right one
    seen: int
    height: float
    through: bool = False  # it last passed that line between the ends
    crossed: frozenset[str] = frozenset()
    at_home: tuple[Point, float] = ((0.0, 0.0), 0.0)  # where it last was on that side, and its distance there
    strayed: float = 0.0  # how far it was past the line without being counted, pixels
    told: bool = False  # that it was lost near the line


class LineCounter:
    """Counts identities that move across the segment from `start` to `end` (source pixels, y down).

    "in" is from the left to the right of somebody who walks in the picture from start to end, "out" the reverse: for
    a line drawn from left to right, "in" is downwards. The point of an object (`anchor`) is followed from sighting
    to sighting, however far apart; passing beyond an end is no crossing. A crossing counts in the frame in which the
    point is past the line by `margin` object heights, or by three deviations of its trembling where that is more, so
    one who trembles on the line or turns back is not counted. `counts` counts every crossing, `once` every identity
    once in each direction. With `trace` the facts of each crossing come with it, and `misses` holds those of this
    frame that did not count.
    """

    def __init__(
        self, start: Point, end: Point, *, margin: float = 0.05, anchor: Anchor = "bottom", trace: bool = False
    ) -> None:
        if start == end:
            raise ValueError(f"a line needs two different points, got {start} twice")
        self.margin = margin
        self.anchor: Anchor = anchor
        self.trace = trace
        self.counts = {"in": 0, "out": 0}
        self.once = {"in": 0, "out": 0}
        self.classes: dict[str, Counter[str]] = {}
        self.misses: list[Miss] = []
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
        if self.trace:
            self.misses = []
        (x1, y1), (x2, y2), length, anchor, paths = self.start, self.end, self.length, self.anchor, self.paths
        along_x, along_y = x2 - x1, y2 - y1
        if native.steps is not None and anchor == "bottom" and not self.trace:
            seen = native.steps.line(paths, list(seen), pts, self.start, self.end, length)
        for found in seen:
            point = found.point(anchor)
            distance = (along_x * (point[1] - y1) - along_y * (point[0] - x1)) / length
            right = distance > 0
            path = paths.get(found.id)
            if path is None:
                path = paths[found.id] = Path(found.label, point, distance, right, pts, found.y2 - found.y1)
                path.at_home = (point, distance)
                continue
            if right != (path.distance > 0):
                path.through = self._between(path, point, distance)
            if right != path.home:
                out += self._past(found, path, point, distance)
            elif path.strayed and self.trace:
                self._miss(found, path, "turned back before it was past the line by the margin", point, distance)
                path.strayed = 0.0
            path.point, path.distance, path.seen, path.height = point, distance, pts, found.y2 - found.y1
            if right == path.home:
                path.at_home = (point, distance)
            path.told = False
        if self.trace:
            self._lost(pts)
        if pts - self._purged > MEMORY:
            self._purged = pts
            self.paths = {key: path for key, path in self.paths.items() if pts - path.seen <= MEMORY}
        return out

    def _past(self, found: Sighting, path: Path, point: Point, distance: float) -> list[Crossing]:
        """It is on the other side: a crossing if it is far enough and came between the ends."""
        least = found.least(self.margin)
        if abs(distance) < least:
            path.strayed = max(path.strayed, abs(distance))
            return []
        path.home, path.strayed = distance > 0, 0.0
        if path.through:
            return [self._count(found, path, "in" if path.home else "out", point, distance, least)]
        if self.trace:
            self._miss(found, path, "passed beyond an end of the line", point, distance)
        return []

    def recall(self, found: Sighting, pts: int) -> None:
        """One that has an identity only now was seen before: its way begins there. Nothing is counted."""
        if found.id not in self.paths:
            point = found.point(self.anchor)
            distance = side(point, self.start, self.end) / self.length
            path = self.paths[found.id] = Path(found.label, point, distance, distance > 0, pts, found.height)
            path.at_home = (point, distance)

    def totals(self) -> dict[str, object]:
        """{"in", "out", "once": {"in", "out"}, "classes": {label: {"in", "out"}}}"""
        return {
            **self.counts,
            "once": dict(self.once),
            "classes": {label: {"in": n["in"], "out": n["out"]} for label, n in sorted(self.classes.items())},
        }

    def _between(self, path: Path, point: Point, distance: float) -> bool:
        """Whether the way from the last point to this one meets the line between its ends."""
        return 0.0 <= self._along(path, point, distance) <= self.length**2

    def _along(self, path: Path, point: Point, distance: float) -> float:
        """Where it meets the line, along it: 0 at the start, length² at the end."""
        part = path.distance / (path.distance - distance) if path.distance != distance else 0.0
        x = path.point[0] + (point[0] - path.point[0]) * part
        y = path.point[1] + (point[1] - path.point[1]) * part
        along_x, along_y = self.end[0] - self.start[0], self.end[1] - self.start[1]
        return (x - self.start[0]) * along_x + (y - self.start[1]) * along_y

    def _count(
        self, found: Sighting, path: Path, direction: str, point: Point, distance: float, least: float
    ) -> Crossing:
        self.counts[direction] += 1
        self.classes.setdefault(found.label, Counter())[direction] += 1
        first = direction not in path.crossed
        if first:
            self.once[direction] += 1
            path.crossed = path.crossed | {direction}
        why = {**self._facts(found, path, point, distance), "least": least} if self.trace else None
        return Crossing(found.id, found.label, direction, point, first, why)

    def _miss(self, found: Sighting, path: Path, reason: str, point: Point, distance: float) -> None:
        facts = self._facts(found, path, point, distance) | {"least": found.least(self.margin)}
        if path.strayed:
            facts["furthest"] = path.strayed
        if reason.startswith("passed"):
            facts["along"] = self._along(path, point, distance) / self.length**2
        self.misses.append(Miss(found.id, found.label, reason, facts))

    def _lost(self, pts: int) -> None:
        for key, path in self.paths.items():
            if not path.told and pts - path.seen > LOST:
                path.told = True
                if abs(path.distance) < NEAR * path.height and self._beside(path.point):
                    facts = {"line": [self.start, self.end], "anchor": self.anchor, "point": path.point,
                             "distance": path.distance, "seen": path.seen, "height": path.height}  # fmt: skip
                    self.misses.append(Miss(key, path.label, "was lost near the line", facts))

    def _beside(self, point: Point) -> bool:
        along = (point[0] - self.start[0]) * (self.end[0] - self.start[0])
        along += (point[1] - self.start[1]) * (self.end[1] - self.start[1])
        return 0.0 <= along <= self.length**2

    def _facts(self, found: Sighting, path: Path, point: Point, distance: float) -> dict[str, Any]:
        """The test points against the line: distances are > 0 to its right."""
        return {
            "line": [self.start, self.end],
            "anchor": self.anchor,
            "box": [found.x1, found.y1, found.x2, found.y2],
            "before": path.at_home[0],
            "point": point,
            "distance_before": path.at_home[1],
            "distance": distance,
            "trembles": found.doubt,
        }
