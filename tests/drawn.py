"""Pictures with something in them, and things drawn on a canvas of any device, the same each time."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np

from millrace.imaging.convert import convert
from millrace.media import Image

SHAPES = (
    "boxes", "fills", "texts", "lines", "thin", "trails", "outlines", "discs", "rings", "polygons", "arrows", "masks",
    "heat",
)  # fmt: skip


def picture(format: Any, width: int, height: int, read_only: bool = True, **tags: Any) -> Image:
    """Soft noise in one of the formats; P010 with all ten bits."""
    rng = np.random.default_rng(width * 31 + height)
    small = rng.integers(0, 256, (height // 9 + 2, width // 9 + 2, 3)).astype(np.uint8)
    pixels = cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC)
    image = convert(Image("RGB", [pixels], width, height, **tags), "NV12" if format == "P010" else format)
    if format == "P010":
        planes = [
            ((plane.astype(np.uint16) << 8) + (rng.integers(0, 4, plane.shape).astype(np.uint16) << 6))
            for plane in image.planes
        ]
        image = Image("P010", planes, width, height, **tags)
    image.read_only = read_only
    return image


def drawn(canvas: Any, shape: str) -> Image:
    """One kind of shape, many times, over a picture of about 640 x 360."""
    rng = np.random.default_rng(5)
    for number in range(1 if shape == "heat" else 10 if shape in ("trails", "outlines", "polygons", "arrows") else 25):
        globals()[f"_{shape}"](canvas, rng, tuple(rng.integers(0, 256, 3).tolist()), number)
    return canvas.finish()


def _box(rng: Any) -> tuple[float, float, float, float]:
    x, y = rng.random(2) * (600, 300) - 20
    return x, y, x + 20 + rng.random() * 150, y + 20 + rng.random() * 100


def _points(rng: Any, count: int) -> list[tuple[float, float]]:
    return [tuple(point) for point in (rng.random((count, 2)) * 150 + rng.random(2) * (550, 250) - 30).tolist()]


def _boxes(canvas: Any, rng: Any, colour: Any, number: int) -> None:
    canvas.rectangle(_box(rng), colour, number % 6 + 1)


def _fills(canvas: Any, rng: Any, colour: Any, number: int) -> None:
    canvas.fill(_box(rng), colour, number % 5 / 4)


def _texts(canvas: Any, rng: Any, colour: Any, number: int) -> None:
    at = tuple((rng.random(2) * (700, 400) - 40).tolist())
    behind = None if number % 2 else (10, 200, 30)
    canvas.text(f"person 0.{number} #{number * 7} ä", at, colour, 8 + number, behind, bool(number % 3))


def _lines(canvas: Any, rng: Any, colour: Any, number: int) -> None:
    canvas.line(*_points(rng, 2), colour, number % 5 + 2)


def _thin(canvas: Any, rng: Any, colour: Any, number: int) -> None:
    canvas.line(*_points(rng, 2), colour, 1)


def _trails(canvas: Any, rng: Any, colour: Any, number: int) -> None:
    (x, y), (across, down) = rng.random(2) * (500, 250), rng.random(2) * 200 - 60
    way = np.linspace(0, 1, 50)
    points = np.stack([x + across * way + 10 * np.sin(9 * way + number), y + down * way], axis=1)
    canvas.polyline([tuple(point) for point in points.tolist()], colour, number % 3 + 2)


def _outlines(canvas: Any, rng: Any, colour: Any, number: int) -> None:
    canvas.polyline(_points(rng, 4), colour, number % 4 + 1, closed=True)


def _discs(canvas: Any, rng: Any, colour: Any, number: int) -> None:
    canvas.circle(_points(rng, 1)[0], number / 2, colour, 0)


def _rings(canvas: Any, rng: Any, colour: Any, number: int) -> None:
    canvas.circle(_points(rng, 1)[0], 2 + number, colour, number % 4 + 1)


def _polygons(canvas: Any, rng: Any, colour: Any, number: int) -> None:
    canvas.polygon(_points(rng, 3 + number % 4), colour, number / 10)


def _arrows(canvas: Any, rng: Any, colour: Any, number: int) -> None:
    canvas.arrow(*_points(rng, 2), colour, number % 4 + 1)


def _masks(canvas: Any, rng: Any, colour: Any, number: int) -> None:
    mask = rng.random((28, 28)) > 0.4 if number % 2 else rng.random((40, 33)).astype(np.float32)
    canvas.mask(mask, _box(rng), colour, number / 24)


def _heat(canvas: Any, rng: Any, colour: Any, number: int) -> None:
    density = np.zeros((45, 80), np.float32)
    density[10:20, 20:50] = rng.random((10, 30))
    canvas.heat(cv2.GaussianBlur(density, (0, 0), 2), 0.6)
