"""What a model is asked: frames, parts of frames, objects; and how they are put into calls."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import devices
from ..imaging.straighten import straighten
from ..media import CPU, Frame, Image, Object, Placement
from ..media.objects import Box
from ..media.tensor import touches
from ..models.card import ObjectsCard, read_part
from ..parsers.custom import ParserError
from ..parsers.raw import of_picture
from ._model import LoadedModel

CROPS = 64  # of one call, where they are taken together and neither model nor card says how many
SLANT = 0.05  # radians from which an object at an angle is turned upright before a model looks at it


@dataclass(slots=True, eq=False)
class Prepared:
    """A model's input that somebody made before (the `preprocess` element): for the models named in `stages`, or all.

    `tensor` has no dimension of the batch. `area` (x1 y1 x2 y2, source pixels) is what it shows, None the whole frame;
    `target` the object that it shows.
    """

    tensor: NDArray[Any]
    placement: Placement
    area: Box | None = None
    target: Object | None = None
    stages: Sequence[int | str] = ()


@dataclass(slots=True, eq=False)
class Unit:
    """One picture for a model: a frame, a part of it, an object; and what the model said, None until it has.

    A unit that is not `fresh` takes what was said of that object before.
    """

    frame: Frame
    target: Object | None = None
    area: Box | None = None
    tensor: NDArray[Any] | None = None
    fresh: bool = True
    placement: Placement | None = None
    answer: Any = None
    outputs: Mapping[str, Any] | None = None  # as they were, where they are kept


@dataclass(slots=True, eq=False)
class Call:
    """One call of a model: the units it looks at. Another model may have taken its place when the answer comes."""

    units: list[Unit]
    loaded: LoadedModel
    future: Future[dict[str, Any]] | None = None

    def done(self) -> bool:
        return self.future is None or self.future.done()

    def result(self, keep_tensors: bool = False) -> None:
        """Wait for the call and give each unit its answer. Raises what the call raised."""
        if self.future is None:
            return
        outputs = self.future.result()
        try:
            answers = self.loaded.read(outputs, len(self.units))
        except ParserError as error:
            frames = dict.fromkeys(f"{unit.frame.stream} {unit.frame.index}" for unit in self.units)
            raise ParserError(f"{error} (stream and frame: {', '.join(frames)})") from error
        for n, (unit, answer) in enumerate(zip(self.units, answers, strict=True)):
            unit.answer = answer
            if keep_tensors:
                unit.outputs = of_picture(outputs, n, self.loaded.batch or len(self.units))
        self.future = None


@dataclass(slots=True)
class Wanted:
    """Which objects of a frame a second model looks at."""

    card: ObjectsCard
    ids: dict[int, str] = field(default_factory=dict)  # stages by the number of their card, as frames tell them
    names: frozenset[str] = frozenset()
    numbers: frozenset[int] = frozenset()
    least: tuple[float, float] = (0.0, 0.0)  # width and height
    most: tuple[float, float] = (math.inf, math.inf)

    def __post_init__(self) -> None:
        card, classes = self.card, self.card.classes or []
        self.names = frozenset(str(name) for name in classes)
        self.numbers = frozenset(n if isinstance(n, int) else int(n) for n in classes if str(n).isdigit())
        self.least = (float(card.min_width), float(card.min_height))
        self.most = (float(card.max_width or math.inf), float(card.max_height or math.inf))

    def of(self, frame: Frame) -> list[Object]:
        """The objects in question, in their order."""
        return [found for found, _ in self._sized(frame, -math.inf, math.inf, math.inf)]

    def shown(self, frame: Frame) -> list[tuple[Object, float]]:
        """Those of which the picture shows something, each with its area in pixels."""
        return self._sized(frame, 0.0, float(frame.image.width), float(frame.image.height))

    def _sized(self, frame: Frame, start: float, right: float, bottom: float) -> list[tuple[Object, float]]:
        """Those that touch the part of the plane from `start` in both directions, as `touches` has it."""
        (least_wide, least_high), (most_wide, most_high) = self.least, self.most
        out = []
        for each in self._named(frame):
            x1, y1, x2, y2 = each.box.tolist()
            wide, high = x2 - x1, y2 - y1
            if (
                least_wide <= wide <= most_wide and least_high <= high <= most_high
                and x1 < right and y1 < bottom and x2 > start and y2 > start
            ):  # fmt: skip
                out.append((each, wide * high))
        return out

    def _named(self, frame: Frame) -> list[Object]:
        """Those of the stage and the classes, of any size."""
        stage = self.card.stage
        if isinstance(stage, int):
            self.ids.update(frame.extras.get("models", {}))
            stage = self.ids.get(stage)
            if stage is None:
                return []
        found = frame.objects if stage is None else [each for each in frame.objects if each.stage == stage]
        if self.card.classes is not None:
            found = [each for each in found if each.label in self.names or each.class_id in self.numbers]
        return found


def wanted_objects(given: Mapping[str, Any] | None, card: ObjectsCard | None) -> Wanted | None:
    """What the setting `on` says, over what the card says; None: whole frames. Raises ConfigError."""
    if given is None:
        return None if card is None else Wanted(card)
    plain = {name: getattr(card, name) for name in card.__slots__} if card is not None else {}
    classes = given.get("classes")
    listed = {"classes": [classes]} if isinstance(classes, (str, int)) else {}
    return Wanted(read_part(ObjectsCard, {**plain, **given, **listed}, "on"))


def of_frame(frame: Frame, stage: str, prepared: bool, number: int | None = None) -> list[Unit]:
    """The units of a whole frame: itself, or the inputs that were prepared for this model, by stage or number."""
    if not prepared:
        return [Unit(frame)]
    ready = frame.extras.get("prepared", ())
    inputs = [each for each in ready if not each.stages or stage in each.stages or number in each.stages]
    return [Unit(frame, each.target, each.area, each.tensor, placement=each.placement) for each in inputs]


def of_object(frame: Frame, found: Object) -> Unit | None:
    """The unit of an object; None where nothing of it is in the picture."""
    x1, y1, x2, y2 = found.box.tolist()
    if not touches(x1, y1, x2, y2, frame.image.width, frame.image.height):
        return None
    return Unit(frame, found, found.box)


class Imagings:
    """The imaging of each memory where pictures live."""

    def __init__(self) -> None:
        self._known: dict[str, Any] = {}

    def of(self, image: Image) -> Any:
        if image.memory not in self._known:
            self._known[image.memory] = devices.part(image.memory, "imaging")(image.memory)
        return self._known[image.memory]

    def for_call(self, units: Sequence[Unit]) -> Any:
        """That of a call's pictures: where some lie on a GPU, the GPU's, which takes in the others."""
        images = [unit.frame.image for unit in units]
        return self.of(next((image for image in images if image.memory != CPU), images[0]))

    def __setitem__(self, memory: str, imaging: Any) -> None:
        self._known[memory] = imaging

    def clear(self) -> None:
        self._known.clear()


def calls(units: Sequence[Unit], loaded: LoadedModel) -> Iterator[Call]:
    """Units put together as the model and the machine take them best.

    A runtime that gains nothing by batches gets frames one by one; crops, whose own cost is small, are dealt out evenly
    over its calls where the model takes any number.
    """
    crops = bool(units) and units[0].target is not None
    most = loaded.batch or loaded.card.batch or (CROPS if crops and loaded.runtime.batches else len(units))
    size = most
    if loaded.batch is None and not loaded.runtime.batches:
        size = min(most, -(-len(units) // loaded.runtime.parallel)) if crops else 1
    for at in range(0, len(units), max(1, size)):
        yield Call(list(units[at : at + max(1, size)]), loaded)


def make_input(call: Call, imaging: Any) -> dict[str, Any]:
    """The model's inputs for a call. Runs in the runtime's thread, beside other calls."""
    units, loaded = call.units, call.loaded
    if units[0].tensor is not None:
        tensor = np.stack([_fitting(unit.tensor, loaded) for unit in units])
        return loaded.feed(tensor, len(units))
    images = [unit.frame.image for unit in units]
    if len({image.memory for image in images}) > 1:  # a program's own pictures beside those of a GPU's decoder
        images = [imaging.upload(image) for image in images]
    if loaded.reader.whole:
        for n, unit in enumerate(units):
            turned = unit.target is not None and abs(unit.target.angle or 0.0) > SLANT
            if turned and unit.target is not None and images[n].memory == CPU:
                images[n], unit.area = straighten(images[n], unit.target.box, unit.target.angle or 0.0), None
    boxes = [unit.area for unit in units]
    if images[0].memory != CPU and loaded.batch is not None:  # what `feed` does with arrays of the CPU
        lacks = loaded.batch - len(units)
        images, boxes = images + images[-1:] * lacks, boxes + boxes[-1:] * lacks
    parts = boxes if any(box is not None for box in boxes) else None
    out = loaded.room(images[0].memory, len(images))
    tensor, places = imaging.to_tensor(images, loaded.spec, out=out, boxes=parts)
    for unit, placement in zip(units, places, strict=False):  # a full batch has more places
        unit.placement = placement
    return loaded.feed(tensor, len(images))


def _fitting(tensor: Any, loaded: LoadedModel) -> Any:
    """A prepared tensor, if the model takes it. Raises ValueError."""
    info = next(info for info in loaded.runtime.inputs if info.name == loaded.image_name)
    wanted = info.shape[1:]
    same = len(wanted) == tensor.ndim and all(a is None or a == b for a, b in zip(wanted, tensor.shape, strict=True))
    if not same:
        raise ValueError(f"a prepared tensor {list(tensor.shape)} does not fit the input {info}")
    return tensor.astype(info.dtype, copy=False)
