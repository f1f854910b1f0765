"""A part of every picture."""

from __future__ import annotations

from typing import Any

from ..core.element import Context, Element, setting, state
from ..core.errors import SettingError, StreamError
from ..core.item import StreamStart
from ..devices import part
from ..imaging.base import Area, Imaging
from ..imaging.mapping import cut, map_frame, shifted
from ..imaging.wall import custom
from ..media import Frame


class Crop(Element):
    """Cuts a part out of every picture: `crop: {box: [0.5, 0, 1, 1]}`, x1 y1 x2 y2 in fractions or pixels.

    Or pixels cut off the sides: `crop: {left: 20, bottom: 100}`. Edges lie on even pixels, and nothing is copied. What
    was found is shifted and cut at the new edges; objects that lie outside are left out.
    """

    box: list[float] = setting(factory=lambda: [0.0, 0.0, 1.0, 1.0], help="x1 y1 x2 y2 in fractions or pixels")
    left: int = setting(default=0, help="pixels cut off on the left, of what `box` leaves", minimum=0)
    right: int = setting(default=0, help="the same on the right", minimum=0)
    top: int = setting(default=0, help="the same at the top", minimum=0)
    bottom: int = setting(default=0, help="the same at the bottom", minimum=0)

    imagings: dict[str, Imaging] = state(dict)

    def open(self, context: Context) -> None:
        sides = list(self.box)
        if len(sides) != 4 or min(sides) < 0 or sides[0] >= sides[2] or sides[1] >= sides[3]:
            raise SettingError(
                context.name, "box", self.box, "it is x1 y1 x2 y2 with x1 < x2 and y1 < y2, none negative"
            )

    def start_stream(self, start: StreamStart) -> StreamStart:
        width, height = start.caps.get("width"), start.caps.get("height")
        caps: Any = start.caps
        if width and height:
            x1, y1, x2, y2 = self._area(start.stream, width, height)
            caps = caps.replace(width=x2 - x1, height=y2 - y1)
        return StreamStart(start.stream, caps, start.live, start.epoch, start.discontinuity)

    def process_frame(self, frame: Frame) -> None:
        image = frame.image
        if image.memory not in self.imagings:
            self.imagings[image.memory] = part(image.memory, "imaging")(image.memory)
        area = self._area(frame.stream, image.width, image.height)
        if area == (0, 0, image.width, image.height):
            return
        way = shifted(-area[0], -area[1])
        frame.image = self.imagings[image.memory].crop(image, area)
        size = (frame.image.width, frame.image.height)
        map_frame(frame, way, image.width, image.height)
        frame.objects = [found for found in frame.objects if cut(found, *size)]

    def _area(self, stream: str, width: int, height: int) -> Area:
        try:
            x1, y1, x2, y2 = custom({"box": self.box}, width, height)["box"]
        except ValueError as error:
            raise StreamError(stream, str(error)) from None
        area = (
            x1 + self.left // 2 * 2, y1 + self.top // 2 * 2, x2 - self.right // 2 * 2, y2 - self.bottom // 2 * 2
        )  # fmt: skip
        if area[0] >= area[2] or area[1] >= area[3]:
            cuts = f"left {self.left}, right {self.right}, top {self.top}, bottom {self.bottom}"
            raise StreamError(stream, f"{cuts} leave nothing of {width}x{height}")
        return area
