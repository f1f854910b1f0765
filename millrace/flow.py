"""The fluent face of a pipeline:

millrace.open("street.mp4").infer("street").track().draw().save("out.mp4").run()

for frame in millrace.open("street.mp4").infer("street"):
    print(frame.index, [found.label for found in frame.objects])
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from types import TracebackType
from typing import TYPE_CHECKING, Any

from . import registry
from .config import load as read_plan
from .config.build import build
from .config.plan import Line, Plan, Select, Step, Tee
from .config.sources import streams_of
from .core.element import Element, Source
from .core.errors import ConfigError
from .elements.pull import Pull
from .media import Frame
from .summary import Run, Summary, raise_first

if TYPE_CHECKING:
    from .core import Pipeline

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

    # work

    def run(self, check: bool = True, on_tick: Callable[[Run], None] | None = None) -> Summary:
        """Run to the end and say what came of it. Ctrl+C drains: what is in flight is finished.

        Raises ElementError when an element failed, and with `check` the error of the first stream that could not
        be read to its end, after the others were finished.
        """
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
            run.pipeline.stop()
            self._running.remove(run.pipeline)

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
        node = settings.pop("name", None)
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
