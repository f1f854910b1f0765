"""Pictures of one size."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

from ..core.element import Context, Element, setting, state
from ..core.errors import ConfigError, SettingError, StreamError
from ..core.item import StreamStart
from ..devices import part
from ..imaging.base import Area, Colour, Imaging
from ..imaging.mapping import map_frame, shifted
from ..imaging.palette import parse_colour
from ..imaging.wall import custom, fit
from ..media import Frame

PADDINGS = ("none", "centre", "corner")
METHODS = ("auto", "nearest", "bilinear", "cubic", "area", "lanczos")


class Resize(Element):
    """Brings every picture to one size: `resize: {width: 1280, height: 720, padding: centre}`.

    Without padding it is stretched; with it the aspect stays and bars are added: on both sides (centre), or to the
    right and below (corner). All that was found is scaled along, so whoever comes behind sees pixels of the new size.
    The format stays. Where one of width and height is missing it follows from the other and the picture's aspect.
    """

    width: int | None = setting(default=None, help="pixels; default: by the height", minimum=16, maximum=16384)
    height: int | None = setting(default=None, help="pixels; default: by the width", minimum=16, maximum=16384)
    padding: str = setting(default="none", help="none: stretch; centre, corner: where it lies", choices=PADDINGS)
    box: list[float] | None = setting(
        default=None, help="the part of the new picture that it fills, x1 y1 x2 y2 in fractions or pixels; default: all"
    )
    method: str = setting(
        default="auto",
        help="how pixels are made; auto: mean of areas where the picture shrinks, else bilinear",
        choices=METHODS,
    )
    background: str = setting(default="#000000", help="what is left free, #rrggbb")

    imagings: dict[str, Imaging] = state(dict)
    aspects: dict[str, float] = state(dict)  # stream → a pixel's width / height
    colour: Colour = state(lambda: (0, 0, 0))

    def validate(self) -> None:
        if self.width is None and self.height is None and self.box is None:
            raise ConfigError("resize: give width, height or both, or box: the size stays then")
        try:
            self.colour = parse_colour(self.background)
        except ValueError as error:
            raise SettingError("resize", "background", self.background, str(error)) from None
        if self.box is not None and (len(self.box) != 4 or min(self.box) < 0):
            raise SettingError("resize", "box", self.box, "it is x1 y1 x2 y2, none negative")

    def open(self, context: Context) -> None:
        self.validate()

    def start_stream(self, start: StreamStart) -> StreamStart:
        caps: Any = start.caps
        width, height, aspect = caps.get("width"), caps.get("height"), caps.get("sample_aspect")
        self.aspects[start.stream] = float(aspect or 1)
        if width and height:
            width, height = self._size(start.stream, width, height)
            self._area(start.stream, width, height)
        caps = caps.replace(width=width, height=height, sample_aspect=Fraction(1) if aspect else aspect)
        return StreamStart(start.stream, caps, start.live, start.epoch, start.discontinuity)

    def process_frame(self, frame: Frame) -> None:
        image = frame.image
        size = self._size(frame.stream, image.width, image.height)
        x1, y1, x2, y2 = area = self._area(frame.stream, *size)
        if self.padding != "none":
            x1, y1, x2, y2 = area = self._fitted(frame, area)
        if size == (image.width, image.height) and area == (0, 0, *size):
            return
        if image.memory not in self.imagings:
            self.imagings[image.memory] = part(image.memory, "imaging")(image.memory)
        way = shifted(x1, y1, (x2 - x1) / image.width, (y2 - y1) / image.height)
        map_frame(frame, way, image.width, image.height)
        frame.image = self.imagings[image.memory].scale(image, *size, area, self.method, self.colour)

    def end_stream(self, stream: str) -> Any:
        self.aspects.pop(stream, None)
        return super().end_stream(stream)

    def _size(self, stream: str, width: int, height: int) -> tuple[int, int]:
        """Of the new picture, for one of width x height."""
        if self.width is None and self.height is None:
            return width, height
        aspect = width * self.aspects.get(stream, 1.0) / height
        wide = self.width or max(2, round((self.height or height) * aspect / 2) * 2)
        return wide, self.height or max(2, round(wide / aspect / 2) * 2)

    def _area(self, stream: str, width: int, height: int) -> Area:
        if self.box is None:
            return 0, 0, width, height
        try:
            return custom({"box": self.box}, width, height)["box"]
        except ValueError as error:
            raise StreamError(stream, str(error)) from None

    def _fitted(self, frame: Frame, area: Area) -> Area:
        wide = frame.image.width * self.aspects.get(frame.stream, 1.0)
        x1, y1, x2, y2 = fit(wide, frame.image.height, area)
        if self.padding == "corner":
            return area[0], area[1], area[0] + x2 - x1, area[1] + y2 - y1
        return x1, y1, x2, y2
