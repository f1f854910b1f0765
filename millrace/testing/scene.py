"""Street scenes rendered in code, with exact truth: `Scene(seed=1).frames()`.

Cars, vans, cyclists and people on a ground plane before a pinhole camera, so that size follows distance; day or
dusk, shadows, occlusion, sensor noise. The same seed and settings (the length is one) give the same pictures. Any
frame can be made alone: `scene.frame(100)`.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
from numpy.random import Generator, default_rng
from numpy.typing import NDArray

from .camera import Camera
from .clips import Rgb, write_video
from .drawing import Drawn, draw, glow, place
from .shapes import Mesh
from .street import Light, Street
from .traffic import LABELS, Actor, Layout, populate, posts
from .truth import Point, Truth, TruthObject, line_crossings

View = Literal["along", "oblique"]


class Scene:
    """A street for a number of frames.

    `view` along the road or across it, chosen by the seed when None. `busy` scales the traffic; `crowd` adds that
    many people who stroll in view. `noise` is the sensor's, in grey levels; None chooses by the seed.
    """

    def __init__(
        self,
        seed: int = 1,
        width: int = 640,
        height: int = 360,
        fps: float = 25,
        frame_count: int = 250,
        *,
        dusk: bool = False,
        crowd: int = 0,
        view: View | None = None,
        busy: float = 1.0,
        noise: float | None = None,
    ) -> None:
        self.seed, self.width, self.height, self.fps, self.frame_count = seed, width, height, fps, frame_count
        rng = default_rng([seed, 20261121])
        self.layout = Layout.random(rng, crowd)
        chosen = view or ("along" if rng.random() < 0.65 else "oblique")
        self.camera, open_side = _camera(rng, chosen, self.layout, width, height)
        self.light = Light.random(rng, dusk)
        self.actors: list[Actor] = populate(rng, self.layout, frame_count / fps, busy, crowd) + posts(rng, self.layout)
        self.noise = float(rng.uniform(1.0, 3.5) * (1.6 if dusk else 1.0)) if noise is None else noise
        self.blur = float(rng.uniform(0.35, 0.75)) * width / 640
        street = Street(rng, self.camera, self.layout, self.light, open_side)
        self.background, self.front = street.picture, street.front
        self.shaded = cv2.convertScaleAbs(self.background, alpha=self.light.shade)
        self._grain = _grain(rng, width, height, self.noise)

    def frames(self) -> Iterator[tuple[Rgb, list[TruthObject]]]:
        """Every frame: its picture [h, w, 3] uint8 RGB, and its objects."""
        for index in range(self.frame_count):
            yield self.frame(index)

    def frame(self, index: int) -> tuple[Rgb, list[TruthObject]]:
        """One frame: its picture and its objects."""
        drawn = self.drawn(index / self.fps)
        return self._paint(index, drawn), self.seen(drawn)

    def objects(self, index: int) -> list[TruthObject]:
        """The objects of one frame, without painting it."""
        return self.seen(self.drawn(index / self.fps))

    @cached_property
    def truth(self) -> Truth:
        """The truth of all frames, with the line and the zone to count by and the line's crossings."""
        frames = [self.objects(index) for index in range(self.frame_count)]
        crossings = line_crossings(frames, self.line)
        return Truth(self.width, self.height, self.fps, LABELS, self.line, self.zone, frames, crossings)

    @cached_property
    def line(self) -> tuple[Point, Point]:
        """A line across road and pavements where objects are well in view: start and end, source pixels."""
        y, edge = self.middle(), self.layout.pavement
        a, b = self._on_ground([(-edge, y), (edge, y)])
        ok, first, second = cv2.clipLine(
            (0, 0, self.width, self.height), (round(a[0]), round(a[1])), (round(b[0]), round(b[1]))
        )
        if not ok:
            raise ValueError(f"scene: seed {self.seed}: the line at {y:.0f} m is not in the picture")
        return (float(first[0]), float(first[1])), (float(second[0]), float(second[1]))

    @cached_property
    def zone(self) -> tuple[Point, ...]:
        """A part of the road and pavements as a polygon in source pixels, inside the picture."""
        return self.area(-self.layout.pavement, self.layout.pavement)

    @cached_property
    def calibration(self) -> dict[str, list[list[float]]]:
        """Four places of the ground in the picture and in metres: what `analyze` calls `world`."""
        y, edge = self.middle(), self.layout.pavement
        world = [(-edge, y - 4), (edge, y - 4), (edge, y + 18), (-edge, y + 18)]
        return {"image": [[u, v] for u, v in self._on_ground(world)], "world": [list(place) for place in world]}

    def way(self, x: float) -> tuple[Point, Point]:
        """Away from the camera along the street at x metres, as two points of the picture."""
        start, end = self._on_ground([(x, self.middle() - 3), (x, self.middle() + 7)])
        return start, end

    def area(self, left: float, right: float, inset: float = 0.0) -> tuple[Point, ...]:
        """The zone's part of the street from x `left` to x `right` (metres), inside the picture.

        `inset` keeps it away from the picture's edges by that share of width and height: there boxes are cut. Empty
        where none of it is in view.
        """
        y = self.middle()
        corners = self._on_ground([(left, y - 3), (right, y - 3), (right, y + 7), (left, y + 7)])
        x1, y1 = inset * self.width, inset * self.height
        x2, y2 = self.width - x1, self.height - y1
        frame = np.array([[x1, y1], [x2, y1], [x2, y2], [x1, y2]], np.float32)
        _, inside = cv2.intersectConvexConvex(np.array(corners, np.float32), frame)
        if inside is None:
            return ()
        return tuple((round(float(x), 1), round(float(y), 1)) for x, y in inside[:, 0])

    def middle(self) -> float:
        """How far along the street the line lies: most of it well inside the picture, and near the picture's middle.

        At the picture's edges boxes are cut, so that their lower edge says little of where an object is.
        """
        inset = (round(0.1 * self.width), round(0.1 * self.height), round(0.8 * self.width), round(0.74 * self.height))

        def worth(y: float) -> float:
            (u1, v1), (u2, v2) = self._on_ground([(-self.layout.pavement, y), (self.layout.pavement, y)])
            ok, a, b = cv2.clipLine(inset, (round(u1), round(v1)), (round(u2), round(v2)))
            inside = np.hypot(a[0] - b[0], a[1] - b[1]) / np.hypot(u1 - u2, v1 - v2) if ok else 0.0
            return min(float(inside), 0.75) - abs((v1 + v2) / 2 / self.height - 0.58)

        first = max(6.0, self._nearest())
        return max((float(y) for y in np.arange(first, 40.0, 0.5)), key=worth)

    def _nearest(self) -> float:
        """The y from which on the whole width of the street is before the camera."""
        for y in np.arange(2.0, 40.0, 0.5):
            edges = np.array([(side * self.layout.pavement, y - 3, 0.0) for side in (-1, 1)])
            if self.camera.project(edges)[1].min() > 2.0:
                return float(y)
        return 40.0

    def _on_ground(self, places: list[tuple[float, float]]) -> list[Point]:
        at, _ = self.camera.project(np.array([(x, y, 0.0) for x, y in places]))
        return [(float(u), float(v)) for u, v in at]

    def drawn(self, time: float) -> list[Drawn]:
        """What is in view at a time in seconds, far to near: nothing is painted."""
        found = []
        for actor in self.actors:
            where = actor.place(time)
            if where is not None:
                drawn = place(actor, where, self.camera, self.light)
                if drawn is not None:
                    drawn.behind = abs(where[0]) > self.layout.pavement + 0.2
                    found.append(drawn)
        found.sort(key=lambda d: (not d.behind, -d.depth))
        return found

    def _paint(self, index: int, drawn: list[Drawn]) -> Rgb:
        picture = self.background.copy()
        mask = np.zeros((self.height, self.width), np.uint8)
        for thing in drawn:
            for shadow in thing.shadows:
                cv2.fillConvexPoly(mask, shadow, 255, cv2.LINE_8, 4)
        cv2.copyTo(self.shaded, mask, picture)
        hidden = False
        for thing in drawn:
            if not thing.behind and not hidden:
                cv2.copyTo(self.background, self.front, picture)
                hidden = True
            draw(picture, thing)
            if self.light.dusk and isinstance(thing.actor.body, Mesh):
                glow(picture, thing)
        picture = cv2.GaussianBlur(picture, (0, 0), self.blur)
        if self.noise > 0:
            dx, dy = default_rng([self.seed, 7, index]).integers(0, 64, 2)
            grain = self._grain[dy : dy + self.height, dx : dx + self.width]
            picture = cv2.subtract(cv2.add(picture, grain[..., 0]), grain[..., 1])
        return np.asarray(picture, dtype=np.uint8)

    def seen(self, drawn: list[Drawn]) -> list[TruthObject]:
        """Paint outlines far to near and see what is left of each."""
        owner = np.zeros((self.height, self.width), np.uint16)
        entries: list[tuple[Drawn, tuple[float, float, float, float], tuple[slice, slice]]] = []
        hidden = False
        for number, thing in enumerate(drawn, 1):
            if not thing.behind and not hidden:
                owner[self.front > 0] = 0
                hidden = True
            x1, y1 = np.maximum(thing.outline.min(axis=0), 0)
            x2, y2 = np.minimum(thing.outline.max(axis=0), (self.width, self.height))
            if x2 - x1 < 1 or y2 - y1 < 1:
                continue
            area = (slice(int(y1), int(np.ceil(y2))), slice(int(x1), int(np.ceil(x2))))
            for outline in [thing.hull] if thing.actor.id else [points for points, _, _ in thing.polygons]:
                cv2.fillConvexPoly(owner, outline, number, cv2.LINE_8, 4)
            entries.append((thing, (float(x1), float(y1), float(x2), float(y2)), area))
            thing.number = number
        if not hidden:
            owner[self.front > 0] = 0
        objects = []
        for thing, box, area in entries:
            if thing.actor.id == 0:
                continue
            seen = np.count_nonzero(owner[area] == thing.number)
            visible = min(1.0, float(seen) / max(thing.pixels, 1.0))
            rounded = tuple(round(c, 2) for c in box)
            label = LABELS[thing.actor.class_id]
            objects.append(TruthObject(thing.actor.id, thing.actor.class_id, label, rounded, round(visible, 3)))  # type: ignore[arg-type]
        objects.sort(key=lambda o: o.id)
        return objects


