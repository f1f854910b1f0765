"""Drawing on the planes of a picture on the CPU, without converting colours.

Everything is drawn on each plane with its own part of the colour: on Y in full resolution, on chroma in half. What
is drawn with straight edges is laid on even pixels there, so that no chroma spills over an edge. Polygons, masks and
text cover chroma by the mean of its 2x2 pixels, which is what drawing in RGB and converting would give; slanted lines
and circles have their chroma smoothed on its own grid, which is several times faster and differs at their edges only.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from ..media import Image
from ..media.colour import rgb_to_yuv
from .base import Colour, Point, Points
from .palette import HEAT
from .text import SANS, text_mask

FAR = 16000.0  # pixels: what lies farther out is drawn as if it lay here
_SHIFT = 4  # OpenCV's fixed-point coordinates: sixteenths of a pixel
_HEAT_SHARE = np.minimum(np.arange(256, dtype=np.float32) / 96.0, 1.0)  # thin density is nearly clear
DRAWABLE = ("I420", "NV12", "RGB", "BGR", "GRAY8")


class _Layer(NamedTuple):
    plane: NDArray[np.uint8]
    scale: int  # picture pixels per pixel of the plane
    parts: tuple[int, ...]  # which of Y, U, V (or R, G, B) its channels are


@lru_cache(maxsize=4096)
def _components(colour: Colour, matrix: Any, full_range: bool, format: str) -> tuple[int, int, int]:
    red, green, blue = (min(255, max(0, round(part))) for part in colour)
    if format in ("RGB", "BGR"):
        return red, green, blue
    return rgb_to_yuv(red, green, blue, matrix, full_range or format == "GRAY8")


class PlanesCanvas:
    """See imaging.base.Canvas. Draws on `image` itself, or on a copy of read-only pixels.

    Coordinates are continuous: (0, 0) is the corner of the picture, its first pixel ends at (1, 1). What lies
    outside is clipped; what has a coordinate that is no number is not drawn.
    """

    def __init__(self, image: Image, font: str = SANS) -> None:
        if image.format not in DRAWABLE:
            raise ValueError(f"canvas: cannot draw on {image.format}; convert it to one of {', '.join(DRAWABLE)}")
        self.image = image.writable()
        self.width, self.height = image.width, image.height
        self.font = font
        planes = self.image.planes
        if image.format == "I420":
            self._layers = [_Layer(planes[0], 1, (0,)), _Layer(planes[1], 2, (1,)), _Layer(planes[2], 2, (2,))]
        elif image.format == "NV12":
            self._layers = [_Layer(planes[0], 1, (0,)), _Layer(planes[1], 2, (1, 2))]
        else:
            parts = {"RGB": (0, 1, 2), "BGR": (2, 1, 0), "GRAY8": (0,)}[image.format]
            self._layers = [_Layer(planes[0], 1, parts)]
        self._step = self._layers[-1].scale  # the grid that straight edges are laid on

    def finish(self) -> Image:
        return self.image

    def rectangle(self, box: Sequence[float], colour: Colour, thickness: int = 2) -> None:
        """The outline of x1 y1 x2 y2; `thickness` is rounded up to the chroma's grid."""
        points = _finite(box)
        if points is None:
            return
        step = self._step
        left, top, right, bottom = _on_grid(points, step)
        thick = -(-min(255, max(1, int(thickness))) // step) * step
        out = thick // 2 // step * step
        left, top, right, bottom = left - out, top - out, right + out, bottom + out
        right, bottom = max(right, left + thick), max(bottom, top + thick)
        layers = self._values(colour)
        _fill(layers, left, top, right, min(bottom, top + thick))
        _fill(layers, left, max(top, bottom - thick), right, bottom)
        _fill(layers, left, top, min(right, left + thick), bottom)
        _fill(layers, max(left, right - thick), top, right, bottom)

    def fill(self, box: Sequence[float], colour: Colour, opacity: float = 1.0) -> None:
        """x1 y1 x2 y2 filled; on the chroma's grid, at least one step wide and high."""
        points = _finite(box)
        if points is None or not opacity > 0:
            return
        left, top, right, bottom = _on_grid(points, self._step)
        if opacity >= 1:
            _fill(self._values(colour), left, top, right, bottom)
            return
        for (plane, scale, _), value in self._values(colour):
            region = plane[
                max(0, top) // scale : max(0, bottom) // scale, max(0, left) // scale : max(0, right) // scale
            ]
            if region.size:
                region[...] = cv2.LUT(region, _faded(value, float(opacity))).reshape(region.shape)

    def arrow(self, start: Point, end: Point, colour: Colour, thickness: int = 2) -> None:
        """A line with a filled head, whose tip is at `end`; nothing when it has no length."""
        array = _finite((*start, *end))
        if array is None:
            return
        begin, tip = array[:2], array[2:]
        length = float(np.hypot(*(tip - begin)))
        if length < 1:
            return
        along = (tip - begin) / length
        head = min(length, 3.0 * thickness + 6.0)
        base, side = tip - along * head, np.array([-along[1], along[0]]) * head * 0.5
        self.polyline([begin.tolist(), base.tolist()], colour, thickness)
        self.polygon([tip.tolist(), (base + side).tolist(), (base - side).tolist()], colour, 1.0)

    def mask(self, mask: NDArray[Any], box: Sequence[float], colour: Colour, opacity: float = 0.5) -> None:
        """A mask [h, w] (booleans, or weights 0..1), stretched over the box and blended as far as it covers."""
        points = _finite(box)
        if points is None or mask.ndim != 2 or not mask.size or not opacity > 0:
            return
        x1, y1, x2, y2 = points.tolist()
        left, top = (max(0, int(v // 2) * 2) for v in (x1, y1))
        right, bottom = min(self.image.width, int(np.ceil(x2))), min(self.image.height, int(np.ceil(y2)))
        if left >= right or top >= bottom or x1 >= x2 or y1 >= y2:
            return
        weights = np.clip(np.nan_to_num(mask.astype(np.float32)), 0.0, 1.0)
        scale_x, scale_y = weights.shape[1] / (x2 - x1), weights.shape[0] / (y2 - y1)
        back = np.array([
            [scale_x, 0.0, (left + 0.5 - x1) * scale_x - 0.5], [0.0, scale_y, (top + 0.5 - y1) * scale_y - 0.5],
        ])  # fmt: skip
        how = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        size = (right - left, bottom - top)
        cover = cv2.warpAffine(weights, back, size, flags=how, borderMode=cv2.BORDER_REPLICATE)
        cover[:, : max(0, round(x1) - left)] = 0.0  # the region is even, the box need not be
        cover[: max(0, round(y1) - top)] = 0.0
        cover[:, max(0, round(x2) - left) :] = 0.0
        cover[max(0, round(y2) - top) :] = 0.0
        cover *= min(1.0, float(opacity))
        for (plane, scale, _), value in self._values(colour):
            part = cover if scale == 1 else _halved(cover)
            region = plane[top // scale : top // scale + part.shape[0], left // scale : left // scale + part.shape[1]]
            _mix(region, part[: region.shape[0], : region.shape[1]], value)

    def heat(self, density: NDArray[Any], opacity: float = 0.6) -> None:
        """A density [h, w] of 0..1, stretched over the picture: blue where it is thin, red where it is dense."""
        if not opacity > 0:
            return
        steps = np.rint(np.clip(np.nan_to_num(density), 0.0, 1.0) * 255.0).astype(np.uint8)
        share = _HEAT_SHARE * np.float32(min(1.0, opacity))
        colours = [self._values(colour) for colour in HEAT]
        for index, layer in enumerate(self._layers):
            height, width = layer.plane.shape[:2]
            level = cv2.resize(steps, (width, height), interpolation=cv2.INTER_LINEAR)
            x, y, wide, high = cv2.boundingRect(level)  # of what is not zero
            if not wide:
                continue
            level, region = level[y : y + high, x : x + wide], layer.plane[y : y + high, x : x + wide]
            table = np.array([values[index][1] for values in colours], np.uint8)
            cover = cv2.LUT(level, share)
            warm = cv2.LUT(cv2.merge([level] * table.shape[1]), table.reshape(1, 256, -1))
            region[...] = cv2.blendLinear(region, warm, 1.0 - cover, cover).reshape(region.shape)

    def line(self, start: Point, end: Point, colour: Colour, thickness: int = 2) -> None:
        self.polyline((start, end), colour, thickness)

    def polyline(self, points: Points, colour: Colour, thickness: int = 2, closed: bool = False) -> None:
        array = _finite(points)
        if array is None:
            return
        thick = min(255, max(1, int(thickness)))
        for layer, value in self._values(colour):
            width, corners = max(1, round(thick / layer.scale)), _fixed(array, layer.scale)
            for plane, part, (x, y) in _channels(layer.plane, value, corners, width + 2):
                cv2.polylines(plane, [corners - (x, y)], closed, part, width, cv2.LINE_AA, _SHIFT)

    def circle(self, centre: Point, radius: float, colour: Colour, thickness: int = 2) -> None:
        """A ring, or a disc when `thickness` is 0 or less."""
        array = _finite((*centre, radius))
        if array is None or array[2] < 0:
            return
        for layer, value in self._values(colour):
            centre_at = _fixed(array[:2], layer.scale)
            size = round(float(array[2]) / layer.scale * (1 << _SHIFT))
            width = -1 if thickness <= 0 else max(1, round(min(255, thickness) / layer.scale))
            for plane, part, offset in _channels(layer.plane, value, centre_at, (size >> _SHIFT) + abs(width) + 3):
                x, y = (centre_at - offset)[0].tolist()
                cv2.circle(plane, (x, y), size, part, width, cv2.LINE_AA, _SHIFT)

    def polygon(self, points: Sequence[Point], colour: Colour, opacity: float = 0.3) -> None:
        """A filled polygon, blended: pixel * (1 - opacity) + colour * opacity; even-odd where it crosses itself."""
        array = _finite(points)
        if array is None or not opacity > 0:
            return
        share = min(1.0, float(opacity))
        corners = array.reshape(-1, 2)
        left, top = (max(0, int(value // 2) * 2) for value in corners.min(axis=0).tolist())
        width, height = (
            min(size, int(value) + 2) - first
            for size, value, first in zip(
                (self.image.width, self.image.height), corners.max(axis=0).tolist(), (left, top), strict=True
            )
        )
        if width <= 0 or height <= 0:
            return
        mask = np.zeros((height, width), np.uint8)
        cv2.fillPoly(mask, [_fixed(array - np.tile((left, top), len(corners)), 1)], (255,), cv2.LINE_8, _SHIFT)
        for (plane, scale, _), value in self._values(colour):
            if scale == 1:
                region = plane[top : top + height, left : left + width]
                cv2.copyTo(cv2.LUT(region, _faded(value, share)), mask, region)
                continue
            cover = _halved(mask).astype(np.float32) * np.float32(share / 255.0)
            half_y, half_x = top // 2, left // 2
            _mix(plane[half_y : half_y + cover.shape[0], half_x : half_x + cover.shape[1]], cover, value)

    def text(
        self,
        text: str,
        at: Point,
        colour: Colour = (255, 255, 255),
        size: int = 16,
        background: Colour | None = None,
        inside: bool = False,
    ) -> tuple[int, int]:
        """One line of Unicode text, `size` pixels high, its top left corner at `at` (on the chroma's grid).

        `inside`: moved left, up, right or down until it lies in the picture, as far as there is room.
        """
        mask = text_mask(text, size, self.font)
        step, margin = self._step, 0 if background is None else max(2, size // 6)
        height, width = (-(-side // step) * step for side in (mask.shape[0], mask.shape[1] + 2 * margin))
        corner = _finite(at)
        if corner is None or not width:
            return width, height
        x, y = (round(value / step) * step for value in corner.tolist())
        if inside:
            room = (self.image.width - width) // step * step, (self.image.height - height) // step * step
            x, y = max(0, min(x, room[0])), max(0, min(y, room[1]))
        cover = np.zeros((height, width), np.uint8)
        cover[: mask.shape[0], margin : margin + mask.shape[1]] = mask
        behind = None if background is None else self._values(background)
        for index, (layer, value) in enumerate(self._values(colour)):
            scale = layer.scale
            part = cover if scale == 1 else cv2.resize(cover, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
            _blend(layer.plane, part, x // scale, y // scale, value, None if behind is None else behind[index][1])
        return width, height

    def _values(self, colour: Colour) -> list[tuple[_Layer, tuple[int, ...]]]:
        """Each plane with the colour's values for its channels."""
        image = self.image
        parts = _components(colour, image.matrix, image.full_range, image.format)
        return [(layer, tuple(parts[index] for index in layer.parts)) for layer in self._layers]


def _finite(values: Any) -> NDArray[np.float64] | None:
    """The coordinates in one row, none too far away; None when one is no number or there are none."""
    array = np.asarray(values, np.float64).reshape(-1)
    if not array.size or not np.isfinite(array).all():
        return None
    return np.minimum(np.maximum(array, -FAR), FAR)  # np.clip takes longer on a few numbers


def _fixed(array: NDArray[np.float64], scale: int) -> NDArray[np.int32]:
    """Picture coordinates [2n] as OpenCV's on a plane [n, 2]: pixel centres are whole numbers there."""
    return np.rint((array.reshape(-1, 2) / scale - 0.5) * (1 << _SHIFT)).astype(np.int32)


def _channels(
    plane: NDArray[np.uint8], value: tuple[int, ...], points: NDArray[np.int32], margin: int
) -> Iterator[tuple[NDArray[np.uint8], tuple[int, ...], tuple[int, int]]]:
    """What OpenCV draws smoothed lines on: the plane, or, of two channels, each around the points as a copy.

    On two channels together it would draw them jagged. Yields the pixels, the colour's part, and where they begin (in
    sixteenths); a copy is written back.
    """
    if plane.ndim < 3 or plane.shape[2] != 2:
        yield plane, value, (0, 0)
        return
    low, high = points.min(axis=0) >> _SHIFT, points.max(axis=0) >> _SHIFT
    x1, y1 = np.maximum(low - margin, 0).tolist()
    x2, y2 = (high + margin + 1).tolist()
    region = plane[y1 : max(y1, y2), x1 : max(x1, x2)]
    if region.size:
        for channel, part in enumerate(value):
            copied = np.ascontiguousarray(region[..., channel])
            yield copied, (part,), (x1 << _SHIFT, y1 << _SHIFT)
            region[..., channel] = copied


def _on_grid(points: NDArray[np.float64], step: int) -> tuple[int, int, int, int]:
    """left, top, right, bottom of a box on whole steps."""
    x1, y1, x2, y2 = (round(value / step) * step for value in points.tolist())
    return min(x1, x2), min(y1, y2), max(x1, x2), max(y1, y2)


@lru_cache(maxsize=1024)
def _faded(value: tuple[int, ...], share: float) -> NDArray[np.uint8]:
    """What every level becomes under a colour that is blended in: [1, 256, channels]."""
    levels = np.arange(256)[:, None] * (1.0 - share) + np.multiply(value, share)
    return np.ascontiguousarray(np.rint(levels).astype(np.uint8)[None])


def _halved(cover: NDArray[Any]) -> NDArray[Any]:
    """The mean of 2x2 pixels: how far a chroma pixel is covered. Beyond an odd edge its last pixel is repeated."""
    height, width = cover.shape
    even = cv2.copyMakeBorder(cover, 0, height % 2, 0, width % 2, cv2.BORDER_REPLICATE)
    size = ((width + 1) // 2, (height + 1) // 2)
    return np.asarray(cv2.resize(even, size, interpolation=cv2.INTER_AREA))


def _mix(region: NDArray[np.uint8], cover: NDArray[np.float32], value: tuple[int, ...]) -> None:
    """Blend a colour in, by `cover` of 0..1."""
    if region.size:
        colour = np.empty_like(region)
        colour[...] = value if region.ndim > 2 else value[0]
        region[...] = cv2.blendLinear(region, colour, 1.0 - cover, cover).reshape(region.shape)


def _fill(layers: Sequence[tuple[_Layer, tuple[int, ...]]], left: int, top: int, right: int, bottom: int) -> None:
    """Whole pixels of the picture, on the planes' grid."""
    left, top = max(0, left), max(0, top)
    if left >= right or top >= bottom:
        return
    for (plane, scale, _), value in layers:
        plane[top // scale : bottom // scale, left // scale : right // scale] = value


def _blend(
    plane: NDArray[np.uint8], cover: NDArray[np.uint8], x: int, y: int,
    value: tuple[int, ...], behind: tuple[int, ...] | None,
) -> None:  # fmt: skip
    """Lay `value` over the plane (or over `behind`) as far as `cover` (h, w) says, clipped."""
    left, top = max(0, -x), max(0, -y)
    region = plane[max(0, y) : max(0, y + cover.shape[0]), max(0, x) : max(0, x + cover.shape[1])]
    part = cover[top : top + region.shape[0], left : left + region.shape[1]]
    if not part.size:
        return
    if behind is not None:
        levels = _ramp(behind, value)
        if len(value) == 1:
            region[...] = cv2.LUT(part, levels)
        else:
            region[...] = levels[part]
        return
    share = part.astype(np.int32).reshape(*part.shape, *(1,) * (plane.ndim - 2))
    region[...] = (region * (255 - share) + np.asarray(value if plane.ndim > 2 else value[0]) * share + 127) // 255


@lru_cache(maxsize=4096)
def _ramp(behind: tuple[int, ...], value: tuple[int, ...]) -> NDArray[np.uint8]:
    """What each of the 256 degrees of cover shows: [256, channels] from one colour to the other."""
    cover = np.arange(256)
    return np.asarray((np.outer(255 - cover, behind) + np.outer(cover, value) + 127) // 255, dtype=np.uint8)
