"""The still part of a scene: ground, sky, buildings and trees, painted once at twice the size."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from .camera import Camera, fixed
from .shapes import Colour
from .traffic import ASIDE, BEHIND, Layout

WALLS: tuple[Colour, ...] = (
    (176, 110, 84), (198, 176, 142), (216, 208, 192), (150, 146, 140), (170, 134, 110), (122, 96, 84), (196, 188, 150),
    (140, 156, 164), (206, 150, 120), (104, 108, 112), (226, 222, 214), (158, 84, 70), (180, 190, 176),
)  # fmt: skip
LAWNS: tuple[Colour, ...] = ((96, 128, 66), (120, 136, 80), (150, 140, 118), (138, 134, 128), (84, 110, 62))


@dataclass(frozen=True, slots=True)
class Light:
    """The time of day. `tint` multiplies colours, `sun` points to the sun (z > 0), `shade` is the light in a shadow."""

    dusk: bool
    tint: Colour
    sun: tuple[float, float, float]
    ambient: float
    shade: float

    @classmethod
    def random(cls, rng: Generator, dusk: bool) -> Light:
        turn, rise = rng.uniform(0, 2 * np.pi), np.radians(rng.uniform(28, 65))
        sun = (float(np.cos(rise) * np.cos(turn)), float(np.cos(rise) * np.sin(turn)), float(np.sin(rise)))
        if dusk:
            level = rng.uniform(0.34, 0.5)
            return cls(True, (level * 0.92, level * 0.94, level * 1.12), sun, 0.8, 0.82)
        overcast = rng.random() < 0.35
        level, warm = rng.uniform(0.85, 1.05), rng.uniform(-0.05, 0.05)
        ambient, shade = (0.82, 0.8) if overcast else (0.62, float(rng.uniform(0.5, 0.62)))
        return cls(False, (level * (1 + warm), level, level * (1 - warm)), sun, ambient, shade)


class Street:
    """A painted background: `picture` [h, w, 3] uint8 RGB; `front` [h, w] uint8: 255 hides the side street."""

    def __init__(self, rng: Generator, camera: Camera, layout: Layout, light: Light, open_side: int) -> None:
        self.rng, self.layout, self.light = rng, layout, light
        self.open_side = open_side  # the side on which no buildings stand: the camera does; 0: none
        big = Camera(2 * camera.width, 2 * camera.height, camera.position, camera.yaw, camera.pitch, 2 * camera.focal)
        self.camera = big
        self.tint = np.array(light.tint, dtype=np.float32)
        self.canvas = self._ground()
        self.mask = np.zeros((big.height, big.width), np.uint8)
        self._far_row()
        for side in (-1, 1):
            if side != open_side:
                self._side_row(side)
        size = (camera.width, camera.height)
        self.picture = cv2.resize(self.canvas, size, interpolation=cv2.INTER_AREA)
        self.front = cv2.threshold(
            cv2.resize(self.mask, size, interpolation=cv2.INTER_AREA), 127, 255, cv2.THRESH_BINARY
        )[1]

    def _ground(self) -> NDArray[np.uint8]:
        camera, rng = self.camera, self.rng
        v, u = np.mgrid[0 : camera.height, 0 : camera.width].astype(np.float32) + np.float32(0.5)
        x, y, depth = camera.ground(u, v)
        sky = (depth <= 0) | (depth > 400)
        x, y = np.where(sky, 0, x).astype(np.float32), np.where(sky, 50, y).astype(np.float32)
        picture = self._surfaces(x, y)
        fine, coarse = (rng.normal(0, s, (256, 256)).astype(np.float32) for s in (5.0, 9.0))
        coarse = cv2.GaussianBlur(coarse, (0, 0), 3) * 4
        near = 1 / (1 + depth.astype(np.float32) / 25)
        grain = fine[(x * 14).astype(np.int32) & 255, (y * 14).astype(np.int32) & 255] * near
        grain += coarse[(x * 2.2).astype(np.int32) & 255, (y * 2.2).astype(np.int32) & 255]
        picture += grain[..., None]
        picture *= self.tint
        if self.light.dusk:
            picture += self._lamp_pools(x, y)[..., None] * np.array([52, 42, 24], np.float32)
        picture[sky] = self._sky(v)[sky]
        return np.asarray(np.clip(picture, 0, 255), dtype=np.uint8)

    def _surfaces(self, x: NDArray[np.float32], y: NDArray[np.float32]) -> NDArray[np.float32]:
        """Road, marks, kerbs, pavements and what lies beyond, by place."""
        rng, lay = self.rng, self.layout
        ax, far = np.abs(x), lay.junction + 2 * lay.road
        side = (y > lay.junction) & (y < far)
        road = ((ax < lay.road) & (y < far)) | side
        walk = (ax < lay.pavement) | ((y > lay.junction - 4) & (y < far + 4))
        picture = np.empty((*x.shape, 3), np.float32)
        picture[:] = LAWNS[rng.integers(len(LAWNS))]
        stone = np.array([168, 164, 158], np.float32) * rng.uniform(0.75, 1.1) + rng.normal(0, 5, 3).astype(np.float32)
        picture[walk] = stone
        size = rng.uniform(0.5, 1.1)
        joint = walk & ((np.mod(x, size) < 0.04) | (np.mod(y, size) < 0.04)) & (y < 35)
        picture[joint] = stone * 0.85
        picture[(np.abs(ax - lay.road - 0.1) < 0.12) & (y < lay.junction)] = stone * 1.12
        asphalt = np.array([92, 93, 97], np.float32) * rng.uniform(0.65, 1.2)
        picture[road] = asphalt
        worn = (
            road & ~side & ((np.abs(ax - lay.lane * 0.5 - 0.75) < 0.25) | (np.abs(ax - lay.lane * 0.5 + 0.75) < 0.25))
        )
        picture[worn] = asphalt * 0.92
        white = np.array([215, 215, 208], np.float32) * rng.uniform(0.8, 1.05)
        straight = y < lay.junction
        dash = rng.uniform(4.5, 9.0)
        zebra = (y > lay.zebra) & (y < lay.zebra + 3)
        marks = straight & ~zebra & (ax < 0.075) & (np.mod(y, dash) < dash * 0.5)
        marks |= straight & ~zebra & (np.abs(ax - lay.lane) < 0.06) & (np.mod(y, 2.0) < 1.2)
        marks |= zebra & (ax < lay.road - 0.2) & (np.mod(x, 1.0) < 0.5)
        marks |= (y > lay.junction - 0.9) & (y < lay.junction - 0.5) & (x > -lay.road) & (x < 0)
        marks |= side & (np.abs(y - (lay.junction + far) / 2) < 0.075) & (np.mod(x, 6) < 3) & (ax > lay.road)
        picture[marks] = white
        return picture

    def _lamp_pools(self, x: NDArray[np.float32], y: NDArray[np.float32]) -> NDArray[np.float32]:
        total = np.zeros_like(x)
        for side in (-1, 1):
            for centre in np.arange(11 + 10 * (side > 0), self.layout.junction, 21):
                total += np.exp(-((x - side * (self.layout.road - 1)) ** 2 + (y - centre) ** 2) / 22)
        return total

    def _sky(self, v: NDArray[np.float32]) -> NDArray[np.float32]:
        rng, camera = self.rng, self.camera
        if self.light.dusk:
            low, high = np.array([150, 104, 96]) * rng.uniform(0.6, 1.1), np.array([42, 48, 84]) * rng.uniform(0.7, 1.2)
        else:
            low, high = np.array([222, 228, 234]), np.array([120, 165, 220]) * rng.uniform(0.85, 1.15)
        share = np.clip(1 - v / (camera.height * 0.45), 0, 1)[..., None]
        clouds = cv2.resize(
            rng.random((6, 12)).astype(np.float32), (camera.width, camera.height), interpolation=cv2.INTER_CUBIC
        )
        cloud = np.clip(clouds - 0.5, 0, 1)[..., None] * (30 if self.light.dusk else 90)
        return np.asarray(low + (high - low) * share + cloud, dtype=np.float32)

    def _quad(
        self, corners: list[Colour], colour: Colour | NDArray[Any], lit: bool = True, hides: bool = False
    ) -> None:
        points = self.camera.polygon(np.array(corners, dtype=np.float64))
        if len(points) < 3:
            return
        shown = np.clip(np.asarray(colour, dtype=np.float64) * (self.tint if lit else 1.0), 0, 255).tolist()
        at = fixed(points)
        cv2.fillConvexPoly(self.canvas, at, shown, cv2.LINE_8, 4)
        if hides:
            cv2.fillConvexPoly(self.mask, at, 255, cv2.LINE_8, 4)

    def _wall(self, a: tuple[float, float], b: tuple[float, float], height: float, paint: Colour, hides: bool) -> None:
        """An upright wall over the ground line a → b with a shop floor and rows of windows."""
        rng = self.rng
        ax, ay, bx, by = *a, *b
        normal = np.array([by - ay, ax - bx]) / max(1e-6, np.hypot(bx - ax, by - ay))
        facing = abs(float(normal @ np.array(self.light.sun[:2])))
        wall = np.array(paint) * (self.light.ambient + (1.05 - self.light.ambient) * facing)

        def part(s1: float, s2: float, z1: float, z2: float, colour: Any, lit: bool = True) -> None:
            c = [(ax + (bx - ax) * s, ay + (by - ay) * s, z) for s, z in ((s1, z1), (s2, z1), (s2, z2), (s1, z2))]
            self._quad(c, colour, lit, hides)

        part(0, 1, 0, height, wall)
        length = float(np.hypot(bx - ax, by - ay))
        columns = max(1, int(length / rng.uniform(2.2, 3.4)))
        storey, tall, wide = rng.uniform(2.9, 3.5), rng.uniform(0.45, 0.68), rng.uniform(0.4, 0.7)
        glass = np.array([70, 84, 100]) * rng.uniform(0.6, 1.4)
        shop = rng.random() < 0.5
        if shop:
            part(0, 1, storey - 0.7, storey - 0.15, np.array(WALLS[rng.integers(len(WALLS))]) * 0.8)
        for floor in range(int(height / storey)):
            bottom = floor * storey + (0.5 if floor == 0 and shop else 0.9)
            top = bottom + (1.6 if floor == 0 and shop else storey * tall)
            for column in range(columns):
                left = (column + 0.5 - wide / 2) / columns
                on = self.light.dusk and rng.random() < 0.4
                pane = np.array([236, 200, 130]) * rng.uniform(0.6, 1.0) if on else glass * rng.uniform(0.8, 1.2)
                part(left, left + wide / columns, bottom, top, pane, not on)
        part(0, 1, height - 0.35, height, wall * 0.8)

    def _far_row(self) -> None:
        y = self.layout.junction + 2 * self.layout.road + 4.5
        x = -ASIDE - 30
        while x < ASIDE + 30:
            width = float(self.rng.uniform(9, 20))
            self._wall(
                (x, y), (x + width, y), float(self.rng.uniform(6, 19)), WALLS[self.rng.integers(len(WALLS))], False
            )
            x += width

    def _side_row(self, side: int) -> None:
        """Buildings and trees along the pavement, far to near."""
        rng, lay = self.rng, self.layout
        x, y = side * (lay.pavement + 0.3), lay.junction - 4.5
        while y > BEHIND - 10:
            length = float(rng.uniform(7, 17))
            if rng.random() < 0.25:
                for k in range(2, -1, -1):
                    self._tree(x + side * rng.uniform(2, 4), y - length + (k + 0.5) * length / 3)
            else:
                paint, height = WALLS[rng.integers(len(WALLS))], float(rng.uniform(5, 17))
                self._wall((x, y - length), (x + side * 14, y - length), height, paint, True)
                self._wall((x, y), (x, y - length), height, paint, True)
            y -= length

    def _tree(self, x: float, y: float) -> None:
        rng = self.rng
        height, spread = rng.uniform(5, 9), rng.uniform(1.4, 2.4)
        trunk = (92, 74, 58)
        self._quad(
            [(x - 0.15, y, 0), (x + 0.15, y, 0), (x + 0.12, y, height * 0.6), (x - 0.12, y, height * 0.6)],
            trunk,
            hides=True,
        )
        base = np.array([78, 112, 52]) * rng.uniform(0.7, 1.25) + rng.normal(0, 8, 3)
        blobs = rng.normal(0, 1, (60, 3))
        blobs /= np.maximum(np.linalg.norm(blobs, axis=1, keepdims=True), 1e-6) / rng.random((60, 1)) ** 0.4
        blobs = blobs[np.argsort(blobs[:, 2])]
        centres = np.array([x, y, height * 0.75]) + blobs * (spread, spread, height * 0.28)
        at, depth = self.camera.project(centres)
        for (u, v), z, place in zip(at, depth, blobs[:, 2], strict=True):
            if z > 1.0:
                shown = np.clip(base * (0.85 + 0.3 * place + rng.normal(0, 0.08)) * self.tint, 0, 255).tolist()
                centre, radius = (
                    (round(float(u)), round(float(v))),
                    max(1, round(self.camera.focal * spread * 0.33 / z)),
                )
                cv2.circle(self.canvas, centre, radius, shown, -1)
                cv2.circle(self.mask, centre, radius, 255, -1)
