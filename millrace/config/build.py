"""A plan → a pipeline.

What a plan may leave out is put in here: `decode` before the first element that wants frames, `encode` before one
that wants packets again, and, where there are several streams, a `batch` before the first element to which their order
matters: it takes files in turns, so that two runs give the same lines in the same order.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, NamedTuple

from .. import devices, registry
from ..core import Graph, Pipeline
from ..core.caps import FRAMES, PACKETS
from ..core.element import Element
from ..core.errors import ConfigError
from . import sound
from .listening import Listening
from .plan import Line, Plan, Select, Step, Stream, Tee
from .sources import source_of, unique
from .streams import Streams

_MOST_BATCHED = 32
_ORDERED = ("infer", "json", "record")


class _Pass(Element):
    """Passes everything on: the node that sources enter where the line begins with branches."""

    takes = None
    queue = 16  # as many packets as wait before decode would
    burst = 128  # after a stall packets come at once, as at the door of decode


class End(NamedTuple):
    """A node whose output is not linked yet; `stream` when a select stands behind it."""

    node: str
    stream: str | None = None


class Built(NamedTuple):
    """A pipeline, its table of streams, the nodes where its frames are counted (as they were decoded, and at the end of
    the main line), and the listeners for commands, which whoever starts it starts, too."""

    pipeline: Pipeline
    first: str
    last: str
    streams: Streams
    listening: Listening


def build(plan: Plan, pull: Element | None = None, *, keep_open: bool = False) -> Built:
    """The pipeline of a plan, not started; `pull` takes the frames from the end of its main line.

    `keep_open`: it does not end with its last stream, for others may be added.

    Raises ConfigError, or SourceError for a source that is not there.
    """
    plan = replace(plan, device=devices.named(plan.device))
    try:
        devices.one(plan.device)
    except ConfigError as error:
        raise plan.where.error(str(error), "device") from error
    keep_open = keep_open or any(listen.stay for listen in plan.listen)
    line = complete(plan)
    heard = sound.wanted(line, class_of) and (
        keep_open or any(hasattr(source_of(each), "sound") for each in plan.streams)
    )
    if heard and isinstance(line[0], Step) and class_of(line[0]).gives == FRAMES:
        line.insert(0, Step(_Pass(), name="streams"))  # where the sound parts from the pictures
    start = max(1, _frames_begin(line))  # an element that takes anything may stand first
    end = max(start, _frames_end(line))
    builder = _Builder(plan)
    ends = builder.line(line[:start], [], "")
    first = ends[0].node
    ends = builder.line(line[start:end], ends, "")
    last = ends[0].node
    tail: Line = [Tee({"pull": [Step(pull, name="pull")]}, side=True)] if pull is not None else []
    builder.line([*tail, *line[end:]], ends, "")
    _spare_the_sources(builder.graph, plan.streams)
    if heard:
        sound.lead(builder.graph, builder.entry, [stream.name for stream in plan.streams])
    again = any(stream.restart != "never" for stream in plan.streams)
    pipeline = Pipeline(builder.graph, keep_open=keep_open or again, run=plan.run)
    streams = Streams(pipeline, builder.entry, plan.streams, drain=again and not keep_open, sound=heard)
    listening = Listening(plan.listen, pipeline, streams, [stream.name for stream in plan.streams])
    return Built(pipeline, first, last, streams, listening)


def _spare_the_sources(graph: Graph, streams: list[Stream]) -> None:
    """Raise ConfigError where an element would write over the file that a stream is read from."""
    read = {os.path.realpath(s.uri.removeprefix("file://")): s for s in streams if isinstance(s.uri, str)}
    for node in graph.nodes.values():
        path = getattr(node.element, "path", None)
        stream = read.get(os.path.realpath(path)) if isinstance(path, str) and path else None
        if stream is not None and path != "-":
            raise stream.where.error(f"{node.name}: {path} is the source of stream {stream.name!r}: take another path")


def complete(plan: Plan) -> Line:
    """The line with the steps that were left out."""
    line = list(plan.line)
    if len(plan.streams) > 1:
        _put_in_batch(line, min(_MOST_BATCHED, len(plan.streams)) if plan.device.startswith("cuda") else 1)
    if not line or not isinstance(line[0], Step):
        # a node that all sources can enter: packets only where some branch wants them
        line.insert(0, Step(_Pass(), name="streams") if _first(line) == PACKETS else Step("decode"))
    return _tell_records(_ask_for_the_past(_convert(line, PACKETS)[0]))


def _ask_for_the_past(line: Line) -> Line:
    """Where analytics follow, a tracker tells where it saw those before whom it gives an identity only now."""
    out: Line = []
    for index, step in enumerate(line):
        if isinstance(step, Tee):
            step = replace(step, branches={name: _ask_for_the_past(branch) for name, branch in step.branches.items()})
        elif isinstance(step, Step) and step.element == "track" and _analysed(line[index + 1 :]):
            step = replace(step, settings={"report": ["past"], **step.settings})
        out.append(step)
    return out


def _analysed(line: Line) -> bool:
    return any(isinstance(step, Step) and step.element == "analyze" for step in line)


def _tell_records(line: Line) -> Line:
    """A recorded run says in its header which steps came after it, so that they can be run again without the rest."""
    out: Line = []
    for index, step in enumerate(line):
        if isinstance(step, Tee):
            step = replace(step, branches={label: _tell_records(branch) for label, branch in step.branches.items()})
        elif isinstance(step, Step) and step.element == "record":
            steps = [
                {
                    after.element if isinstance(after.element, str) else type(after.element).__name__: dict(
                        after.settings
                    )
                }
                for after in line[index + 1 :]
                if isinstance(after, Step) and not _leads_out(class_of(after))
            ]
            header = {"line": steps, **step.settings.get("header", {})}
            step = replace(step, settings={**step.settings, "header": header})
        out.append(step)
    return out


def _leads_out(cls: type[Element]) -> bool:
    """Whether it only writes, or makes and takes packets: nothing of what is known of a frame comes of it."""
    return cls.writes or PACKETS in (cls.takes, cls.gives)


def _put_in_batch(line: Line, size: int) -> None:
    """A CPU runs several calls of one picture quicker than one call of several, so there a batch only orders."""
    for index, step in enumerate(line):
        if isinstance(step, Step) and step.element == "batch":
            return
        if isinstance(step, Step) and (step.element in _ORDERED or "of" in step.settings):  # `depth` of two streams
            line.insert(index, Step("batch", {"size": size if step.element == "infer" else 1}))
            return


def _first(line: Line) -> str:
    """What a line wants at its start, frames or packets."""
    for step in line:
        if isinstance(step, Tee):
            return PACKETS if any(_first(branch) == PACKETS for branch in step.branches.values()) else FRAMES
        if isinstance(step, Step) and (takes := class_of(step).takes) is not None:
            return takes
    return FRAMES


def _convert(line: Line, kind: str) -> tuple[Line, str]:
    """The line with decode and encode where they are needed, and what leaves it."""
    out: Line = []
    for step in line:
        if isinstance(step, Tee):
            parts = {label: _convert(branch, kind) for label, branch in step.branches.items()}
            out.append(replace(step, branches={label: branch for label, (branch, _) in parts.items()}))
            kinds = {made for _, made in parts.values()}
            if not step.side and len(kinds) == 1:
                kind = kinds.pop()
            continue
        if isinstance(step, Step):
            cls = class_of(step)
            if cls.takes not in (None, kind):
                out.append(Step("decode" if kind == PACKETS else "encode"))
                kind = cls.takes or kind
            kind = cls.gives or kind
        out.append(step)
    return out, kind


def _frames_begin(line: Line) -> int:
    """The index behind the decoder in the main line, and behind a limit that follows it."""
    kind = PACKETS
    for index, step in enumerate(line):
        if isinstance(step, Step):
            if kind == FRAMES and step.element != "limit":
                return index
            kind = class_of(step).gives or kind
        if isinstance(step, Tee) and index and (_first(line[index:]) == FRAMES):
            return index
    return len(line)


def _frames_end(line: Line) -> int:
    """The index in the main line behind the last step that gives frames, before what only leads out."""
    kind, end = PACKETS, _frames_begin(line)
    for index, step in enumerate(line):
        if isinstance(step, Step):
            cls = class_of(step)
            kind = cls.gives or cls.takes or kind
            if kind == FRAMES:
                end = max(end, index + 1)
    return end


def class_of(step: Step) -> type[Element]:
    """The class of a step's element. Raises ConfigError with the step's place."""
    if isinstance(step.element, Element):
        return type(step.element)
    try:
        return registry.get(step.element)
    except ConfigError as error:
        raise step.where.error(str(error)) from error


class _Builder:
    """Adds nodes and links of a plan's line to a graph."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.graph = Graph()
        self.names: set[str] = set()
        self.streams = [stream.name for stream in plan.streams]
        self.entry = ""

    def line(self, line: Line, ends: list[End], branch: str) -> list[End]:
        """Add the steps behind `ends`; returns the ends of the line."""
        teed = False
        for step in line:
            if isinstance(step, Select):
                ends = [self.select(end, step) for end in ends]
            elif isinstance(step, Tee):
                made = [
                    self.line(steps, ends, f"{branch}{label}.") for label, steps in step.branches.items()
                ]  # an empty branch ends where it began
                if not step.side:
                    apart = streams_apart(step)
                    ends, teed = [end for part in made for end in part], len(made) > 1 and not apart
            else:
                if teed and not class_of(step).joins:
                    raise step.where.error(f"{step.element!r} stands behind a tee: join the branches first (- join)")
                ends, teed = [self.step(step, ends, branch)], False
        return ends

    def select(self, end: End, step: Select) -> End:
        if self.streams and step.stream not in self.streams:
            raise step.where.error(f"select: there is no stream {step.stream!r}; there are: {', '.join(self.streams)}")
        return End(end.node, step.stream)

    def step(self, step: Step, ends: list[End], branch: str) -> End:
        element = self.element(step)
        name = self.name(step, branch)
        with _placed(step):
            self.graph.add(name, element, on_error=step.on_error)
        made = [element.merges] if element.merges else [each for one in self.streams for each in element.splits(one)]
        self.streams += [stream for stream in made if stream not in self.streams]
        self.entry = self.entry or name
        for end in ends:
            link: dict[str, Any] = {"policy": step.queue.policy, "size": step.queue.size} if step.queue else {}
            self.graph.link(end.node, name, stream=end.stream, **link)
        return End(name)

    def element(self, step: Step) -> Element:
        if isinstance(step.element, Element):
            return step.element
        if not class_of(step).in_files:
            only = "meets a program's own code: only a program can use it, as an object"
            raise step.where.error(f"{step.element!r} {only}")
        has = {setting.name for setting in registry.settings_of(class_of(step))}
        given = {"device": self.plan.device, "stage": step.name}  # a model's objects carry the name of its step
        settings = {key: value for key, value in given.items() if key in has and value is not None} | {**step.settings}
        with _placed(step):
            return registry.create(step.element, **settings)

    def name(self, step: Step, branch: str) -> str:
        given = step.name
        if given is not None:
            if given in self.names:
                raise step.where.error(f"two elements are named {given!r}", "name")
            self.names.add(given)
            return given
        return unique(f"{branch}{_plain_name(step)}", self.names)


