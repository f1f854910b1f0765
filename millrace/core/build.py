"""From a graph to nodes, channels and workers, tied together and not yet started."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from functools import partial

from .channel import Channel, Policy
from .element import Element, Source
from .errors import Closed
from .graph import Graph, LinkSpec
from .join import Fork, JoinNode, Port, Window
from .link import Link, Only, Partition, Seats, Select
from .node import Node, Target
from .reader import GuestWorker, SourceWorker
from .stats import NodeStats
from .worker import Owner, Worker, stats_of

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
        self._seats: dict[str, Seats] = {}  # by the name of the head, where that is partitioned
        self._keepers: list[Link] | None = None  # since the start; empty: no source can be added any more
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

    def keep_entries(self) -> None:
        """What sources feed does not end from now on, for one may be added there, until `close_entries`."""
        self._keepers = [Link(channel) for name in self.graph.entries() for channel in self.entry(name)]

    def close_entries(self) -> None:
        if self._keepers is not None:
            keepers, self._keepers = self._keepers, []
            for keeper in keepers:
                keeper.close()

    def ease(self, eased: bool) -> None:
        """While the pipeline pauses nobody waits in a push: that one could serve no call."""
        for worker in self.all_workers():
            if worker.channel is not None:
                worker.channel.eased = eased
                worker.channel.wake()

    def parts(self, name: str) -> list[tuple[Node, Worker]]:
        """The node of an element and its worker, or several where it is partitioned."""
        return list(zip(self.nodes[name], self.workers[self.heads[name]], strict=True))

    def wanted(self) -> bool:
        """Whether somebody still gets something: an output that works, or an end of the graph that is none."""
        for name, nodes in list(self.nodes.items()):  # branches may be added meanwhile
            writes = type(nodes[0].element).writes
            if not all(node.broken for node in nodes) and (writes or not self.graph.out_of(name)):
                return True
        return False

    def stats(self) -> dict[str, NodeStats]:
        """What every element has counted, the parts of a partitioned one summed up."""
        out: dict[str, NodeStats] = {}
        for name in self.nodes:
            out[name] = NodeStats(name)
            for node, worker in self.parts(name):
                out[name].add(stats_of(node, worker, self.heads[name] == name))
        return out

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
                worker = Worker(label, self.owner, nodes, Channel(size, policy, rotate=element.partitioned))
                self.workers[head].append(worker)
                if element.joins:
                    self._windows[head].reader = worker.signal

    def _connect(self, name: str, node: Node, worker: Worker) -> None:
        targets: list[Target] = []
        links = self.graph.out_of(name)
        for link in links:
            target = self._target(link, worker)
            if link.kind is not None:
                target = Only(link.kind, target)
            targets.append(target if link.stream is None else Select(link.stream, target))
        forks = [join for join in self._windows if self.graph.fork_of(join) == name]
        if not forks:
            node.targets = targets
            return
        fork = Fork(targets)
        for join in forks:
            window = self._windows[join]
            window.before = worker.channel
            fork.windows.append((window, self._reach(name, join)))
            worker.outlets.append(window)
        node.targets = [fork]

    def _target(self, link: LinkSpec, worker: Worker) -> Target:
        head = self.heads[link.target]
        if worker in self.workers[head]:
            return self.nodes[link.target][self.workers[head].index(worker)]
        sheds = any(node.element.sheds for node in worker.nodes)
        inlets = [channel for each in (worker, *self._before(worker)) if (channel := each.channel) is not None]
        way = self.way_into(link.target, live=sheds, inlets=inlets if sheds else (), before=worker.channel)
        worker.outlets.append(way)
        worker.closers.append(way.close)
        return self._port(link, way)

    def _before(self, worker: Worker) -> list[Worker]:
        """The workers that feed this one; none where sources do."""
        links = [link for node in worker.nodes[:1] for link in self.graph.into(node.name)]
        return [each for link in links for each in self.workers[self.heads[link.source]]]

    def _port(self, link: LinkSpec, target: Target) -> Target:
        if link.target not in self._windows:
            return target
        number = next(n for n, each in enumerate(self.graph.into(link.target)) if each is link)  # some may be equal
        return Port(number, target)

    def _reach(self, fork: str, join: str) -> dict[str | None, set[int]]:
        """The join's input links that a stream reaches from its fork; None: a stream that no link names."""
        named = {None, *(link.stream for link in self.graph.links)}
        reach: dict[str | None, set[int]] = {}
        for stream in named:
            reached = self.graph.reachable(fork, stream)
            links = enumerate(self.graph.into(join))
            reach[stream] = {n for n, link in links if link.source in reached and link.stream in (None, stream)}
        return reach

    def way_into(
        self, name: str, live: bool = False, inlets: Sequence[Channel] = (), before: Channel | None = None
    ) -> Link | Partition:
        """A new way into an element; all ways into the same one agree on the worker of each stream.

        `live`: live streams do not wait there, but drop: it is the door of a source, or leads away from an element
        that sheds, whose channel, and those before it, are `inlets`. `before`: the channel of whoever sends.
        Raises Closed when the element has ended.
        """
        links: list[Link] = []
        burst = self.graph.nodes[name].element.burst if name in self.graph.entries() else None
        try:
            for channel in self.entry(name):
                links.append(Link(channel, "drop_oldest" if live else None, burst, inlets, before))
        except Closed:
            for link in links:
                link.close()
            raise
        if len(links) == 1:
            return links[0]
        return Partition(links, self._seats.setdefault(self.heads[name], Seats(len(links))))

    def reader(self, name: str, source: Source, into: str) -> SourceWorker:
        """A source tied to the element that it feeds. Raises Closed when that has ended, or no more may come."""
        if self._keepers == []:
            raise Closed
        node = Node(name, source, self.owner)
        if source.quick:
            worker: SourceWorker = self._guest(name, node, source, into)
        else:
            way = self.way_into(into, live=True)
            node.targets = [way]
            worker = SourceWorker(name, self.owner, source, [node])
            worker.outlets.append(way)
            worker.closers.append(way.close)
        worker.into = into
        return worker

    def _guest(self, name: str, node: Node, source: Source, into: str) -> GuestWorker:
        head = self.heads[into]
        hosts, channels = self.workers[head], self.entry(into)
        if len(hosts) == 1:
            return GuestWorker(name, self.owner, source, node, hosts[0], Link(channels[0]))
        seats = self._seats.setdefault(head, Seats(len(hosts)))
        seat = seats.assign(name)
        try:
            guest = GuestWorker(name, self.owner, source, node, hosts[seat], Link(channels[seat]))
        except Closed:
            seats.leave(name)
            raise
        guest.closers.append(partial(seats.leave, name))
        return guest

    def add_branch(self, name: str, element: Element, policy: Policy) -> Worker:
        """An element in a thread of its own, not tied to any other yet."""
        self.graph.add(name, element)
        node = Node(name, element, self.owner)
        worker = Worker(name, self.owner, [node], Channel(element.queue, policy))
        self.nodes[name], self.workers[name], self.heads[name] = [node], [worker], name
        return worker

    def remove_branch(self, name: str) -> None:
        """Forget an element that could not open."""
        for table in (self.graph.nodes, self.nodes, self.workers, self.heads):
            table.pop(name)


def _copies(element: Element) -> list[Element]:
    """The further workers' elements of a partitioned element: the same settings, state of their own."""
    if not element.partitioned:
        return []
    count = int(getattr(element, "workers", 1))
    return [dataclasses.replace(element) for _ in range(count - 1)]  # type: ignore[type-var]
