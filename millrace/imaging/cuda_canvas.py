"""Drawing on pictures on a GPU: shapes are gathered in a list, and one launch (draw.cu) draws them all.

Each shape covers what `canvas.py` lets OpenCV draw on the CPU. Boxes, text and fills are the same to the bit, masks and
heat to a level; the smoothed edges of lines and circles differ by a few levels on a few pixels.
"""

from __future__ import annotations

import ctypes
import math
import struct
from collections.abc import Sequence
from contextlib import suppress
from functools import lru_cache
from math import isfinite
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..cuda.context import check
from ..media import Image
from ..media.colour import rgb_to_yuv
from ..media.image import Format, Matrix
from .base import Colour, Point, Points
from .cuda_launch import Launcher, views_of
from .palette import HEAT
from .text import SANS, Mask, clamped, placed_words

FAR = 16000.0  # pixels: what lies farther out is drawn as if it lay here
DRAWABLE = ("NV12", "P010", "I420")
_SHAPE = struct.Struct("<5i4BfiQ6f")  # struct Shape of draw.cu
_DATA = struct.Struct("<Q")  # of it, the address
_DATA_AT = 32  # bytes before that
_WORD = struct.Struct("<Qii")  # struct Word
_FILL, _FRAME, _TEXT, _STROKE, _DISC, _POLYGON, _MASK, _HEAT = range(8)
_CHUNK = 1 << 20  # bytes of words that are kept on the GPU together
_MOST_CHUNKS = 8
_MOST_LINES = 4096  # that are known by their text
_ALIGNED = 16

Numbers = tuple[float, float, float, float, float, float]
_NONE: Numbers = (0.0, 0.0, 0.0, 0.0, 0.0, 0.0)


class Atlas:
    """Words as masks on the GPU: each is sent there once. When many have come it begins anew."""

    def __init__(self, launcher: Launcher) -> None:
        self._launcher = launcher
        self._chunks: list[int] = []
        self._sizes: list[int] = []
        self._at, self._chunk = _CHUNK, -1
        self._words: dict[tuple[str, int, str], int] = {}
        self._lines: dict[tuple[str, int, str], Line] = {}

    def __del__(self) -> None:
        if self._chunks:
            with suppress(RuntimeError), self._launcher.gpu.visited():
                self._launcher.stream.synchronize()
                for chunk in self._chunks:
                    check(self._launcher.gpu.driver.cuMemFree(chunk))

    def line(self, text: str, size: int, font: str) -> Line:
        """A line of text, for work on the launcher's stream, until `trim`."""
        key = (text, size, font)
        line = self._lines.get(key)
        if line is None:
            if len(self._lines) >= _MOST_LINES:
                self._lines.clear()
            words, width = placed_words(text, size, font)
            seen = [word for word in words if word.mask.size]
            data = b"".join(
                _WORD.pack(self._address((word.word, size, font), word.mask), word.x, word.mask.shape[1])
                for word in seen
            )
            line = self._lines[key] = Line(len(seen), width, data)
        return line

    def _address(self, key: tuple[str, int, str], mask: Mask) -> int:
        found = self._words.get(key)
        if found is None:
            found = self._words[key] = self._take(mask.size)
            driver = self._launcher.gpu.driver
            check(driver.cuMemcpyHtoDAsync(found, mask.ctypes.data, mask.size, self._launcher.stream.native))
        return found

    def trim(self) -> None:
        """Forget all words where they have become many. The stream's order keeps those that are still read."""
        if self._chunk >= _MOST_CHUNKS:
            self._words.clear()
            self._lines.clear()
            self._at, self._chunk = _CHUNK, -1

    def _take(self, size: int) -> int:
        if self._at + size > _CHUNK:
            self._chunk, self._at = self._chunk + 1, 0
            while self._chunk < len(self._chunks) and self._sizes[self._chunk] < size:
                self._chunk += 1  # a word so long came before only into a chunk of its own
            if self._chunk == len(self._chunks):
                self._sizes.append(max(_CHUNK, size))
                self._chunks.append(int(check(self._launcher.gpu.driver.cuMemAlloc(self._sizes[-1]))))
        at = self._chunks[self._chunk] + self._at
        self._at += size
        return at


class Line(NamedTuple):
    """A line of text on the GPU: how many words, pixels of width, and struct Word of draw.cu for each."""

    words: int
    width: int
    data: bytes


