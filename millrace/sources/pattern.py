"""Test pictures made in code: `pattern:?width=1280&height=720&fps=30&seconds=10`."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from ..core.element import Seconds, setting, state
from ..core.errors import SettingError
from ..media import Image
from ..media.buffers import empty
from .patterns import MOVING, NAMES, pattern
from .pictures import PictureSource

# 75 % bars in the order of their luma: white, yellow, cyan, green, magenta, red, blue. Y, Cb, Cr of BT.601 limited
# range, computed from the equations of ITU-R BT.601-7, section 2.5.
BARS = ((180, 128, 128), (162, 44, 142), (131, 156, 44), (112, 72, 58), (84, 184, 198), (65, 100, 212), (35, 212, 114))
BLACK, WHITE = 16, 235
_DIGITS = (  # 3 x 5 cells of each digit, a row in three bits
    (7, 5, 5, 5, 7), (2, 6, 2, 2, 7), (7, 1, 7, 4, 7), (7, 1, 7, 1, 7), (5, 5, 7, 1, 1),
    (7, 4, 7, 1, 7), (7, 4, 7, 5, 7), (7, 1, 1, 1, 1), (7, 5, 7, 5, 7), (7, 5, 7, 1, 7),
)  # fmt: skip


class PatternSource(PictureSource):
    """Colour bars over a grey ramp, a white line that moves, and the frame's number: `pattern:?width=640&height=360`.

    Or one of GStreamer's test pictures: `pattern:?pattern=smpte` (snow, ball, checkers-8, …), which scrolls with
    `speed`. I420, BT.601, limited range. Without `frames` or `seconds` it never ends. The same settings give the same
    pictures.
    """

    stream: str = setting(help="name of the stream")
    uri: str = setting(default="pattern:", help="pattern:, with settings behind a question mark")
    pattern: str = setting(default="bars", help="which picture", choices=("bars", *NAMES))
    colour: str = setting(default="#ffffff", help="of solid-color, #rrggbb")
    speed: int = setting(default=0, help="pixels that a pattern goes to the left with each frame")
    width: int = setting(default=640, help="pixels", minimum=16)
    height: int = setting(default=360, help="pixels", minimum=16)
    fps: float = setting(default=25.0, help="frames per second", minimum=0.001)
    frames: int | None = setting(default=None, help="how many frames; default: by seconds, or without end", minimum=1)
    seconds: Seconds | None = setting(default=None, help="how long it lasts; default: without end", minimum=0)

    still: list[NDArray[np.uint8]] = state(list)

    @property
    def rate(self) -> Fraction:
        return Fraction(self.fps).limit_denominator(1001)

    @property
    def count(self) -> int | None:
        if self.frames is not None or self.seconds is None:
            return self.frames
        return max(1, round(self.seconds * self.rate))

    def picture(self, index: int) -> Image:
        if self.pattern != "bars":
            return Image("I420", self._named(index), self.width, self.height)
        if not self.still:
            self.still = bars(self.width, self.height)
        planes = []
        for plane in self.still:
            planes.append(empty(plane.shape, np.uint8))
            np.copyto(planes[-1], plane)
        luma = planes[0]
        luma[:, index * 2 % self.width] = WHITE
        _write_number(luma, index)
        return Image("I420", planes, self.width, self.height)

    def _named(self, index: int) -> list[NDArray[np.uint8]]:
        """The planes of a picture that has a name."""
        if self.pattern in MOVING:
            planes = pattern(self.pattern, self.width, self.height, index)
        else:
            if not self.still:
                self.still = pattern(self.pattern, self.width, self.height, 0, self._colour())
            planes = [plane.copy() for plane in self.still]
        shift = index * self.speed
        return (
            [np.roll(plane, -shift // (2 if n else 1), axis=1) for n, plane in enumerate(planes)] if shift else planes
        )

    def _colour(self) -> tuple[float, float, float]:
        try:
            number = int(self.colour.removeprefix("#"), 16)
            if len(self.colour) != 7 or number < 0:
                raise ValueError
        except ValueError:
            raise SettingError("pattern", "colour", self.colour, "it is a colour like #ff8000") from None
        return (number >> 16) / 255, (number >> 8 & 255) / 255, (number & 255) / 255


def bars(width: int, height: int) -> list[NDArray[np.uint8]]:
    """Y, U and V of the part that does not move: bars above, a ramp from black to white below."""
    half = (width + 1) // 2, (height + 1) // 2
    planes = []
    for index, (wide, high) in enumerate(((width, height), half, half)):
        levels = np.array([bar[index] for bar in BARS], np.uint8)
        row = levels[np.arange(wide) * len(BARS) // wide]
        plane = np.repeat(row[None], high, axis=0)
        ramp = np.linspace(BLACK, WHITE, wide).round() if index == 0 else np.full(wide, 128)
        plane[high * 3 // 4 :] = ramp.astype(np.uint8)
        planes.append(plane)
    return planes


def _write_number(luma: NDArray[np.uint8], number: int) -> None:
    """The number in white on black at the lower left, in cells of 3 x 5."""
    digits = [int(digit) for digit in str(number)]
    cells = np.zeros((7, 4 * len(digits) + 1), np.uint8)
    for place, digit in enumerate(digits):
        for row, bits in enumerate(_DIGITS[digit]):
            for column in range(3):
                cells[row + 1, place * 4 + 1 + column] = bits >> (2 - column) & 1
    high, wide = luma.shape
    size = max(1, min(high // 4 // 7, wide // cells.shape[1]))
    drawn = np.where(np.kron(cells, np.ones((size, size), np.uint8)), WHITE, BLACK)[:high, :wide]
    luma[high - drawn.shape[0] :, : drawn.shape[1]] = drawn
