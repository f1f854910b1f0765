"""Pictures of one format → another."""

from __future__ import annotations

from typing import Any

from ..core.element import Element, setting, state
from ..core.item import StreamStart
from ..devices import part
from ..imaging.base import Imaging
from ..media import Frame


class Convert(Element):
    """Brings pictures to one format: `convert: {format: RGB}`. Those that have it already pass untouched.

    10 and 16 bits are rounded to 8. millrace itself works on YUV throughout: only code of your own may need this.
    """

    format: str = setting(
        default="I420", help="of the pictures that leave", choices=("I420", "NV12", "RGB", "BGR", "GRAY8")
    )

    imagings: dict[str, Imaging] = state(dict)

    def start_stream(self, start: StreamStart) -> StreamStart:
        caps: Any = start.caps.replace(format=self.format)
        return StreamStart(start.stream, caps, start.live, start.epoch, start.discontinuity)

    def process_frame(self, frame: Frame) -> None:
        memory = frame.image.memory
        if memory not in self.imagings:
            self.imagings[memory] = part(memory, "imaging")(memory)
        frame.image = self.imagings[memory].convert(frame.image, self.format)
