"""Projections of lenses onto one another: where each pixel of a dewarped surface comes from.

A pixel of the surface becomes a ray (x right, y down, z into the picture), the view's rotation turns the ray into the
camera's own frame, and the lens says which pixel it came from. Pixels are sampled at whole numbers: (0, 0) is the
centre of the first. Sources: the equidistant fisheye with distortion of Kannala and Brandt ("A generic camera model
and calibration method for conventional, wide-angle, and fish-eye lenses", 2006), the perspective distortion of Brown
("Decentering distortion of lenses", 1966), Panini as in Sharpless, Postle, German ("Pannini: a new projection for
rendering wide angle perspective images", 2010). How kinds, angles and keys are meant follows DeepStream's dewarper,
whose own arithmetic is not published.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .remap import Ways

Plane = NDArray[Any]  # float64, [h, w]
Rays = tuple[Plane, Plane, Plane]

LENSES = ("fisheye", "perspective", "equirect")
VIEWS = (
    "perspective", "fisheye", "equirect", "cylinder", "vertical-cylinder", "pushbroom", "panini", "stereographic",
)  # fmt: skip
PROJECTIONS = tuple(f"{lens}-{view}" for lens in LENSES for view in VIEWS)
BAND = 64  # rows worked out at a time: a large surface would want a GB at once
AXES = ("XYZ", "XZY", "YXZ", "YZX", "ZXY", "ZYX")


@dataclass(frozen=True, slots=True)
class Surface:
    """One view into what a lens sees.

    `projection` is the lens and the view, "fisheye-perspective". Angles are degrees: `pitch` looks up, `yaw` to the
    right, `roll` turns the viewer clockwise, in the order of `axes` (X pitch, Y yaw, Z roll); `matrix` (9 numbers, row
    by row: rays of the camera to rays of the view) stands for all three. `top` and `bottom` are the angles at the first
    and last row of the middle column, up is positive; without them the surface keeps the lens's focal length and
    centre. `focal` is that of the lens, pixels a radian at the centre: one number, or one each for x and y; where it is
    missing `fov`, the angle that the picture's height covers, gives it. `distortion` is k1 k2 k3 k4 of a fisheye, k1 k2
    k3 p1 p2 of a perspective lens. `centre` is the lens's centre in the picture, by default the middle. `control` is d
    of panini and stereographic (0: perspective), and how far pushbroom lies from perspective. `border`: what the
    picture does not show is black, else its edge is repeated.
    """

    projection: str = "fisheye-perspective"
    width: int = 0
    height: int = 0
    focal: tuple[float, ...] = ()
    fov: float = 0.0
    centre: tuple[float | None, float | None] = (None, None)
    distortion: tuple[float, ...] = ()
    pitch: float = 0.0
    yaw: float = 0.0
    roll: float = 0.0
    axes: str = "YXZ"
    matrix: tuple[float, ...] | None = None
    top: float = 0.0
    bottom: float = 0.0
    control: float = 0.6
    border: bool = False
    out_focal: tuple[float, ...] = ()
    out_centre: tuple[float, float] | None = None
    index: int = 0

    def check(self) -> None:
        """Raises ValueError, naming the field, for what makes no surface."""
        if self.projection not in PROJECTIONS:
            raise ValueError(f"projection {self.projection!r} is not one of {', '.join(PROJECTIONS)}")
        if self.axes not in AXES:
            raise ValueError(f"axes {self.axes!r} is not one of {', '.join(AXES)}")
        counts = (("focal", self.focal, (0, 1, 2)), ("out_focal", self.out_focal, (0, 1, 2)),
                  ("distortion", self.distortion, range(6)), ("matrix", self.matrix or (), (0, 9)))  # fmt: skip
        for name, values, allowed in counts:
            if len(values) not in allowed:
                raise ValueError(f"{name} has {len(values)} numbers; allowed are {', '.join(map(str, allowed))}")
        if any(value <= 0 for value in (*self.focal, *self.out_focal)):
            raise ValueError("focal lengths are more than 0 pixels")
        if min(self.width, self.height) < 0 or not 0 <= self.fov <= 360:
            raise ValueError("width and height are not negative, fov is 0 to 360 degrees")
        if not (self.focal or self.fov or self.projection.startswith("equirect")):
            raise ValueError("give focal, pixels a radian, or fov, the degrees that the picture's height covers")
        if (self.top or self.bottom) and self.top <= self.bottom:
            raise ValueError(f"top {self.top:g} is above bottom {self.bottom:g} degrees: it is the greater of the two")
        view = self.projection.partition("-")[2]
        flat = view in ("perspective", "cylinder", "panini", "pushbroom")
        if flat and not (-90 < self.bottom <= self.top < 90):
            raise ValueError(f"top and bottom of {view} lie between -90 and 90 degrees")


def ways(surface: Surface, width: int, height: int, size: tuple[int, int] | None = None) -> Ways:
    """Where each pixel of a surface comes from in a picture of width x height.

    `size`: of the picture that leaves; the surface is scaled to its width, and what lies below its height is left out,
    or black where the surface ends. Raises ValueError for a surface that is none (Surface.check).
    """
    surface.check()
    lens, _, view = surface.projection.partition("-")
    wide, high = surface.width or width, surface.height or height
    out_w, out_h = size or (wide, high)
    ratio = out_w / wide
    columns = (np.arange(out_w) + 0.5) / ratio - 0.5
    rows = (np.arange(out_h) + 0.5) / ratio - 0.5
    focal, centre = _lens(surface, lens, width, height)
    out_focal, out_centre = _view(surface, view, focal, centre, (width, height), (wide, high))
    across, down = (columns - out_centre[0]) / out_focal[0], (rows - out_centre[1]) / out_focal[1]
    rotation, out = _rotation(surface), np.empty((2, out_h, out_w), np.float32)
    for top in range(0, out_h, BAND):
        u, v = np.meshgrid(across, down[top : top + BAND])
        x, y = _from(lens, _turned(_rays(view, u, v, surface.control), rotation), surface.distortion)
        out[0, top : top + BAND], out[1, top : top + BAND] = x * focal[0] + centre[0], y * focal[1] + centre[1]
    out[1, rows > high - 0.5] = np.nan
    around = lens == "equirect" and abs(2 * math.pi * focal[0] - width) < 2
    return Ways(out[0], out[1], surface.border, around)


def _lens(surface: Surface, lens: str, width: int, height: int) -> tuple[tuple[float, float], tuple[float, float]]:
    """Focal lengths and centre of the lens in a picture of width x height."""
    x, y = surface.centre
    around = lens == "equirect"
    centre = (width / 2 - 0.5 if x is None else x), (height - 1) / 2 if y is None else y
    if surface.focal:
        return (surface.focal[0], surface.focal[-1]), centre
    if not surface.fov and around:
        return (width / (2 * math.pi),) * 2, centre
    angle = math.radians(surface.fov) / 2
    radius = (height if surface.fov in (180.0, 360.0) else height - 1) / 2
    if not radius > 0:
        raise ValueError(f"a picture of {width}x{height} is too small for a focal length from its height: give focal")
    reach = float(_from(lens, _ray(angle), surface.distortion)[0])
    if not reach > 0:
        raise ValueError(f"fov {surface.fov:g} is more than a {lens} lens shows")
    return (radius / reach,) * 2, centre


def _ray(angle: float) -> Rays:
    return np.array(math.sin(angle)), np.array(0.0), np.array(math.cos(angle))


def _view(
    surface: Surface,
    view: str,
    focal: tuple[float, float],
    centre: tuple[float, float],
    have: tuple[int, int],
    want: tuple[int, int],
) -> tuple[tuple[float, float], tuple[float, float]]:
    """Focal lengths and centre of the view."""
    wide, high = want
    if surface.top == surface.bottom == 0:
        middle = centre[0] - (have[0] - 1) / 2 + (wide - 1) / 2, centre[1] - (have[1] - 1) / 2 + (high - 1) / 2
        out = focal
    else:
        upper, lower = (_rise(view, math.radians(angle), surface.control) for angle in (surface.top, surface.bottom))
        length = max(1, high - 1) / (upper - lower)
        out, middle = (length, length), ((wide - 1) / 2, length * upper)
    if surface.out_focal:
        out = surface.out_focal[0], surface.out_focal[-1]
    return out, surface.out_centre or middle


def _rise(view: str, angle: float, control: float) -> float:
    """How far above the centre an angle lies in the middle column, in focal lengths."""
    if view in ("fisheye", "equirect", "vertical-cylinder"):
        return angle
    if view == "stereographic":
        return (control + 1) * math.sin(angle) / (control + math.cos(angle))
    return math.tan(angle)


def _rays(view: str, u: Plane, v: Plane, control: float) -> Rays:
    """The rays of points (u, v) of a view, in focal lengths from its centre; NaN where there is none."""
    one = np.ones_like(u)
    if view == "perspective":
        return u, v, one
    if view == "fisheye":
        return _around(u, v, np.hypot(u, v))
    if view == "stereographic":
        return _around(u, v, np.arccos(_panini(np.hypot(u, v), control)))
    if view == "equirect":
        gone = np.where(np.abs(v) > math.pi / 2, np.nan, 1.0)
        return np.sin(u) * np.cos(v), np.sin(v) * gone, np.cos(u) * np.cos(v)
    if view == "cylinder":
        return np.sin(u), v, np.cos(u)
    if view == "vertical-cylinder":
        return u, np.sin(v), np.cos(v)
    if view == "panini":
        cos = _panini(u, control)
        scale = (control + 1) / (control + cos)
        return u / scale, v / scale, cos
    # pushbroom: along the row as in perspective, across it between that and a cylinder
    return u, v * ((1 - control) + control * np.hypot(u, 1.0)), one


def _around(u: Plane, v: Plane, angle: Plane) -> Rays:
    """Rays at an angle from the axis, in the direction of (u, v)."""
    radius = np.hypot(u, v)
    part = np.sin(angle) / np.where(radius > 0, radius, 1.0)
    return u * part, v * part, np.where(angle > math.pi, np.nan, np.cos(angle))


def _panini(h: Plane, d: float) -> Plane:
    """The cosine of the angle that lies at h = (d + 1) sin a / (d + cos a)."""
    k = (h / (d + 1)) ** 2
    with np.errstate(invalid="ignore"):
        return np.asarray((-k * d + np.sqrt(k * k * d * d - (k + 1) * (k * d * d - 1))) / (k + 1))


def _rotation(surface: Surface) -> NDArray[np.float64]:
    """Rays of the view → rays of the camera."""
    if surface.matrix is not None:
        return np.array(surface.matrix, np.float64).reshape(3, 3).T
    angles = {"X": surface.pitch, "Y": surface.yaw, "Z": surface.roll}
    out = np.eye(3)
    for axis in surface.axes:  # each turns about an axis of the viewer, who was turned by those before
        angle = math.radians(angles[axis])
        cos, sin = math.cos(angle), math.sin(angle)
        out = (
            out
            @ {
                "X": np.array([[1, 0, 0], [0, cos, -sin], [0, sin, cos]]),
                "Y": np.array([[cos, 0, sin], [0, 1, 0], [-sin, 0, cos]]),
                "Z": np.array([[cos, -sin, 0], [sin, cos, 0], [0, 0, 1]]),
            }[axis]
        )
    return out


def _turned(rays: Rays, rotation: NDArray[np.float64]) -> Rays:
    x, y, z = rays
    first, second, third = (row[0] * x + row[1] * y + row[2] * z for row in rotation)
    return first, second, third


def _from(lens: str, rays: Rays, distortion: Sequence[float]) -> tuple[Plane, Plane]:
    """Where rays meet the lens's picture, in focal lengths from its centre; NaN where they do not."""
    x, y, z = rays
    k = [*distortion, 0.0, 0.0, 0.0, 0.0, 0.0][:5]
    if lens == "equirect":
        return np.arctan2(x, z), np.arctan2(y, np.hypot(x, z))
    if lens == "fisheye":
        radius = np.hypot(x, y)
        angle = np.arctan2(radius, z)
        square = angle * angle
        length = angle * (1 + square * (k[0] + square * (k[1] + square * (k[2] + square * k[3]))))
        part = length / np.where(radius > 0, radius, 1.0)
        return x * part, y * part
    z = np.where(z > 1e-9, z, np.nan)
    x, y = x / z, y / z
    square = x * x + y * y
    radial = 1 + square * (k[0] + square * (k[1] + square * k[2]))
    across = 2 * k[3] * x * y + k[4] * (square + 2 * x * x)
    down = k[3] * (square + 2 * y * y) + 2 * k[4] * x * y
    return x * radial + across, y * radial + down


def surface_of(given: dict[str, Any]) -> Surface:
    """A surface from settings as a file has them. Raises ValueError naming a field that is unknown or wrong."""
    fields = Surface.__dataclass_fields__
    unknown = [key for key in given if key not in fields]
    if unknown:
        raise ValueError(f"{unknown[0]!r} is no field of a surface; there are: {', '.join(fields)}")
    values: dict[str, Any] = {}
    for key, value in given.items():
        if key in ("focal", "out_focal", "distortion", "matrix", "centre", "out_centre"):
            many = value if isinstance(value, (list, tuple)) else [value]
            value = tuple(None if each is None else float(each) for each in many)
        values[key] = value
    try:
        surface = Surface(**values)
        surface.check()
    except TypeError as error:
        raise ValueError(str(error)) from None
    return surface
