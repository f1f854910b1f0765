"""Test pictures by name: those of GStreamer's videotestsrc, and what NVIDIA's has besides.

Colours are of BT.601, limited range; the equations of ITU-R BT.601-7, section 2.5. The names are videotestsrc's, whose
pictures these resemble; they are not equal to the pixel.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

Planes = list[NDArray[np.uint8]]
Colours = NDArray[Any]  # float64 [h, w, 3], red green blue of 0..1

_WHEEL = ((1, 1, 1), (1, 1, 0), (0, 1, 1), (0, 1, 0), (1, 0, 1), (1, 0, 0), (0, 0, 1))  # by falling luma
_BLACK, _WHITE = (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)
_KR, _KB = 0.299, 0.114


def pattern(name: str, width: int, height: int, index: int, colour: tuple[float, float, float] = _WHITE) -> Planes:
    """Y, U and V of a picture; `index` counts for those that move (MOVING). `colour` is solid-color's, 0..1."""
    if name in _FRAMES:
        return _FRAMES[name](width, height, index)
    if name == "solid-color":
        return planes(np.broadcast_to(np.array(colour), (height, width, 3)))
    return planes(_STILLS[name](width, height))


def planes(rgb: Colours) -> Planes:
    """I420 of red, green and blue; chroma is the mean of 2 x 2 pixels, the last column and row repeated."""
    red, green, blue = (rgb[..., index] for index in range(3))
    luma = _KR * red + (1 - _KR - _KB) * green + _KB * blue
    u, v = (blue - luma) / (2 - 2 * _KB), (red - luma) / (2 - 2 * _KR)
    return [_levels(luma * 219 + 16), *(_levels(_halved(each) * 224 + 128) for each in (u, v))]


def _levels(values: NDArray[Any]) -> NDArray[np.uint8]:
    return np.asarray(np.clip(np.rint(values), 0, 255).astype(np.uint8))


def _halved(values: NDArray[Any]) -> NDArray[Any]:
    even = np.pad(values, ((0, values.shape[0] % 2), (0, values.shape[1] % 2)), mode="edge")
    return np.asarray((even[::2, ::2] + even[1::2, ::2] + even[::2, 1::2] + even[1::2, 1::2]) / 4)


def _axes(width: int, height: int) -> tuple[NDArray[Any], NDArray[Any]]:
    """Distances right and down from the middle, in pixels: [1, w] and [h, 1]."""
    return np.arange(width)[None] - (width - 1) / 2, np.arange(height)[:, None] - (height - 1) / 2


def _grey(values: NDArray[Any]) -> Colours:
    return np.repeat(values[..., None], 3, axis=2)


