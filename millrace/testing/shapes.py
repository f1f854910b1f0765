"""The bodies that move in a scene: cars and vans as convex solids, people and cyclists as jointed figures.

Local coordinates: metres, x to the right, y forward, z up, the origin on the ground below the middle.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise
from math import cos, pi, sin

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Colour = tuple[float, float, float]

GLASS: Colour = (38, 48, 60)
TYRE: Colour = (26, 26, 28)
PAINTS: tuple[Colour, ...] = (
    (232, 232, 230), (200, 202, 205), (150, 153, 158), (92, 95, 100), (40, 41, 45), (22, 23, 26), (170, 30, 30),
    (120, 20, 28), (30, 60, 140), (60, 110, 180), (20, 40, 80), (40, 100, 60), (20, 60, 45), (200, 160, 40),
    (220, 110, 30), (150, 120, 90), (205, 195, 170), (90, 60, 110), (70, 150, 160), (110, 130, 60),
)  # fmt: skip
CLOTHES: tuple[Colour, ...] = (
    (240, 240, 238), (60, 60, 66), (25, 25, 30), (150, 30, 40), (200, 60, 50), (40, 70, 150), (90, 140, 200),
    (40, 110, 70), (210, 180, 60), (230, 140, 60), (120, 80, 150), (200, 120, 160), (120, 100, 80), (170, 170, 175),
    (70, 90, 60), (30, 120, 130),
)  # fmt: skip
TROUSERS: tuple[Colour, ...] = (
    (40, 50, 80), (60, 75, 110), (30, 30, 34), (90, 80, 65), (150, 135, 110), (80, 82, 88), (70, 40, 40),
    (200, 195, 185),
)  # fmt: skip
SKINS: tuple[Colour, ...] = ((236, 200, 172), (214, 170, 136), (176, 126, 92), (124, 84, 58), (84, 58, 42))
HAIRS: tuple[Colour, ...] = ((30, 24, 20), (70, 48, 30), (120, 84, 50), (190, 160, 100), (150, 150, 150), (110, 50, 30))


@dataclass(slots=True, eq=False)
class Mesh:
    """Faces in the order of drawing; a face turned away is left out. Made by `car` and `van`."""

    points: list[Colour] = field(default_factory=list)
    faces: list[NDArray[np.int64]] = field(default_factory=list)
    colours: list[Colour] = field(default_factory=list)
    normals: list[Floats] = field(default_factory=list)
    centres: list[Floats] = field(default_factory=list)
    shining: list[float] = field(default_factory=list)  # how much a face gives light of its own at dusk
    headlights: list[Colour] = field(default_factory=list)
    length: float = 0.0
    width: float = 0.0
    arrays: tuple[Floats, Floats, Floats, Floats, Floats] | None = None

    def face(
        self, corners: list[Colour], colour: Colour, outward: Floats | None = None, shining: float = 0.0
    ) -> Floats:
        """Add a convex face; `outward` tells which of its two sides is the outside. Returns its normal."""
        array = np.array(corners, dtype=np.float64)
        normal = np.cross(array[1] - array[0], array[2] - array[0])
        normal /= max(1e-9, float(np.linalg.norm(normal)))
        if outward is not None and normal @ outward < 0:
            normal = -normal
        start = len(self.points)
        self.points.extend(corners)
        self.faces.append(np.arange(start, start + len(corners)))
        self.colours.append(colour)
        self.normals.append(normal)
        self.centres.append(array.mean(axis=0))
        self.shining.append(shining)
        return normal

    def columns(self) -> tuple[Floats, Floats, Floats, Floats, Floats]:
        """points [n, 3], colours [f, 3], normals [f, 3], centres [f, 3], shining [f]."""
        if self.arrays is None:
            parts = (self.points, self.colours, self.normals, self.centres, self.shining)
            self.arrays = tuple(np.array(part, dtype=np.float64) for part in parts)  # type: ignore[assignment]
        assert self.arrays is not None
        return self.arrays


def car(rng: Generator) -> Mesh:
    """A hatchback, saloon, estate or SUV of any paint."""
    kind = rng.choice(["hatchback", "saloon", "estate", "suv"])
    low, high = {"hatchback": (3.6, 4.2), "saloon": (4.4, 4.95), "estate": (4.4, 4.9), "suv": (4.2, 4.8)}[kind]
    length = rng.uniform(low, high)
    width = rng.uniform(1.7, 1.9)
    belt = rng.uniform(0.84, 0.96) + (0.18 if kind == "suv" else 0.0)
    top = rng.uniform(1.42, 1.52) + (0.24 if kind == "suv" else 0.0)
    paint = PAINTS[rng.integers(len(PAINTS))]
    mesh = Mesh(length=length, width=width)
    half, y = width / 2, length / 2
    clear = 0.22 if kind != "suv" else 0.3
    bonnet = y - rng.uniform(1.0, 1.3)  # where the windscreen starts
    boot = {"hatchback": -y + 0.12, "saloon": -y + 0.85, "estate": -y + 0.12, "suv": -y + 0.12}[kind]
    profile = [
        (y - 0.05, clear), (y, 0.5), (y - 0.12, belt - 0.14), (bonnet, belt), (boot, belt + 0.02),
        (-y + 0.05, belt - 0.04), (-y, 0.5), (-y + 0.05, clear),
    ]  # fmt: skip
    _extrude(mesh, profile, half, half, paint)
    _wheels(mesh, half, (y - 0.8, -y + 0.75), 0.31 if kind != "suv" else 0.36)
    _lights(mesh, half, y, 0.62 if kind != "suv" else 0.75)
    front = (bonnet + 0.02, bonnet - rng.uniform(0.65, 0.85))
    slope = {"hatchback": 0.4, "saloon": 0.75, "estate": 0.25, "suv": 0.3}[kind]
    _cabin(mesh, front, (boot, boot + slope), (half * 0.95, half * 0.76), (belt, top), paint)
    return mesh


def van(rng: Generator) -> Mesh:
    """A delivery van or a minibus: tall, with a short nose."""
    length, width, top = rng.uniform(4.7, 6.2), rng.uniform(1.9, 2.1), rng.uniform(2.05, 2.7)
    paint = PAINTS[rng.integers(len(PAINTS))] if rng.random() < 0.55 else PAINTS[rng.integers(2)]
    mesh = Mesh(length=length, width=width)
    half, y = width / 2, length / 2
    nose, screen = y - rng.uniform(0.45, 0.9), y - rng.uniform(1.15, 1.6)
    belt = 1.12
    profile = [
        (y - 0.04, 0.28), (y, 0.55), (y - 0.08, 0.95), (nose, belt), (screen, top - 0.08), (screen - 0.3, top),
        (-y + 0.08, top), (-y, 0.7), (-y + 0.03, 0.3),
    ]  # fmt: skip
    _extrude(mesh, profile, half, half * 0.93, paint)
    _wheels(mesh, half, (y - 0.9, -y + 1.0), 0.35)
    _lights(mesh, half, y, 0.78)
    out = np.array([0.0, 1.0, 0.6])
    wide, rise = half * 0.86, top - 0.16
    at = nose - (rise - belt) / max(0.1, top - 0.08 - belt) * (nose - screen)
    mesh.face(
        [(-wide, nose, belt + 0.03), (wide, nose, belt + 0.03), (wide * 0.95, at, rise), (-wide * 0.95, at, rise)],
        GLASS,
        out,
    )
    _van_sides(mesh, rng, half, (nose, screen, at), (belt, rise), rng.random() < 0.4)
    back = np.array([0.0, -1.0, 0.0])
    doors = GLASS if rng.random() < 0.7 else paint
    for side in (-1, 1):
        a, b, low, high = side * 0.06, side * half * 0.8, 1.2, top - 0.35
        mesh.face([(a, -y, low), (b, -y, low), (b, -y + 0.04, high), (a, -y + 0.04, high)], doors, back)
    return mesh


def _van_sides(
    mesh: Mesh,
    rng: Generator,
    half: float,
    front: tuple[float, float, float],
    z: tuple[float, float],
    minibus: bool,
) -> None:
    """Windows along a van; `front`: y of nose, of the screen's top, of the glass's upper corner; z: of the panes."""
    nose, screen, corner = front
    tail = -mesh.length / 2 + 0.3
    panes = [(nose - 0.15, screen - 0.35)]
    if minibus:
        edges = np.linspace(screen - 0.45, tail, int(rng.integers(3, 5)))
        panes += [(float(a) - 0.06, float(b) + 0.06) for a, b in pairwise(edges)]
    stripe = PAINTS[rng.integers(len(PAINTS))] if not minibus and rng.random() < 0.5 else None
    for side in (-1, 1):
        x, out = side * half * 0.985, np.array([float(side), 0, 0])
        for a, b in panes:
            low, high = z[0] + 0.05, z[1]
            mesh.face([(x, a, low), (x, b, low), (x * 0.96, b, high), (x * 0.96, min(a, corner), high)], GLASS, out)
        if stripe is not None:
            a, b = screen - 0.6, tail
            mesh.face([(x, a, 0.9), (x, b, 0.9), (x, b, 1.25), (x, a, 1.25)], stripe, out)


def _extrude(mesh: Mesh, profile: list[tuple[float, float]], low: float, high: float, paint: Colour) -> None:
    """A convex side view (y, z) drawn out across; half widths at the bottom and at the top."""
    heights = [z for _, z in profile]
    bottom, top = min(heights), max(heights)

    def half(z: float) -> float:
        return low + (high - low) * (z - bottom) / (top - bottom)

    centre = np.mean(profile, axis=0)
    for (y1, z1), (y2, z2) in zip(profile, profile[1:] + profile[:1], strict=True):
        out = np.array([0.0, (y1 + y2) / 2 - centre[0], (z1 + z2) / 2 - centre[1]])
        mesh.face([(-half(z1), y1, z1), (half(z1), y1, z1), (half(z2), y2, z2), (-half(z2), y2, z2)], paint, out)
    for side in (-1, 1):
        mesh.face([(side * half(z), y, z) for y, z in profile], paint, np.array([float(side), 0.0, 0.0]))


def _cabin(
    mesh: Mesh,
    front: tuple[float, float],
    back: tuple[float, float],
    half: tuple[float, float],
    z: tuple[float, float],
    paint: Colour,
) -> None:
    """The glass house of a car: y of front and back at (bottom, top), half widths and heights at (bottom, top)."""

    def at(x: float, y: float, rise: float) -> Colour:
        """A point of the frustum: x in -1..1, y in 0 (back)..1 (front), rise in 0..1."""
        ends = [b + (t - b) * rise for b, t in (back, front)]
        wide = half[0] + (half[1] - half[0]) * rise
        return (x * wide, ends[0] + (ends[1] - ends[0]) * y, z[0] + (z[1] - z[0]) * rise)

    for y, out in ((1.0, np.array([0.0, 1, 0.3])), (0.0, np.array([0.0, -1, 0.3]))):
        mesh.face([at(-1, y, 0), at(1, y, 0), at(1, y, 1), at(-1, y, 1)], paint, out)
        mesh.face([at(-0.9, y, 0.08), at(0.9, y, 0.08), at(0.88, y, 0.9), at(-0.88, y, 0.9)], GLASS, out)
    for side in (-1, 1):
        out = np.array([float(side), 0.0, 0.2])
        mesh.face([at(side, 0, 0), at(side, 1, 0), at(side, 1, 1), at(side, 0, 1)], paint, out)
        for a, b in ((0.08, 0.5), (0.54, 0.93)):
            mesh.face([at(side, a, 0.1), at(side, b, 0.1), at(side, b, 0.86), at(side, a, 0.86)], GLASS, out)
    mesh.face([at(-1, 0, 1), at(1, 0, 1), at(1, 1, 1), at(-1, 1, 1)], paint, np.array([0.0, 0, 1]))


def _wheels(mesh: Mesh, half: float, places: tuple[float, float], radius: float) -> None:
    turns = np.arange(12) * (2 * pi / 12)
    for side in (-1, 1):
        out = np.array([float(side), 0.0, 0.0])
        for y in places:
            x = side * (half + 0.01)
            for size, colour in ((radius, TYRE), (radius * 0.58, (140.0, 142.0, 146.0))):
                mesh.face([(x, y + size * cos(t), radius + size * sin(t)) for t in turns], colour, out)
    for y, out in (
        (max(places) + radius * 0.8, np.array([0.0, 1, 0])),
        (min(places) - radius * 0.8, np.array([0.0, -1, 0])),
    ):
        for a, b in ((-half, -half + 0.22), (half - 0.22, half)):
            mesh.face([(a, y, 0), (b, y, 0), (b, y, 0.34), (a, y, 0.34)], TYRE, out)


def _lights(mesh: Mesh, half: float, y: float, z: float) -> None:
    for side in (-1, 1):
        a, b = side * half * 0.58, side * half * 0.96
        mesh.face([(a, y + 0.01, z - 0.07), (b, y - 0.02, z - 0.07), (b, y - 0.06, z + 0.08), (a, y - 0.02, z + 0.08)],
                  (245, 243, 225), np.array([0.0, 1, 0]), 1.0)  # fmt: skip
        mesh.face([(a, -y - 0.01, z - 0.06), (b, -y, z - 0.06), (b, -y + 0.02, z + 0.12), (a, -y, z + 0.12)],
                  (190, 24, 24), np.array([0.0, -1, 0]), 0.9)  # fmt: skip
        mesh.headlights.append((side * half * 0.77, y + 0.05, z))
    wide, low, high = half * 0.5, z - 0.08, z + 0.06
    grille = [(-wide, y + 0.01, low), (wide, y + 0.01, low), (wide, y + 0.01, high), (-wide, y + 0.01, high)]
    mesh.face(grille, (45, 46, 50), np.array([0.0, 1, 0]))
    for at, out in ((y + 0.015, np.array([0.0, 1, 0])), (-y - 0.015, np.array([0.0, -1, 0]))):
        mesh.face([(-0.26, at, 0.42), (0.26, at, 0.42), (0.26, at, 0.54), (-0.26, at, 0.54)], (225, 225, 215), out)


def pick(rng: Generator, colours: tuple[Colour, ...]) -> Colour:
    """One of the colours, slightly changed."""
    chosen = np.array(colours[rng.integers(len(colours))]) + rng.normal(0, 8, 3)
    r, g, b = np.clip(chosen, 8, 250)
    return (float(r), float(g), float(b))


def rotation(heading: float) -> Floats:
    """Local to world for a body that looks along `heading` (radians from +y towards -x)."""
    c, s = cos(heading), sin(heading)
    return np.array([[c, -s, 0.0], [s, c, 0.0], [0.0, 0.0, 1.0]])
