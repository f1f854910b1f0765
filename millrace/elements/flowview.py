"""Optical flow as a picture."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..core.element import Element, setting, state
from ..core.item import StreamStart
from ..devices import part
from ..imaging.base import Imaging
from ..media import Frame

EIGHT_BIT = {"P010": "NV12", "GRAY16": "GRAY8"}


class Flowview(Element):
    """Shows what `flow` found on the wheel of colours: the hue is the direction, the brightness the speed.

    Motion to the right is red, down yellow-green, to the left cyan, up violet; what rests is black. With `opacity` less
    than 1 the frame shines through. A frame without flow (a stream's first) counts as one at rest.
    """

    opacity: float = setting(default=1.0, help="of the colours over the frame", minimum=0, maximum=1, live=True)
    largest: float = setting(
        default=0.0, help="pixels a frame that are brightest; 0: the largest in each picture", minimum=0, live=True
    )

    imagings: dict[str, Imaging] = state(dict)

    def start_stream(self, start: StreamStart) -> StreamStart:
        caps: Any = start.caps
        given = caps.get("format")
        caps = caps.replace(format=EIGHT_BIT.get(given, given))
        return StreamStart(start.stream, caps, start.live, start.epoch, start.discontinuity)

    def process_frame(self, frame: Frame) -> None:
        from ..imaging.motion import wheel

        memory = frame.image.memory
        if memory not in self.imagings:
            self.imagings[memory] = part(memory, "imaging")(memory)
        flows = [reading.flow for reading in frame.readings if reading.flow is not None]
        flow = flows[-1] if flows else np.zeros((1, 1, 2), np.float32)
        frame.image = self.imagings[memory].lay(frame.image, wheel(flow, self.largest), None, self.opacity, True)
