"""A pinhole camera over a flat street.

World: metres, x to the right across the road, y forward along it, z up, the ground at z = 0. Picture: pixels,
x right, y down, (0, 0) the corner of the picture (pixel i covers i to i + 1).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import cos, radians, sin
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

NEAR = 0.4  # metres in front of the camera; nothing nearer is drawn


@dataclass(slots=True, eq=False)
class Camera:
    """At `position`, turned left by `yaw` and down by `pitch` degrees; `focal` in pixels."""

    width: int
    height: int
    position: tuple[float, float, float]
    yaw: float
    pitch: float
    focal: float
    axes: Floats = field(init=False)  # rows: right, down, forward
    origin: Floats = field(init=False)

    def __post_init__(self) -> None:
        yaw, pitch = radians(self.yaw), radians(self.pitch)
        right = np.array([cos(yaw), sin(yaw), 0.0])
        forward = np.array([-sin(yaw) * cos(pitch), cos(yaw) * cos(pitch), -sin(pitch)])
        self.axes = np.stack([right, np.cross(forward, right), forward])
        self.origin = np.array(self.position)

    def project(self, points: NDArray[Any]) -> tuple[Floats, Floats]:
        """World points [n, 3] as picture points [n, 2] and depths [n] (metres along the view; may be negative)."""
        seen = (points - self.origin) @ self.axes.T
        depth = seen[:, 2]
        scale = self.focal / np.maximum(depth, 1e-3)
        centre = (self.width / 2, self.height / 2)
        return seen[:, :2] * scale[:, None] + centre, depth

    def ground(self, u: NDArray[Any], v: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
        """Where the rays of picture points meet the ground: x, y and depth; depth is ≤ 0 or huge above the horizon."""
        a, b = (u - self.width / 2) / self.focal, (v - self.height / 2) / self.focal
        right, down, forward = self.axes.astype(u.dtype)
        fall = -(a * right[2] + b * down[2] + forward[2])
        depth = np.where(fall > 1e-4, self.position[2] / np.maximum(fall, 1e-4), -1.0)
        x = self.position[0] + depth * (a * right[0] + b * down[0] + forward[0])
        y = self.position[1] + depth * (a * right[1] + b * down[1] + forward[1])
        return x, y, depth

    def polygon(self, points: NDArray[Any]) -> Floats:
        """A flat polygon [n, 3] as picture points [m, 2], cut at the near plane; m may be 0."""
        seen = (points - self.origin) @ self.axes.T
        kept = []
        for here, after in zip(seen, np.roll(seen, -1, axis=0), strict=True):
            if here[2] >= NEAR:
                kept.append(here)
            if (here[2] >= NEAR) != (after[2] >= NEAR):
                share = (NEAR - here[2]) / (after[2] - here[2])
                kept.append(here + share * (after - here))
        if not kept:
            return np.zeros((0, 2))
        cut = np.array(kept)
        return np.asarray(cut[:, :2] * (self.focal / cut[:, 2:]) + (self.width / 2, self.height / 2))


def fixed(points: NDArray[Any]) -> NDArray[np.int32]:
    """Picture points as OpenCV wants them with shift=4: sixteenths of a pixel, pixel centres whole."""
    return np.asarray(np.rint((np.clip(points, -8000, 8000) - 0.5) * 16), dtype=np.int32)
