"""Colours that are easy to tell apart, the same for the same number in every run."""

from __future__ import annotations

import colorsys
import re
from functools import lru_cache

from .base import Colour

WHITE: Colour = (255, 255, 255)
BLACK: Colour = (0, 0, 0)
_TURN = 0.618033988749895  # of the circle of hues: the golden ratio never comes back near an earlier one soon
_HEX = re.compile(r"#[0-9a-fA-F]{6}")


HEAT: tuple[Colour, ...] = tuple(  # 256 steps from thin to dense: from blue over green to red
    (round(255 * r), round(255 * g), round(255 * b))
    for r, g, b in (colorsys.hsv_to_rgb((1 - step / 255) * 0.66, 1.0, 1.0) for step in range(256))
)


@lru_cache(maxsize=4096)
def colour_of(number: int) -> Colour:
    """The colour of a class or an identity."""
    hue = (0.33 + number * _TURN) % 1.0
    saturation, value = ((0.85, 1.0), (0.6, 1.0), (0.9, 0.78))[number // 8 % 3]
    red, green, blue = colorsys.hsv_to_rgb(hue, saturation, value)
    return round(red * 255), round(green * 255), round(blue * 255)


def parse_colour(text: str) -> Colour:
    """`#rrggbb` as red, green, blue. Raises ValueError for anything else."""
    if not isinstance(text, str) or not _HEX.fullmatch(text):
        raise ValueError(f"{text!r} is not a colour like #ff8000")
    return int(text[1:3], 16), int(text[3:5], 16), int(text[5:7], 16)


def readable_on(background: Colour) -> Colour:
    """Black or white, whichever stands out (luma of BT.601)."""
    red, green, blue = background
    return BLACK if 0.299 * red + 0.587 * green + 0.114 * blue > 140 else WHITE
