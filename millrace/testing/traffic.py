"""Who moves through a scene, and where: every place is a function of time, so any frame can be made alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import pi

import numpy as np
from numpy.random import Generator

from .figures import Cyclist, Post, Walker
from .shapes import Floats, Mesh, car, van

Body = Mesh | Walker | Cyclist | Post
LABELS = ("car", "van", "bicycle", "person")
CAR, VAN, BICYCLE, PERSON = range(4)
BEHIND = -14.0  # metres: the street goes on behind the camera
ASIDE = 48.0  # metres: how far the side street goes


@dataclass(frozen=True, slots=True)
class Layout:
    """The street's measures in metres: half the road, the far edge of the pavements, where the junction starts."""

    lane: float
    road: float
    pavement: float
    junction: float
    zebra: float  # y of the crossing's near edge, 3 m deep

    @classmethod
    def random(cls, rng: Generator, crowd: int) -> Layout:
        lane = float(rng.uniform(3.2, 3.6))
        road = lane + 1.3
        wide = rng.uniform(4.5, 6.0) if crowd else rng.uniform(2.8, 4.2)
        return cls(lane, road, road + float(wide), float(rng.uniform(42, 62)), float(rng.uniform(14, 20)))


class Path:
    """A line on the ground, walked by distance."""

    def __init__(self, points: list[tuple[float, float]] | Floats) -> None:
        self.points = np.array(points, dtype=np.float64)
        steps = np.diff(self.points, axis=0)
        lengths = np.hypot(steps[:, 0], steps[:, 1])
        self.marks = np.concatenate([[0.0], np.cumsum(lengths)])
        self.length = float(self.marks[-1])
        turns = np.unwrap(np.arctan2(-steps[:, 0], steps[:, 1]))
        self.middles, self.turns = (self.marks[1:] + self.marks[:-1]) / 2, turns

    def at(self, distance: Floats | float) -> tuple[Floats, Floats]:
        """x and y at distances along the path."""
        x, y = (np.asarray(np.interp(distance, self.marks, self.points[:, k])) for k in (0, 1))
        return x, y

    def heading(self, distance: float) -> float:
        """Radians from +y towards -x."""
        return float(np.interp(distance, self.middles, self.turns))

    def reversed(self) -> Path:
        return Path(self.points[::-1])


@dataclass(slots=True, eq=False)
class Actor:
    """A body on its way. `id` is 0 for what belongs to no class."""

    id: int
    class_id: int
    body: Body
    path: Path
    start: float  # metres along the path at time 0; negative: not there yet
    speed: float
    pauses: tuple[tuple[float, float], ...] = ()  # (metres along the path, seconds that it stands there), in order

    def travelled(self, time: float) -> float:
        """Metres along the path at a time in seconds."""
        distance = self.start + self.speed * time
        for at, seconds in self.pauses:
            if distance <= at:
                break
            distance = max(at, distance - self.speed * seconds)
        return distance

    def place(self, time: float) -> tuple[float, float, float, float] | None:
        """x, y, heading, distance at a time in seconds; None when not on the way."""
        distance = self.travelled(time)
        if not 0 <= distance <= self.path.length:
            return None
        x, y = self.path.at(distance)
        return float(x), float(y), self.path.heading(distance), distance


Add = Callable[[int, Body, Path, float, float], None]  # class, body, path, start, speed


def lane_path(layout: Layout, x: float, side: int, radius: float) -> Path:
    """From the side street round the corner and past the camera, x metres from the middle; side -1 or 1."""
    y_side = layout.junction + (layout.road - x)
    turns = np.linspace(0, pi / 2, 9)
    corner = [
        (side * (x + radius - radius * np.sin(t)), y_side - radius + radius * np.cos(t)) for t in turns
    ]  # fmt: skip
    return Path([(side * ASIDE, y_side), *corner, (side * x, BEHIND)])


def populate(rng: Generator, layout: Layout, seconds: float, busy: float, crowd: int) -> list[Actor]:
    """All actors of a scene; `busy` about 1 is a usual street."""
    actors: list[Actor] = []

    def add(class_id: int, body: Body, path: Path, start: float, speed: float) -> None:
        actors.append(Actor(len(actors) + 1, class_id, body, path, start, speed))

    for side in (-1, 1):
        path = lane_path(layout, layout.lane / 2, side, 4.5)
        speed = float(rng.uniform(5.0, 11.0))
        way = path if side < 0 else path.reversed()
        _vehicles(rng, add, way, speed, seconds, busy)
        path = lane_path(layout, layout.lane + 0.65, side, 3.0)
        _cyclists(rng, add, path if side < 0 else path.reversed(), seconds, busy)
    far = Path(
        [
            (ASIDE, layout.junction + layout.road + layout.lane / 2),
            (-ASIDE, layout.junction + layout.road + layout.lane / 2),
        ]
    )
    _vehicles(rng, add, far, float(rng.uniform(5, 10)), seconds, busy * 0.5)
    _walkers(rng, add, layout, seconds, busy)
    for _ in range(int(rng.integers(1, 4))):
        _crossing(rng, add, actors, layout, seconds)
    for k in range(crowd):
        path = _stroll(rng, layout, seconds, -1 if k % 2 else 1)
        add(PERSON, Walker(rng), path, 0.0, float(rng.uniform(0.8, 1.5)))
    return actors


