"""The fluent face of a pipeline:

millrace.open("street.mp4").infer("street").track().draw().save("out.mp4").run()

for frame in millrace.open("street.mp4").infer("street"):
    print(frame.index, [found.label for found in frame.objects])
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial, wraps
from html import escape
from types import TracebackType
from typing import TYPE_CHECKING, Any

from . import registry
from .config import load as read_plan
from .config.build import build, class_of
from .config.plan import Line, Listen, Plan, Select, Step, Tee
from .config.sources import streams_of
from .core.caps import PACKETS
from .core.element import Element, Source
from .core.errors import ConfigError, MillraceError
from .elements.pull import Pull
from .fleet import Fleet, is_fleet, on_cores
from .media import Frame
from .summary import Run, Summary, raise_first

if TYPE_CHECKING:
    from .core import Pipeline

LOOKED_AT = 50  # frames that are searched for the first object, for a picture in a notebook

Uri = str | os.PathLike[str] | Source


def open(*uris: Uri, name: str | Sequence[str] | None = None, device: str = "cpu", **options: Any) -> Flow:
    """A flow of one or several streams: files, URLs, or sources of your own.

    A folder, a glob or a list (CSV, or YAML with `streams:`) gives the streams that it names. Streams are named after
    their files (`gate`, then `gate-2`) or by `name`. `device` is where the elements work that do not say theirs;
    `options` go to every source, but `restart` (never, on_error, always). Nothing is opened before the flow runs.
    """
    if not uris:
        raise ConfigError("open() needs at least one source: a file, a URL or a Source")
    names = [name] if isinstance(name, str) else list(name or ())
    places = [uri if isinstance(uri, Source) else os.fspath(uri) for uri in uris]
    streams = streams_of(places, names, options)
    return Flow(Plan(streams=streams, device=device))


def load(path: str | os.PathLike[str]) -> Flow:
    """The flow that a pipeline file describes: `millrace.load("pipeline.yaml").run()`. Raises ConfigError."""
    return Flow(read_plan(os.fspath(path)))


def launch(line: str) -> Flow:
    """The flow that a line of gst-launch describes, of GStreamer's and DeepStream's elements.

        millrace.launch("filesrc location=street.mp4 ! decodebin ! nvinfer config-file-path=cars.txt ! fakesink").run()

    docs/launch-lines.md has the elements. Raises ConfigError with the column of what is wrong, and for files that it
    names and that are not there.
    """
    from .config.launch import load_launch  # seldom needed

    found = load_launch(line)
    if found.missing:
        raise ConfigError("\n".join(map(str, found.missing)))
    return Flow(found.plan)


class Flow:
    """Streams and the steps they go through. Every method gives a new flow; `run()` or a loop does the work.

    Each element is a method of its own name: `flow.track(tracker="sort")`, `flow.infer("det.onnx")` (one value
    without a name is the element's first setting), `flow.blur(name="faces")` (`name` is the node's).
    """

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self._running: list[Pipeline] = []

    # steps

    def __getattr__(self, name: str) -> Callable[..., Flow]:
        if name.startswith("_"):
            raise AttributeError(name)
        try:
            cls = registry.get(name)
        except ConfigError as error:
            raise AttributeError(str(error)) from error
        return lambda *values, **settings: self._element(name, cls, values, settings)

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *registry.names()]

    def map(self, function: Callable[[Frame], Frame | bool | None], name: str | None = None) -> Flow:
        """Call a function with every frame: None or True keeps it, False drops it, a Frame replaces it."""
        return self._step(Step("function", {"call": function}, name))

    def each(self, function: Callable[[Frame], Any], name: str | None = None) -> Flow:
        """Call a function with every frame, whatever it answers: `flow.each(lambda frame: print(frame.index))`."""

        @wraps(function)
        def call(frame: Frame) -> None:
            function(frame)

        return self.map(call, name)

    def add(self, element: Element, name: str | None = None) -> Flow:
        """An element object of your own."""
        if not isinstance(element, Element):
            raise ConfigError(f"add() takes an Element, not {type(element).__name__}; for a function there is map()")
        return self._step(Step(element, name=name))

    def save(self, path: str | os.PathLike[str], **settings: Any) -> Flow:
        """Write the video as it is here; the flow goes on with the frames. Settings are those of encode and file."""
        of_file = {setting.name for setting in registry.settings_of(registry.get("file"))}
        to_file = {key: value for key, value in settings.items() if key in of_file}
        to_encode = {key: value for key, value in settings.items() if key not in of_file}
        steps: Line = [
            Step("encode", registry.check("encode", to_encode)),
            Step("file", registry.check("file", {"path": os.fspath(path), **to_file})),
        ]
        return self._step(Tee({"save": steps}, side=True))

    def tee(self, **branches: Callable[[Flow], Flow]) -> Flow:
        """Branches that each get every frame: `flow.tee(plates=lambda branch: branch.infer("plates.onnx"))`."""
        empty = Flow(replace(self.plan, line=[]))
        return self._step(Tee({label: branch(empty).plan.line for label, branch in branches.items()}))

    def select(self, stream: str) -> Flow:
        """From here on one stream only."""
        return self._step(Select(stream))

    def listen(self, broker: str, **settings: Any) -> Flow:
        """Take commands from a broker's messages while it runs: `flow.listen("mqtt://localhost/commands")`.

        Settings are those of config.plan.Listen: `topics`, `allow`, `sources`, `sensors`, `stay`.
        """
        try:
            listen = Listen(broker, **settings)
        except TypeError as error:
            raise ConfigError(f"listen: {error}") from None
        return Flow(replace(self.plan, listen=[*self.plan.listen, listen]))

    # work

    def run(
        self,
        check: bool = True,
        on_tick: Callable[[Run | Fleet], None] | None = None,
        processes: int | None = None,
        cores: int | None = None,
    ) -> Summary:
        """Run to the end and say what came of it. Ctrl+C drains: what is in flight is finished.

        Several `processes` share the streams, or one for each device where the flow has several (`cuda:0,cuda:1`);
        each stays on so many `cores` of its own, or this one on so many.
        Raises ElementError when an element failed, and with `check` the error of the first stream that could not
        be read to its end, after the others were finished.
        """
        if is_fleet(self.plan, processes):
            summary = Fleet(self.plan, processes, cores=cores).run(on_tick)
        else:
            with on_cores(cores):
                summary = Run(self.plan).run(on_tick)
        if check:
            raise_first(summary.errors)
        return summary

    def start(self) -> Run:
        """Run in the background and stay open for further streams: `run.streams.add(name, uri)`, `.remove(name)`.

        `run.finish()` ends it when what is under way is done, `run.pipeline.stop()` at once.
        """
        run = Run(self.plan, keep_open=True)
        self._running.append(run.pipeline)
        run.start()
        return run

    def __iter__(self) -> Iterator[Frame]:
        """The frames as they leave the flow. Leaving the loop stops it; errors are raised here."""
        pull = Pull()
        run = Run(self.plan, pull)
        self._running.append(run.pipeline)
        try:
            run.start()
            yield from pull.frames()
            run.pipeline.wait()
            raise_first(run.summary().errors)
        finally:
            run.close()
            self._running.remove(run.pipeline)

    async def __aiter__(self) -> AsyncIterator[Frame]:
        """The frames in a program of asyncio: `async for frame in flow:`. The loop is never blocked.

        Leaving the loop or cancelling the task stops the pipeline; errors are raised here.
        """
        loop, news = asyncio.get_running_loop(), asyncio.Event()
        pull = Pull()
        pull.listener = partial(loop.call_soon_threadsafe, news.set)
        run = Run(self.plan, pull)
        self._running.append(run.pipeline)
        try:
            await asyncio.to_thread(run.start)
            while True:
                news.clear()  # before looking, so that what comes while we look is not missed
                frame = pull.take()
                if frame is not None:
                    yield frame
                elif pull.ended:
                    break
                else:
                    await news.wait()
            await asyncio.to_thread(run.pipeline.wait)
            raise_first(run.summary().errors)
        finally:
            await asyncio.shield(asyncio.to_thread(run.close))
            self._running.remove(run.pipeline)

    def show(self, width: int = 320, rate: float = 10.0) -> None:
        """Run in a notebook and show the newest picture of every stream, at most `rate` times a second.

        Boxes lie over the pictures, unless the flow draws. Raises MissingExtraError without IPython.
        """
        from .elements._pixels import Pixels
        from .outputs.notebook import Tiles

        draws = any(isinstance(step, Step) and step.element == "draw" for step in self.plan.line)
        tiles = Tiles([stream.name for stream in self.plan.streams], width, rate, boxes=not draws)
        pixels = Pixels()
        try:
            for frame in self:
                if tiles.due(frame):
                    tiles.show(frame, pixels.bgr(frame))
        finally:
            tiles.close()

    def _repr_html_(self) -> str:
        """The streams and steps, and the first picture of the first stream if that is a file; nothing is written."""
        streams = ", ".join(stream.name for stream in self.plan.streams) or "no stream"
        steps = " → ".join(step_name(step) for step in self.plan.line) or "no step"
        first = self._first_frame()
        return f"<p>{escape(streams)}: {escape(steps)}</p>{first._repr_html_() if first is not None else ''}"

    def _first_frame(self) -> Frame | None:
        """The first frame in which something was found, or the first one, without what writes."""
        stream = next(iter(self.plan.streams), None)
        if stream is None or isinstance(stream.uri, Source) or not os.path.isfile(stream.uri):
            return None
        line: Line = [step for step in self.plan.line if not (isinstance(step, Tee) or writes(step))]
        first: Frame | None = None
        try:
            for frame in Flow(replace(self.plan, streams=[stream], line=line)):
                first = first or frame
                if frame.objects or frame.index >= LOOKED_AT:
                    return frame if frame.objects else first
        except MillraceError:  # a page shows what there is; run() says what is wrong
            return None
        return first

    def pipeline(self) -> Pipeline:
        """The explicit form: a pipeline that is not started."""
        return build(self.plan).pipeline

    def __enter__(self) -> Flow:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for pipeline in list(self._running):
            pipeline.stop()

    def _element(self, name: str, cls: type[Element], values: tuple[Any, ...], settings: dict[str, Any]) -> Flow:
        node = None if registry.names_itself(name) else settings.pop("name", None)
        on_error = settings.pop("on_error", "fail")
        if values:
            known = registry.settings_of(cls)
            if len(values) > 1 or not known:
                raise ConfigError(f"{name}: give settings by name, as in {name}(setting=value)")
            if known[0].name in settings:
                raise ConfigError(f"{name}: {known[0].name} is given twice")
            settings = {known[0].name: values[0], **settings}
        plain = {key: os.fspath(value) if isinstance(value, os.PathLike) else value for key, value in settings.items()}
        return self._step(Step(name, registry.check(name, plain, cls), node, on_error))

    def _step(self, step: Step | Select | Tee) -> Flow:
        return Flow(replace(self.plan, line=[*self.plan.line, step]))


def writes(step: Step | Select | Tee) -> bool:
    """Whether a step is an output, or leads to one."""
    return isinstance(step, Step) and (class_of(step).writes or class_of(step).gives == PACKETS)


def step_name(step: Step | Select | Tee) -> str:
    """A step in a few words: `infer`, `select gate`, `(save: encode → file)`."""
    if isinstance(step, Select):
        return f"select {step.stream}"
    if isinstance(step, Tee):
        lines = [f"{label}: {' → '.join(map(step_name, line))}" for label, line in step.branches.items()]
        return f"({'; '.join(lines)})"
    return step.name or (step.element if isinstance(step.element, str) else type(step.element).__name__)
