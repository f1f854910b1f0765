"""A picture made of many: where each lies, and painting it there."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from fractions import Fraction

from ..media import Image
from ..media.geometry import to_pixels
from ..media.image import Matrix
from .base import Area, Colour, Imaging
from .mapping import Affine, shifted


def grid(
    names: Sequence[str], width: int, height: int, columns: int | None = None, rows: int | None = None
) -> dict[str, Area]:
    """The part of a picture of width x height that each name gets, row by row, on even pixels.

    Columns and rows that are not given follow from the number of names: as many columns as rows, or one more. Names
    for which there is no room are left out.
    """
    count = max(1, len(names))
    if columns is None:
        columns = math.ceil(count / rows) if rows else math.ceil(math.sqrt(count))
    rows = rows or math.ceil(count / columns)
    out = {}
    for index, name in enumerate(names[: columns * rows]):
        row, column = divmod(index, columns)
        x1, x2 = (_even(width * edge / columns, width) for edge in (column, column + 1))
        y1, y2 = (_even(height * edge / rows, height) for edge in (row, row + 1))
        if x1 < x2 and y1 < y2:
            out[name] = (x1, y1, x2, y2)
    return out


def custom(layout: Mapping[str, Sequence[float]], width: int, height: int) -> dict[str, Area]:
    """`{name: [x1, y1, x2, y2]}`, fractions or pixels, on even pixels and cut at the edges.

    Raises ValueError naming the one that is no box with an inside.
    """
    out = {}
    for name, box in layout.items():
        try:
            x1, y1, x2, y2 = to_pixels([box[:2], box[2:]], width, height).reshape(4).tolist()
            area = _even(x1, width), _even(y1, height), _even(x2, width), _even(y2, height)
        except (TypeError, ValueError, OverflowError):
            raise ValueError(f"{name}: {box!r} is not x1 y1 x2 y2") from None
        if area[0] >= area[2] or area[1] >= area[3]:
            raise ValueError(f"{name}: {box!r} has no pixel of a picture of {width}x{height}")
        out[name] = area
    return out


def _even(value: float, limit: int) -> int:
    """The nearest even number of 0..limit; the limit itself may be odd."""
    return limit if value > limit - 1 else max(0, round(value / 2) * 2)


def fit(width: float, height: float, area: Area) -> Area:
    """The largest part of an area, in its middle and on even pixels, that has the aspect of width x height."""
    x1, y1, x2, y2 = area
    ratio = min((x2 - x1) / width, (y2 - y1) / height)
    inner_w, inner_h = (
        total if total - side * ratio < 2 else max(2, round(side * ratio / 2) * 2)
        for side, total in ((width, x2 - x1), (height, y2 - y1))
    )
    left, top = x1 + (x2 - x1 - inner_w) // 4 * 2, y1 + (y2 - y1 - inner_h) // 4 * 2
    return left, top, min(x2, left + inner_w), min(y2, top + inner_h)


class Wall:
    """An I420 picture that others are painted into. What was given away by `picture` is not painted on again."""

    def __init__(self, imaging: Imaging, width: int, height: int, colour: Colour, matrix: Matrix) -> None:
        self.imaging = imaging
        self.colour = colour
        self.image = imaging.blank(width, height, colour, matrix)

    def clear(self) -> None:
        """One colour again."""
        self.image = self.imaging.blank(self.image.width, self.image.height, self.colour, self.image.matrix)

    def paint(self, image: Image, area: Area, aspect: Fraction | None, label: str) -> Affine:
        """Put a picture into an area, its pixels `aspect` times as wide as high; returns where its points went."""
        self.image = self.image.writable()
        x1, y1, x2, y2 = inner = fit(image.width * float(aspect or 1), image.height, area)
        self.imaging.put(image, self.image, inner)
        if label:
            size = max(10, round((area[3] - area[1]) / 18))
            canvas = self.imaging.canvas(self.imaging.crop(self.image, area))  # clips the text to the area
            canvas.text(label, (size // 3, size // 3), (255, 255, 255), size, (0, 0, 0), inside=True)
            canvas.finish()
        return shifted(x1, y1, (x2 - x1) / image.width, (y2 - y1) / image.height)

    def picture(self) -> Image:
        """What is on the wall now."""
        return self.image.share()
