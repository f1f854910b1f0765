"""Elements and links → a graph that is checked: pads, circles, what is fed with what, which streams come by."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from graphlib import CycleError, TopologicalSorter
from typing import Any

from ...core.errors import ConfigError, did_you_mean
from ...deepstream import Finding
from ...deepstream.report import Status
from ..plan import Line, Queue, Stream
from .grammar import Description, Link, Part, Property
from .table import Alias, table
from .text import LaunchText
from .values import convert

_DECODER = "decodebin or nvv4l2decoder"
_PUT = {  # what is missing between two kinds
    ("bytes", "raw"): f"put {_DECODER} between (filesrc … ! decodebin ! …)",
    ("bytes", "coded"): "put a demuxer between: qtdemux, matroskademux, parsebin",
    ("bytes", "rtp"): "it is not RTP",
    ("coded", "raw"): f"put {_DECODER} between",
    ("raw", "coded"): "put an encoder between: x264enc, nvv4l2h264enc",
    ("raw", "bytes"): "put an encoder and a muxer between: x264enc ! mp4mux",
    ("coded", "bytes"): "put a muxer between: mp4mux, matroskamux",
    ("rtp", "raw"): "put rtph264depay and a decoder between, or decodebin",
    ("rtp", "coded"): "put rtph264depay or rtph265depay between",
    ("rtp", "bytes"): "put rtph264depay and a muxer between",
}
_KINDS = {"bytes": "the bytes of a file", "coded": "coded video", "raw": "pictures", "rtp": "RTP"}


@dataclass(slots=True)
class Fed:
    """What goes over a link: its kind, and where it is known the codecs it may have, the container, the format."""

    kind: str = "any"
    codecs: tuple[str, ...] = ()
    container: str = ""
    format: str = ""


@dataclass(slots=True, eq=False)
class Edge:
    """One link between pads. `stream`: only this one passes (behind nvstreamdemux)."""

    source: Node
    target: Node
    source_pad: str
    target_pad: str
    at: int
    stream: str | None = None


@dataclass(slots=True, eq=False)
class Node:
    """One element as it is compiled: its typed properties, and the steps it becomes."""

    part: Part
    alias: Alias
    into: list[Edge] = field(default_factory=list)
    out: list[Edge] = field(default_factory=list)
    props: dict[str, Any] = field(default_factory=dict)
    shape: dict[str, tuple[Any, int]] = field(default_factory=dict)  # what caps behind it ask for, and where
    steps: Line = field(default_factory=list)
    streams: list[Stream] = field(default_factory=list)  # of a source
    carried: list[str] = field(default_factory=list)  # names of the streams that leave it
    fed: Fed = field(default_factory=Fed)
    gives: Fed = field(default_factory=Fed)
    queue: Queue | None = None  # of the next step
    absorbed: bool = False  # GStreamer itself runs it, with the source or sink beside it
    merged: bool = False  # several streams became one picture before it, or here

    @property
    def name(self) -> str:
        return self.part.name


class Graph:
    """The nodes of a description in the order in which they are fed, and what was found on the way."""

    def __init__(self, description: Description) -> None:
        self.line: LaunchText = description.line
        self.findings: list[Finding] = []
        self.nodes: list[Node] = [self._node(part) for part in description.parts]
        by_part = {id(node.part): node for node in self.nodes}
        for link in description.links:
            self._link(link, by_part)
        self.nodes = self._ordered()
        for node in self.nodes:
            self._complete(node)

    def error(self, at: int, message: str) -> ConfigError:
        return self.line.error(at, message)

    def note(self, node: Node, key: str, status: Status, why: str = "", at: int | None = None) -> None:
        """What became of a property, or of a field of caps; a later word counts."""
        place = self.line.column(node.part.at if at is None else at)
        self.findings = [each for each in self.findings if (each.group, each.key) != (node.name, key)]
        self.findings.append(Finding(node.name, key, place, status, why))

    def place(self, node: Node, key: str) -> int:
        """Where the value of a property stands, or the element."""
        given = node.part.get(key)
        return given.value_at if given is not None else node.part.at

    # nodes

    def _node(self, part: Part) -> Node:
        known = table().elements
        if part.element not in known:
            hint = ""
            if re.fullmatch(r"_?\d+", part.element):
                hint = " A pad's name has no blanks: is name.sink_0 meant?"
            near = did_you_mean(part.element, known)
            other = " GStreamer's own that are not in docs/launch-lines.md run by `gst`: docs/gstreamer.md"
            raise self.error(
                part.at, f"there is no element {part.element!r}.{near}{hint}{'' if near or hint else other}"
            )
        alias = known[part.element]
        if alias.kind == "refused":
            raise self.error(part.at, f"{part.element} is not used here: {alias.why}")
        node = Node(part, alias)
        for each in part.properties:
            self._property(node, each)
        return node

    def _property(self, node: Node, each: Property) -> None:
        name, alias = each.name, node.alias
        if each.preset:
            self.note(
                node, "@" + name, "ignored", "presets are files of GStreamer; settings are given one by one", each.at
            )
            return
        if "::" in name:
            self.note(node, name, "ignored", "there is no element inside of it", each.at)
            return
        if node.part.get(name) is not each:
            return  # a later one counts
        if name in alias.ignored:
            self.note(node, name, "ignored", alias.ignored[name], each.at)
            return
        if alias.free and name not in alias.applied:
            self.note(node, name, "applied", "given to GStreamer as it is", each.at)
            return
        if name not in alias.applied:
            near = did_you_mean(name, [*alias.applied, *alias.ignored])
            raise self.error(each.at, f"{node.part.element} has no property {name!r}.{near}")
        kind, here = alias.applied[name]
        try:
            node.props[name] = convert(kind, each.value, table().types)
        except ValueError as error:
            raise self.error(each.value_at, f"{node.part.element} {name}={each.value!r} {error}") from None
        self.note(node, name, "applied", here, each.at)

    # links

    def _link(self, link: Link, by_part: dict[int, Node]) -> None:
        assert link.source.part is not None and link.target.part is not None
        source, target = by_part[id(link.source.part)], by_part[id(link.target.part)]
        if link.caps:
            part = Part("capsfilter", f"caps{len(self.nodes)}", link.caps_at)
            part.properties.append(Property("caps", link.caps, link.caps_at, link.caps_at))
            middle = self._node(part)
            self.nodes.append(middle)
            self._edge(source, link.source.pad, middle, "", link)
            self._edge(middle, "", target, link.target.pad, link)
            return
        self._edge(source, link.source.pad, target, link.target.pad, link)

    def _edge(self, source: Node, source_pad: str, target: Node, target_pad: str, link: Link) -> None:
        if source.alias.kind == "sink":
            raise self.error(link.at, f"{source.part.element} is a sink: nothing comes out of it that could be linked")
        if target.alias.kind == "source":
            raise self.error(link.at, f"{target.part.element} is a source: nothing can be linked to it")
        at, other = link.source.at, link.target.at
        source_pad = self._pad(source, source_pad, source.alias.src_pad, [e.source_pad for e in source.out], at, "src")
        target_pad = self._pad(
            target, target_pad, target.alias.sink_pad, [e.target_pad for e in target.into], other, "sink"
        )
        edge = Edge(source, target, source_pad, target_pad, link.at)
        source.out.append(edge)
        target.into.append(edge)

    def _pad(self, node: Node, given: str, template: str, taken: list[str], at: int, side: str) -> str:
        """The name of a pad: the one that is given, checked, or the next that is free."""
        element = node.part.element
        if "%u" not in template:
            if given and given not in (template, side):
                raise self.error(
                    at, f"{element} has no pad {given!r}.{did_you_mean(given, [template])} It has: {template}"
                )
            if taken:
                way = "; put a tee between: … ! tee name=t t. ! … t. ! …" if side == "src" else ""
                raise self.error(at, f"the pad {template!r} of {node.name} is linked twice{way}")
            return template
        if given in taken:
            raise self.error(at, f"the pad {given!r} of {node.name} is linked twice")
        base = template.replace("%u", "")
        if given and given != template:
            if not re.fullmatch(re.escape(base) + r"\d{1,9}", given):
                raise self.error(at, f"{element} has no pad {given!r}. Its pads are {base}0, {base}1, …")
            return given
        number = 0
        while f"{base}{number}" in taken:
            number += 1
        return f"{base}{number}"

    def _ordered(self) -> list[Node]:
        sorter = TopologicalSorter({node: [edge.source for edge in node.into] for node in self.nodes})
        try:
            return list(sorter.static_order())
        except CycleError as error:
            circle: list[Node] = error.args[1]
            names = " → ".join(node.name for node in circle)
            at = next(e.at for e in circle[0].out if e.target is circle[1])
            raise self.error(at, f"the links go in a circle: {names}") from None

    def _complete(self, node: Node) -> None:
        """Raise for what nothing feeds, and for what leads nowhere."""
        kind, element = node.alias.kind, node.part.element
        glued = next((p for p in node.part.properties if p.value.endswith("!")), None)
        if glued is not None and not node.out and kind != "sink":
            raise self.error(glued.value_at, f"{glued.name}={glued.value}: a blank is missing before the `!`")
        if kind != "source" and not node.into:
            raise self.error(node.part.at, f"nothing feeds {element}: … ! {element}")
        if kind != "sink" and not node.out and not element.startswith("playbin"):
            raise self.error(node.part.at, f"{element} leads nowhere: a line ends in a sink, if only ! fakesink")

    # what is fed with what

    def feed(self, node: Node) -> None:
        """Find out what comes into a node and what leaves it. Raises for what does not fit."""
        alias = node.alias
        if node.into:
            node.fed = self._fits(node, node.into[0].source)
            for edge in node.into[1:]:
                self._fits(node, edge.source)
        fed = node.fed
        node.gives = Fed(alias.gives or fed.kind, fed.codecs, fed.container, fed.format)
        if alias.gives in ("raw", "rtp") and fed.kind != alias.gives:
            node.gives.codecs = ()
        if alias.codecs and node.gives.kind in ("coded", "rtp") and "mux" not in alias.make:
            common = tuple(each for each in alias.codecs if each in fed.codecs)
            node.gives.codecs = common or alias.codecs
        if alias.gives == "bytes" and alias.containers:
            node.gives.container = alias.containers[0]

    def _fits(self, node: Node, source: Node) -> Fed:
        fed, alias, element = source.gives, node.alias, node.part.element
        takes, what = alias.takes, source.part.element
        if "any" not in takes and fed.kind not in ("any", *takes):
            way = _PUT.get((fed.kind, takes[0]), "")
            wanted = " or ".join(_KINDS.get(each, each) for each in takes)
            raise self.error(
                node.part.at, f"{element} takes {wanted}, and {what} gives {_KINDS.get(fed.kind, fed.kind)}: {way}"
            )
        reads = alias.codecs if alias.gives != "coded" or "raw" not in takes else ()
        if reads and fed.codecs and fed.kind in ("coded", "rtp") and not set(reads) & set(fed.codecs):
            said = " or ".join(fed.codecs)
            raise self.error(node.part.at, f"{element} takes {' or '.join(reads)}, and {what} gives {said}")
        return fed


def upstream(node: Node) -> Iterator[Node]:
    """The nodes that feed a node, nearest first, as far as there is one way only."""
    while len(node.into) == 1:
        node = node.into[0].source
        yield node


def sources_of(node: Node) -> list[Node]:
    """The sources that feed a node, by all ways."""
    found: list[Node] = []
    seen: set[int] = set()
    todo = [node]
    while todo:
        here = todo.pop(0)
        if id(here) in seen:
            continue
        seen.add(id(here))
        if here.alias.kind == "source":
            found.append(here)
        todo += [edge.source for edge in by_pad(here.into)]
    return found


def by_pad(edges: list[Edge]) -> list[Edge]:
    """Links into one element in the order of the numbers of their pads."""
    return sorted(edges, key=lambda edge: pad_number(edge.target_pad))


def pad_number(pad: str) -> int:
    """`sink_3` → 3; 0 for a pad without a number."""
    digits = re.search(r"(\d+)$", pad)
    return int(digits[1]) if digits else 0


def names_of(nodes: list[Node]) -> dict[str, list[Node]]:
    """The nodes by the name of the element in the table."""
    out: dict[str, list[Node]] = defaultdict(list)
    for node in nodes:
        out[node.alias.name].append(node)
    return out
