"""Frames → frames with what a model says of them, or of the objects in them."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any, ClassVar

from .. import devices, parsers
from ..core.element import Context, Element, setting, state
from ..core.errors import ConfigError
from ..core.item import StreamStart
from ..media import Batch, Frame
from ._behind import Behind
from ._memory import Memory
from ._model import LoadedModel, check_files, load_model, model_and_card
from ._reader import first
from ._renewals import Renewals
from ._results import Results, Waiting
from ._units import CROPS, Imagings, Unit, Wanted, calls, make_input, of_frame, wanted_objects


class Infer(Element):
    """Runs a model over frames, or over the objects in them: `Infer(model="yolox.onnx", confidence=0.4)`.

    What a model is (a detector, a classifier, …) is recognised, or said by its card. Objects it finds are added to
    the frame; what it says of an object (labels, text, a vector, keypoints) is put onto that object; what it says of a
    whole frame becomes one of its `readings`. Frames and batches leave as they came, in order. While one is inferred
    the next are taken in.

        - infer: {model: colour.onnx, on: {stage: cars, classes: [car, truck], min_width: 32}}

    works on objects of an earlier model. Its answer for a tracked object is kept, and asked for again only after
    `refresh` frames or when the object has grown by the factor `growth` (1.2). With `wait: false` frames go on at once,
    and an answer is put onto the later frames of its object. A detector on objects looks every time unless `refresh` is
    given; what it finds has the object as parent.
    """

    threaded: ClassVar[bool] = True

    model: str = setting(
        live=True,
        help="a model file (.onnx, .xml, .pt, .tflite, …), a model card (.yaml), a configuration of DeepStream's"
        " nvinfer or nvinferserver, a shipped model's name: street, or the address of a model on a server:"
        " triton://host:8001/model",
    )
    runtime: str | None = setting(
        default=None, help="what runs it: auto, onnx, openvino, torch, tensorrt, tflite, triton (default: auto)"
    )
    options: dict[str, Any] | None = setting(default=None, help="options of the runtime: threads, precision, …")
    device: str = setting(default="cpu", help="where the model runs: cpu, cuda:0, gpu (Intel's), npu")
    confidence: float | None = setting(default=None, minimum=0, maximum=1, live=True, help="drop what is less sure")
    iou: float | None = setting(
        default=None, minimum=0, maximum=1, live=True, help="overlap above which the lesser box goes"
    )
    classes: list[str | int] | None = setting(default=None, live=True, help="only these, by name or id")
    on: dict[str, Any] | None = setting(
        default=None,
        help="on which objects it works: stage, classes, min_width, min_height, max_width, max_height; when again: "
        "refresh (frames), growth (factor of the area); wait (default: whole frames, or as the card says)",
    )
    every: int | None = setting(
        default=None, minimum=1, live=True, help="infer every Nth frame of a stream; the others pass (1)"
    )
    parallel: int | None = setting(
        default=None, minimum=1, help="calls that run at the same time (default: one a core)"
    )
    top_k: int | None = setting(default=None, minimum=1, live=True, help="most objects of a frame")
    labels: str | list[str] | None = setting(default=None, help="class names: a list, or a file with one a line")
    parser: str | None = setting(
        default=None,
        help="how to read the outputs: a parser's name, or your own as module:function or file.py:function",
    )
    prepared: bool | None = setting(default=None, help="takes the tensors that a preprocess element made")
    tensors: bool | None = setting(default=None, help="keep the raw outputs beside what was read from them")
    stage: str | None = setting(default=None, help="the name that its objects carry (default: the model's)")
    number: int | None = setting(
        default=None, minimum=0, help="what DeepStream's files call it (default: gie-unique-id of the model's file)"
    )
    engine: str = setting(
        default="auto",
        choices=("auto", "default"),
        help="auto: the engine that `millrace build` made for this machine, where there is one",
    )
    optimize: str | None = setting(
        default=None,
        choices=("background",),
        help="background: start at once, build an engine beside the run, and go on with it in live streams",
    )
    accuracy: float = setting(
        default=0.97, minimum=0, maximum=1, help="least agreement with the default that `optimize` allows"
    )
    watch: bool = setting(default=False, help="go on with the new file when the model's file is replaced")

    context: Context = state(lambda: None)
    loaded: LoadedModel = state(lambda: None)
    results: Results = state(lambda: None)
    objects: Wanted | None = state(lambda: None)
    memory: Memory | None = state(lambda: None)
    waiting: deque[Waiting] = state(deque)
    behind: Behind = state(Behind)
    imaging: Imagings = state(Imagings)
    name: str = state(str)  # what objects carry as their stage
    renewals: Renewals = state(Renewals)
    spare: int = state(lambda: 1)  # calls that are taken in beyond those that run, so that no thread idles

    def validate(self) -> None:
        devices.kind(self.device)
        check_files(self.model)
        wanted_objects(self.on, model_and_card(self.model)[1].objects)

    def open(self, context: Context) -> None:
        self.context = context
        loaded = self.load(self.model)
        for warning in loaded.card.warnings:
            context.warn(warning)
        self.name = self.stage or loaded.path.stem
        try:
            self.use(loaded)
        except ConfigError:
            loaded.runtime.close()
            raise
        self.renewals = Renewals(self)
        warm = getattr(loaded.runtime, "warm", None)
        if warm is not None and self.objects is not None:  # their number changes all the time: no waiting in the run
            most = loaded.batch or loaded.card.batch or CROPS
            warm([most] if loaded.batch else [size for size in (1, 4, 16, 64, 256) if size < most] + [most])

    def load(self, model: str) -> LoadedModel:
        options = (self.options or {}) | ({} if self.parallel is None else {"parallel": self.parallel})
        return load_model(model, self.device, self.parser, self.labels, self.runtime, self.engine, **options)  # type: ignore[arg-type]

    def use(self, loaded: LoadedModel, same: bool = False) -> None:
        """Ask this model from now on; `same`: it answers as the one before, whose answers are still true."""
        self.loaded = loaded
        loaded.runtime.report = self.context.warn
        self.takes_prepared = bool(first(self.prepared, loaded.card.prepared))
        self.objects = None if self.takes_prepared else wanted_objects(self.on, loaded.card.objects)
        self.memory = self.memory if same else self._memory()
        self.results = Results(loaded.reader, loaded.spec, self.name, loaded.card.masks)
        self.keeps_tensors = bool(first(self.tensors, loaded.card.tensors))
        if loaded.opened is not None and loaded.opened.problem:
            self.context.warn(loaded.opened.problem, None)
        self.configure()

    def _memory(self) -> Memory | None:
        """A detector looks at every object in every frame, unless it is told when to look again."""
        if self.objects is None:
            return None
        detects = parsers.kind_of(self.loaded.reader.guess.parser) in ("detector", "instances", "oriented")
        every_time = detects and self.objects.card.refresh is None and self.objects.card.wait
        return None if every_time else Memory(self.objects.card)

    def configure(self) -> None:
        self.loaded.reader.configure(self.confidence, self.iou, self.top_k, self.classes)
        self.step = first(self.every, self.loaded.card.every, 1)

    def prepare(self, settings: Mapping[str, Any]) -> Any:
        """A new model is loaded here, and what is wrong with it or with names of classes fails before a change."""
        if self.loaded is None:
            return settings  # nothing runs yet: `open` will see to it
        if "model" in settings:
            return {**settings, "loaded": self.another(settings["model"], settings)}
        for name in settings.get("classes") or ():
            self.loaded.reader.class_id(name)
        return settings

    def another(self, model: str, settings: Mapping[str, Any] | None = None) -> LoadedModel:
        """A model that may take the place of the present one, by any thread. Raises ConfigError."""
        loaded = self.load(model)
        told = {name: getattr(self, name) for name in ("confidence", "iou", "top_k", "classes")} | dict(settings or {})
        try:
            wanted_objects(self.on, loaded.card.objects)
            loaded.reader.configure(told["confidence"], told["iou"], told["top_k"], told["classes"])
            if sizes := getattr(self.loaded.runtime, "sizes", ()):  # made ready here, and not while frames wait
                loaded.runtime.warm(sizes)  # type: ignore[attr-defined]
        except ConfigError:
            loaded.runtime.close()
            raise
        except (RuntimeError, ValueError) as error:
            loaded.runtime.close()
            raise ConfigError(f"{model}: {error}") from error
        return loaded

    def apply(self, prepared: Mapping[str, Any]) -> None:
        loaded = prepared.get("loaded")
        super().apply({name: value for name, value in prepared.items() if name != "loaded"})
        if loaded is not None:
            self.swap(loaded)
            self.renewals.begin_anew()
        elif self.loaded is not None:
            self.configure()

    def swap(self, loaded: LoadedModel, same: bool = False) -> None:
        """Ask another model from the next item on. Calls under way are finished by the old one, which then closes."""
        flying = [call.future for waiting in self.waiting for call in waiting.calls]
        self.renewals.retire(self.loaded, [*flying, *self.behind.futures()])
        if not same:
            self.behind.drop()
        self.use(loaded, same)

    @property
    def own_thread(self) -> bool:
        """A second model on a GPU only starts calls there: a hop to another thread would cost more than it saves."""
        return self.on is None or devices.kind(self.device) != "cuda"

    @property
    def ready(self) -> bool:
        """Whether one more item may come."""
        limit = self.loaded.runtime.parallel + self.spare if self.loaded else 1
        in_flight = sum(not call.done() for item in self.waiting for call in item.calls)
        return in_flight < limit and len(self.waiting) < limit * self.step

    @property
    def occupied(self) -> bool:
        """Whether as many calls are under way as run at a time; of live streams on a GPU one runs."""
        return sum(not each.done() for each in self.waiting) >= (self.loaded.runtime.parallel if self.spare else 1)

    def start_stream(self, start: StreamStart) -> StreamStart:
        if start.discontinuity:  # a tracker may count from 1 again: what was known of an identity may be another's
            self.behind.drop(start.stream)
            if self.memory is not None:
                self.memory.forget(start.stream)
        self.behind.start(start.stream, start.live, self.loaded.runtime.parallel + 1)
        self.renewals.streams[start.stream] = start.live
        if start.live and devices.kind(self.device) == "cuda":  # one waits in its queue, the next is batched longer
            self.spare = 0
        return start

    def process(self, item: Frame | Batch) -> Iterator[Frame | Batch]:
        frames = item.frames if isinstance(item, Batch) else [item]
        units = self._asked(frames)
        fresh = [unit for unit in units if unit.fresh]
        waiting = Waiting(item, units, list(calls(fresh, self.loaded)), self.results)
        if self.objects is not None and not self.objects.card.wait:
            self.leave_behind(waiting)
        else:
            for call in waiting.calls:
                make = partial(make_input, call, self.imaging.for_call(call.units))
                call.future = self.loaded.runtime.submit(self.renewals.seen(make), self.context.wake)
        self.waiting.append(waiting)
        yield from self.on_wake()

    def _asked(self, frames: Sequence[Frame]) -> list[Unit]:
        units: list[Unit] = []
        at_once = self._at_once(frames)
        try:
            for frame in frames:
                units += self.ask(frame, at_once)
        except Exception:  # the item is lost, and nothing is asked for it
            self.retract([unit for unit in units if unit.fresh])
            raise
        return units

    def _at_once(self, frames: Sequence[Frame]) -> bool:
        """Whether objects may get what is known of them as they are looked at, and not when their item goes on.

        Where nobody waits, a later frame of the same stream may bring an answer, or give up a call, in between.
        """
        return self.objects is None or self.objects.card.wait or len({each.stream for each in frames}) == len(frames)

    def ask(self, frame: Frame, at_once: bool = True) -> list[Unit]:
        """What the model is asked for a frame, and the objects whose answers are under way.

        All others get here what is known of them, if that may be; so do those of a frame that is passed over (`every`).
        """
        due = frame.index % self.step == 0
        if self.objects is None:
            return of_frame(frame, self.name, self.takes_prepared, self._number) if due else []
        if not self.objects.card.wait:
            self.collect(frame)
        memory, units = self.memory, []
        entries = memory.of(frame.stream) if memory is not None and at_once else {}
        for found, area in self.objects.shown(frame):
            if memory is None or found.id is None:
                if due and self.objects.card.wait:
                    units.append(Unit(frame, found, found.box))
                elif due:
                    self.behind.untracked(self.context, frame.stream)
                continue
            entry = entries.get(found.id)
            if entry is None or entry.labels is None or (due and (area > entry.most or frame.index >= entry.until)):
                fresh = due and memory.asks(frame, found, area)
                units.append(Unit(frame, found, found.box, fresh=fresh))
                continue
            found.labels.extend(entry.labels)
            if due:
                entry.seen = frame.index
        if memory is not None:
            memory.tidy(frame)
        return units

    def leave_behind(self, waiting: Waiting) -> None:
        """Start calls that no frame waits for. Their crops are made now: whoever comes next may draw on the pixels."""
        for call in waiting.calls:
            if self.behind.full(call.units[0].frame.stream):  # the machine is too slow: ask again later
                self.retract(call.units)
                continue
            inputs = make_input(call, self.imaging.for_call(call.units))
            call.future = self.loaded.runtime.submit(inputs)
            self.behind.add(call)
        for unit in waiting.units:  # an older answer is better than none
            unit.fresh = False
        waiting.calls = []

    def collect(self, frame: Frame) -> None:
        """Take the answers that have come for a stream since its last frame."""
        for call in self.behind.due(frame.stream):
            try:
                call.result()
            except Exception:
                call.future = None  # told once, also where it was for several streams
                self.retract(call.units)
                raise
            for unit in call.units:
                self.keep(unit, self.results.told(unit))

    def keep(self, unit: Unit, answer: Any) -> None:
        if self.memory is not None and unit.target is not None and unit.target.id is not None:
            self.memory.keep(unit.frame, unit.target, answer)

    def retract(self, units: Sequence[Unit]) -> None:
        for unit in units:
            if self.memory is not None and unit.target is not None:
                self.memory.retract(unit.frame, unit.target)

    def on_wake(self) -> Iterator[Frame | Batch]:
        while self.waiting and self.waiting[0].done():
            yield self.finish(self.waiting.popleft())
        self.renewals.look()

    def flush(self, stream: str) -> Iterator[Frame | Batch]:
        holds = [n for n, waiting in enumerate(self.waiting) if waiting.has(stream)]
        for _ in range(holds[-1] + 1 if holds else 0):
            yield self.finish(self.waiting.popleft())

    def end_stream(self, stream: str) -> Iterator[Frame | Batch]:
        yield from self.flush(stream)
        self.behind.forget(stream)
        self.renewals.streams.pop(stream, None)
        if self.memory is not None:
            self.memory.forget(stream)

    def finish(self, waiting: Waiting) -> Frame | Batch:
        """The item with what was said of it; waits for calls that still run, raises what they raised."""
        try:
            for call in waiting.calls:
                call.result(self.keeps_tensors)
        except Exception:
            self.retract([unit for unit in waiting.units if unit.fresh])
            raise
        told = iter(waiting.results.told_all([unit for unit in waiting.units if unit.fresh]))
        for unit in waiting.units:
            if unit.fresh:
                self.keep(unit, waiting.results.place(next(told), unit))
                if self.keeps_tensors:
                    waiting.results.keep_tensors(unit)
            elif self.memory is not None and unit.target is not None:
                known = self.memory.recall(unit.frame, unit.target)
                if known is not None and known.labels is not None:
                    unit.target.labels.extend(known.labels)
                elif known is not None:
                    self.results.again(known, unit.frame, unit.target)
        if self.objects is None:
            self.sign(waiting.item)
        return waiting.item

    @property
    def _number(self) -> int | None:
        return self.number if self.number is not None else self.loaded.card.id

    def sign(self, item: Frame | Batch) -> None:
        """Note in frames that this model looked at them."""
        number = self._number
        for frame in item.frames if isinstance(item, Batch) else [item]:
            if frame.index % self.step == 0:
                frame.inferred.append(self.name)
            if number is not None:
                frame.extras["models"] = {**frame.extras.get("models", {}), number: self.name}

    def cancel(self) -> None:
        if self.loaded and hasattr(self.loaded.runtime, "cancel"):
            self.loaded.runtime.cancel()

    def close(self) -> None:
        self.waiting.clear()
        self.imaging.clear()
        self.behind.clear()
        self.renewals.close()
        if self.loaded:
            self.loaded.runtime.close()
