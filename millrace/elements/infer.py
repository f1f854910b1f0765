"""Frames → frames with the objects that a detector finds in them."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from functools import partial
from typing import Any, ClassVar

from .. import devices
from ..core.element import Context, Element, setting, state
from ..media import Batch, Detections, Frame, Image, Object, Placement
from ._model import LoadedModel, check_files, load_model


@dataclass(slots=True, eq=False)
class Call:
    """One call of the model: the frames it looks at, and what comes of it."""

    frames: list[Frame]
    placements: list[Placement] = field(default_factory=list)
    future: Future[dict[str, Any]] | None = None

    def done(self) -> bool:
        return self.future is None or self.future.done()


@dataclass(slots=True, eq=False)
class Waiting:
    """An item on its way through, in order of arrival."""

    item: Frame | Batch
    calls: list[Call]

    def done(self) -> bool:
        return all(call.done() for call in self.calls)


class Infer(Element):
    """Runs a detector over frames and adds the objects it finds: `Infer(model="yolox.onnx", confidence=0.4)`.

    Frames and batches leave as they came, in order. While one is inferred the next are taken in.
    """

    threaded: ClassVar[bool] = True

    model: str = setting(
        help="a model file (.onnx, .xml, .pt, .tflite, …), a model card (.yaml), a shipped model's name: street, or the"
        " address of a model on a server: triton://host:8001/model"
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
    every: int = setting(default=1, minimum=1, live=True, help="infer every Nth frame of a stream; the others pass")
    parallel: int | None = setting(
        default=None, minimum=1, help="calls that run at the same time (default: one a core)"
    )
    top_k: int | None = setting(default=None, minimum=1, live=True, help="most objects of a frame")
    labels: str | list[str] | None = setting(default=None, help="class names: a list, or a file with one a line")
    parser: str | None = setting(default=None, help="how to read the outputs, when it is not recognised rightly")
    stage: str | None = setting(default=None, help="the name that its objects carry (default: the model's)")

    context: Context = state(lambda: None)
    loaded: LoadedModel = state(lambda: None)
    waiting: deque[Waiting] = state(deque)
    imaging: dict[str, Any] = state(dict)
    name: str = state(str)  # what objects carry as their stage

    def validate(self) -> None:
        devices.kind(self.device)
        check_files(self.model)

    def open(self, context: Context) -> None:
        self.context = context
        options = (self.options or {}) | ({} if self.parallel is None else {"parallel": self.parallel})
        self.loaded = load_model(self.model, self.device, self.parser, self.labels, self.runtime, **options)
        self.loaded.runtime.report = context.warn
        self.name = self.stage or self.loaded.path.stem
        self.configure()

    def configure(self) -> None:
        self.loaded.configure(self.confidence, self.iou, self.top_k, self.classes)

    def prepare(self, settings: Mapping[str, Any]) -> Any:
        for name in settings.get("classes") or ():
            self.loaded.class_id(name)  # a wrong name fails here, before anything changes
        return settings

    def apply(self, prepared: Mapping[str, Any]) -> None:
        super().apply(prepared)
        self.configure()

    @property
    def ready(self) -> bool:
        """Whether one more item may come. One call more than can run is taken in, so that no thread idles."""
        limit = self.loaded.runtime.parallel + 1 if self.loaded else 1
        in_flight = sum(not call.done() for item in self.waiting for call in item.calls)
        return in_flight < limit and len(self.waiting) < limit * self.every

    def process(self, item: Frame | Batch) -> Iterator[Frame | Batch]:
        frames = item.frames if isinstance(item, Batch) else [item]
        wanted = [frame for frame in frames if frame.index % self.every == 0]
        runtime = self.loaded.runtime
        size = len(wanted) if runtime.batches and self.loaded.batch is None else 1
        calls = [Call(wanted[at : at + size]) for at in range(0, len(wanted), size or 1)]
        self.waiting.append(Waiting(item, calls))
        for call in calls:
            make = partial(self.make_input, call, self.imaging_for(call.frames[0].image))
            call.future = runtime.submit(make, self.context.wake)
        yield from self.on_wake()

    def make_input(self, call: Call, imaging: Any) -> dict[str, Any]:
        """The model's inputs. Runs in the runtime's thread, beside other calls."""
        tensor, call.placements = imaging.to_tensor([frame.image for frame in call.frames], self.loaded.spec)
        return self.loaded.feed(tensor, len(call.frames))

    def imaging_for(self, image: Image) -> Any:
        """The imaging of the memory where the picture lives."""
        if image.memory not in self.imaging:
            self.imaging[image.memory] = devices.part(image.memory, "imaging")(image.memory)
        return self.imaging[image.memory]

    def on_wake(self) -> Iterator[Frame | Batch]:
        while self.waiting and self.waiting[0].done():
            yield self.finish(self.waiting.popleft())

    def flush(self, stream: str) -> Iterator[Frame | Batch]:
        holds = [n for n, waiting in enumerate(self.waiting) if _has(waiting.item, stream)]
        for _ in range(holds[-1] + 1 if holds else 0):
            yield self.finish(self.waiting.popleft())

    def finish(self, waiting: Waiting) -> Frame | Batch:
        """The item with its frames' objects; waits for calls that still run, raises what they raised."""
        for call in waiting.calls:
            if call.future is None:
                continue
            outputs = call.future.result()
            found = self.loaded.detections(outputs, len(call.frames))
            for frame, placement, detections in zip(call.frames, call.placements, found, strict=True):
                frame.objects.extend(self.objects(detections, placement))
                frame.inferred.append(self.name)
        return waiting.item

    def objects(self, found: Detections, placement: Placement) -> Iterator[Object]:
        """Detections as objects in source pixels; what lies outside the picture is dropped."""
        boxes = placement.to_source(found.boxes)
        inside = (boxes[:, 2] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 1])
        for box, score, class_id in zip(boxes[inside], found.scores[inside], found.classes[inside], strict=True):
            number = int(class_id)
            name = self.loaded.label(number)
            yield Object(box, number, name, float(score), detected_box=box.copy(), stage=self.name)

    def close(self) -> None:
        self.waiting.clear()
        self.imaging.clear()
        if self.loaded:
            self.loaded.runtime.close()


def _has(item: Frame | Batch, stream: str) -> bool:
    return any(f.stream == stream for f in item.frames) if isinstance(item, Batch) else item.stream == stream
