"""Who is in an area."""

from __future__ import annotations

import math
import struct
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from . import native
from .dwell import Dwell
from .sightings import MEMORY, SECOND, Anchor, Point, Sighting, packed
from .states import Visit


class Passage(NamedTuple):
    """One identity has come or gone, `direction` is "enter" or "leave"."""

    id: int
    label: str
    direction: str
    point: Point
    seconds: float = 0.0  # of one that leaves: how long it was inside
    depth: float = 0.0  # how far past the boundary, pixels; > 0 inside
    gone: bool = False  # it left by not being seen any more


class ZoneCounter:
    """Follows which identities are inside a polygon (source pixels, y down; even-odd rule).

    The point of an object (`anchor`) must pass the boundary by `margin` object heights to come or go, or by three
    deviations of its trembling where that is more; one that is first seen inside enters at once. One that was not
    seen for `patience` seconds of stream time has left: it was inside until it was last seen. With `inverse` the
    zone is what lies outside of the polygon.
    """

    def __init__(
        self, polygon: Sequence[Point], *, margin: float = 0.05, anchor: Anchor = "bottom", patience: float = 1.0,
        inverse: bool = False,
    ) -> None:  # fmt: skip
        self.margin = margin
        self.anchor: Anchor = anchor
        self.patience = round(patience * SECOND)
        self.inverse = inverse
        self.entered = self.left = self.most = 0
        self.dwell = Dwell()
        self.identities: Counter[str] = Counter()  # how many different ones were inside, by label
        self.place(polygon)

    def place(self, polygon: Sequence[Point]) -> None:
        """Put the zone elsewhere: counts stay, identities are forgotten."""
        if len(polygon) < 3:
            raise ValueError(f"a zone needs at least 3 points, got {len(polygon)}")
        self.edges = [(polygon[n - 1], polygon[n]) for n in range(len(polygon))]
        xs, ys = [x for x, _ in polygon], [y for _, y in polygon]
        self.bounds = (min(xs), min(ys), max(xs), max(ys))
        corners = [corner for edge in self.edges for point in edge for corner in point]
        self.shape = packed(self.anchor, self.margin) + struct.pack(
            f"{5 + len(corners)}d", self.inverse, *self.bounds, *corners
        )
        self.forget()

    def forget(self) -> None:
        """The stream jumped or ended: nobody is inside, without leaving."""
        self.states: dict[int, Visit] = {}
        self.inner: dict[int, Visit] = {}  # those of them that are inside
        self.oldest = -MEMORY  # no visit was last seen before
        self.recalled: dict[int, int] = {}  # since when those are inside who had no identity yet

    def close(self) -> None:
        """The stream ends: the visits of those inside count, until they were last seen; nobody has left."""
        for visit in self.states.values():
            if visit.inside:
                self.dwell.add(visit.label, (visit.seen - visit.since) / SECOND)

    def update(self, seen: Iterable[Sighting], pts: int) -> list[Passage]:
        """Who came and went in this frame. `pts` is ns of stream time."""
        if native.steps is not None:
            seen = native.steps.zone(self, list(seen), pts)
        return self.finish(seen, pts)

    def finish(self, seen: Iterable[Sighting], pts: int) -> list[Passage]:
        """The same, of those sightings that a C step has left."""
        out = []
        for found in seen:
            point = found.point(self.anchor)
            visit = self.states.get(found.id)
            least = 0.0 if visit is None else found.least(self.margin)
            if visit is None:
                visit = self.states[found.id] = Visit()
            visit.label, visit.seen, (visit.x, visit.y) = found.label, pts, point
            depth = self._depth(point, visit.inside)
            if visit.inside and depth < -least:
                out.append(self._leave(found.id, visit, pts, depth))
            elif not visit.inside and depth > least:
                out.append(self._enter(found.id, visit, depth))
        lost = pts - self.patience
        if pts - self.oldest > MEMORY or any([visit.seen < lost for visit in self.inner.values()]):
            out += self._tidy(pts)
        self.recalled.clear()
        if out:
            self.most = max(self.most, self.present())
        return out

    def _tidy(self, pts: int) -> list[Passage]:
        """Those leave who were not seen for long; those are forgotten who were not seen for very long."""
        out = []
        for key, visit in list(self.states.items()):
            if visit.inside and pts - visit.seen > self.patience:
                depth = signed_distance((visit.x, visit.y), self.edges)
                out.append(self._leave(key, visit, visit.seen, -depth if self.inverse else depth, gone=True))
            if pts - visit.seen > MEMORY:
                del self.states[key]
                self.inner.pop(key, None)
        self.oldest = min((visit.seen for visit in self.states.values()), default=pts)
        return out

    def recall(self, found: Sighting, pts: int) -> None:
        """One that has an identity only now was seen before: if it is inside now, its visit began when it came in."""
        if found.id not in self.states:
            depth = signed_distance(found.point(self.anchor), self.edges)
            inside = (depth > 0) is not self.inverse
            first = self.recalled.setdefault(found.id, pts) if inside else None
            if first is None:
                self.recalled.pop(found.id, None)

    def present(self) -> int:
        """How many are inside now."""
        return len(self.inner)

    def occupancy(self) -> Counter[str]:
        """How many are inside now, by label."""
        return Counter(self.labels())

    def labels(self) -> dict[str, int]:
        """The same, quicker."""
        found: dict[str, int] = {}
        for visit in self.inner.values():
            found[visit.label] = found.get(visit.label, 0) + 1
        return found

    def totals(self) -> dict[str, object]:
        """{"entered", "left", "most" at once, "now": {label: n}, "identities", "classes": {label: identities}, "dwell"}

        "dwell" are seconds of the visits that are over (all are, when the stream has ended): visits, mean and most of
        each label.
        """
        return {
            "entered": self.entered,
            "left": self.left,
            "most": self.most,
            "now": dict(sorted(self.occupancy().items())),
            "identities": self.identities.total(),
            "classes": dict(sorted(self.identities.items())),
            "dwell": self.dwell.totals(),
        }

    def _depth(self, point: Point, inside: bool) -> float:
        """How far within the zone; where it is plainly on the side where it was before, that is not worked out."""
        x, y = point
        if self.inverse:
            return -signed_distance(point, self.edges)
        left, top, right, bottom = self.bounds
        if not inside:
            if not (left <= x <= right and top <= y <= bottom):
                return -1.0
        elif contains(x, y, self.edges):
            return 1.0
        return signed_distance(point, self.edges)

    def _enter(self, key: int, visit: Visit, depth: float) -> Passage:
        visit.inside = True
        self.inner[key] = visit
        visit.since = self.recalled.get(key, visit.seen)
        self.entered += 1
        if not visit.counted:
            visit.counted = True
            self.identities[visit.label] += 1
        return Passage(key, visit.label, "enter", (visit.x, visit.y), 0.0, depth)

    def _leave(self, key: int, visit: Visit, until: int, depth: float, gone: bool = False) -> Passage:
        visit.inside = False
        self.inner.pop(key, None)
        self.left += 1
        seconds = (until - visit.since) / SECOND
        self.dwell.add(visit.label, seconds)
        return Passage(key, visit.label, "leave", (visit.x, visit.y), seconds, depth, gone)


