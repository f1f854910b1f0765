"""Who goes against the way that is allowed."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

from .directed_lines import unit
from .dwell import Change
from .paths import Path
from .sightings import SECOND, Point, Sighting
from .world import Homography

LEAST = 1.0  # metres


class WrongWay:
    """Tells identities that move against a direction (two points, from → to) over their last second.

    They must have come at least `least` object heights (one metre where their places on the ground are known), at an
    angle of more than 180° - `angle` to the direction; it is over when they go otherwise, or are unseen for a second.
    Those who stand go on as they were.
    """

    def __init__(self, direction: list[Point], *, angle: float = 60.0, least: float = 0.5) -> None:
        self.cosine = -math.cos(math.radians(angle))
        self.least = least
        self.known: dict[int, tuple[str, int, int]] = {}  # label, since, seen
        self.place(direction)

    def place(self, direction: list[Point]) -> None:
        self.direction = direction
        self.way = unit(*direction)
        self.forget()

    def update(
        self, seen: Iterable[Sighting], paths: Mapping[int, Path], pts: int, plane: Homography | None = None
    ) -> list[Change]:
        out = []
        across = self._on(plane) if plane is not None else None
        for found in seen:
            path = paths.get(found.id)
            moved = _moved(path, across is not None) if path is not None else None
            if moved is None:
                continue
            x, y = moved
            far = math.hypot(x, y)
            known = self.known.get(found.id)
            if far < (LEAST if across is not None else max(self.least * found.height, 4 * found.doubt)):
                if known is not None:
                    self.known[found.id] = (known[0], known[1], pts)
                continue
            way = self.way if across is None else across
            cosine = (x * way[0] + y * way[1]) / far
            if cosine <= self.cosine:
                self.known[found.id] = (found.label, pts, pts) if known is None else (known[0], known[1], pts)
                if known is None:
                    facts: dict[str, object] = {"moved": (x, y), "cosine": cosine, "limit": self.cosine}
                    out.append(Change(found.id, found.label, True, pts, facts))
            elif known is not None:
                del self.known[found.id]
                out.append(Change(found.id, known[0], False, known[1], {"moved": (x, y), "cosine": cosine}))
        for key, (label, since, last) in list(self.known.items()):
            if pts - last > SECOND:
                del self.known[key]
                out.append(Change(key, label, False, since, {"gone": True}))
        return out

    def forget(self) -> None:
        self.known.clear()

    def _on(self, plane: Homography) -> Point | None:
        """The direction on the ground; None where it lies beyond the horizon."""
        start, end = (plane.ground(point) for point in self.direction)
        return unit(start, end) if start is not None and end is not None else None


def _moved(path: Path, ground: bool) -> Point | None:
    """The way over the path that is remembered: its last third against its first, so that trembling averages out.

    In pixels, or in metres; None where it is not known.
    """
    points = [place.ground if ground else place.point for place in path.places]
    points = [point for point in points if point is not None]
    if len(points) < 3:
        return None
    part = max(1, len(points) // 3)
    (x1, y1), (x2, y2) = _mean(points[:part]), _mean(points[-part:])
    return x2 - x1, y2 - y1


def _mean(points: Sequence[Point | None]) -> Point:
    known = [point for point in points if point is not None]
    return sum([x for x, _ in known]) / len(known), sum([y for _, y in known]) / len(known)
