"""Lines that count one way, judged over a longer stretch of the way: the modes of DeepStream's nvdsanalytics.

The thresholds and the order of the tests are those of the reference (NVIDIA DeepStream 9.1, utils/nvds_analytics);
they are pixels of the picture and numbers of frames, as there.
"""

from __future__ import annotations

import math
from collections import Counter, deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from ..media.geometry import side
from .lines import Crossing, Miss
from .sightings import Point, Sighting

Mode = Literal["strict", "balanced", "loose"]
MODES = ("strict", "balanced", "loose")
HISTORY = 50  # sightings that are remembered
FORGOTTEN = 300_000_000  # ns unseen after which an identity is another one


class Limits(NamedTuple):
    """What a crossing needs: displacement in pixels², cosine to the direction, sightings before."""

    displacement: int
    cosine: float
    frames: int


LIMITS: dict[str, Limits] = {
    "strict": Limits(6000, 0.8, 20), "balanced": Limits(3000, 0.5, 10), "loose": Limits(1000, 0.1, 3),
}  # fmt: skip


class Sample(NamedTuple):
    """One sighting, in whole pixels as in the reference: centre, width, height."""

    x: int
    y: int
    width: int
    height: int


@dataclass(slots=True)
class History:
    """The last sightings of one identity, and the lines that it has crossed."""

    samples: deque[Sample] = field(default_factory=lambda: deque(maxlen=HISTORY))
    frames: int = 0
    seen: int = 0
    crossed: bool = False

    def add(self, found: Sighting, pts: int) -> None:
        width, height = int(found.x2 - found.x1), int(found.height)
        self.samples.append(Sample(int(found.x1) + width // 2, int(found.y1) + height // 2, width, height))
        self.frames += 1
        self.seen = pts

    def oldest(self) -> Sample:
        """The mean of the two oldest, of the four oldest once the memory is full; zeros for the first three."""
        if self.frames <= 3:
            return Sample(0, 0, 0, 0)
        number = 2 if self.frames < HISTORY else 4
        first = [self.samples[n] for n in range(number)]
        x, y, width, height = (int(sum(values) / number) for values in zip(*first, strict=True))
        return Sample(x, y, width, height)

    def mean_height(self) -> float:
        return sum([sample.height for sample in self.samples]) / len(self.samples)

    def variance(self) -> tuple[float, float]:
        n = len(self.samples)
        out = []
        for values in ([s.x for s in self.samples], [s.y for s in self.samples]):
            mean = sum(values) / n
            out.append(sum([value * value for value in values]) / n - mean * mean)
        return out[0], out[1]


def displacement(history: History) -> tuple[Sample, Sample, int]:
    """The oldest sample, the newest, and the square of the way between their feet."""
    old, new = history.oldest(), history.samples[-1]
    x, y = new.x - old.x, (new.y + new.height // 2) - (old.y + old.height // 2)
    return old, new, x * x + y * y


def cosine(direction: Point, start: Point, end: Point) -> float:
    """Between a unit vector and the way from start to end; -2 where there is no way."""
    x, y = int(end[0] - start[0]), int(end[1] - start[1])
    way = math.hypot(x, y)
    return (direction[0] * x + direction[1] * y) / way if way else -2.0


def unit(start: Point, end: Point) -> Point:
    way = math.dist(start, end)
    return ((end[0] - start[0]) / way, (end[1] - start[1]) / way) if way > 1e-9 else (0.0, 0.0)


class DirectedLine:
    """Counts identities that cross the line in the way of `direction` (two points, from → to). Once each, for ever.

    `strict`, `balanced` and `loose` say how far an identity must have come over its last 50 sightings, how well its
    way must agree with the direction, and how long it must have been seen. `loose` asks only for a change of sides
    where the direction points straight at the line. Unless `extended`, the way of the middle, the left or the right
    of the lower side must meet the line between its ends. `misses` tells those that changed sides and did not count,
    where `trace` is on.
    """

    def __init__(
        self, points: list[Point], direction: list[Point], *, mode: Mode = "loose", extended: bool = False,
        trace: bool = False,
    ) -> None:  # fmt: skip
        self.mode: Mode = mode
        self.extended = extended
        self.trace = trace
        self.count = 0
        self.classes: Counter[str] = Counter()
        self.misses: list[Miss] = []
        self.place(points, direction)

    def place(self, points: list[Point], direction: list[Point]) -> None:
        self.start, self.end = points
        self.length = math.dist(self.start, self.end)
        self.way = unit(*direction)
        self.toward = self._toward(*direction)
        self.forget()

    def forget(self) -> None:
        self.histories: dict[int, History] = {}
        self._told: set[int] = set()

    def update(self, seen: Iterable[Sighting], pts: int) -> list[Crossing]:
        self.misses = []
        for key in [key for key, history in self.histories.items() if pts - history.seen > FORGOTTEN]:
            del self.histories[key]
            self._told.discard(key)
        out = []
        for found in seen:
            history = self.histories.setdefault(found.id, History())
            history.add(found, pts)
            if history.crossed:
                continue
            why = self._judge(found, history)
            if why.get("counts"):
                history.crossed = True
                self.count += 1
                self.classes[found.label] += 1
                foot = history.samples[-1]
                point = (float(foot.x), float(foot.y + foot.height // 2))
                out.append(Crossing(found.id, found.label, "in", point, True, why if self.trace else None))
        return out

    def totals(self) -> dict[str, object]:
        """{"in", "out", "once", "classes"} as of other lines: nobody goes out."""
        return {
            "in": self.count, "out": 0, "once": {"in": self.count, "out": 0},
            "classes": {label: {"in": n, "out": 0} for label, n in sorted(self.classes.items())},
        }  # fmt: skip

    @property
    def counts(self) -> dict[str, int]:
        return {"in": self.count}

    def _judge(self, found: Sighting, history: History) -> dict[str, Any]:
        limits = LIMITS[self.mode]
        old, new, squared = displacement(history)
        lifted = int(history.mean_height()) // 2
        before, now = (float(old.x), float(old.y + lifted)), (float(new.x), float(new.y + new.height // 2))
        if squared <= limits.displacement or history.frames <= limits.frames:
            return self._not(found, history, before, now, "has not come far enough, or was not seen long enough",
                             squared)  # fmt: skip
        agrees = cosine(self.way, before, now)
        d_before, d_now = (side(p, self.start, self.end) / self.length for p in (before, now))
        if self.mode == "loose" and self.toward:
            right = self.toward == "right"
            changed = (d_now >= 0 > d_before) if right else (d_now <= 0 < d_before)
        else:
            changed = int(d_before) * int(d_now) < 0 and agrees >= limits.cosine
        if not changed:
            return self._not(found, history, before, now, "did not go the way that counts", squared)
        if not self.extended and not self._through(old, new, before, now):
            return self._not(found, history, before, now, "passed beyond an end of the line", squared)
        return {"counts": True, **self._facts(found, history, before, now, squared)}

    def _not(
        self, found: Sighting, history: History, before: Point, now: Point, reason: str, squared: int
    ) -> dict[str, Any]:
        """Not counted; worth telling once when the sides are others and the memory holds both."""
        changed = side(before, self.start, self.end) * side(now, self.start, self.end) < 0
        if self.trace and changed and history.frames > 3 and found.id not in self._told:
            self._told.add(found.id)
            self.misses.append(Miss(found.id, found.label, reason, self._facts(found, history, before, now, squared)))
        return {}

    def _facts(self, found: Sighting, history: History, before: Point, now: Point, squared: int) -> dict[str, Any]:
        limits = LIMITS[self.mode]
        return {
            "line": [self.start, self.end],
            "box": [found.x1, found.y1, found.x2, found.y2],
            "before": before,
            "point": now,
            "distance_before": side(before, self.start, self.end) / self.length,
            "distance": side(now, self.start, self.end) / self.length,
            "mode": self.mode,
            "direction": self.way,
            "displacement": squared,
            "least_displacement": limits.displacement,
            "cosine": cosine(self.way, before, now),
            "least_cosine": limits.cosine,
            "frames": history.frames,
            "least_frames": limits.frames,
        }

    def _through(self, old: Sample, new: Sample, before: Point, now: Point) -> bool:
        """Whether one of three ways, of the lower side's middle and ends, meets the line between its ends."""
        for share in (0, 0.5, -0.5):
            a = (before[0] + share * old.width, before[1])
            b = (now[0] + share * new.width, now[1])
            d_a, d_b = side(a, self.start, self.end), side(b, self.start, self.end)
            if d_a == d_b:
                continue
            part = d_a / (d_a - d_b)
            x, y = a[0] + (b[0] - a[0]) * part, a[1] + (b[1] - a[1]) * part
            along = (x - self.start[0]) * (self.end[0] - self.start[0])
            along += (y - self.start[1]) * (self.end[1] - self.start[1])
            off = (x - self.start[0]) ** 2 + (y - self.start[1]) ** 2
            if along > 0 and off < self.length**2:
                return True
        return False

    def _toward(self, tail: Point, head: Point) -> str:
        """The side of the line to which the direction points: "right", "left", or "" where it does not meet it."""
        d_tail, d_head = (side(point, self.start, self.end) / self.length for point in (tail, head))
        if abs(d_tail - d_head) / max(1e-9, math.dist(tail, head)) < 1e-5:
            return ""
        return "right" if d_head > d_tail else "left"
