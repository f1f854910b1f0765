"""What truly happens in a scene, worked out in continuous time from where everybody is, without any analytics.

Places are where the middle of the body stands on the ground, projected into the picture, asked for 60 times a second
whatever the frame rate, with no margin and no patience: a crossing is a change of sides between the ends of the line,
a visit the time inside a polygon; between two looks the way is straight. (The lower side of a box is no truth: it goes
up and down with each step of a walker, and a car's is that of its nearest bumper.) Only the time counts when the actor
is seen in the picture. Speeds and pauses are those that the actors were made with.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from dataclasses import dataclass, field

import cv2
import numpy as np

from .scene import Scene
from .traffic import LABELS, Actor
from .truth import Point, TruthObject

RATE = 60  # looks a second
KEPT = 30  # frames a second that are kept as a detector would see them


@dataclass(frozen=True, slots=True)
class Passed:
    """Object `id` crosses the line at `time` seconds; "in" is to its right."""

    id: int
    label: str
    time: float
    direction: str


@dataclass(frozen=True, slots=True)
class Stayed:
    """Object `id` is in a zone from `start` to `end` seconds."""

    id: int
    label: str
    start: float
    end: float

    @property
    def seconds(self) -> float:
        return self.end - self.start


@dataclass(slots=True)
class Track:
    """Where one actor stands: times [n] in seconds, points [n, 2] in pixels."""

    actor: Actor
    times: list[float] = field(default_factory=list)
    points: list[Point] = field(default_factory=list)


class Known:
    """The truth of one scene."""

    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        self.start, self.seconds = 0.0, scene.frame_count / scene.fps
        self.tracks: dict[int, Track] = {}
        self.kept: list[list[TruthObject]] = []  # KEPT frames a second
        for n in range(round((self.seconds - 1 / KEPT) * RATE) + 1):
            time = n / RATE
            drawn = scene.drawn(time)
            if n % (RATE // KEPT) == 0:
                self.kept.append(scene.seen(drawn))
            for thing in drawn:
                if thing.actor.id == 0:
                    continue
                x1, y1 = np.maximum(thing.outline.min(axis=0), 0)
                x2, y2 = np.minimum(thing.outline.max(axis=0), (scene.width, scene.height))
                if x2 - x1 < 1 or y2 - y1 < 1:
                    continue
                track = self.tracks.setdefault(thing.actor.id, Track(thing.actor))
                track.times.append(time)
                track.points.append(self._stands(thing.actor, time))

    def cut(self, start: float, end: float) -> None:
        """Cut the scene to what happens between two times in seconds, which stay as they are."""
        self.start, self.seconds = start, end
        self.kept = self.kept[round(start * KEPT) : math.ceil(end * KEPT)]
        for track in self.tracks.values():
            part = slice(bisect_left(track.times, start), bisect_left(track.times, end))
            track.times, track.points = track.times[part], track.points[part]
        self.tracks = {key: track for key, track in self.tracks.items() if track.times}

    def frames(self, fps: int) -> list[list[TruthObject]]:
        """The objects of every frame at 30, 15, 10, 6, 5, … frames a second."""
        if KEPT % fps:
            raise ValueError(f"a scene is kept at {KEPT} frames a second: {fps} is no part of it")
        return self.kept[:: KEPT // fps]

    def crossings(self, line: tuple[Point, Point]) -> list[Passed]:
        """Who crosses a line when, in the order of time."""
        (ax, ay), (bx, by) = line
        out = []
        for track in self.tracks.values():
            points = np.array(track.points)
            sides = (bx - ax) * (points[:, 1] - ay) - (by - ay) * (points[:, 0] - ax)
            for n in np.flatnonzero((sides[1:] > 0) != (sides[:-1] > 0)):
                part = sides[n] / (sides[n] - sides[n + 1])
                x, y = points[n] + part * (points[n + 1] - points[n])
                along = ((x - ax) * (bx - ax) + (y - ay) * (by - ay)) / ((bx - ax) ** 2 + (by - ay) ** 2)
                if 0 <= along <= 1:
                    way = "in" if sides[n + 1] > 0 else "out"
                    out.append(Passed(track.actor.id, self.label(track), track.times[n] + float(part) / RATE, way))
        return sorted(out, key=lambda passed: passed.time)

    def visits(self, polygon: tuple[Point, ...]) -> list[Stayed]:
        """Who is in a polygon when."""
        corners = np.array(polygon, np.float32)
        out = []
        for track in self.tracks.values():
            inside = [cv2.pointPolygonTest(corners, point, False) > 0 for point in track.points]
            start: int | None = None
            for n, now in enumerate([*inside, False]):
                if now and start is None:
                    start = n
                elif not now and start is not None:
                    out.append(Stayed(track.actor.id, self.label(track), track.times[start], track.times[n - 1]))
                    start = None
        return sorted(out, key=lambda stayed: stayed.start)

    def crowded(self, visits: list[Stayed], least: int) -> list[tuple[float, float]]:
        """The times when at least so many are inside."""
        times = np.arange(round(self.start * RATE), round(self.seconds * RATE)) / RATE
        counts = np.zeros(len(times), int)
        for visit in visits:
            counts += (times >= visit.start) & (times <= visit.end)
        edges = np.flatnonzero(np.diff(np.concatenate([[0], (counts >= least).astype(int), [0]])))
        return [
            (self.start + float(a) / RATE, self.start + float(b) / RATE)
            for a, b in zip(edges[::2], edges[1::2], strict=True)
        ]

    def speed(self, key: int) -> float:
        """Metres per second while it moves."""
        return self.tracks[key].actor.speed

    def pauses(self) -> dict[int, tuple[float, float]]:
        """When those who stand do so: id → from, to, seconds."""
        out = {}
        for key, track in self.tracks.items():
            for at, seconds in track.actor.pauses:
                start = (at - track.actor.start) / track.actor.speed
                if start < self.seconds and start + seconds > self.start:
                    out[key] = (max(start, self.start), min(start + seconds, self.seconds))
        return out

    def _stands(self, actor: Actor, time: float) -> Point:
        where = actor.place(time)
        assert where is not None, "it was drawn"
        (point,), _ = self.scene.camera.project(np.array([[where[0], where[1], 0.0]]))
        return float(point[0]), float(point[1])

    @staticmethod
    def label(track: Track) -> str:
        return LABELS[track.actor.class_id]
