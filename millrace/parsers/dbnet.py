"""Text in a picture: a map of how likely each pixel is text → boxes at an angle (Liao et al., DB, arXiv 1911.08947)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from ..media import Detections
from .base import Guess, Model, Outputs, ParserSettings, empty
from .common import image_input

_CANDIDATES = 1000
_SMALLEST = 3.0  # pixels of a box's shorter side, before it grows


def parse(outputs: Outputs, count: int, settings: ParserSettings) -> Sequence[Detections]:
    """[N, 1, h, w]: areas above a limit, the smallest box about each, grown because the map is shrunk text.

    The confidence of a box is the mean of the map in it. Boxes are wider than high, at an angle of -90 to 90 degrees,
    and come from top to bottom. Extras: `binary` (0.3), the limit; `unclip` (1.5), how much a box grows: its sides move
    out by area * unclip / perimeter.
    """
    maps = np.asarray(next(iter(outputs.values())), np.float32)
    return [_boxes(np.squeeze(maps[picture]), settings) for picture in range(count)]


def _boxes(likely: NDArray[np.float32], settings: ParserSettings) -> Detections:
    binary = (likely > float(settings.extras.get("binary", 0.3))).astype(np.uint8)
    contours, _ = cv2.findContours(binary, cv2.RETR_LIST, cv2.CHAIN_APPROX_SIMPLE)
    scale = np.array([settings.width / likely.shape[1], settings.height / likely.shape[0]])
    rows = [row for contour in contours[:_CANDIDATES] if (row := _box(contour, likely, settings)) is not None]
    if not rows:
        return empty()
    rows.sort(key=lambda row: (round(row[1] / 10), row[0]))
    table = np.array(rows, np.float32)
    centres, half = table[:, :2] * scale, table[:, 2:4] * scale.mean() / 2
    boxes = np.concatenate([centres - half, centres + half], axis=1).astype(np.float32)[: settings.top_k]
    count = len(boxes)
    return Detections(boxes, table[:count, 5], np.zeros(count, np.int64), angles=table[:count, 4])


def _box(contour: Any, likely: NDArray[np.float32], settings: ParserSettings) -> tuple[float, ...] | None:
    """cx cy w h angle score of one area, in the map's pixels."""
    (cx, cy), (w, h), degrees = cv2.minAreaRect(contour)
    if min(w, h) < _SMALLEST:
        return None
    score = _mean_inside(likely, cv2.boxPoints(((cx, cy), (w, h), degrees)))
    if score < settings.confidence:
        return None
    grow = w * h * float(settings.extras.get("unclip", 1.5)) / (2 * (w + h))
    w, h = w + 2 * grow, h + 2 * grow
    if w < h:
        w, h, degrees = h, w, degrees - 90
    degrees = (degrees + 90) % 180 - 90
    # findContours gives the centres of pixels as whole numbers; a pixel's own place is half of one further
    return cx + 0.5, cy + 0.5, w, h, math.radians(degrees), score


def _mean_inside(likely: NDArray[np.float32], points: Any) -> float:
    high, wide = likely.shape
    left, top = (int(np.clip(math.floor(points[:, i].min()), 0, n - 1)) for i, n in ((0, wide), (1, high)))
    right, bottom = (int(np.clip(math.ceil(points[:, i].max()), 0, n - 1)) for i, n in ((0, wide), (1, high)))
    mask = np.zeros((bottom - top + 1, right - left + 1), np.uint8)
    cv2.fillPoly(mask, [(points - (left, top)).astype(np.int32)], 1)
    return float(cv2.mean(likely[top : bottom + 1, left : right + 1], mask)[0])


def guess(model: Model) -> Guess | None:
    image = image_input(model)
    if image is None or len(model.outputs) != 1:
        return None
    output = model.outputs[0]
    open_size = len(output.shape) == 4 and output.shape[1] == 1 and output.shape[2:] == (None, None)
    if not open_size or image.shape[2:] != (None, None):
        return None
    wants = {"colour": "BGR", "scale": 1 / 255, "fit": "letterbox-top-left", "pad": 0}
    wants |= {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}
    why = f"{output.name} is a map over a picture of any size, as text detectors have it"
    return Guess("dbnet", 0.5, why, wants, confidence=0.6, class_count=1, names={0: "text"})
