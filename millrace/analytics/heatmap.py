"""Where identities spend their time: seconds in each cell of the picture, by label."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from .sightings import SECOND, Anchor, Sighting

LONGEST = SECOND // 2  # of a sighting: what is unseen for longer was not there for all of it

Grid = NDArray[np.float64]


class Heatmap:
    """Each sighting adds the time since the identity's last one to the cell of its point (at most half a second).

    So the sum of a map is the time that identities were seen, in seconds, at any frame rate.
    """

    def __init__(self, width: int, height: int, cell: int = 16, anchor: Anchor = "bottom") -> None:
        self.cell = cell
        self.size = (width, height)
        self.shape = (-(-height // cell), -(-width // cell))
        self.anchor: Anchor = anchor
        self.labels: dict[str, Grid] = {}
        self._seen: dict[int, int] = {}

    def update(self, seen: Iterable[Sighting], pts: int) -> None:
        rows, columns = self.shape
        for found in seen:
            last = self._seen.get(found.id)
            self._seen[found.id] = pts
            if last is None or pts <= last:
                continue
            x, y = found.point(self.anchor)
            row, column = min(max(int(y // self.cell), 0), rows - 1), min(max(int(x // self.cell), 0), columns - 1)
            grid = self.labels.get(found.label)
            if grid is None:
                grid = self.labels[found.label] = np.zeros(self.shape)
            grid[row, column] += min(pts - last, LONGEST) / SECOND
        if len(self._seen) > 4096:
            self._seen = {key: at for key, at in self._seen.items() if pts - at <= LONGEST}

    def seconds(self, label: str | None = None) -> Grid:
        """[rows, columns] of seconds: of one label, or of all."""
        if label is not None:
            return self.labels.get(label, np.zeros(self.shape))
        return np.sum([*self.labels.values()], axis=0) if self.labels else np.zeros(self.shape)

    @property
    def density(self) -> NDArray[np.float32]:
        """[rows, columns] of 0..1, the densest cell 1: what `draw` lays over the picture."""
        total = self.seconds()
        return (total / max(float(total.max()), 1e-9)).astype(np.float32)

    def totals(self) -> dict[str, object]:
        """{"cell" in pixels, "rows", "columns", "seconds": {label: [[…]]}}"""
        grids = {label: np.round(grid, 3).tolist() for label, grid in sorted(self.labels.items())}
        return {"cell": self.cell, "rows": self.shape[0], "columns": self.shape[1], "seconds": grids}

    def forget(self) -> None:
        self._seen.clear()
