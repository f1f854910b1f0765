"""People and cyclists: capsules between joints that move with the distance covered. Coordinates as in shapes.py."""

from __future__ import annotations

from dataclasses import dataclass
from math import acos, atan2, cos, hypot, pi, sin
from typing import NamedTuple

import numpy as np
from numpy.random import Generator

from .shapes import CLOTHES, HAIRS, PAINTS, SKINS, TROUSERS, TYRE, Colour, Floats, pick


class Pose(NamedTuple):
    """A figure at one moment: k capsules and r wheels."""

    starts: Floats  # [k, 3] metres, local
    ends: Floats  # [k, 3]
    radii: Floats  # [k, 2] at start and end
    colours: Floats  # [k, 3]
    wheels: Floats  # [r, 3] centres; radius WHEEL, in the plane of travel


WHEEL = 0.34
Point = tuple[float, float, float]
Part = tuple[Point, Point, float, float, Colour]


@dataclass(slots=True)
class Look:
    """What a person wears."""

    top: Colour
    legs: Colour
    skin: Colour
    hair: Colour
    shoes: Colour
    sleeves: bool
    coat: bool
    bag: Colour | None
    hat: Colour | None

    @classmethod
    def random(cls, rng: Generator) -> Look:
        return cls(
            top=pick(rng, CLOTHES),
            legs=pick(rng, TROUSERS),
            skin=pick(rng, SKINS),
            hair=pick(rng, HAIRS),
            shoes=(30.0, 28.0, 28.0) if rng.random() < 0.7 else (220.0, 220.0, 215.0),
            sleeves=bool(rng.random() < 0.65),
            coat=bool(rng.random() < 0.2),
            bag=pick(rng, CLOTHES) if rng.random() < 0.3 else None,
            hat=pick(rng, CLOTHES) if rng.random() < 0.15 else None,
        )


def _pose(parts: list[Part], wheels: list[Point] | None = None) -> Pose:
    return Pose(
        np.array([p[0] for p in parts]), np.array([p[1] for p in parts]), np.array([p[2:4] for p in parts]),
        np.array([p[4] for p in parts]), np.array(wheels or np.zeros((0, 3))),
    )  # fmt: skip


class Walker:
    """A walking person."""

    def __init__(self, rng: Generator) -> None:
        self.height = float(rng.uniform(1.52, 1.92))
        self.broad = float(rng.uniform(0.9, 1.2))
        self.look = Look.random(rng)
        self.stride = float(rng.uniform(1.25, 1.5))  # metres for two steps
        self.phase = float(rng.uniform(0, 2 * pi))
        self.arms = float(rng.uniform(0.2, 0.45))

    def pose(self, travelled: float) -> Pose:
        h, look, wide = self.height, self.look, self.broad
        phase = self.phase + 2 * pi * travelled / self.stride
        parts: list[Part] = []
        bounce = 0.012 * h * cos(2 * phase)
        hip_z = 0.5 * h + bounce
        for side, turn in ((-1, phase), (1, phase + pi)):
            parts += self._leg(side, turn, hip_z)
            parts += self._arm(side, turn + pi, 0.79 * h + bounce)
        for side in (-1, 1):
            x = side * 0.052 * h * wide
            chest, waist = (x, 0.0, 0.765 * h + bounce), (x * 0.85, 0.0, 0.54 * h + bounce)
            parts.append((chest, waist, 0.066 * h * wide, 0.06 * h * wide, look.top))
            if look.coat:
                parts.append((waist, (x * 1.2, 0.0, 0.33 * h), 0.062 * h * wide, 0.07 * h * wide, look.top))
        if look.bag is not None:
            parts.append(((0, -0.09 * h, 0.75 * h), (0, -0.1 * h, 0.6 * h), 0.07 * h, 0.075 * h, look.bag))
        parts += _head(0.0, 0.02 * h, 0.925 * h + bounce, 0.062 * h, look)
        return _pose(parts)

    def _leg(self, side: int, turn: float, hip_z: float) -> list[Part]:
        h, look = self.height, self.look
        swing = 0.42 * sin(turn)
        bend = 0.65 * max(0.0, cos(turn)) ** 2 * 1.0 + 0.06  # the leg that comes forward is lifted
        x, link = side * 0.05 * h, 0.245 * h
        hip = (x, 0.0, hip_z)
        knee = (x, link * sin(swing), hip_z - link * cos(swing))
        low = swing - bend
        ankle = (x, knee[1] + link * sin(low), max(0.035 * h, knee[2] - link * cos(low)))
        toe = (x, ankle[1] + 0.09 * h, max(0.022 * h, ankle[2] - 0.02 * h))
        return [
            (hip, knee, 0.055 * h, 0.04 * h, look.legs),
            (knee, ankle, 0.038 * h, 0.027 * h, look.legs),
            (ankle, toe, 0.027 * h, 0.02 * h, look.shoes),
        ]

    def _arm(self, side: int, turn: float, z: float) -> list[Part]:
        h, look = self.height, self.look
        swing = self.arms * sin(turn)
        x = side * 0.118 * h * self.broad
        shoulder = (x, 0.0, z)
        elbow = (x * 1.08, 0.17 * h * sin(swing), z - 0.17 * h * cos(swing))
        low = swing + 0.3
        hand = (x * 1.05, elbow[1] + 0.17 * h * sin(low), elbow[2] - 0.17 * h * cos(low))
        return [
            (shoulder, elbow, 0.036 * h, 0.028 * h, look.top),
            (elbow, hand, 0.027 * h, 0.022 * h, look.top if look.sleeves else look.skin),
        ]