def streams_apart(tee: Tee) -> bool:
    """Whether each branch has streams of its own: then these go on beside each other, and nothing is to be joined."""
    chosen = [_chosen(branch) for branch in tee.branches.values()]
    return all(each is not None for each in chosen) and len(chosen[0] or ()) > 0 and _disjoint(chosen)


def _disjoint(chosen: Sequence[set[str] | None]) -> bool:
    return sum(len(each or ()) for each in chosen) == len(set().union(*(each or set() for each in chosen)))


def _chosen(branch: Line) -> set[str] | None:
    """The streams that a branch selects at its begin; None: all come."""
    first = next((step for step in branch if not (isinstance(step, Tee) and step.side)), None)
    if isinstance(first, Select):
        return {first.stream}
    if isinstance(first, Tee):
        parts = [_chosen(inner) for inner in first.branches.values()]
        return None if any(part is None for part in parts) else set().union(*(part or set() for part in parts))
    return None


@contextmanager
def _placed(step: Step) -> Iterator[None]:
    """An error in what a step says names the place where it was written."""
    try:
        yield
    except ConfigError as error:
        key = getattr(error, "setting", None)
        raise step.where.error(str(error), *(key.split(".") if key else [])) from error


def _plain_name(step: Step) -> str:
    """What a node is called when nobody names it: its element, its class, or its function."""
    if isinstance(step.element, Element):
        return type(step.element).__name__.lower()
    name = getattr(step.settings.get("call"), "__name__", "")
    return name if name.isidentifier() else step.element.rpartition(":")[2]
