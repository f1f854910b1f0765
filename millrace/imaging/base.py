"""What can be done to pictures, on any device: one Protocol, one file per device."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, Protocol

from numpy.typing import NDArray

from ..media import Image, InputSpec, Placement
from ..media.image import Matrix

Colour = tuple[int, int, int]  # red, green, blue, 0..255
Point = tuple[float, float]
Points = Sequence[Point] | NDArray[Any]  # [n, 2]
Area = tuple[int, int, int, int]  # x1 y1 x2 y2 in whole pixels
Boxes = Sequence[Sequence[float] | None] | NDArray[Any]  # x1 y1 x2 y2 in pixels of a picture, one each: [n, 4]
Turn = Literal["horizontal", "vertical", "clockwise", "counterclockwise", "half", "transpose", "transverse"]
Conceal = Literal["pixelate", "blur"]


class Imaging(Protocol):
    """Work on pictures that live in one memory. Chosen by the memory of the image."""

    memory: str

    def to_tensor(
        self, images: Sequence[Image], spec: InputSpec, out: Any = None, boxes: Boxes | None = None
    ) -> tuple[Any, list[Placement]]:
        """Pictures as one model input [n, …] in spec's layout and dtype, from YUV in one pass, and where each lies.

        `boxes`, one for each picture, take a part of it: x1 y1 x2 y2 in its pixels, rounded to whole ones and clipped
        (media.tensor.part_of); None means the whole. Several objects of one frame: the same image several times.
        Placements lead back to pixels of the whole picture. `out`, when given, is filled and returned.
        """
        ...

    def convert(self, image: Image, format: str) -> Image: ...

    def blank(self, width: int, height: int, colour: Colour = (0, 0, 0), matrix: Matrix = "bt601") -> Image:
        """An I420 picture of one colour, which is ours to write."""
        ...

    def put(self, image: Image, target: Image, box: Area) -> None:
        """Write `image`, resized and with its colours in the target's terms, over whole even pixels of `target`."""
        ...

    def crop(self, image: Image, box: Area) -> Image:
        """A part of the picture, not copied; its left and top lie on even pixels."""
        ...

    def turn(self, image: Image, how: Turn) -> Image:
        """The picture mirrored or turned by quarters, copied."""
        ...

    def scale(
        self,
        image: Image,
        width: int,
        height: int,
        area: Area | None = None,
        method: str = "auto",
        colour: Colour = (0, 0, 0),
    ) -> Image:
        """The picture stretched over an area of a new one, in its own format; see imaging.scale."""
        ...

    def lay(
        self, image: Image, colours: NDArray[Any], area: Area | None, opacity: float, smooth: bool = False
    ) -> Image:
        """The picture (a copy where it is not ours) with a map of RGB colours blended over an area; see imaging.lay."""
        ...

    def remap(self, image: Image, ways: Any) -> Image:
        """A picture whose every pixel is fetched from the place that `ways` (imaging.remap.Ways) names."""
        ...

    def conceal(self, image: Image, areas: Sequence[Any], mode: Conceal = "pixelate", strength: float = 1.0) -> Image:
        """The picture (a copy where it is not ours) with areas made unrecognisable; see imaging.privacy."""
        ...

    def canvas(self, image: Image, font: str = "sans") -> Canvas:
        """Something to draw on `image.writable()`; `canvas.finish()` is the result, of 8 bits a channel.

        `font` is a built-in one (sans, italic, uni) or the path of a .ttf or .otf file.
        """
        ...


class Canvas(Protocol):
    """Draws on the planes of a picture, without converting colours. Coordinates are pixels of the picture.

    A GPU draws all at once, when it is told to `finish` or asked for `image`.
    """

    width: int
    height: int

    @property
    def image(self) -> Image:
        """The picture with all that was drawn until now."""
        ...

    def finish(self) -> Image:
        """The same, for those who need not look at it: what was not drawn yet is."""
        ...

    def rectangle(self, box: Sequence[float], colour: Colour, thickness: int = 2) -> None: ...

    def fill(self, box: Sequence[float], colour: Colour, opacity: float = 1.0) -> None:
        """A filled box, blended where `opacity` is less than 1."""
        ...

    def line(self, start: Point, end: Point, colour: Colour, thickness: int = 2) -> None: ...

    def polyline(self, points: Points, colour: Colour, thickness: int = 2, closed: bool = False) -> None: ...

    def arrow(self, start: Point, end: Point, colour: Colour, thickness: int = 2) -> None:
        """A line with a filled head, whose tip is at `end`."""
        ...

    def circle(self, centre: Point, radius: float, colour: Colour, thickness: int = 2) -> None:
        """A ring, or a disc when `thickness` is 0 or less."""
        ...

    def polygon(self, points: Sequence[Point], colour: Colour, opacity: float = 0.3) -> None:
        """A filled polygon, blended."""
        ...

    def mask(self, mask: Any, box: Sequence[float], colour: Colour, opacity: float = 0.5) -> None:
        """A mask [h, w] (booleans, or weights 0..1), stretched over x1 y1 x2 y2 and blended as far as it covers."""
        ...

    def heat(self, density: Any, opacity: float = 0.6) -> None:
        """A density [h, w] of 0..1, stretched over the picture: blue where it is thin, red where it is dense."""
        ...

    def text(
        self,
        text: str,
        at: Point,
        colour: Colour = (255, 255, 255),
        size: int = 16,
        background: Colour | None = None,
        inside: bool = False,
    ) -> tuple[int, int]:
        """Unicode text whose top left corner is at `at`, `size` pixels high; returns (width, height) covered.

        `inside`: moved so that none of it lies outside the picture, where it fits; its beginning is always seen.
        """
        ...
