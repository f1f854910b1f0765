"""Frames → frames with the inputs of models made ready: regions, objects, sequences of frames."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterator, Mapping, Sequence
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
from ..models.nvdspreprocess import read_nvdspreprocess
from ..models.preprocess_card import PreprocessCard, RegionCard
from ..parsers.custom import load_custom
from ._model import mean_picture
from ._units import Imagings, Prepared, Wanted, wanted_objects

SEQUENCE = ("length", "stride", "skip", "layout")
Boxes = list[list[float]]


@dataclass(slots=True, eq=False)
class _Plan:
    """What is looked at in some streams, by name or number (None: in all): regions (None: whole frames), or objects."""

    streams: Collection[int | str] | None
    regions: Mapping[Any, Boxes] | Boxes | None
    objects: Wanted | None
    every: int
    show: bool
    colour: tuple[int, int, int] | None = None

    def of(self, stream: str, number: int) -> Boxes | None:
        """The regions of a stream; an empty list where nothing of it is looked at, None for the whole frame."""
        if self.streams is not None and stream not in self.streams and number not in self.streams:
            return []
        if not isinstance(self.regions, Mapping):
            return self.regions
        return self.regions.get(stream, self.regions.get(number, self.regions.get("*", [])))


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
    both. `preprocess: {config: config_preprocess.txt}` takes all of it from a file of DeepStream's nvdspreprocess; its
    streams are numbered in their order, its regions are pixels of the frame.
    """

    input: dict[str, Any] | None = setting(
        default=None,
        help="how a picture becomes a tensor: width, height, colour, layout, fit, pad, scale, mean, std, dtype",
    )
    config: str | None = setting(default=None, help="a file of DeepStream's nvdspreprocess, in place of the others")
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
    order: dict[str, int] = state(dict)  # of the streams: their numbers
    theirs: PreprocessCard | None = state(lambda: None)
    plans: list[_Plan] = state(list)
    targets: tuple[int | str, ...] = state(tuple)
    warnings: list[str] = state(list)
    mean: NDArray[np.float32] | None = state(lambda: None)

    def validate(self) -> None:
        self.call = load_custom(self.function).call if self.function is not None else None
        if self.config is not None:
            self._read_config(self.config)
        elif self.input is None:
            raise SettingError("preprocess", "input", None, "it must be given, or config")
        else:
            self._read_settings(self.input)
        sequence = self.sequence if self.theirs is None else _sequence(self.theirs)
        plan = {"length": 1, "stride": 1, "skip": 0, "layout": "CTHW", **(sequence or {})}
        wrong = [key for key in plan if key not in SEQUENCE]
        if wrong:
            raise ConfigError(f"sequence.{wrong[0]} is not known; there are: {', '.join(SEQUENCE)}")
        if plan["layout"] not in ("CTHW", "TCHW", "(T*C)HW") or min(plan["length"], plan["stride"]) < 1:
            raise SettingError("preprocess", "sequence", sequence, "layout is CTHW, TCHW or (T*C)HW, length from 1")
        self.window = plan if sequence is not None else None

    def _read_settings(self, given: Mapping[str, Any]) -> None:
        card = read_part(InputCard, given, "input")
        if card.width is None or card.height is None:
            raise SettingError("preprocess", "input", given, "width and height must be given")
        self.spec = InputSpec(**card.known())
        self.mean = mean_picture(card.mean_file, self.spec)
        self.plans = [_Plan(None, self.regions, wanted_objects(self.on, None), 1, self.show)]
        self.targets = tuple(self.stages)

    def _read_config(self, path: str) -> None:
        others = [name for name in ("input", "regions", "on", "sequence") if getattr(self, name) is not None]
        if others:
            raise SettingError("preprocess", others[0], getattr(self, others[0]), "config says it already")
        card, report = read_nvdspreprocess(path)
        self.theirs, self.warnings = card, report.warnings()
        self.spec = InputSpec(**card.input.known())
        self.mean = mean_picture(card.input.mean_file, self.spec)
        self.plans = [_plan(region, self.show) for region in card.regions] if card.enabled else []
        self.targets = (*self.stages, *card.targets)

    def open(self, context: Context) -> None:
        self.validate()
        for warning in self.warnings:
            context.warn(warning)

    def expect(self, streams: Sequence[str]) -> None:
        for stream in streams:
            self.order.setdefault(stream, len(self.order))

    def process_frame(self, frame: Frame) -> None:
        if frame.index % self.every:
            return
        for number, plan in enumerate(self.plans):
            if frame.index % plan.every == 0 and (places := self._places(frame, plan)):
                self._prepare(frame, plan, number, places)

    def _prepare(
        self, frame: Frame, plan: _Plan, number: int, places: Sequence[tuple[Any, Object | None, Any]]
    ) -> None:
        boxes = [box for box, _, _ in places]
        images = [frame.image] * len(places)
        tensors, placements = self.imagings.of(frame.image).to_tensor(images, self.spec, boxes=boxes)
        made, tensors = [], np.asarray(tensors)  # of a GPU's memory too: functions and sequences need arrays
        for (box, target, key), tensor, placement in zip(places, tensors, placements, strict=True):
            tensor = tensor if self.mean is None else tensor - self.mean.astype(tensor.dtype)
            tensor = tensor if self.call is None else self._asked(tensor)
            whole = tensor if self.window is None else self._joined(frame.stream, (number, key), tensor, self.window)
            if whole is not None:
                made.append(Prepared(whole, placement, box, target, self.targets))
        frame.extras["prepared"] = [*frame.extras.get("prepared", ()), *made]
        if plan.show and plan.objects is None:
            self._show(frame, boxes, plan.colour)

    def _places(self, frame: Frame, plan: _Plan) -> list[tuple[Any, Object | None, Any]]:
        """What is looked at: the box (None: the whole frame), the object, and a key that stays the same over frames."""
        regions = plan.of(frame.stream, self.order.get(frame.stream, -1))
        width, height = frame.image.width, frame.image.height
        boxes = [to_pixels([box[:2], box[2:]], width, height).reshape(4).astype(np.float32) for box in regions or ()]
        if plan.objects is not None and (regions is None or boxes):
            found = [each for each in plan.objects.of(frame) if not boxes or _inside(each, boxes)]
            return [(each.box, each, each.id) for each in found]
        if regions is None:
            return [(None, None, 0)]
        return [(box, None, number) for number, box in enumerate(boxes)]

    def _asked(self, tensor: NDArray[Any]) -> NDArray[Any]:
        assert self.call is not None
        answer = self.call(tensor)
        if not isinstance(answer, np.ndarray):
            raise TypeError(f"{self.function} returned {type(answer).__name__}, not an array")
        return answer

    def _joined(
        self, stream: str, key: tuple[int, Any], picture: NDArray[Any], plan: Mapping[str, Any]
    ) -> NDArray[Any] | None:
        """The sequence that ends with this picture, where one is due."""
        length, step = plan["length"], plan["skip"] + 1
        windows = self.windows.setdefault(stream, {})
        if key[1] is None:
            return None  # an object without identity has no past
        window = windows.setdefault(key, _Window(deque(maxlen=(length - 1) * step + 1)))
        window.pictures.append(picture.copy())
        window.since += 1
        full = len(window.pictures) == window.pictures.maxlen
        if not full or (window.seen and window.since < plan["stride"]):
            return None
        window.since, window.seen = 0, window.seen + 1
        pictures = list(window.pictures)[::step]
        if plan["layout"] == "(T*C)HW":
            return np.concatenate(pictures)
        return np.stack(pictures, axis=1 if plan["layout"] == "CTHW" else 0)

    def _show(self, frame: Frame, boxes: list[Any], colour: tuple[int, int, int] | None) -> None:
        own = {} if colour is None else {"colour": colour}
        rules = [
            {"kind": "zone", "name": f"region {n}", "points": [(x1, y1), (x2, y1), (x2, y2), (x1, y2)], **own}
            for n, (x1, y1, x2, y2) in enumerate(box.tolist() for box in boxes if box is not None)
        ]
        frame.extras["analytics"] = [*frame.extras.get("analytics", ()), *rules]

    def flush(self, stream: str) -> Iterator[Item]:
        self.windows.pop(stream, None)
        yield from ()

    def close(self) -> None:
        self.windows.clear()
        self.imagings.clear()


def _plan(region: RegionCard, show: bool) -> _Plan:
    """A group of DeepStream's file. Its rectangles are left, top, width, height; the first count for streams of all."""
    rois: Mapping[Any, Boxes] | None = None
    if region.rois is not None:
        boxes = {n: [[x, y, x + w, y + h] for x, y, w, h in found] for n, found in region.rois.items()}
        rois = {"*": next(iter(boxes.values()))} if region.streams is None else boxes
    red, green, blue = (round(255 * part) for part in region.colour[:3])
    objects = None if region.objects is None else Wanted(region.objects)
    return _Plan(region.streams, rois, objects, region.every, region.draw or show, (red, green, blue))


def _sequence(card: PreprocessCard) -> dict[str, Any] | None:
    own = card.sequence
    if own is None:
        return None
    layout = "CTHW" if own.in_depth else "(T*C)HW"
    return {"length": own.length, "stride": own.stride, "skip": own.skip, "layout": layout}


def _inside(found: Object, boxes: Sequence[NDArray[np.float32]]) -> bool:
    """Whether an object's box lies in one of the regions."""
    return any(bool(np.all(found.box[:2] >= box[:2]) and np.all(found.box[2:] <= box[2:])) for box in boxes)
