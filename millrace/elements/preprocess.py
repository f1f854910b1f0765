"""Frames → frames with the inputs of models made ready: regions, objects, sequences of frames."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..core.element import Context, Element, setting, state
from ..core.errors import ConfigError, SettingError
from ..core.item import Item
from ..media import Frame, InputSpec, Object
from ..media.geometry import to_pixels
from ..models.card import InputCard, read_part
from ._calls import find_function
from ._units import Imagings, Prepared, Wanted, wanted_objects

SEQUENCE = ("length", "stride", "skip", "layout")


@dataclass(slots=True, eq=False)
class _Window:
    """The last pictures of one region or object, and how many came since an input was made of them."""

    pictures: deque[NDArray[Any]]
    since: int = 0
    seen: int = field(default=0)


class Preprocess(Element):
    """Makes the inputs of models beside them, for `infer` with `prepared: true`.

        - preprocess: {input: {width: 224, height: 224}, regions: {gate: [[0, 0, 0.5, 1], [0.5, 0, 1, 1]]}}

    Each region (x1 y1 x2 y2 in fractions or pixels; by stream, or for all) becomes an input of its own; what a model
    says of it carries the region, and boxes are those of the whole frame. Without `regions` it is the whole frame; with
    `on`, each of those objects. `sequence: {length: 32, stride: 8, skip: 1, layout: CTHW}` makes one input of `length`
    pictures, every `skip + 1`th, and the next one `stride` frames later; TCHW puts time first, and (T*C)HW makes one of
    both.
    """

    input: dict[str, Any] = setting(
        help="how a picture becomes a tensor: width, height, colour, layout, fit, pad, scale, mean, std, dtype"
    )
    regions: dict[str, list[list[float]]] | list[list[float]] | None = setting(
        default=None, help="x1 y1 x2 y2 of each region, by stream (* for all others) or for every stream"
    )
    on: dict[str, Any] | None = setting(default=None, help="objects in place of regions, as infer's `on` names them")
    sequence: dict[str, Any] | None = setting(
        default=None, help="several frames in one input: length, stride, skip, layout"
    )
    every: int = setting(default=1, help="prepare every Nth frame", minimum=1, live=True)
    stages: list[str] = setting(factory=list, help="the infer elements that shall take them, by stage; none: all")
    function: str | None = setting(
        default=None, help="module:function or file.py:function that is given each tensor and answers the one to use"
    )
    show: bool = setting(default=False, help="draw shows the regions")

    imagings: Imagings = state(Imagings)
    windows: dict[str, dict[Any, _Window]] = state(dict)

    def validate(self) -> None:
        card = read_part(InputCard, self.input, "input")
        if card.width is None or card.height is None:
            raise SettingError("preprocess", "input", self.input, "width and height must be given")
        self.spec = InputSpec(**card.known())
        self.objects: Wanted | None = wanted_objects(self.on, None)
        self.call = find_function(self.function) if self.function is not None else None
        plan = {"length": 1, "stride": 1, "skip": 0, "layout": "CTHW", **(self.sequence or {})}
        wrong = [key for key in plan if key not in SEQUENCE]
        if wrong:
            raise ConfigError(f"sequence.{wrong[0]} is not known; there are: {', '.join(SEQUENCE)}")
        if plan["layout"] not in ("CTHW", "TCHW", "(T*C)HW") or min(plan["length"], plan["stride"]) < 1:
            raise SettingError(
                "preprocess", "sequence", self.sequence, "layout is CTHW, TCHW or (T*C)HW, length from 1"
            )
        self.plan = plan

    def open(self, context: Context) -> None:
        self.validate()

    def process_frame(self, frame: Frame) -> None:
        if frame.index % self.every:
            return
        places = self._places(frame)
        if not places:
            return
        boxes = [box for box, _, _ in places]
        images = [frame.image] * len(places)
        tensors, placements = self.imagings.of(frame.image).to_tensor(images, self.spec, boxes=boxes)
        made = []
        for (box, target, key), tensor, placement in zip(places, tensors, placements, strict=True):
            tensor = tensor if self.call is None else self._asked(tensor)
            whole = tensor if self.sequence is None else self._joined(frame.stream, key, tensor)
            if whole is not None:
                made.append(Prepared(whole, placement, box, target, tuple(self.stages)))
        frame.extras["prepared"] = [*frame.extras.get("prepared", ()), *made]
        if self.show:
            self._show(frame, boxes)

    def _places(self, frame: Frame) -> list[tuple[Any, Object | None, Any]]:
        """What is looked at: the box (None: the whole frame), the object, and a key that stays the same over frames."""
        if self.objects is not None:
            return [(found.box, found, found.id) for found in self.objects.of(frame)]
        regions = self.regions
        if isinstance(regions, Mapping):
            regions = regions.get(frame.stream, regions.get("*", []))
        if regions is None:
            return [(None, None, 0)]
        width, height = frame.image.width, frame.image.height
        boxes = [to_pixels([box[:2], box[2:]], width, height).reshape(4).astype(np.float32) for box in regions]
        return [(box, None, number) for number, box in enumerate(boxes)]

    def _asked(self, tensor: NDArray[Any]) -> NDArray[Any]:
        assert self.call is not None
        answer = self.call(tensor)
        if not isinstance(answer, np.ndarray):
            raise TypeError(f"{self.function} returned {type(answer).__name__}, not an array")
        return answer

    def _joined(self, stream: str, key: Any, picture: NDArray[Any]) -> NDArray[Any] | None:
        """The sequence that ends with this picture, where one is due."""
        length, step = self.plan["length"], self.plan["skip"] + 1
        windows = self.windows.setdefault(stream, {})
        if key is None:
            return None  # an object without identity has no past
        window = windows.setdefault(key, _Window(deque(maxlen=(length - 1) * step + 1)))
        window.pictures.append(picture.copy())
        window.since += 1
        full = len(window.pictures) == window.pictures.maxlen
        if not full or (window.seen and window.since < self.plan["stride"]):
            return None
        window.since, window.seen = 0, window.seen + 1
        pictures = list(window.pictures)[::step]
        if self.plan["layout"] == "(T*C)HW":
            return np.concatenate(pictures)
        return np.stack(pictures, axis=1 if self.plan["layout"] == "CTHW" else 0)

    def _show(self, frame: Frame, boxes: list[Any]) -> None:
        rules = [
            {"kind": "zone", "name": f"region {n}", "points": [(x1, y1), (x2, y1), (x2, y2), (x1, y2)]}
            for n, (x1, y1, x2, y2) in enumerate(box.tolist() for box in boxes if box is not None)
        ]
        frame.extras["analytics"] = [*frame.extras.get("analytics", ()), *rules]

    def flush(self, stream: str) -> Iterator[Item]:
        self.windows.pop(stream, None)
        yield from ()

    def close(self) -> None:
        self.windows.clear()
        self.imagings.clear()
