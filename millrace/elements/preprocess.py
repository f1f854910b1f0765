"""Frames → frames with the inputs of models made ready: regions, objects, sequences of frames."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..core.element import Context, Element, setting, state
from ..core.errors import ConfigError, SettingError
from ..core.item import Item
from ..media import Frame, InputSpec, Object
from ..media.geometry import to_pixels
from ..media.tensor import part_of
from ..models.card import InputCard, read_part
from ..models.nvdspreprocess import read_nvdspreprocess
from ..models.preprocess_card import RegionCard
from ._calls import find_function
from ._units import Imagings, Prepared, Wanted, wanted_objects

SEQUENCE = ("length", "stride", "skip", "layout")


@dataclass(slots=True, eq=False)
class _Window:
    """The last pictures of one region or object, and how many came since an input was made of them."""

    pictures: deque[NDArray[Any]]
    since: int = 0
    seen: int = field(default=0)


@dataclass(slots=True, eq=False)
class _Group:
    """What is taken of some streams. `boxes` by stream name, `*`, or the number of the stream; None: whole frames."""

    streams: frozenset[int] | None
    boxes: Mapping[Any, Sequence[Sequence[float]]] | None
    objects: Wanted | None
    every: int
    show: bool

    @classmethod
    def of(cls, region: RegionCard) -> _Group:
        """The same of a group of DeepStream's file, whose rectangles are left top width height in pixels."""
        boxes: dict[Any, Any] | None = None
        if region.rois is not None:
            boxes = {n: [[x, y, x + w, y + h] for x, y, w, h in rois] for n, rois in region.rois.items()}
            if region.streams is None:
                boxes = {"*": boxes[min(boxes)]}
        streams = None if region.streams is None else frozenset(region.streams)
        objects = None if region.objects is None else Wanted(region.objects)
        return cls(streams, boxes, objects, region.every, region.draw and boxes is not None)

    def places(self, frame: Frame, number: int | None) -> list[tuple[Any, Object | None, Any]]:
        """What is looked at: the box (None: the whole frame), the object, and a key that stays the same over frames."""
        if self.streams is not None and number not in self.streams:
            return []
        if self.objects is not None:
            return [(found.box, found, found.id) for found in self.objects.of(frame)]
        if self.boxes is None:
            return [(None, None, 0)]
        width, height = frame.image.width, frame.image.height
        mine = self.boxes.get(frame.stream, self.boxes.get(number, self.boxes.get("*", ())))
        pixels = [to_pixels([box[:2], box[2:]], width, height).reshape(4).astype(np.float32) for box in mine]
        return [(box, None, n) for n, box in enumerate(pixels) if part_of(box.tolist(), width, height) is not None]


