"""What DeepStream's template element dsexample does: a place to put code of one's own."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..core.element import Element, setting, state
from ..devices import part
from ..imaging.base import Imaging
from ..media import Frame, Label, Object, box


class Dsexample(Element):
    """Adds the two objects, or names each object, as DeepStream's dsexample does: for launch lines that have it.

    With `full_frame` two boxes, an eighth of the frame wide and high, with their corners at an eighth and a half of it.
    Without, each object gets the label that stands for what an algorithm would say of it, and with `blur_objects` it is
    made unrecognisable. In millrace an algorithm of your own is `function`, or an element of a few lines.
    """

    full_frame: bool = setting(default=True, help="work on whole frames, else on objects")
    width: int = setting(default=640, help="processing-width: boxes are whole pixels of a frame this wide", minimum=1)
    height: int = setting(default=480, help="processing-height: the same for the height", minimum=1)
    blur_objects: bool = setting(default=False, help="hide the objects, where full_frame is off")
    unique_id: int = setting(default=15, help="the number of this stage", minimum=0)

    imagings: dict[str, Imaging] = state(dict)

    def process_frame(self, frame: Frame) -> None:
        if self.full_frame:
            self._frame(frame)
            return
        found = [each for each in frame.objects if np.isfinite(each.box).all()]
        for each in found:
            each.labels.append(Label("dsexample", "Obj_label", 1.0, 0))
        if self.blur_objects and found:
            image = frame.image
            if image.memory not in self.imagings:
                self.imagings[image.memory] = part(image.memory, "imaging")(image.memory)
            areas: list[Any] = [each.box.tolist() for each in found]
            frame.image = self.imagings[image.memory].conceal(image, areas, "blur")

    def _frame(self, frame: Frame) -> None:
        across, down = frame.image.width / self.width, frame.image.height / self.height
        wide, high = self.width // 8, self.height // 8
        for number, (x, y) in enumerate(((wide, high), (self.width // 2, self.height // 2))):
            place = box([x * across, y * down, (x + wide) * across, (y + high) * down])
            frame.objects.append(
                Object(place, number, f"Obj{number}", 1.0, detected_box=place, stage=f"dsexample{self.unique_id}")
            )
