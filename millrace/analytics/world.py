"""From pixels to metres on the ground: one homography per stream, from pairs of points."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .sightings import Point

Points = Sequence[Sequence[float]]
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Fit:
    """How well a calibration fits its own points: distances [n] in metres on the ground, and in pixels."""

    metres: Floats
    pixels: Floats


class Homography:
    """Maps points of the picture to points on a plane (the ground) and back. `matrix` [3, 3] takes pixels to metres.

    Only what lies on the plane is right: the foot of an object, not its head.
    """

    def __init__(self, matrix: Floats) -> None:
        self.matrix = matrix / matrix[2, 2] if abs(matrix[2, 2]) > 1e-12 else matrix
        self.inverse = np.linalg.inv(self.matrix)
        self.sign = 1.0  # of the third coordinate on the near side of the horizon

    @classmethod
    def fit(cls, image: Points, world: Points) -> Homography:
        """From at least four pairs, no three of them on a line, by the normalised direct linear transform.

        Hartley, "In defense of the eight-point algorithm", PAMI 19(6), 1997, section 4: both sets are moved and scaled
        first. More than four pairs give the least algebraic error. Raises ValueError.
        """
        a, b = np.asarray(image, dtype=np.float64), np.asarray(world, dtype=np.float64)
        if a.shape != b.shape or a.ndim != 2 or a.shape[1] != 2 or len(a) < 4:
            raise ValueError(
                f"it needs at least four pairs of points [x, y], as many of each; got {len(a)} and {len(b)}"
            )
        if not (np.isfinite(a).all() and np.isfinite(b).all()):
            raise ValueError("a point is not a finite number")
        to_a, to_b = _normalising(a), _normalising(b)
        rows = []
        for (x, y), (u, v) in zip(_apply(to_a, a), _apply(to_b, b), strict=True):
            rows.append([-x, -y, -1, 0, 0, 0, u * x, u * y, u])
            rows.append([0, 0, 0, -x, -y, -1, v * x, v * y, v])
        _, values, vectors = np.linalg.svd(np.array(rows))
        if values[7] < 1e-9 * values[0]:
            raise ValueError("the points do not fix the plane: three of four lie on a line, or two are the same")
        matrix = np.linalg.inv(to_b) @ vectors[8].reshape(3, 3) @ to_a
        if abs(np.linalg.det(matrix / np.linalg.norm(matrix))) < 1e-14:
            raise ValueError("the points do not fix the plane: three of four lie on a line, or two are the same")
        made = cls(matrix)
        sides = np.column_stack([a, np.ones(len(a))]) @ made.matrix[2]
        if (sides > 0).any() and (sides < 0).any():
            raise ValueError("the points lie on both sides of the horizon: check their order, pair by pair")
        made.sign = 1.0 if sides.sum() > 0 else -1.0
        return made

    def ground(self, point: Point) -> Point | None:
        """Where a point of the picture lies on the ground, metres; None at the horizon and above it."""
        (a, b, c), (d, e, f), (g, h, i) = self.matrix
        x, y = point
        depth = (g * x + h * y + i) * self.sign
        if depth < 1e-9:
            return None
        depth *= self.sign
        return float((a * x + b * y + c) / depth), float((d * x + e * y + f) / depth)

    def to_world(self, points: Points) -> Floats:
        """[n, 2] pixels → [n, 2] metres."""
        return _apply(self.matrix, np.asarray(points, dtype=np.float64).reshape(-1, 2))

    def to_image(self, points: Points) -> Floats:
        """[n, 2] metres → [n, 2] pixels."""
        return _apply(self.inverse, np.asarray(points, dtype=np.float64).reshape(-1, 2))

    def error(self, image: Points, world: Points) -> Fit:
        """How far pairs of points are from fitting."""
        metres = np.linalg.norm(self.to_world(image) - np.asarray(world, dtype=np.float64), axis=1)
        pixels = np.linalg.norm(self.to_image(world) - np.asarray(image, dtype=np.float64), axis=1)
        return Fit(metres, pixels)


def homography_of(given: Mapping[str, Any], width: int, height: int) -> Homography:
    """From {"image": points, "world": metres}; image points that are all at most 1 are fractions, and with "size" they
    are pixels of a picture of that width and height. Raises ValueError.
    """
    image = np.asarray(given["image"], dtype=np.float64)
    if given.get("size"):
        image = image * (width / given["size"][0], height / given["size"][1])
    elif image.size and image.max() <= 1.0:
        image = image * (width, height)
    return Homography.fit(image.tolist(), given["world"])


def _normalising(points: Floats) -> Floats:
    """The similarity that puts their mean at 0 and their mean distance from it at √2."""
    mean = points.mean(axis=0)
    spread = float(np.linalg.norm(points - mean, axis=1).mean())
    scale = np.sqrt(2) / spread if spread > 0 else 1.0
    return np.array([[scale, 0, -scale * mean[0]], [0, scale, -scale * mean[1]], [0, 0, 1]])


def _apply(matrix: Floats, points: Floats) -> Floats:
    moved = np.column_stack([points, np.ones(len(points))]) @ matrix.T
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(moved[:, :2] / moved[:, 2:])
