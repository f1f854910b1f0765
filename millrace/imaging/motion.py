"""Dense optical flow between two pictures, and its picture.

Kroeger, Timofte, Dai, Van Gool, "Fast Optical Flow using Dense Inverse Search" (2016), as OpenCV has it.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from ..media import Image
from .convert import convert
from .yuv import to_8_bit

PRESETS = ("fast", "medium", "slow")
_DIS = {
    "fast": cv2.DISOPTICAL_FLOW_PRESET_ULTRAFAST,
    "medium": cv2.DISOPTICAL_FLOW_PRESET_FAST,
    "slow": cv2.DISOPTICAL_FLOW_PRESET_MEDIUM,
}
SMALLEST = 16  # pixels of a side below which there is nothing to search in
USUAL = 96  # of the longer side; for a smaller picture OpenCV's search changes its settings, and keeps them
LOWEST = 32  # of a side that OpenCV is given: with less, of a wide picture, it reads and writes where nothing is


def luma(image: Image) -> NDArray[np.uint8]:
    """The picture's brightness [h, w], in memory that may be kept."""
    if image.format in ("RGB", "BGR"):
        image = convert(image, "GRAY8")
    plane = to_8_bit(image.planes[0])
    return np.array(plane, np.uint8, order="C")


class Motion:
    """Finds how pixels have moved. Not for two threads at the same time."""

    def __init__(self, preset: str = "medium") -> None:
        self._preset = preset
        self._search: Any = cv2.DISOpticalFlow.create(_DIS[preset])

    def between(self, before: NDArray[np.uint8], now: NDArray[np.uint8], grid: int = 4) -> NDArray[np.float32]:
        """float32 [rows, columns, 2]: the pixels right and down that each cell of `now` has come since `before`.

        A cell is `grid` x `grid` pixels, the last ones may be cut; its motion is the mean of its pixels'. Both pictures
        [h, w] have one size.
        """
        height, width = now.shape
        rows, columns = -(-height // grid), -(-width // grid)
        if min(height, width) < SMALLEST:
            return np.zeros((rows, columns, 2), np.float32)
        pair = [_at_least(picture, LOWEST) for picture in (now, before)]
        small = max(now.shape) < USUAL
        search: Any = cv2.DISOpticalFlow.create(_DIS[self._preset]) if small else self._search
        back = search.calc(*pair, None)[:height, :width]
        whole = np.pad(back, ((0, rows * grid - height), (0, columns * grid - width), (0, 0)), mode="edge")
        cells = whole.reshape(rows, grid, columns, grid, 2).mean(axis=(1, 3), dtype=np.float32) if grid > 1 else whole
        return np.asarray(-cells, np.float32)


def _at_least(picture: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """The picture, its last row and column repeated where it is smaller than a square of this side."""
    more = [(0, max(0, side - have)) for have in picture.shape]
    return np.pad(picture, more, mode="edge") if any(end for _, end in more) else np.ascontiguousarray(picture)


def wheel(flow: NDArray[np.float32], largest: float = 0.0) -> NDArray[np.uint8]:
    """RGB [rows, columns, 3]: the hue is the direction (right is red, down is yellow-green), the brightness the speed.

    `largest` pixels and more are brightest; 0: the largest motion in the picture, but at least one pixel.
    """
    x, y = flow[..., 0], flow[..., 1]
    speed = np.hypot(x, y)
    most = largest or max(1.0, float(speed.max(initial=0.0)))
    hue = np.mod(np.arctan2(y, x), 2 * np.pi) * (90 / np.pi)
    value = np.minimum(speed / most, 1.0) * 255
    colours = np.stack([hue, np.full_like(hue, 255), value], axis=2)
    colours[..., 0] = np.rint(colours[..., 0]) % 180
    return np.asarray(cv2.cvtColor(np.rint(colours).astype(np.uint8), cv2.COLOR_HSV2RGB))