def _row(colours: NDArray[Any], width: int, height: int) -> Colours:
    """Bars of equal width."""
    line = colours[np.arange(width) * len(colours) // width]
    return np.repeat(line[None], height, axis=0)


def _bars(level: float) -> Callable[[int, int], Colours]:
    return lambda width, height: _row(np.array(_WHEEL) * level, width, height)


def _smpte(width: int, height: int) -> Colours:
    """SMPTE EG 1: 75 % bars, the same in blue backwards, then -I, white, +Q and steps about black."""
    out = _row(np.array(_WHEEL) * 0.75, width, height)
    middle, low = height * 2 // 3, height * 3 // 4
    castle = np.array([_WHEEL[6 - n] if n % 2 == 0 else _BLACK for n in range(7)]) * 0.75
    out[middle:low] = _row(castle, width, low - middle)
    foot = np.array([(0, 0.13, 0.3), _WHITE, (0.2, 0, 0.42), (0.075, 0.075, 0.075)])
    out[low:] = _row(np.concatenate([foot, np.array([[0.04] * 3, [0.075] * 3, [0.11] * 3])]), width, height - low)
    return out


def _plain(colour: tuple[float, float, float]) -> Callable[[int, int], Colours]:
    return lambda width, height: np.broadcast_to(np.array(colour), (height, width, 3))


def _checkers(size: int) -> Callable[[int, int], Colours]:
    """Red and green."""

    def draw(width: int, height: int) -> Colours:
        odd = (np.arange(width)[None] // size + np.arange(height)[:, None] // size) % 2
        return np.where(odd[..., None] == 1, np.array((1.0, 0.0, 0.0)), np.array((0.0, 1.0, 0.0)))

    return draw


def _circular(width: int, height: int) -> Colours:
    x, y = _axes(width, height)
    return _grey(0.5 + 0.5 * np.cos(np.hypot(x, y) * math.pi / 4))


def _rings(width: int, height: int) -> NDArray[Any]:
    """A zone plate that reaches half the sampling rate at the nearer edge: -1..1."""
    x, y = _axes(width, height)
    wave: NDArray[Any] = np.cos((x * x + y * y) * math.pi / max(width, height))
    return wave


def _zone_plate(width: int, height: int) -> Colours:
    return _grey(0.5 + 0.5 * _rings(width, height))


def _chroma_zone_plate(width: int, height: int, index: int) -> Planes:
    wave = _rings(width, height)
    return [np.full((height, width), 128, np.uint8), *(_levels(_halved(each) * 112 + 128) for each in (wave, -wave))]


def _gamut(width: int, height: int, index: int) -> Planes:
    """Luma below black and above white beside the limits: what a converter must clip."""
    half = (height + 1) // 2, (width + 1) // 2
    line = np.array([0, 16, 235, 255], np.uint8)[np.arange(width) * 4 // width]
    return [np.repeat(line[None], height, axis=0), np.full(half, 128, np.uint8), np.full(half, 128, np.uint8)]


def _angles(width: int, height: int) -> NDArray[Any]:
    x, y = _axes(width, height)
    return np.asarray(np.arctan2(y, x))


def _pinwheel(width: int, height: int) -> Colours:
    return _grey((np.cos(_angles(width, height) * 9) > 0).astype(float))


def _spokes(width: int, height: int) -> Colours:
    return _grey(0.5 + 0.5 * np.cos(_angles(width, height) * 18))


def _gradient(width: int, height: int) -> Colours:
    return _grey(np.repeat(np.linspace(0, 1, height)[:, None], width, axis=1))


def _colors(width: int, height: int) -> Colours:
    """Every hue along the row, from white over full colour to black down the column."""
    hue = np.abs(np.mod(np.arange(width)[:, None] / width * 6 + np.array((0, 4, 2)), 6) - 3) - 1
    full = np.clip(hue, 0, 1)[None]
    down = np.linspace(-1, 1, height)[:, None, None]
    return np.asarray(np.where(down < 0, full + (1 - full) * -down, full * (1 - down)))


def _bar(width: int, height: int) -> Colours:
    out = np.zeros((height, width, 3))
    out[:, width * 3 // 7 : width * 4 // 7] = 1
    return out


def _mandelbrot(width: int, height: int) -> Colours:
    x, y = _axes(width, height)
    scale = 3.0 / min(width * 0.9, height * 1.2)
    c = (x - width / 10) * scale + 1j * y * scale
    z, steps = np.zeros_like(c), np.zeros(c.shape)
    for _ in range(48):
        inside = np.abs(z) <= 2
        z = np.where(inside, z * z + c, z)
        steps += inside
    share = np.where(steps < 48, steps / 48, 0)[..., None]
    return np.asarray(np.clip(share * np.array((3.0, 1.5, 0.75)), 0, 1))


def _snow(width: int, height: int, index: int) -> Planes:
    half = (height + 1) // 2, (width + 1) // 2
    noise = np.random.default_rng(index).integers(16, 236, (height, width), dtype=np.uint8)
    return [noise, np.full(half, 128, np.uint8), np.full(half, 128, np.uint8)]


def _blink(width: int, height: int, index: int) -> Planes:
    return planes(_plain(_WHITE if index % 2 else _BLACK)(width, height))


def _ball(width: int, height: int, index: int) -> Planes:
    """A white ball that goes to and fro, with soft edges, on black."""
    radius = max(2.0, min(width, height) / 12)
    right = (0.5 + 0.5 * math.sin(2 * math.pi * index / 200)) * (width - 2 * radius) + radius
    down = (0.5 + 0.5 * math.sin(2 * math.pi * math.sqrt(2) * index / 200)) * (height - 2 * radius) + radius
    away = np.hypot(np.arange(width)[None] + 0.5 - right, np.arange(height)[:, None] + 0.5 - down)
    half = (height + 1) // 2, (width + 1) // 2
    luma = _levels(np.clip(radius - away + 0.5, 0, 1) * 219 + 16)
    return [luma, np.full(half, 128, np.uint8), np.full(half, 128, np.uint8)]


_STILLS: dict[str, Callable[[int, int], Colours]] = {
    "smpte": _smpte, "smpte75": _bars(0.75), "smpte100": _bars(1.0), "black": _plain(_BLACK), "white": _plain(_WHITE),
    "red": _plain((1.0, 0.0, 0.0)), "green": _plain((0.0, 1.0, 0.0)), "blue": _plain((0.0, 0.0, 1.0)),
    "checkers-1": _checkers(1), "checkers-2": _checkers(2), "checkers-4": _checkers(4), "checkers-8": _checkers(8),
    "circular": _circular, "zone-plate": _zone_plate, "pinwheel": _pinwheel, "spokes": _spokes,
    "gradient": _gradient, "colors": _colors, "bar": _bar, "mandelbrot": _mandelbrot,
}  # fmt: skip
_FRAMES: dict[str, Callable[[int, int, int], Planes]] = {
    "snow": _snow, "blink": _blink, "ball": _ball, "chroma-zone-plate": _chroma_zone_plate, "gamut": _gamut,
}  # fmt: skip
MOVING = ("snow", "blink", "ball")
NAMES = (*_STILLS, *_FRAMES, "solid-color")
