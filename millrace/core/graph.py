"""What is to run: elements by name and the links between them, checked before anything starts."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter

from .channel import Policy
from .element import Element
from .errors import ConfigError
from .node import OnError


@dataclass(frozen=True, slots=True)
class NodeSpec:
    name: str
    element: Element
    on_error: OnError = "fail"


@dataclass(frozen=True, slots=True)
class LinkSpec:
    source: str
    target: str
    stream: str | None = None  # only this stream passes
    size: int | None = None  # of the channel, where there is one; None: what the target asks for
    policy: Policy = "wait"
    kind: str | None = None  # only items of this kind pass (`item.kind`), and no markers


class Graph:
    """Elements and links. Sources are not part of it: they come and go (`Pipeline.add_source`)."""

    def __init__(self) -> None:
        self.nodes: dict[str, NodeSpec] = {}
        self.links: list[LinkSpec] = []

    def add(self, name: str, element: Element, on_error: OnError = "fail") -> str:
        """Add an element under a name of its own; returns the name. Raises ConfigError, also what `validate` raises."""
        if name in self.nodes:
            raise ConfigError(f"{name}: two elements have this name; give one of them another `name`")
        element.validate()
        self.nodes[name] = NodeSpec(name, element, on_error)
        return name

    def link(
        self,
        source: str,
        target: str,
        *,
        stream: str | None = None,
        size: int | None = None,
        policy: Policy = "wait",
        kind: str | None = None,
    ) -> None:
        """What `source` yields goes to `target`; with `stream`, only what belongs to that stream.

        With `kind` it is a side way: only items whose `kind` it is go by it (sound past the decoder), and no markers:
        these come to `target` by its other input.
        """
        self.named(source)
        self.named(target)
        self.links.append(LinkSpec(source, target, stream, size, policy, kind))

    def named(self, name: str) -> NodeSpec:
        """The element of this name. Raises ConfigError, with the nearest name."""
        if name not in self.nodes:
            near = difflib.get_close_matches(name, self.nodes, 1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise ConfigError(f"no element is named {name!r}{hint} There are: {', '.join(self.nodes) or 'none'}")
        return self.nodes[name]

    def into(self, name: str) -> list[LinkSpec]:
        return [link for link in self.links if link.target == name]

    def out_of(self, name: str) -> list[LinkSpec]:
        return [link for link in self.links if link.source == name]

    def entries(self) -> list[str]:
        """Elements that nothing links to: sources feed them."""
        fed = {link.target for link in self.links}
        return [name for name in self.nodes if name not in fed]

    def order(self) -> list[str]:
        """Every element after those that feed it. Raises ConfigError when the links go in a circle."""
        sorter = TopologicalSorter({name: [link.source for link in self.into(name)] for name in self.nodes})
        try:
            return list(sorter.static_order())
        except CycleError as error:
            raise ConfigError(f"the links go in a circle: {' → '.join(error.args[1])}") from None

    def workers(self) -> dict[str, str]:
        """For each element the one that heads its thread.

        An element heads a thread when it says `threaded`, joins, is fed by sources, by several threads, or by a
        partitioned element; all others run in the thread that reaches them.
        """
        heads: dict[str, str] = {}
        entries = set(self.entries())
        for name in self.order():
            element = self.nodes[name].element
            feeding = {heads[link.source] for link in self.into(name)}
            split = any(self.nodes[head].element.partitioned for head in feeding)
            own = element.own_thread or element.joins or element.partitioned or name in entries
            heads[name] = name if own or split or len(feeding) != 1 else feeding.pop()
        return heads

    def check(self) -> None:
        """Raises ConfigError for what cannot run."""
        if not self.nodes:
            raise ConfigError("the pipeline has no element")
        self.order()
        for name, spec in self.nodes.items():
            if spec.element.joins:
                if len(self.into(name)) < 2:
                    raise ConfigError(f"{name}: a join needs at least two inputs, got {len(self.into(name))}")
                self.fork_of(name)

    def fork_of(self, join: str) -> str:
        """The nearest element through which everything passes that reaches this join."""
        dominators: dict[str, set[str]] = {}
        for name in self.order():
            feeding = [dominators[link.source] for link in self.into(name)]
            dominators[name] = {name} | (set.intersection(*feeding) if feeding else set())
        above = dominators[join] - {join}
        if not above:
            raise ConfigError(f"{join}: its inputs do not come from one element that forks; join needs one")
        return max(above, key=lambda name: len(dominators[name]))

    def reached(self, name: str, stream: str) -> dict[str, set[str]]:
        """The elements that a stream comes by from here on, and those that what it is merged into comes by."""
        found: dict[str, set[str]] = {}
        todo = [(name, stream)]
        while todo:
            here, carried = todo.pop()
            if here in found.setdefault(carried, set()):
                continue
            found[carried].add(here)
            element = self.nodes[here].element
            for made in (element.merges,) if element.merges else reversed(element.splits(carried)):
                todo += [(link.target, made) for link in self.out_of(here) if link.stream in (None, made)]
        return found

    def reachable(self, name: str, stream: str | None = None) -> set[str]:
        """The element and everything after it by links that let `stream` pass; None: one that no link names."""
        found, todo = {name}, [name]
        while todo:
            for link in self.out_of(todo.pop()):
                if link.target not in found and link.stream in (None, stream):
                    found.add(link.target)
                    todo.append(link.target)
        return found
