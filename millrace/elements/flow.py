"""How pixels move from frame to frame."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

from ..core.element import Context, Element, setting, state
from ..core.item import Item, StreamStart
from ..devices import part
from ..imaging.base import Imaging
from ..media import CPU, Frame, Reading


class Flow(Element):
    """Finds optical flow: a reading of the stage `flow` in every frame but a stream's first.

    Its `flow`, float32 [rows, columns, 2], tells for each cell of `grid` x `grid` pixels how many pixels to the right
    and down it has come since the frame before. Dense inverse search, on luma. `flowview` shows it.

        - flow: {preset: medium, grid: 4}
    """

    threaded: ClassVar[bool] = True

    preset: str = setting(default="medium", help="how carefully it searches", choices=("fast", "medium", "slow"))
    grid: int = setting(default=4, help="pixels of a cell's side", minimum=1, maximum=64)

    before: dict[str, Any] = state(dict)  # stream → luma of its last frame
    imagings: dict[str, Imaging] = state(dict)

    def open(self, context: Context) -> None:
        from ..imaging.motion import Motion

        part(CPU, "imaging")(CPU)  # it tells OpenCV how many threads it may use
        self.motion = Motion(self.preset)
        self.before.clear()

    def start_stream(self, start: StreamStart) -> StreamStart:
        if start.discontinuity:
            self.before.pop(start.stream, None)
        return start

    def process_frame(self, frame: Frame) -> None:
        from ..imaging.motion import luma

        image = frame.image
        if image.memory != CPU:
            if image.memory not in self.imagings:
                self.imagings[image.memory] = part(image.memory, "imaging")(image.memory)
            image = self.imagings[image.memory].convert(image, "GRAY8")
        now, before = luma(image), self.before.get(frame.stream)
        if before is not None and before.shape == now.shape:
            frame.readings.append(Reading(flow=self.motion.between(before, now, self.grid), stage="flow"))
        self.before[frame.stream] = now

    def end_stream(self, stream: str) -> Iterator[Item]:
        self.before.pop(stream, None)
        return super().end_stream(stream)
