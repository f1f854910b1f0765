"""From bodies to picture polygons, and onto the picture."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from .camera import Camera, fixed
from .figures import WHEEL, Post
from .shapes import TYRE, Floats, Mesh, rotation
from .street import Light
from .traffic import Actor

Ints = NDArray[np.int32]


@dataclass(slots=True, eq=False)
class Drawn:
    """An actor in one frame: polygons in the order of drawing and its outline, picture coordinates."""

    actor: Actor
    depth: float
    polygons: list[tuple[Ints, list[float], int]]  # points << 4, colour, thickness; 0: filled
    outline: Floats  # [n, 2] every corner that was drawn
    hull: Ints
    pixels: float  # area of the hull, the part outside the picture included
    shadows: list[Ints] = field(default_factory=list)
    lights: list[tuple[float, float, float, tuple[float, float, float]]] = field(
        default_factory=list
    )  # u v radius colour
    behind: bool = False  # in the side street, behind the buildings
    number: int = 0


def place(actor: Actor, where: tuple[float, float, float, float], camera: Camera, light: Light) -> Drawn | None:
    """The actor as it is seen, None when it is behind the camera or out of the picture."""
    x, y, heading, travelled = where
    position = np.array([x, y, 0.0])
    away = float((position + np.array([0.0, 0.0, 1.0]) - camera.origin) @ camera.axes[2])
    reach = 3.4 if isinstance(actor.body, Mesh) else 1.2
    if away < reach + 0.6:
        return None
    across = float((position - camera.origin) @ camera.axes[0])
    if abs(across) - reach > away * camera.width / camera.focal / 2 + 1:
        return None
    turn = rotation(heading)
    make = _solid if isinstance(actor.body, Mesh) else _figure
    drawn = make(actor, turn, position, camera, light, travelled)
    low, high = drawn.outline.min(axis=0), drawn.outline.max(axis=0)
    if high[0] < 0 or high[1] < 0 or low[0] > camera.width or low[1] > camera.height:
        return None
    return drawn


def draw(picture: NDArray[np.uint8], thing: Drawn) -> None:
    """Paint one thing."""
    for points, colour, thickness in thing.polygons:
        if thickness:
            cv2.polylines(picture, [points], True, colour, thickness, cv2.LINE_AA, 4)
        else:
            cv2.fillConvexPoly(picture, points, colour, cv2.LINE_AA, 4)


def glow(picture: NDArray[np.uint8], thing: Drawn) -> None:
    """Add the light around lamps that shine towards the camera."""
    height, width = picture.shape[:2]
    for u, v, radius, colour in thing.lights:
        size = int(2 * radius) | 1
        if size < 3:
            continue
        left, top = int(u) - size // 2, int(v) - size // 2
        x1, y1, x2, y2 = max(0, left), max(0, top), min(width, left + size), min(height, top + size)
        if x2 <= x1 or y2 <= y1:
            continue
        halo = cv2.resize(HALO, (size, size), interpolation=cv2.INTER_LINEAR)[
            y1 - top : y2 - top, x1 - left : x2 - left
        ]
        added = (halo[..., None] * np.array(colour, np.float32)).astype(np.uint8)
        picture[y1:y2, x1:x2] = cv2.add(picture[y1:y2, x1:x2], added)


def _halo() -> NDArray[np.float32]:
    y, x = np.mgrid[-1:1:65j, -1:1:65j]
    return np.asarray(np.clip(1 - np.hypot(x, y), 0, 1) ** 3, dtype=np.float32)


HALO = _halo()


def _solid(actor: Actor, turn: Floats, position: Floats, camera: Camera, light: Light, travelled: float) -> Drawn:
    mesh = actor.body
    assert isinstance(mesh, Mesh)
    points, colours, normals, centres, shining = mesh.columns()
    world = points @ turn.T + position
    at, _ = camera.project(world)
    outward = normals @ turn.T
    facing = np.einsum("ij,ij->i", centres @ turn.T + position - camera.origin, outward) < 0
    lit = light.ambient + (1 - light.ambient) * np.maximum(outward @ np.array(light.sun), 0) * 1.25
    lit *= 0.88 + 0.12 * (outward[:, 2] > -0.1)
    shown = colours * lit[:, None] * light.tint
    if light.dusk:
        shown = np.maximum(shown, colours * shining[:, None])
    shades = np.clip(shown, 0, 255).tolist()
    corners = fixed(at)
    polygons = [(corners[mesh.faces[k]], shades[k], 0) for k in np.flatnonzero(facing)]
    hull = hull_of(at)
    depth = float(np.linalg.norm(position - camera.origin))
    drawn = Drawn(actor, depth, polygons, at, fixed(hull), _area(hull))
    half, long = mesh.width / 2, mesh.length / 2
    under = np.array([(-half, -long, 0), (half, -long, 0), (half, long, 0), (-half, long, 0)]) * 1.02
    drawn.shadows.append(fixed(hull_of(camera.project(under @ turn.T + position)[0])))
    if not light.dusk:
        drawn.shadows.append(_shadow(world, camera, light))
    else:
        _lamps(drawn, mesh, turn, position, camera)
    return drawn


def _lamps(drawn: Drawn, mesh: Mesh, turn: Floats, position: Floats, camera: Camera) -> None:
    for x, y, z in mesh.headlights:
        for at, colour, size in ((y, (200.0, 190.0, 150.0), 0.62), (-y, (150.0, 16.0, 16.0), 0.34)):
            spot = turn @ np.array([x, at, z]) + position
            towards = camera.origin - spot
            ahead = float(turn[:, 1] @ towards) / float(np.linalg.norm(towards)) * (1 if at > 0 else -1)
            if ahead > 0.15:
                uv, depth = camera.project(spot[None])
                radius = camera.focal * size / float(depth[0])
                shown = tuple(c * ahead for c in colour)
                drawn.lights.append((float(uv[0, 0]), float(uv[0, 1]), radius, shown))  # type: ignore[arg-type]


FAN = np.stack([np.cos(np.linspace(-np.pi / 2, np.pi / 2, 5)), np.sin(np.linspace(-np.pi / 2, np.pi / 2, 5))])
RING = np.stack([np.zeros(16), np.cos(np.arange(16) * np.pi / 8), np.sin(np.arange(16) * np.pi / 8)], axis=1) * WHEEL


def _figure(actor: Actor, turn: Floats, position: Floats, camera: Camera, light: Light, travelled: float) -> Drawn:
    assert not isinstance(actor.body, Mesh)
    pose = actor.body.pose(travelled)
    count = len(pose.starts)
    world = np.concatenate([pose.starts, pose.ends]) @ turn.T + position
    at, depth = camera.project(world)
    radii = pose.radii.T.reshape(-1) * camera.focal / depth
    shapes = _capsules(at[:count], at[count:], radii[:count], radii[count:])
    shade = 1.0 if light.ambient > 0.75 else 0.94
    shades = np.clip(pose.colours * light.tint * shade, 0, 255).tolist()
    corners = fixed(shapes)
    order = np.argsort(-(depth[:count] + depth[count:]), kind="stable")
    polygons = [(corners[k], shades[k], 0) for k in order]
    outline = shapes.reshape(-1, 2)
    for centre in pose.wheels:
        ring, away = camera.project((RING + centre) @ turn.T + position)
        thick = max(1, round(0.055 * camera.focal / float(away[0])))
        polygons.insert(0, (fixed(ring), [c * t for c, t in zip(TYRE, light.tint, strict=True)], thick))
        outline = np.concatenate([outline, ring])
    hull = hull_of(outline)
    drawn = Drawn(actor, float(np.linalg.norm(position - camera.origin)), polygons, outline, fixed(hull), _area(hull))
    feet = np.array([(-0.2, -0.25, 0), (0.2, -0.25, 0), (0.2, 0.25, 0), (-0.2, 0.25, 0)])
    if len(pose.wheels):
        feet = feet * (0.8, 3.2, 1.0)
    if not isinstance(actor.body, Post):
        drawn.shadows.append(fixed(camera.project(feet @ turn.T + position)[0]))
    if not light.dusk:
        if isinstance(actor.body, Post):
            drawn.shadows += [_shadow(_thick(world[[k, k + count]], 0.06), camera, light) for k in range(count)]
        else:
            drawn.shadows.append(_shadow(_thick(world, 0.09), camera, light))
    return drawn


def _capsules(a: Floats, b: Floats, ra: Any, rb: Any) -> Floats:
    """Convex outlines [k, 10, 2] of capsules between picture points a and b [k, 2]."""
    along = b - a
    length = np.maximum(np.hypot(along[:, 0], along[:, 1]), 1e-6)
    along = along / length[:, None]
    across = np.stack([-along[:, 1], along[:, 0]], axis=1)
    cos, sin = FAN
    end_b = b[:, None] + rb[:, None, None] * (
        cos[None, :, None] * along[:, None] + sin[None, :, None] * across[:, None]
    )
    end_a = a[:, None] + ra[:, None, None] * (
        -cos[None, :, None] * along[:, None] - sin[None, :, None] * across[:, None]
    )
    return np.concatenate([end_b, end_a], axis=1)


def _thick(world: Floats, radius: float) -> Floats:
    """The points, each as four around it: a shadow has the body's breadth."""
    x, y = np.array([radius, 0.0, 0.0]), np.array([0.0, radius, 0.0])
    return np.concatenate([world + x, world - x, world + y, world - y])


def _shadow(world: Floats, camera: Camera, light: Light) -> Ints:
    """The convex hull of what the sun throws on the ground."""
    sun = np.array(light.sun)
    cast = world - world[:, 2:] / sun[2] * sun
    return fixed(hull_of(camera.project(cast)[0]))


def _area(hull: Floats) -> float:
    return float(cv2.contourArea(hull.astype(np.float32)))


def hull_of(points: NDArray[Any]) -> Floats:
    """The convex hull of picture points [n, 2], as points [m, 2]."""
    return np.asarray(cv2.convexHull(points.astype(np.float32))[:, 0], dtype=np.float64)
