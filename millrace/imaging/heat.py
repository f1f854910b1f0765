"""Where objects have been in one stream, as a density over the picture."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from ..media import Object

CELL = 8  # picture pixels per cell of the density
_REACH = 3  # cells around a foot that it warms
_AXIS = np.exp(-0.5 * (np.arange(-_REACH, _REACH + 1) / 1.5) ** 2)
_SPOT = np.outer(_AXIS, _AXIS).astype(np.float32)


class Heat:
    """Accumulates the feet of objects (the middle of the lower edge), each as a soft spot."""

    def __init__(self, width: int, height: int) -> None:
        self.size = (width, height)
        shape = (max(1, -(-height // CELL)), max(1, -(-width // CELL)))
        self._room: NDArray[np.float32] = np.zeros((shape[0] + 2 * _REACH, shape[1] + 2 * _REACH), np.float32)
        self._pts: int | None = None

    def update(self, objects: Iterable[Object], pts: int, memory: float | None) -> None:
        """Add this frame's objects; with `memory`, what was there halves in that many seconds of stream time."""
        if memory and self._pts is not None and pts > self._pts:
            self._room *= np.float32(0.5 ** ((pts - self._pts) / 1e9 / memory))
        self._pts = pts
        height, width = self._room.shape
        for found in objects:
            x, y = float(found.box[0] + found.box[2]) / 2 / CELL, float(found.box[3]) / CELL
            if found.parent is None and 0 <= x <= width - 2 * _REACH and 0 <= y <= height - 2 * _REACH:
                column, row = min(int(x), width - 2 * _REACH - 1), min(int(y), height - 2 * _REACH - 1)
                self._room[row : row + _SPOT.shape[0], column : column + _SPOT.shape[1]] += _SPOT

    @property
    def density(self) -> NDArray[np.float32]:
        """[rows, columns] of 0..1, the densest cell 1."""
        inner = self._room[_REACH:-_REACH, _REACH:-_REACH]
        return inner / np.float32(max(float(inner.max()), 1e-6))
