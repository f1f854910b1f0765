"""Actors who do what analytics looks for: they loiter, stand, go the wrong way, come as a crowd."""

from __future__ import annotations

from typing import Any

from numpy.random import Generator, default_rng

from .figures import Cyclist, Walker
from .scene import Scene
from .shapes import car
from .traffic import BEHIND, BICYCLE, CAR, PERSON, Actor, Body, Layout, Path

GROUP = 5  # people of the crowd
LOITERING, STANDING = 6.0, 5.0  # seconds


def staged_scene(seed: int, seconds: float = 20.0, fps: float = 30.0, **settings: Any) -> Scene:
    """A scene (see scene.Scene for the settings) with actors who do all that, within its first 15 s.

    Two people stop on the pavements, a car stops at the right edge of the road, a cyclist comes down the right side,
    where all others go away from the camera, and a group walks along the right pavement. They are counted as others
    are, and numbered after them. The same seed gives the same actors at every frame rate.
    """
    scene = Scene(seed, fps=fps, frame_count=round(seconds * fps), **settings)
    taken = max(actor.id for actor in scene.actors)
    scene.actors += perform(default_rng([seed, 20261127]), scene.layout, scene.middle(), taken)
    return scene


def perform(rng: Generator, layout: Layout, middle: float, taken: int) -> list[Actor]:
    """The actors, about the line at `middle` metres along the street. Ids follow `taken`."""
    actors: list[Actor] = []

    def add(
        class_id: int, body: Body, path: Path, start: float, speed: float, pause: float = 0.0, at: float = 0.0
    ) -> None:
        pauses = ((at, pause),) if pause else ()
        actors.append(Actor(taken + len(actors) + 1, class_id, body, path, start, speed, pauses))

    for side, seconds in ((1, LOITERING), (-1, LOITERING - 2)):
        x = side * (layout.road + 1.0)
        path = Path([(x, middle - 10.0), (x, middle + 14.0)])
        add(PERSON, Walker(rng), path if side > 0 else path.reversed(), float(rng.uniform(2, 6)), 1.3, seconds, 12.5)
    x = layout.road - 1.1
    path = Path([(x, BEHIND), (x, layout.junction - 5.0)])
    add(CAR, car(rng), path, float(rng.uniform(-12, -4)), 6.0, STANDING, middle + 3.5 - BEHIND)
    path = Path([(layout.lane + 0.65, layout.junction - 5.0), (layout.lane + 0.65, BEHIND)])
    add(BICYCLE, Cyclist(rng), path, float(rng.uniform(-8, 4)), 4.5)
    path = Path([(layout.road + 1.9, middle + 24.0), (layout.road + 1.9, middle - 18.0)])
    first = float(rng.uniform(2, 8))
    for n in range(GROUP):
        add(PERSON, Walker(rng), path, first - 1.1 * n, 1.35)
    return actors