def _head(x: float, y: float, z: float, radius: float, look: Look) -> list[Part]:
    """A face towards +y; hair on top and behind."""
    cover, r = look.hat if look.hat is not None else look.hair, radius
    return [
        ((x, y, z - r * 0.45), (x, y, z + r * 0.2), r * 0.82, r * 0.95, look.skin),
        ((x, y - r * 0.45, z + r * 0.05), (x, y - r * 0.1, z + r * 0.5), r * 0.85, r * 0.85, cover),
        ((x, y, z + r * 0.62), (x, y + r * 0.1, z + r * 0.62), r * 0.72, r * 0.62, cover),
    ]


class Cyclist:
    """A bicycle with its rider: one object of class bicycle."""

    def __init__(self, rng: Generator) -> None:
        self.look = Look.random(rng)
        self.size = float(rng.uniform(0.94, 1.08))
        self.frame = pick(rng, PAINTS)
        self.phase = float(rng.uniform(0, 2 * pi))
        self.lean = float(rng.uniform(0.15, 0.42))  # metres that the shoulders are before the hips
        self.basket = bool(rng.random() < 0.25)

    def pose(self, travelled: float) -> Pose:
        s, look = self.size, self.look
        front, rear = 0.53 * s, -0.5 * s
        seat, bars = (0.0, -0.2 * s, 0.93 * s), (0.0, 0.42 * s, 1.0 * s)
        axle = (0.0, -0.03 * s, 0.28 * s)
        tube = 0.022
        parts: list[Part] = [
            ((0.0, rear, WHEEL), axle, tube, tube, self.frame),
            ((0.0, rear, WHEEL), (0.0, -0.17 * s, 0.82 * s), tube, tube, self.frame),
            (axle, seat, tube, tube, self.frame),
            (axle, (0.0, 0.38 * s, 0.78 * s), tube, tube, self.frame),
            ((0.0, -0.17 * s, 0.78 * s), (0.0, 0.38 * s, 0.82 * s), tube, tube, self.frame),
            ((0.0, front, WHEEL), bars, tube, tube, self.frame),
            ((-0.26 * s, 0.36 * s, 1.02 * s), (0.26 * s, 0.36 * s, 1.02 * s), tube, tube, TYRE),
            ((0.0, -0.32 * s, 0.93 * s), (0.0, -0.08 * s, 0.93 * s), 0.05, 0.03, TYRE),
        ]
        if self.basket:
            parts.append(((0.0, 0.58 * s, 0.98 * s), (0.0, 0.58 * s, 0.82 * s), 0.14, 0.12, (120.0, 95.0, 60.0)))
        hips = (0.0, -0.2 * s, 1.0 * s)
        shoulders = (0.0, hips[1] + self.lean * s, 1.47 * s - 0.1 * self.lean)
        turn = self.phase + travelled / 0.34 * 0.42
        for side, at in ((-1, turn), (1, turn + pi)):
            pedal = (side * 0.12, axle[1] + 0.17 * cos(at), axle[2] - 0.17 * sin(at))
            knee = _bend((hips[1], hips[2]), (pedal[1], pedal[2]), 0.44 * s, 0.44 * s)
            middle = (side * 0.11, knee[0], knee[1])
            parts.append(((side * 0.09, hips[1], hips[2]), middle, 0.085, 0.062, look.legs))
            parts.append((middle, pedal, 0.058, 0.045, look.legs))
            parts.append((pedal, (pedal[0], pedal[1] + 0.14, pedal[2] - 0.02), 0.04, 0.032, look.shoes))
            shoulder, hand = (side * 0.19, shoulders[1], shoulders[2] - 0.05), (side * 0.24 * s, 0.38 * s, 1.04 * s)
            elbow = (side * 0.25, (shoulder[1] + hand[1]) / 2 - 0.05, (shoulder[2] + hand[2]) / 2 - 0.06)
            parts.append((shoulder, elbow, 0.055, 0.045, look.top))
            parts.append((elbow, hand, 0.043, 0.036, look.top if look.sleeves else look.skin))
            trunk = (side * 0.09, shoulders[1], shoulders[2] - 0.07), (side * 0.07, hips[1], hips[2])
            parts.append((*trunk, 0.11, 0.105, look.top))
        if look.bag is not None:
            back = ((0.0, shoulders[1] - 0.2, shoulders[2] - 0.08), (0.0, hips[1] - 0.08, hips[2] + 0.22))
            parts.append((*back, 0.11, 0.12, look.bag))
        parts += _head(0.0, shoulders[1] + 0.1, shoulders[2] + 0.19, 0.108, look)
        return _pose(parts, [(0.0, front, WHEEL), (0.0, rear, WHEEL)])


