"""An element that finds one object in every frame, walking to the right."""

from __future__ import annotations

from millrace import Element, Frame
from millrace.media import Object, box


class Walk(Element):
    """One tracked object, a pixel to the right in every frame."""

    def process_frame(self, frame: Frame) -> None:
        x = float(frame.index)
        found = box((x, 40, x + 10, 80))
        frame.objects.append(Object(found, 0, "person", 0.9, id=1, detected_box=found))
        frame.inferred.append("walk")