class Presence:
    """Counts what is in an area in this very frame, tracked or not: nobody is remembered, nobody enters or leaves.

    This is how DeepStream's nvdsanalytics counts its regions.
    """

    def __init__(self, polygon: Sequence[Point], *, anchor: Anchor = "bottom", inverse: bool = False) -> None:
        self.anchor: Anchor = anchor
        self.inverse = inverse
        self.most = 0
        self.place(polygon)

    def place(self, polygon: Sequence[Point]) -> None:
        self.edges = [(polygon[n - 1], polygon[n]) for n in range(len(polygon))]
        self.forget()

    def forget(self) -> None:
        self.inside: list[Sighting] = []

    def update(self, seen: Iterable[Sighting]) -> list[Sighting]:
        """Those inside."""
        edges, inverse = self.edges, self.inverse
        self.inside = [found for found in seen if (signed_distance(found.point(self.anchor), edges) > 0) is not inverse]
        self.most = max(self.most, len(self.inside))
        return self.inside

    def present(self) -> int:
        return len(self.inside)

    def occupancy(self) -> Counter[str]:
        return Counter(self.labels())

    def labels(self) -> dict[str, int]:
        return dict(Counter([found.label for found in self.inside]))

    def totals(self) -> dict[str, object]:
        """{"most" at once, "now": {label: n}}"""
        return {"most": self.most, "now": dict(sorted(self.occupancy().items()))}


def contains(x: float, y: float, edges: Sequence[tuple[Point, Point]]) -> bool:
    """Whether a point lies in a polygon (even-odd rule)."""
    inside = False
    for (x1, y1), (x2, y2) in edges:
        if (y1 > y) != (y2 > y) and x < x1 + (x2 - x1) * (y - y1) / (y2 - y1):
            inside = not inside
    return inside


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
