"""Counting what crosses a line."""

from __future__ import annotations

import math
import struct
from collections import Counter
from collections.abc import Iterable
from typing import Any, NamedTuple

from ..media.geometry import side as side_of
from . import native
from .sightings import MEMORY, SECOND, Anchor, Point, Sighting, packed
from .states import Side

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
        self.shape = packed(self.anchor, self.margin) + struct.pack("5d", *start, *end, self.length)
        self.forget()

    def forget(self) -> None:
        """The stream jumped or ended: what was seen before says nothing about what comes."""
        self.states: dict[int, Side] = {}
        self.purged = -MEMORY  # pts

    def update(self, seen: Iterable[Sighting], pts: int) -> list[Crossing]:
        """The crossings of this frame, in the order of the sightings. `pts` is ns of stream time."""
        if native.steps is not None and not self.trace:
            seen = native.steps.line(self, list(seen), pts)
        return self.finish(seen, pts)

    def finish(self, seen: Iterable[Sighting], pts: int) -> list[Crossing]:
        """The same, of those sightings that a C step has left."""
        out = []
        if self.trace:
            self.misses = []
        (x1, y1), (x2, y2), states = self.start, self.end, self.states
        along_x, along_y = x2 - x1, y2 - y1
        for found in seen:
            point = found.point(self.anchor)
            distance = (along_x * (point[1] - y1) - along_y * (point[0] - x1)) / self.length
            right = distance > 0
            side = states.get(found.id)
            if side is None:
                states[found.id] = _first(found, point, distance, pts)
                continue
            if right != (side.distance > 0):
                side.through = self._between(side, point, distance)
            if right != side.home:
                out += self._past(found, side, point, distance)
            elif side.strayed and self.trace:
                self._miss(found, side, "turned back before it was past the line by the margin", point, distance)
                side.strayed = 0.0
            (side.x, side.y), side.distance, side.seen, side.height = point, distance, pts, found.height
            if right == side.home:
                (side.home_x, side.home_y), side.home_distance = point, distance
            side.told = False
        if self.trace:
            self._lost(pts)
        if pts - self.purged > MEMORY:
            self.purged = pts
            self.states = {key: side for key, side in states.items() if pts - side.seen <= MEMORY}
        return out

    def _past(self, found: Sighting, side: Side, point: Point, distance: float) -> list[Crossing]:
        """It is on the other side: a crossing if it is far enough and came between the ends."""
        least = found.least(self.margin)
        if abs(distance) < least:
            side.strayed = max(side.strayed, abs(distance))
            return []
        side.home, side.strayed = distance > 0, 0.0
        if side.through:
            return [self._count(found, side, "in" if side.home else "out", point, distance, least)]
        if self.trace:
            self._miss(found, side, "passed beyond an end of the line", point, distance)
        return []

    def recall(self, found: Sighting, pts: int) -> None:
        """One that has an identity only now was seen before: its way begins there. Nothing is counted."""
        if found.id not in self.states:
            point = found.point(self.anchor)
            distance = float(side_of(point, self.start, self.end)) / self.length
            self.states[found.id] = _first(found, point, distance, pts)

    def totals(self) -> dict[str, object]:
        """{"in", "out", "once": {"in", "out"}, "classes": {label: {"in", "out"}}}"""
        return {
            **self.counts,
            "once": dict(self.once),
            "classes": {label: {"in": n["in"], "out": n["out"]} for label, n in sorted(self.classes.items())},
        }

    def _between(self, side: Side, point: Point, distance: float) -> bool:
        """Whether the way from the last point to this one meets the line between its ends."""
        return 0.0 <= self._along(side, point, distance) <= self.length**2

    def _along(self, side: Side, point: Point, distance: float) -> float:
        """Where it meets the line, along it: 0 at the start, length² at the end."""
        part = side.distance / (side.distance - distance) if side.distance != distance else 0.0
        x = side.x + (point[0] - side.x) * part
        y = side.y + (point[1] - side.y) * part
        along_x, along_y = self.end[0] - self.start[0], self.end[1] - self.start[1]
        return (x - self.start[0]) * along_x + (y - self.start[1]) * along_y

    def _count(
        self, found: Sighting, side: Side, direction: str, point: Point, distance: float, least: float
    ) -> Crossing:
        self.counts[direction] += 1
        self.classes.setdefault(found.label, Counter())[direction] += 1
        first = not (side.went_in if direction == "in" else side.went_out)
        if first:
            self.once[direction] += 1
            side.went_in, side.went_out = side.went_in or direction == "in", side.went_out or direction == "out"
        why = {**self._facts(found, side, point, distance), "least": least} if self.trace else None
        return Crossing(found.id, found.label, direction, point, first, why)

    def _miss(self, found: Sighting, side: Side, reason: str, point: Point, distance: float) -> None:
        facts = self._facts(found, side, point, distance) | {"least": found.least(self.margin)}
        if side.strayed:
            facts["furthest"] = side.strayed
        if reason.startswith("passed"):
            facts["along"] = self._along(side, point, distance) / self.length**2
        self.misses.append(Miss(found.id, found.label, reason, facts))

    def _lost(self, pts: int) -> None:
        for key, side in self.states.items():
            if not side.told and pts - side.seen > LOST:
                side.told = True
                if abs(side.distance) < NEAR * side.height and self._beside((side.x, side.y)):
                    facts = {"line": [self.start, self.end], "anchor": self.anchor, "point": (side.x, side.y),
                             "distance": side.distance, "seen": side.seen, "height": side.height}  # fmt: skip
                    self.misses.append(Miss(key, side.label, "was lost near the line", facts))

    def _beside(self, point: Point) -> bool:
        along = (point[0] - self.start[0]) * (self.end[0] - self.start[0])
        along += (point[1] - self.start[1]) * (self.end[1] - self.start[1])
        return 0.0 <= along <= self.length**2

    def _facts(self, found: Sighting, side: Side, point: Point, distance: float) -> dict[str, Any]:
        """The test points against the line: distances are > 0 to its right."""
        return {
            "line": [self.start, self.end],
            "anchor": self.anchor,
            "box": [found.x1, found.y1, found.x2, found.y2],
            "before": (side.home_x, side.home_y),
            "point": point,
            "distance_before": side.home_distance,
            "distance": distance,
            "trembles": found.doubt,
        }


def _first(found: Sighting, point: Point, distance: float, pts: int) -> Side:
    """What is known of one that is seen for the first time."""
    side = Side()
    side.label, side.seen, side.height = found.label, pts, found.height
    (side.x, side.y), side.distance, side.home = point, distance, distance > 0
    (side.home_x, side.home_y), side.home_distance = point, distance
    return side