def write_clip(path: str | Path, scene: Scene, codec: str = "h264") -> Truth:
    """Render a scene into a video file and return its truth; frame i stands at i / fps exactly."""
    frames: list[list[TruthObject]] = []

    def pictures() -> Iterator[Rgb]:
        for picture, objects in scene.frames():
            frames.append(objects)
            yield picture

    from fractions import Fraction

    write_video(path, pictures(), fps=Fraction(scene.fps).limit_denominator(1001), codec=codec)
    crossings = line_crossings(frames, scene.line)
    return Truth(scene.width, scene.height, scene.fps, LABELS, scene.line, scene.zone, frames, crossings)


def _camera(rng: Generator, view: View, layout: Layout, width: int, height: int) -> tuple[Camera, int]:
    """A camera, and the side of the street that must stay open for it (0: none)."""
    high = float(rng.uniform(4.6, 8.0))
    if view == "along":
        x = float(rng.uniform(-0.85, 0.85) * layout.pavement)
        aim = float(np.degrees(np.arctan2(x, 24.0))) + float(rng.uniform(-9, 9))
        pitch, zoom = float(rng.uniform(11, 17)), float(rng.uniform(0.85, 1.15))
        return Camera(width, height, (x, 0.0, high), aim, pitch, zoom * width), 0
    side = 1 if rng.random() < 0.5 else -1
    x = side * (layout.pavement + float(rng.uniform(1.5, 6.0)))
    yaw = side * float(rng.uniform(32, 62))
    pitch, zoom = float(rng.uniform(13, 19)), float(rng.uniform(0.8, 1.1))
    return Camera(width, height, (x, 0.0, high), yaw, pitch, zoom * width), side


def _grain(rng: Generator, width: int, height: int, noise: float) -> NDArray[np.uint8]:
    """Noise to add and to subtract: [h + 64, w + 64, 2 of 3 channels] uint8."""
    normal = rng.normal(0, noise, (height + 64, width + 64, 1)) + rng.normal(
        0, noise * 0.5, (height + 64, width + 64, 3)
    )
    both = np.stack([np.clip(normal, 0, 255), np.clip(-normal, 0, 255)], axis=3)
    return np.asarray(np.rint(both), dtype=np.uint8)