def _bend(top: tuple[float, float], foot: tuple[float, float], upper: float, lower: float) -> tuple[float, float]:
    """The knee (y, z) of a leg of two links, bent forward (law of cosines)."""
    dy, dz = foot[0] - top[0], foot[1] - top[1]
    reach = min(hypot(dy, dz), upper + lower - 1e-3)
    angle = acos(max(-1.0, min(1.0, (upper**2 + reach**2 - lower**2) / (2 * upper * reach))))
    along = atan2(dz, dy) + angle
    return (top[0] + upper * cos(along), top[1] + upper * sin(along))


class Post:
    """A lamp post: hides what is behind it, belongs to no class."""

    def __init__(self, towards: float, height: float = 5.5) -> None:
        grey = (70.0, 74.0, 76.0)
        arm = (towards, 0.0, height + 0.3)
        self.still = _pose([
            ((0.0, 0.0, 0.0), (0.0, 0.0, 0.9), 0.11, 0.09, grey),
            ((0.0, 0.0, 0.9), (0.0, 0.0, height), 0.07, 0.05, grey),
            ((0.0, 0.0, height), arm, 0.045, 0.04, grey),
            (arm, (towards * 1.35, 0.0, height + 0.3), 0.09, 0.07, (215.0, 215.0, 205.0)),
        ])  # fmt: skip

    def pose(self, travelled: float) -> Pose:
        return self.still
