"""Areas of pictures on a GPU made unrecognisable, as privacy.py does it on the CPU.

Areas that do not touch each other are hidden together, in three launches; those that lie over others come after them.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..cuda.memory import Memory
from ..media import Image
from .base import Area, Conceal
from .cuda_launch import YUV, Launcher, views, views_of
from .privacy import CELLS, shape_of

_FILE = "planes.cu"


class _Row(ctypes.Structure):
    """struct Area of planes.cu."""

    _fields_ = [
        *((name, ctypes.c_int) for name in ("x1", "y1", "x2", "y2", "columns", "rows", "smooth", "points")),
        ("corners", ctypes.c_uint64), ("means", ctypes.c_uint64 * 3), ("cells", ctypes.c_uint64 * 3),
    ]  # fmt: skip


class _Hidden(NamedTuple):
    box: Area
    corners: NDArray[np.float64] | None
    columns: int
    rows: int


def conceal(
    launcher: Launcher, image: Image, areas: Sequence[Any], mode: Conceal, strength: float,
    copy: Callable[[Image], Image],
) -> Image:  # fmt: skip
    """See imaging.privacy.conceal; `copy` gives a picture of our own where the image is not."""
    shapes = [shape for area in areas if (shape := shape_of(area, image.width, image.height)) is not None]
    if not shapes:
        return image
    target = copy(image) if image.read_only else image
    launcher.writes(target)
    for wave in _waves([_hidden(box, corners, strength) for box, corners in shapes]):
        _hide(launcher, target, wave, mode == "blur")
    launcher.done(target)
    return target


def _hidden(box: Area, corners: NDArray[np.float64] | None, strength: float) -> _Hidden:
    width, height = box[2] - box[0], box[3] - box[1]
    cell = max(width, height) / CELLS * max(1.0, strength)
    return _Hidden(box, corners, max(1, int(width / cell)), max(1, int(height / cell)))


def _waves(shapes: Sequence[_Hidden]) -> list[list[_Hidden]]:
    """Shapes whose order does not matter, together; each after those before it that it touches."""
    waves: list[list[_Hidden]] = []
    for shape in shapes:
        after = [number for number, wave in enumerate(waves) if any(_touch(shape.box, other.box) for other in wave)]
        number = after[-1] + 1 if after else 0
        if number == len(waves):
            waves.append([])
        waves[number].append(shape)
    return waves


def _touch(a: Area, b: Area) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


def _hide(launcher: Launcher, target: Image, wave: Sequence[_Hidden], smooth: bool) -> None:
    planes = views_of(target)
    halves = 2 if target.format in YUV else 1
    rows = (_Row * len(wave))()
    corners, needed = b"", 0
    for row, shape in zip(rows, wave, strict=True):
        row.x1, row.y1, row.x2, row.y2 = shape.box
        row.columns, row.rows, row.smooth = shape.columns, shape.rows, smooth
        if shape.corners is not None:
            row.points, row.corners = len(shape.corners), len(corners)
            corners += shape.corners.astype(np.float32).tobytes()
        for plane in range(len(planes)):
            row.means[plane] = needed
            needed += 4 * (shape.box[3] - shape.box[1]) * shape.columns
            row.cells[plane] = needed
            needed += -(-2 * shape.columns * shape.rows // 4) * 4
    scratch, table, size = Memory(launcher.stream, needed), launcher.table(), ctypes.sizeof(rows)
    room = memoryview(table.begin(size + len(corners)))  # type: ignore[arg-type]
    for row in rows:
        row.corners += table.address + size
        for plane in range(len(planes)):
            row.means[plane] += scratch.pointer
            row.cells[plane] += scratch.pointer
    room[:size] = bytes(rows)
    room[size : size + len(corners)] = corners
    address = ctypes.c_uint64(table.send(size + len(corners), launcher))
    high = max(shape.box[3] - shape.box[1] for shape in wave)
    wide = max(shape.box[2] - shape.box[0] for shape in wave)
    arguments = [views([], planes), address, ctypes.c_int(halves), ctypes.c_int(len(planes))]
    depth = len(wave) * len(planes)
    for name, across, down in (
        ("conceal_rows", CELLS, high), ("conceal_cells", CELLS, CELLS), ("conceal", wide, high),
    ):  # fmt: skip
        launcher.launch(_FILE, name, (across, down, depth), arguments)
    table.sent = launcher.stream.record()
