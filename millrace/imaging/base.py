"""What can be done to pictures, on any device: one Protocol, one file per device."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from ..media import Image, InputSpec, Placement

Colour = tuple[int, int, int]  # red, green, blue, 0..255
Point = tuple[float, float]


class Imaging(Protocol):
    """Work on pictures that live in one memory. Chosen by the memory of the image."""

    memory: str

    def to_tensor(self, images: Sequence[Image], spec: InputSpec, out: Any = None) -> tuple[Any, list[Placement]]:
        """Pictures as one model input [n, …] in spec's layout and dtype, from YUV in one pass, and where each lies.

        `out`, when given, is filled and returned. Never makes a full-size RGB picture.
        """
        ...

    def convert(self, image: Image, format: str) -> Image: ...

    def canvas(self, image: Image, font: str = "sans") -> Canvas:
        """Something to draw on `image.writable()`; `canvas.image` is the result, of 8 bits a channel.

        `font` is a built-in one (sans, italic, uni) or the path of a .ttf or .otf file.
        """
        ...


class Canvas(Protocol):
    """Draws on the planes of a picture, without converting colours. Coordinates are pixels of the picture."""

    image: Image

    def rectangle(self, box: Sequence[float], colour: Colour, thickness: int = 2) -> None: ...

    def line(self, start: Point, end: Point, colour: Colour, thickness: int = 2) -> None: ...

    def polyline(self, points: Sequence[Point], colour: Colour, thickness: int = 2, closed: bool = False) -> None: ...

    def circle(self, centre: Point, radius: float, colour: Colour, thickness: int = 2) -> None:
        """A ring, or a disc when `thickness` is 0 or less."""
        ...

    def polygon(self, points: Sequence[Point], colour: Colour, opacity: float = 0.3) -> None:
        """A filled polygon, blended."""
        ...

    def text(
        self,
        text: str,
        at: Point,
        colour: Colour = (255, 255, 255),
        size: int = 16,
        background: Colour | None = None,
    ) -> tuple[int, int]:
        """Unicode text whose top left corner is at `at`, `size` pixels high; returns (width, height) covered."""
        ...


@dataclass(frozen=True, slots=True)
class TextSize:
    """The pixels that a text covers."""

    width: int
    height: int
