"""The graph of a launch line → the line of a plan: steps, and branches that end or come together again.

A plan is a line with tees in it, so a graph must be made of lines side by side and one behind the other (a
series-parallel graph); what GStreamer users write is. Branches that end in sinks of their own stand beside the line;
those that lead to one element come together before it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from ..plan import Line, Queue, Select, Step, Tee
from .graph import Edge, Graph, Node, by_pad
from .work import At


class Lines:
    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.order = {id(node): index for index, node in enumerate(graph.nodes)}
        self.reach: dict[int, set[int]] = {}
        for node in reversed(graph.nodes):
            here = {id(node)}
            for edge in node.out:
                here |= self.reach[id(edge.target)]
            self.reach[id(node)] = here
        self.nodes = {id(node): node for node in graph.nodes}

    def whole(self, sources: list[Node], root: Node) -> Line:
        """The line of the whole graph: all sources enter at its begin."""
        edges = []
        for source in sources:
            for name in source.carried if len(sources) > 1 else [None]:
                edges.append(Edge(root, source, "", "", source.part.at, name if len(source.carried) == 1 else None))
                if len(source.carried) > 1:
                    edges[-1].stream = None
                    break
        if len(edges) == 1:
            return _waiting(self.chain(edges[0].target, None))
        if any(len(source.carried) > 1 for source in sources):
            at = next(source.part.at for source in sources if len(source.carried) > 1)
            raise self.graph.error(at, "nvmultiurisrcbin stands alone: name all streams in its uri-list")
        return _waiting(_common(self.bundle(edges, None)))

    def chain(self, node: Node, stop: Node | None) -> Line:
        """From a node on, up to `stop`."""
        line = list(node.steps)
        if node.queue is not None:
            line.append(_mark(node.queue))
        return line + self.after(node, stop)

    def after(self, node: Node, stop: Node | None) -> Line:
        edges = sorted(node.out, key=lambda edge: edge.source_pad)
        if not edges:
            return []
        if len(edges) == 1:
            return self.branch(edges[0], stop)
        return self.bundle(edges, stop)

    def branch(self, edge: Edge, stop: Node | None) -> Line:
        select: Line = [Select(edge.stream, At(self.graph, edge.target, {}))] if edge.stream is not None else []
        return select + ([] if edge.target is stop else self.chain(edge.target, stop))

    def bundle(self, edges: list[Edge], stop: Node | None) -> Line:
        """Several ways from one place."""
        side: dict[str, Line] = {}
        merging: dict[str, Line] = {}
        taken: set[str] = set()
        for group in self.groups(edges, stop):
            line = self.grouped(group, stop)
            leads = stop is not None and any(id(stop) in self.reach[id(edge.target)] for edge in group)
            label = _label(group[0], taken)
            (merging if leads else side)[label] = line
        out: Line = []
        if side and (merging or len(side) > 1):
            out.append(Tee(side, side=True))
        elif side:
            return next(iter(side.values()))
        if len(merging) == 1:
            return out + next(iter(merging.values()))
        return [*out, Tee(merging)] if merging else out

    def groups(self, edges: list[Edge], stop: Node | None) -> list[list[Edge]]:
        """The ways that have an element in common before `stop`."""
        groups: list[tuple[set[int], list[Edge]]] = []
        past = self.reach[id(stop)] if stop is not None else set()
        for edge in edges:
            inner = self.reach[id(edge.target)] - past
            joined = [group for group in groups if group[0] & inner]
            groups = [group for group in groups if not group[0] & inner]
            for nodes, _ in joined:
                inner = inner | nodes
            groups.append((inner, [each for _, members in joined for each in members] + [edge]))
        position = {id(edge): index for index, edge in enumerate(edges)}
        return sorted((group for _, group in groups), key=lambda group: min(position[id(edge)] for edge in group))

    def grouped(self, group: list[Edge], stop: Node | None) -> Line:
        if len(group) == 1:
            return self.branch(group[0], stop)
        common = set.intersection(*(self.reach[id(edge.target)] for edge in group))
        common -= self.reach[id(stop)] if stop is not None else set()
        if not common:
            names = ", ".join(edge.target.name for edge in group)
            raise self.graph.error(
                group[0].at, f"the ways from here cross each other ({names}): a plan has no such form"
            )
        meet = self.nodes[min(common, key=self.order.__getitem__)]
        if not meet.alias.sink_pad.count("%"):
            raise self.graph.error(meet.part.at, f"{meet.name} is fed by several")
        edges = self.turns(group, meet)
        return self.bundle(edges, meet) + self.chain(meet, stop)

    def turns(self, group: list[Edge], meet: Node) -> list[Edge]:
        """The ways to an element in the order of its pads."""
        pads = {id(edge.source): index for index, edge in enumerate(by_pad(meet.into))}
        direct = {id(edge): index for index, edge in enumerate(by_pad(meet.into))}

        def place(edge: Edge) -> int:
            if edge.target is meet:
                return next((i for other, i in ((e, direct[id(e)]) for e in meet.into) if other is edge), 0)
            inner = self.reach[id(edge.target)]
            return min((index for node, index in pads.items() if node in inner), default=len(pads))

        return sorted(group, key=place)


def _label(edge: Edge, taken: set[str]) -> str:
    """What a branch is called: by its stream, else by its first element."""
    base = edge.stream or edge.target.name
    label, number = base, 1
    while label in taken:
        number += 1
        label = f"{base}-{number}"
    taken.add(label)
    return label


_QUEUED = "queue"  # a step that only says what the queue of the next one is


def _mark(queue: Queue) -> Step:
    return Step(_QUEUED, queue=queue)


def _waiting(line: Line) -> Line:
    """The line with each queue put on the step behind it; one that leads to a tee is that of each branch."""
    out: Line = []
    queue: Queue | None = None
    for step in line:
        if isinstance(step, Step) and step.element == _QUEUED:
            queue = step.queue
        elif isinstance(step, Tee):
            branches = {
                label: _waiting([_mark(queue), *branch] if queue else list(branch))
                for label, branch in step.branches.items()
            }
            out.append(replace(step, branches=branches))
            queue = None
        elif isinstance(step, Step) and queue is not None:
            out.append(replace(step, queue=queue))
            queue = None
        else:
            out.append(step)
    return out


def _common(line: Line) -> Line:
    """Steps that all branches of the first tee have in common stand behind it once: streams that are treated alike."""
    if not line or not isinstance(line[0], Tee) or line[0].side:
        return line
    branches = line[0].branches
    if not all(branch and isinstance(branch[0], Select) for branch in branches.values()):
        return line
    rests = [branch[1:] for branch in branches.values()]
    if any(not isinstance(step, Step) or step.name for rest in rests for step in rest):
        return line
    first = [_said(rest) for rest in rests]
    if any(said != first[0] for said in first):
        return line
    return [*rests[0], *line[1:]]


def _said(line: Iterable[object]) -> list[object]:
    return [(step.element, dict(step.settings), step.queue) for step in line if isinstance(step, Step)]