class Preprocess(Element):
    """Makes the inputs of models beside them, for `infer` with `prepared: true`.

        - preprocess: {input: {width: 224, height: 224}, regions: {gate: [[0, 0, 0.5, 1], [0.5, 0, 1, 1]]}}

    Each region (x1 y1 x2 y2 in fractions or pixels; by stream, or for all) becomes an input of its own; what a model
    says of it carries the region, and boxes are those of the whole frame. Without `regions` it is the whole frame; with
    `on`, each of those objects. `sequence: {length: 32, stride: 8, skip: 1, layout: CTHW}` makes one input of `length`
    pictures, every `skip + 1`th, and the next one `stride` frames later; TCHW puts time first, and (T*C)HW makes one of
    both.
    """

    input: dict[str, Any] | None = setting(
        default=None,
        help="how a picture becomes a tensor: width, height, colour, layout, fit, pad, scale, mean, std, dtype",
    )
    regions: dict[str, list[list[float]]] | list[list[float]] | None = setting(
        default=None, help="x1 y1 x2 y2 of each region, by stream (* for all others) or for every stream"
    )
    on: dict[str, Any] | None = setting(default=None, help="objects in place of regions, as infer's `on` names them")
    sequence: dict[str, Any] | None = setting(
        default=None, help="several frames in one input: length, stride, skip, layout"
    )
    every: int = setting(default=1, help="prepare every Nth frame", minimum=1, live=True)
    stages: list[str | int] = setting(
        factory=list,
        help="the infer elements that shall take them, by stage, or by the number of their card; none: all",
    )
    function: str | None = setting(
        default=None, help="module:function or file.py:function that is given each tensor and answers the one to use"
    )
    show: bool = setting(default=False, help="draw shows the regions")
    config: str | None = setting(
        default=None, help="a configuration file of DeepStream's nvdspreprocess, for all of it"
    )

    order: list[str] = state(list)  # streams, as they are numbered in DeepStream's files
    imagings: Imagings = state(Imagings)
    windows: dict[str, dict[Any, _Window]] = state(dict)

    def validate(self) -> None:
        theirs = read_nvdspreprocess(self.config)[0] if self.config is not None else None
        card = theirs.input if theirs is not None else read_part(InputCard, self.input or {}, "input")
        if card.width is None or card.height is None:
            raise SettingError("preprocess", "input", self.input, "width and height must be given")
        self.spec = InputSpec(**card.known())
        self.call = find_function(self.function) if self.function is not None else None
        self.takers = tuple(theirs.targets) if theirs is not None else tuple(self.stages)
        if theirs is not None:
            self.groups = [_Group.of(region) for region in theirs.regions] if theirs.enabled else []
        else:
            given = self.regions
            boxes = None if given is None else given if isinstance(given, Mapping) else {"*": given}
            self.groups = [_Group(None, boxes, wanted_objects(self.on, None), self.every, self.show)]
        sequence = theirs.sequence if theirs is not None else None
        if sequence is not None:
            layout = "CTHW" if sequence.in_depth else "(T*C)HW"
            self.sequence = {
                "length": sequence.length,
                "stride": sequence.stride,
                "skip": sequence.skip,
                "layout": layout,
            }
        self.plan = self._plan()

    def _plan(self) -> dict[str, Any]:
        plan = {"length": 1, "stride": 1, "skip": 0, "layout": "CTHW", **(self.sequence or {})}
        wrong = [key for key in plan if key not in SEQUENCE]
        if wrong:
            raise ConfigError(f"sequence.{wrong[0]} is not known; there are: {', '.join(SEQUENCE)}")
        if plan["layout"] not in ("CTHW", "TCHW", "(T*C)HW") or min(plan["length"], plan["stride"]) < 1:
            allowed = "layout is CTHW, TCHW or (T*C)HW, length and stride 1 or more"
            raise SettingError("preprocess", "sequence", self.sequence, allowed)
        return plan

    def open(self, context: Context) -> None:
        self.validate()

    def expect(self, streams: Sequence[str]) -> None:
        self.order += [stream for stream in streams if stream not in self.order]

    def apply(self, prepared: Any) -> None:
        super().apply(prepared)
        for group in self.groups:
            group.every = self.every

    def process_frame(self, frame: Frame) -> None:
        number = self.order.index(frame.stream) if frame.stream in self.order else None
        made: list[Prepared] | None = None
        for which, group in enumerate(self.groups):
            places = group.places(frame, number) if frame.index % group.every == 0 else []
            if not places:
                continue
            made = made or []
            boxes = [box for box, _, _ in places]
            images = [frame.image] * len(places)
            tensors, placements = self.imagings.of(frame.image).to_tensor(images, self.spec, boxes=boxes)
            for (box, target, key), tensor, placement in zip(places, tensors, placements, strict=True):
                tensor = tensor if self.call is None else self._asked(tensor)
                whole = tensor if self.sequence is None else self._joined(frame.stream, (which, key), tensor)
                if whole is not None:
                    made.append(Prepared(whole, placement, box, target, self.takers))
            if group.show:
                self._show(frame, boxes)
        if made is not None:
            frame.extras["prepared"] = [*frame.extras.get("prepared", ()), *made]

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
        if key[1] is None:
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
