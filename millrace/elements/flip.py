"""Pictures mirrored or turned."""

from __future__ import annotations

from typing import Any, cast

from ..core.element import Element, setting, state
from ..core.item import StreamStart
from ..devices import part
from ..imaging.base import Imaging, Turn
from ..imaging.mapping import map_frame, turned
from ..media import Frame

WAYS = ("horizontal", "vertical", "clockwise", "counterclockwise", "half", "transpose", "transverse")
LAID_OVER = WAYS[2:4] + WAYS[5:]  # width and height change places


class Flip(Element):
    """Mirrors pictures, or turns them by quarters: `flip: {direction: clockwise}`. What was found moves along."""

    direction: str = setting(
        default="horizontal", choices=WAYS,
        help="horizontal: left becomes right; vertical: top becomes bottom; (counter)clockwise: a quarter; half: two; "
        "transpose, transverse: at the diagonal from the upper left, the upper right",
    )  # fmt: skip

    imagings: dict[str, Imaging] = state(dict)

    def start_stream(self, start: StreamStart) -> StreamStart:
        caps: Any = start.caps
        if self.direction in LAID_OVER:
            aspect = caps.get("sample_aspect")
            caps = caps.replace(width=caps.get("height"), height=caps.get("width"))
            caps = caps.replace(sample_aspect=1 / aspect) if aspect else caps
        return StreamStart(start.stream, caps, start.live, start.epoch, start.discontinuity)

    def process_frame(self, frame: Frame) -> None:
        image, how = frame.image, cast(Turn, self.direction)
        if image.memory not in self.imagings:
            self.imagings[image.memory] = part(image.memory, "imaging")(image.memory)
        way = turned(how, image.width, image.height)
        frame.image = self.imagings[image.memory].turn(image, how)
        map_frame(frame, way, image.width, image.height)
