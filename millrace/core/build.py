"""From a graph to nodes, channels and workers, tied together and not yet started."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from .channel import Channel
from .element import Element
from .graph import Graph, LinkSpec
from .join import Fork, JoinNode, Port, Window
from .link import Link, Partition, Seats, Select
from .node import Node, Target
from .worker import Owner, Worker

UNBOUNDED = 1 << 30  # a join's channel is bounded by the window of its fork


class Plant:
    """The parts of a running graph. A partitioned element has several nodes and workers, else there is one."""

    def __init__(self, graph: Graph, owner: Owner) -> None:
        self.graph = graph
        self.owner = owner
        self.heads = graph.workers()
        self.nodes: dict[str, list[Node]] = {}
        self.workers: dict[str, list[Worker]] = {}  # by the name of the head
        self._windows: dict[str, Window] = {}  # by the name of the join
        self._seats: dict[str, Seats] = {}  # by the name of the head
        self._make_nodes()
        self._make_workers()
        for name in graph.nodes:
            for node, worker in zip(self.nodes[name], self.workers[self.heads[name]], strict=True):
                self._connect(name, node, worker)

    def all_workers(self) -> list[Worker]:
        return [worker for group in self.workers.values() for worker in group]

    def entry(self, name: str) -> list[Channel]:
        """The channels before an element that sources feed."""
        return [worker.channel for worker in self.workers[self.heads[name]] if worker.channel is not None]

    def way_into(self, name: str, live: bool = False) -> Link | Partition:
        """A way into an element; all ways into the same one agree on the worker of each stream."""
        channels = self.entry(name)
        return way_to(channels, live, self._seats.setdefault(self.heads[name], Seats(len(channels))))

    def _make_nodes(self) -> None:
        for name in self.graph.order():
            spec = self.graph.nodes[name]
            if spec.element.joins:
                window = Window(len(self.graph.into(name)), max_wait=getattr(spec.element, "max_wait", None))
                self._windows[name] = window
                self.nodes[name] = [JoinNode(name, spec.element, self.owner, window, spec.on_error)]
            else:
                copies = [spec.element, *_copies(spec.element)]
                self.nodes[name] = [Node(name, element, self.owner, spec.on_error) for element in copies]

    def _make_workers(self) -> None:
        for head in dict.fromkeys(self.heads.values()):
            element = self.graph.nodes[head].element
            links = self.graph.into(head)
            sizes = [link.size for link in links if link.size is not None]
            size = UNBOUNDED if element.joins else max(sizes, default=element.queue)
            policies = {link.policy for link in links if link.policy != "wait"}
            policy = policies.pop() if policies else "wait"
            members = [name for name in self.graph.order() if self.heads[name] == head]
            self.workers[head] = []
            for index, _ in enumerate(self.nodes[head]):
                nodes = [self.nodes[name][index] for name in members]
                label = head if index == 0 else f"{head}/{index}"
                self.workers[head].append(Worker(label, self.owner, nodes, Channel(size, policy)))

    def _connect(self, name: str, node: Node, worker: Worker) -> None:
        targets: list[Target] = []
        links = self.graph.out_of(name)
        for link in links:
            target = self._target(link, worker)
            targets.append(target if link.stream is None else Select(link.stream, target))
        forks = [join for join in self._windows if self.graph.fork_of(join) == name]
        if not forks:
            node.targets = targets
            return
        fork = Fork(targets, [link.stream for link in links])
        for join in forks:
            window = self._windows[join]
            fork.windows.append((window, [self._reach(link, join) for link in links]))
            worker.outlets.append(window)
        node.targets = [fork]

    def _target(self, link: LinkSpec, worker: Worker) -> Target:
        head = self.heads[link.target]
        if worker in self.workers[head]:
            return self.nodes[link.target][self.workers[head].index(worker)]
        way = self.way_into(head)
        worker.outlets.append(way)
        worker.closers.append(way.close)
        return self._port(link, way)

    def _port(self, link: LinkSpec, target: Target) -> Target:
        if link.target not in self._windows:
            return target
        return Port(self.graph.into(link.target).index(link), target)

    def _reach(self, link: LinkSpec, join: str) -> set[int]:
        """The join's input links that lie behind this output link of its fork."""
        into = self.graph.into(join)
        if link.target == join:
            return {into.index(link)}
        behind = self.graph.reachable(link.target)
        return {index for index, last in enumerate(into) if last.source in behind}


def way_to(channels: Sequence[Channel], live: bool = False, seats: Seats | None = None) -> Link | Partition:
    """A way into an element that has one channel, or several among which streams are split as `seats` say."""
    links = [Link(channel, "drop_oldest" if live else None) for channel in channels]
    return links[0] if len(links) == 1 else Partition(links, seats)


def _copies(element: Element) -> list[Element]:
    """The further workers' elements of a partitioned element: the same settings, state of their own."""
    if not element.partitioned:
        return []
    count = int(getattr(element, "workers", 1))
    return [dataclasses.replace(element) for _ in range(count - 1)]  # type: ignore[type-var]