class _Picture(ctypes.Structure):
    """struct Picture of pixels.h."""

    _fields_ = [
        *((name, ctypes.c_uint64) for name in ("y", "u", "v")),
        *((name, ctypes.c_int) for name in ("y_pitch", "c_pitch", "y_step", "c_step", "bytes", "width", "height")),
    ]


class CudaCanvas:
    """See imaging.base.Canvas."""

    def __init__(self, launcher: Launcher, atlas: Atlas, image: Image, font: str = SANS) -> None:
        if image.format not in DRAWABLE:
            raise ValueError(f"canvas: cannot draw on {image.format} in {image.memory}, only {', '.join(DRAWABLE)}")
        self._launcher, self._atlas, self._image = launcher, atlas, image
        self.width, self.height, self.font = image.width, image.height, font
        self._begin()

    def _begin(self) -> None:
        self._shapes: list[bytes] = []
        self._sent: list[bytes] = []  # what shapes point to,
        self._pointing: list[tuple[int, int]] = []  # which ones, and where it lies in what is sent
        self._size = 0
        self._around: tuple[int, int, int, int] = (self.width, self.height, 0, 0)

    @property
    def image(self) -> Image:
        return self.finish()

    def finish(self) -> Image:
        """Draws what was gathered: on the picture itself where it is ours and of 8 bits, else into a new one."""
        source = self._image
        if not self._shapes and source.format != "P010":
            return source
        if source.read_only or source.format == "P010":
            format: Format = "I420" if source.format == "I420" else "NV12"
            target = self._launcher.picture(format, self.width, self.height, source)
            bounds = (0, 0, self.width, self.height)
            self._launcher.reads(source)
        else:
            target, bounds = source, self._bounds()
            self._launcher.writes(source)
        if bounds[0] < bounds[2] and bounds[1] < bounds[3]:
            self._draw(source, target, bounds)
        self._atlas.trim()
        self._begin()
        self._image = target
        return target

    def _draw(self, source: Image, target: Image, bounds: tuple[int, int, int, int]) -> None:
        table, first = self._launcher.table(), len(self._shapes) * _SHAPE.size
        total = first + self._size
        room = memoryview(table.begin(total))  # type: ignore[arg-type]
        room[:total] = b"".join([*self._shapes, *self._sent])
        for number, offset in self._pointing:
            _DATA.pack_into(room, number * _SHAPE.size + _DATA_AT, table.address + first + offset)
        address = table.send(total, self._launcher)
        left, top, right, bottom = bounds
        self._launcher.launch(
            "draw.cu", "draw", ((right - left + 1) // 2, (bottom - top + 1) // 2, 1),
            [_picture(source), _picture(target), ctypes.c_uint64(address), ctypes.c_int(len(self._shapes)),
             *(ctypes.c_int(side) for side in bounds)],
        )  # fmt: skip
        table.sent = self._launcher.done(target, *([] if target is source else [source]))

    def _bounds(self) -> tuple[int, int, int, int]:
        """Whole even pixels that hold all shapes."""
        left, top, right, bottom = self._around
        return max(0, left) // 2 * 2, max(0, top) // 2 * 2, min(self.width, right), min(self.height, bottom)

    def _add(
        self, kind: int, bounds: Sequence[int], colour: Colour | None, opacity: float = 1.0, count: int = 0,
        data: bytes = b"", numbers: Numbers = _NONE,
    ) -> None:  # fmt: skip
        left, top, right, bottom = bounds
        if left >= right or top >= bottom or right <= 0 or bottom <= 0 or left >= self.width or top >= self.height:
            return
        if data:
            self._pointing.append((len(self._shapes), self._size))
            self._sent.append(data)
            self._size += len(data)
            if over := len(data) % _ALIGNED:
                self._sent.append(bytes(_ALIGNED - over))
                self._size += _ALIGNED - over
        y, u, v = (0, 0, 0) if colour is None else self._levels(colour)
        self._shapes.append(_SHAPE.pack(kind, left, top, right, bottom, y, u, v, 0, opacity, count, 0, *numbers))
        x1, y1, x2, y2 = self._around
        self._around = (min(x1, left), min(y1, top), max(x2, right), max(y2, bottom))

    def _levels(self, colour: Colour) -> tuple[int, int, int]:
        return _components(colour, self._image.matrix, self._image.full_range)

    def rectangle(self, box: Sequence[float], colour: Colour, thickness: int = 2) -> None:
        points = _few(box)
        if points is None:
            return
        left, top, right, bottom = _on_grid(points)
        thick = -(-min(255, max(1, int(thickness))) // 2) * 2
        out = thick // 2 // 2 * 2
        left, top, right, bottom = left - out, top - out, right + out, bottom + out
        right, bottom = max(right, left + thick), max(bottom, top + thick)
        inner = float(left + thick), float(top + thick), float(right - thick), float(bottom - thick)
        self._add(_FRAME, (left, top, right, bottom), colour, numbers=(*inner, 0.0, 0.0))

    def fill(self, box: Sequence[float], colour: Colour, opacity: float = 1.0) -> None:
        points = _few(box)
        if points is not None and opacity > 0:
            self._add(_FILL, _on_grid(points), colour, min(1.0, float(opacity)))

    def line(self, start: Point, end: Point, colour: Colour, thickness: int = 2) -> None:
        self.polyline((start, end), colour, thickness)

    def polyline(self, points: Points, colour: Colour, thickness: int = 2, closed: bool = False) -> None:
        found = _corners(points)
        if found is None:
            return
        thick, (corners, sides) = min(255, max(1, int(thickness))), found
        if closed or len(corners) == 1:
            corners = np.concatenate([corners, corners[:1]])
        self._add(
            _STROKE, _near(sides, thick + 4), colour, 1.0, len(corners), corners.astype(np.float32).tobytes(),
            (float(thick), float(max(1, round(thick / 2))), float(closed), 0.0, 0.0, 0.0),
        )  # fmt: skip

    def arrow(self, start: Point, end: Point, colour: Colour, thickness: int = 2) -> None:
        ends = _few((*start, *end))
        if ends is None:
            return
        begin, tip = np.array(ends[:2]), np.array(ends[2:])
        length = float(np.hypot(*(tip - begin)))
        if length < 1:
            return
        along = (tip - begin) / length
        head = min(length, 3.0 * thickness + 6.0)
        base, side = tip - along * head, np.array([-along[1], along[0]]) * head * 0.5
        self.polyline([begin.tolist(), base.tolist()], colour, thickness)
        self.polygon([tip.tolist(), (base + side).tolist(), (base - side).tolist()], colour, 1.0)

    def circle(self, centre: Point, radius: float, colour: Colour, thickness: int = 2) -> None:
        given = _few((*centre, radius))
        if given is None or given[2] < 0:
            return
        x, y, size = given
        if thickness > 0:  # a ring is a line through the corners that a disc has, too
            whole = math.floor(size + 0.5)
            turns = np.arange(count := 4 if whole < 3 else 12 if whole < 10 else 20 if whole < 15 else 72) / count
            ways = 2 * np.pi * turns
            ring = np.column_stack([x + size * np.cos(ways), y + size * np.sin(ways)])
            self.polyline(ring, colour, thickness, closed=True)
            return
        bounds = _near((x, y, x, y), math.ceil(size) + 4)
        self._add(_DISC, bounds, colour, numbers=(x, y, size, 0.0, 0.0, 0.0))

    def polygon(self, points: Sequence[Point], colour: Colour, opacity: float = 0.3) -> None:
        found = _corners(points)
        if found is None or not opacity > 0:
            return
        corners, (x1, y1, x2, y2) = found
        left, top = max(0, int(x1 // 2) * 2), max(0, int(y1 // 2) * 2)
        right, bottom = min(self.width, int(x2) + 2), min(self.height, int(y2) + 2)
        data = corners.astype(np.float32).tobytes()
        self._add(_POLYGON, (left, top, right, bottom), colour, min(1.0, float(opacity)), len(corners), data)

    def mask(self, mask: NDArray[Any], box: Sequence[float], colour: Colour, opacity: float = 0.5) -> None:
        points = _few(box)
        if points is None or mask.ndim != 2 or not mask.size or not opacity > 0:
            return
        x1, y1, x2, y2 = points
        left, top = (max(0, int(v // 2) * 2) for v in (x1, y1))
        right, bottom = min(self.width, math.ceil(x2)), min(self.height, math.ceil(y2))
        if left >= right or top >= bottom or x1 >= x2 or y1 >= y2:
            return
        weights = mask.astype(np.float32)
        if mask.dtype != bool:
            weights = np.clip(np.nan_to_num(weights), 0.0, 1.0)
        rows, columns = weights.shape
        per_x, per_y = columns / (x2 - x1), rows / (y2 - y1)
        inner = np.array([round(x1), round(y1), round(x2), round(y2)], np.int32)
        self._add(
            _MASK, (left, top, right, bottom), colour, min(1.0, float(opacity)), columns,
            weights.tobytes() + inner.tobytes(),
            (per_x, (left + 0.5 - x1) * per_x - 0.5, per_y, (top + 0.5 - y1) * per_y - 0.5, 0.0, float(rows)),
        )  # fmt: skip

    def heat(self, density: NDArray[Any], opacity: float = 0.6) -> None:
        if not opacity > 0:
            return
        steps = np.rint(np.clip(np.nan_to_num(density), 0.0, 1.0) * 255.0).astype(np.uint8)
        colours = np.zeros((256, 4), np.uint8)
        colours[:, :3] = [self._levels(colour) for colour in HEAT]
        data = np.ascontiguousarray(steps).tobytes() + colours.tobytes()
        whole = (0, 0, self.width, self.height)
        numbers = (0.0, 0.0, 0.0, 0.0, 0.0, float(steps.shape[0]))
        self._add(_HEAT, whole, None, min(1.0, float(opacity)), steps.shape[1], data, numbers)

    def text(
        self,
        text: str,
        at: Point,
        colour: Colour = (255, 255, 255),
        size: int = 16,
        background: Colour | None = None,
        inside: bool = False,
    ) -> tuple[int, int]:
        margin = 0 if background is None else max(2, size // 6)
        size = clamped(size)
        line = self._atlas.line(text, size, self.font)
        height, width = -(-size // 2) * 2, -(-(line.width + 2 * margin) // 2) * 2
        corner = _few(at)
        if corner is None:
            return width, height
        x, y = round(corner[0] / 2) * 2, round(corner[1] / 2) * 2
        if inside:
            room = (self.width - width) // 2 * 2, (self.height - height) // 2 * 2
            x, y = max(0, min(x, room[0])), max(0, min(y, room[1]))
        if line.words or background is not None:
            luma, u, v = (0, 0, 0) if background is None else self._levels(background)
            numbers = float(size), float(background is not None), float(luma), float(u), float(v), float(margin)
            self._add(_TEXT, (x, y, x + width, y + height), colour, 1.0, line.words, line.data, numbers)
        return width, height


@lru_cache(maxsize=4096)
def _components(colour: Colour, matrix: Matrix, full_range: bool) -> tuple[int, int, int]:
    """Y, U, V of a colour, of which what is out of range is clipped."""
    red, green, blue = (min(255, max(0, round(part))) for part in colour)
    return rgb_to_yuv(red, green, blue, matrix, full_range)


def _few(values: Sequence[float]) -> list[float] | None:
    """A point's or box's numbers, none too far away; None when one is no number."""
    numbers = [float(value) for value in values]
    if not all(map(isfinite, numbers)):
        return None
    return [min(FAR, max(-FAR, number)) for number in numbers]


def _picture(image: Image) -> _Picture:
    luma, u, v = views_of(image)
    return _Picture(
        luma.data, u.data, v.data, luma.row, u.row, luma.step, u.step, luma.bytes, image.width, image.height
    )


def _corners(points: Any) -> tuple[NDArray[np.float64], list[float]] | None:
    """Points [n, 2], none too far away, and the box about them; None when one is no number or there are none."""
    array = np.asarray(points, np.float64).reshape(-1, 2)
    if not len(array):
        return None
    sides = [*array.min(axis=0).tolist(), *array.max(axis=0).tolist()]  # a number that is none shows here
    if not all(map(isfinite, sides)):
        return None
    if min(sides) < -FAR or max(sides) > FAR:
        array = np.minimum(np.maximum(array, -FAR), FAR)
        sides = [min(FAR, max(-FAR, side)) for side in sides]
    return array, sides


def _on_grid(points: Sequence[float]) -> tuple[int, int, int, int]:
    """left, top, right, bottom of a box on whole even pixels."""
    x1, y1, x2, y2 = (round(value / 2) * 2 for value in points)
    return min(x1, x2), min(y1, y2), max(x1, x2), max(y1, y2)


def _near(sides: Sequence[float], margin: int) -> tuple[int, int, int, int]:
    """Whole pixels that hold a box and a margin."""
    x1, y1, x2, y2 = sides
    return math.floor(x1) - margin, math.floor(y1) - margin, math.ceil(x2) + margin, math.ceil(y2) + margin
