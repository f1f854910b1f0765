"""A launch line → a plan, with what became of each property."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from ...core.errors import redact
from ...deepstream import Finding
from ...deepstream.report import Status
from ..deepstream.parts import Missing
from ..plan import Plan
from . import bridge, filters, models, outputs, pictures, sources
from .beside import without_sound
from .files import codec_of
from .grammar import Part, parse
from .graph import Graph, Node, by_pad, pad_number, sources_of, upstream
from .lines import Lines
from .table import Alias
from .text import OPTIONS, take_command
from .work import Work


@dataclass(slots=True)
class Launch:
    """What a launch line amounts to.

    `findings`: what became of each property, its column as `line`. `missing`: files and addresses that it names and
    that are not there. `perf`: seconds between **PERF lines (nvdslogger, fpsdisplaysink), None: there are none.
    """

    text: str
    plan: Plan = field(default_factory=Plan)
    findings: list[Finding] = field(default_factory=list)
    missing: list[Missing] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    perf: float | None = None

    def counts(self) -> Counter[Status]:
        """How many properties there are of each status."""
        return Counter(finding.status for finding in self.findings)

    def report(self) -> str:
        """A line for each property and their sum, to be printed."""
        lines = [
            f"{finding.line:>5}  {finding.group} {finding.key}: {finding.status}"
            + (f": {finding.why}" if finding.why else "")
            for finding in self.findings
        ]
        sums = [f"{number} {status}" for status, number in self.counts().most_common()]
        return redact("\n".join([*lines, f"{sum(self.counts().values())} properties: {', '.join(sums) or 'none'}"]))


def load_launch(text: str, environment: Mapping[str, str] | None = None) -> Launch:
    """The plan of a launch line. Raises LaunchError with the column of what is wrong.

    `environment`: variables that stand in it as `$NAME` (default: those of the process).
    """
    line = take_command(text, environment)
    description = parse(line)
    silenced = without_sound(description)
    graph = Graph(description)
    work = Work(graph)
    work.remarks += [silenced] if silenced else []
    for node in graph.nodes:
        if node.alias.name == "capsfilter":
            filters.shape(work, node)
    for node in graph.nodes:
        if node.alias.kind == "source":
            graph.feed(node)
            _make(work, node)
    _name_streams(graph)
    for node in graph.nodes:
        if node.alias.kind != "source":
            graph.feed(node)
            _check_file(work, node)
            _carry(work, node)
            _make(work, node)
    order = _in_order(graph)
    root = Node(Part("", "", 0), Alias("", "pass"))
    steps = Lines(graph).whole(order, root)
    streams = [stream for node in order for stream in node.streams]
    findings = sorted(
        [
            *graph.findings,
            *(Finding("gst-launch-1.0", name, at, "ignored", OPTIONS.get(name, "")) for name, at in line.options),
        ],
        key=lambda finding: finding.line,
    )
    return Launch(text, Plan(streams, steps), findings, work.missing, work.remarks, work.perf)


def _make(work: Work, node: Node) -> None:
    alias = node.alias
    if node.absorbed:
        return
    if alias.name == "capsfilter":
        filters.caps(work, node)
        return
    if alias.make:
        for module in (sources, pictures, models, outputs, bridge):
            if maker := vars(module).get(alias.make):
                maker(work, node)
                return
        raise AssertionError(f"nobody makes {alias.make}")


def _check_file(work: Work, node: Node) -> None:
    """What a demuxer, a parser or a decoder of one codec is fed: now, where a file tells it, else when it comes."""
    alias, fed = node.alias, node.fed
    if node.absorbed or alias.kind != "pass" or alias.gives not in ("coded", "raw"):
        return
    if fed.kind == "bytes" and alias.containers and fed.container and fed.container not in alias.containers:
        message = f"{node.part.element} reads {' or '.join(alias.containers)}, and the file is {fed.container}"
        raise work.graph.error(node.part.at, message)
    if alias.codecs and fed.kind == "bytes" and fed.container not in ("", "annexb", *alias.codecs):
        between = "" if fed.container in ("png", "mjpeg") else ": put a demuxer between (parsebin)"
        message = f"{node.part.element} reads {' or '.join(alias.codecs)}, and the file is {fed.container}{between}"
        raise work.graph.error(node.part.at, message)
    if alias.codecs and not fed.codecs:
        found = [codec for each in upstream(node) for stream in each.streams if (codec := codec_of(stream.uri))]
        if found and found[0] not in alias.codecs:
            message = f"{node.part.element} reads {' or '.join(alias.codecs)}, and the file is {found[0]}"
            raise work.graph.error(node.part.at, message)
        work.add(node, "expect", {"codec": list(alias.codecs), "by": node.part.element})


def _in_order(graph: Graph) -> list[Node]:
    """The sources in the order of the pads of the batchers that they enter, else as they stand."""
    order: list[Node] = []
    for node in sorted(graph.nodes, key=lambda node: node.part.at):
        if "%" in node.alias.sink_pad:
            for edge in by_pad(node.into):
                order += [each for each in sources_of(edge.source) or [edge.source] if each.alias.kind == "source"]
                if edge.source.alias.kind == "source":
                    order.append(edge.source)
    order += sorted((n for n in graph.nodes if n.alias.kind == "source"), key=lambda node: node.part.at)
    return list(dict.fromkeys(order))


def _name_streams(graph: Graph) -> None:
    """Streams are called by their source's name=, else source0, source1, … in their order."""
    taken: set[str] = set()
    streams = [(node, stream) for node in _in_order(graph) for stream in node.streams]
    for node, stream in streams:
        if stream.name in taken:
            raise graph.error(node.part.at, f"two streams are named {stream.name!r}")
        taken |= {stream.name} - {""}
    for index, (_, stream) in enumerate(streams):
        number = index
        while not stream.name:
            name, number = f"source{number}", number + 1
            if name not in taken:
                stream.name = name
                taken.add(name)
    for node in graph.nodes:
        node.carried = [stream.name for stream in node.streams]


def _carry(work: Work, node: Node) -> None:
    """Which streams leave a node, and which go over each link behind nvstreamdemux."""
    carried = []
    for edge in by_pad(node.into):
        coming = [edge.stream] if edge.stream is not None else edge.source.carried
        for name in coming:
            if name in carried and node.alias.name not in ("nvdsmetamux",):
                message = f"the stream {name!r} comes to {node.name} twice; name its source once for each pad"
                raise work.graph.error(edge.at, message)
            if name not in carried:
                carried.append(name)
    node.carried = carried
    node.merged = any(edge.source.merged for edge in node.into)
    if node.alias.name == "nvstreamdemux" and not node.merged:
        for edge in node.out:
            number = pad_number(edge.source_pad)
            if number >= len(carried):
                there = f"there are src_0 to src_{len(carried) - 1}"
                raise work.graph.error(edge.at, f"{node.name} has no stream for {edge.source_pad}: {there}")
            edge.stream = carried[number]
    elif node.alias.name == "nvstreamdemux" and len(node.out) > 1:
        raise work.graph.error(node.part.at, "nvstreamdemux: the streams have become one picture before it")
