"""A part of every picture."""

from __future__ import annotations

from typing import Any

from ..core.element import Context, Element, setting, state
from ..core.errors import SettingError, StreamError
from ..core.item import StreamStart
from ..devices import part
from ..imaging.base import Area, Imaging
from ..imaging.mapping import cut, map_events, map_objects, map_readings, map_rules, shifted
from ..imaging.wall import custom
from ..media import Frame


class Crop(Element):
    """Cuts a part out of every picture: `crop: {box: [0.5, 0, 1, 1]}`, x1 y1 x2 y2 in fractions or pixels.

    Edges lie on even pixels, and nothing is copied. What was found is shifted and cut at the new edges; objects that
    lie outside are left out.
    """

    box: list[float] = setting(factory=lambda: [0.0, 0.0, 1.0, 1.0], help="x1 y1 x2 y2 in fractions or pixels")

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
        moved = map_objects(frame.objects, way, image.width, image.height)
        frame.objects = [found for found in moved if cut(found, *size)]
        frame.events = map_events(frame.events, way)
        frame.readings = map_readings(frame.readings, way, image.width, image.height)
        if "analytics" in frame.extras:
            frame.extras["analytics"] = map_rules(frame.extras["analytics"], way)

    def _area(self, stream: str, width: int, height: int) -> Area:
        try:
            return custom({"box": self.box}, width, height)["box"]
        except ValueError as error:
            raise StreamError(stream, f"{stream}: crop: {error}") from None
