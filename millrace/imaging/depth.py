"""Maps of distances: from 16-bit pictures, to the distance of an object, to colours that people can read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..media import Image, Object
from .palette import HEAT

_NEAR_TO_FAR = np.array(HEAT[::-1], np.uint8)  # [256, 3] RGB, red first


def metres(image: Image, unit: float) -> NDArray[np.float32]:
    """The distances that a GRAY16 picture on the CPU holds: [h, w] float32, steps of `unit` metres; 0 is not known."""
    return np.asarray(image.planes[0], dtype=np.float32) * np.float32(unit)


def distance(
    found: Object, depth: NDArray[np.float32], width: int, height: int, part: float = 0.5
) -> tuple[float | None, float]:
    """The median distance of an object in a map that is stretched over a picture of width x height pixels.

    It is taken over the object's mask where it has one, else over the middle `part` of its box's width and height;
    pixels of distance 0 (not known) or that are no number are left out. None where nothing is known. Also the share of
    the pixels that were known, 0..1.
    """
    x1, y1, x2, y2 = (float(side) for side in found.box)
    if found.mask is None:
        dx, dy = (1 - part) * (x2 - x1) / 2, (1 - part) * (y2 - y1) / 2
        x1, y1, x2, y2 = x1 + dx, y1 + dy, x2 - dx, y2 - dy
    left, right = _span(x1, x2, depth.shape[1] / width, depth.shape[1])
    top, bottom = _span(y1, y2, depth.shape[0] / height, depth.shape[0])
    values = depth[top:bottom, left:right]
    if found.mask is not None and values.size:
        values = values[_mask(found, (top, bottom, left, right), depth.shape, width, height)]
    known = values[(values > 0) & np.isfinite(values)]
    return (float(np.median(known)) if known.size else None), known.size / max(1, values.size)


def _span(low: float, high: float, scale: float, most: int) -> tuple[int, int]:
    """The whole pixels of the map that a side of a box covers, at least one where it lies inside."""
    first = max(0, int(np.floor(low * scale)))
    return first, min(most, max(first + 1, int(np.ceil(high * scale)))) if high > 0 else first


def _mask(
    found: Object, cut: tuple[int, int, int, int], shape: Sequence[int], width: int, height: int
) -> NDArray[np.bool_]:
    """The pixels of a cut of the map that the object's mask covers: the picture's, or one stretched over its box."""
    assert found.mask is not None
    mask = found.mask > 0.5 if found.mask.dtype.kind == "f" else found.mask.astype(bool)
    top, bottom, left, right = cut
    rows = (np.arange(top, bottom) + 0.5) * height / shape[0]  # in pixels of the picture
    columns = (np.arange(left, right) + 0.5) * width / shape[1]
    if mask.shape != (height, width):
        x1, y1, x2, y2 = (float(side) for side in found.box)
        rows = (rows - y1) * mask.shape[0] / max(y2 - y1, 1e-6)
        columns = (columns - x1) * mask.shape[1] / max(x2 - x1, 1e-6)
    inside = np.outer((rows >= 0) & (rows < mask.shape[0]), (columns >= 0) & (columns < mask.shape[1]))
    at = np.clip(rows.astype(int), 0, mask.shape[0] - 1), np.clip(columns.astype(int), 0, mask.shape[1] - 1)
    return np.asarray(mask[np.ix_(*at)] & inside)


def coloured(depth: NDArray[Any], near: float, far: float) -> NDArray[np.uint8]:
    """Distances [h, w] as RGB [h, w, 3]: red at `near` metres and before, blue at `far` and behind, black unknown."""
    known = (depth > 0) & np.isfinite(depth)
    steps = np.clip((np.where(known, depth, far) - near) * (255 / (far - near)), 0, 255).astype(np.uint8)
    out = _NEAR_TO_FAR[steps]
    out[~known] = 0
    return out