def _vehicles(rng: Generator, add: Add, path: Path, speed: float, seconds: float, busy: float) -> None:
    """A lane of traffic at one speed, so that nobody drives into another."""
    at = path.length - rng.uniform(0, 20)
    while at > -speed * seconds:
        is_van = rng.random() < 0.3
        body = van(rng) if is_van else car(rng)
        at -= body.length / 2
        add(VAN if is_van else CAR, body, path, float(at), speed)
        at -= body.length / 2 + rng.uniform(3.5, 34.0 / busy)


def _cyclists(rng: Generator, add: Add, path: Path, seconds: float, busy: float) -> None:
    speed = float(rng.uniform(3.5, 6.0))
    at = path.length - rng.uniform(0, 25)
    while at > -speed * seconds:
        add(BICYCLE, Cyclist(rng), path, float(at), speed)
        at -= rng.uniform(4.0, 45.0 / busy)


def _walkers(rng: Generator, add: Add, layout: Layout, seconds: float, busy: float) -> None:
    """People along both pavements, in both directions."""
    for side in (-1, 1):
        for _ in range(int(rng.integers(2, 6) * busy)):
            x = side * float(rng.uniform(layout.road + 0.8, layout.pavement - 0.4))
            path = Path([(side * 32.0, layout.junction - 1.5), (x, layout.junction - 1.5), (x, BEHIND)])
            if rng.random() < 0.5:
                path = path.reversed()
            speed = float(rng.uniform(1.0, 1.7))
            add(PERSON, Walker(rng), path, float(rng.uniform(-speed * seconds * 0.5, path.length)), speed)


def _crossing(rng: Generator, add: Add, actors: list[Actor], layout: Layout, seconds: float) -> None:
    """Somebody who crosses on the zebra when no vehicle is near; nobody when there is no such moment."""
    side = 1 if rng.random() < 0.5 else -1
    y = layout.zebra + float(rng.uniform(0.6, 2.4))
    x1, x2 = (float(rng.uniform(layout.road + 0.8, layout.pavement - 0.5)) for _ in range(2))
    before, after = (float(rng.choice([-1, 1]) * rng.uniform(3, 9)) for _ in range(2))
    path = Path(
        [(side * x1, y + before), (side * x1, y), (-side * x2, y), (-side * x2, y + after), (-side * x2, y + 5 * after)]
    )
    speed = float(rng.uniform(1.2, 1.8))
    first, last = path.marks[1] + x1 - layout.road, path.marks[1] + x1 + layout.road
    for start in rng.uniform(-speed * seconds * 0.7, first * 0.9, 24):
        times = np.arange((first - start) / speed, (last - start) / speed, 0.2)
        x, ground = path.at(start + speed * times)
        if not any(_hits(actor, times, x, ground) for actor in actors if actor.class_id != PERSON):
            add(PERSON, Walker(rng), path, float(start), speed)
            return


def _hits(actor: Actor, times: Floats, x: Floats, y: Floats) -> bool:
    distance = actor.start + actor.speed * times
    there = (distance >= 0) & (distance <= actor.path.length)
    ax, ay = actor.path.at(distance)
    return bool(np.any(there & (np.abs(ax - x) < 1.7) & (np.abs(ay - y) < 4.6)))


def _stroll(rng: Generator, layout: Layout, seconds: float, side: int) -> Path:
    """From place to place on one pavement, for as long as the scene lasts."""
    place = (side * float(rng.uniform(layout.road + 0.6, layout.pavement - 0.3)), float(rng.uniform(9, 34)))
    points = [place]
    length = 0.0
    while length < 1.6 * seconds + 5:
        x = side * float(rng.uniform(layout.road + 0.6, layout.pavement - 0.3))
        y = float(np.clip(points[-1][1] + rng.choice([-1, 1]) * rng.uniform(6, 16), 7, 36))
        length += abs(y - points[-1][1]) + abs(x - points[-1][0])
        points.append((x, y))
    return Path(points)


def posts(rng: Generator, layout: Layout) -> list[Actor]:
    """Lamp posts along the kerbs."""
    gap, first = float(rng.uniform(16, 26)), float(rng.uniform(8, 14))
    made = []
    for side in (-1, 1):
        for y in np.arange(first + (gap / 2 if side > 0 else 0), layout.junction - 2, gap):
            x = side * (layout.road + 0.35)
            made.append(Actor(0, -1, Post(-side * 1.4), Path([(x, y), (x, y + 1e-3)]), 0.0, 0.0))
    return made
