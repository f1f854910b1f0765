"""One thread: a channel or a source, then a chain of nodes.

A worker waits in one place only, between two items: for an item whose result has room, for a wake-up, for a
deadline, for a call of the control lane. So every live change happens between two items, and a worker that is
blocked or paused still serves calls.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from typing import Any, Protocol

from .channel import Channel, Signal
from .element import Source
from .errors import Cancelled, ElementError, SourceError
from .item import StreamEnd, StreamStart
from .link import Outlet
from .node import Host, Node
from .stats import NodeStats


class Owner(Host, Protocol):
    """What a worker needs of the pipeline."""

    paused: bool

    def worker_failed(self, worker: Worker, error: BaseException) -> None: ...
    def worker_ended(self, worker: Worker) -> None: ...
    def source_failed(self, worker: SourceWorker, error: Exception) -> None: ...


class Worker:
    """Runs nodes behind a channel. `nodes` stand in the order of the flow; the first one gets the items."""

    def __init__(self, name: str, owner: Owner, nodes: Sequence[Node], channel: Channel | None) -> None:
        self.name = name
        self.owner = owner
        self.nodes = list(nodes)
        self.channel = channel
        self.signal = channel.reader if channel is not None else Signal()
        self.outlets: list[Outlet] = []
        self.closers: list[Callable[[], None]] = []  # give back the senders that this worker holds
        self.thread = threading.Thread(target=self._main, name=f"millrace:{name}", daemon=True)
        self.opened: Future[None] = Future()
        self.blocked = 0.0
        self.idle = 0.0
        self.cancelled = False
        self.ended = False
        self._calls: deque[tuple[Callable[[], Any], Future[Any]]] = deque()
        self._calls_lock = threading.Lock()
        self._refused = False

    # any thread

    def start(self) -> None:
        self.thread.start()

    def call(self, function: Callable[[], Any]) -> Future[Any]:
        """Run `function()` in this worker's thread between two items. At once if the worker has ended."""
        future: Future[Any] = Future()
        with self._calls_lock:
            if not self.ended:
                self._calls.append((function, future))
                self.signal.set()
                return future
        _complete(future, function)
        return future

    def cancel(self) -> None:
        self.cancelled = True
        if self.channel is not None:
            self.channel.cancel()
        self.signal.set()

    # its own thread

    def _main(self) -> None:
        opened: list[Node] = []
        try:
            for node in reversed(self.nodes):
                node.open(self.signal.set)
                opened.append(node)
            self.opened.set_result(None)
            with contextlib.suppress(Cancelled):
                self._run()
            self._end_streams()
        except BaseException as error:  # a bug here must not leave others waiting
            if not self.opened.done():
                self.opened.set_exception(error)
            else:
                self.owner.worker_failed(self, error)
        finally:
            for node in self.nodes:
                if node in opened:
                    node.close()
            for close in self.closers:
                close()
            with self._calls_lock:
                self.ended = True
            self._serve_calls()
            self.owner.worker_ended(self)

    def _end_streams(self) -> None:
        for node in self.nodes:
            node.end_all()

    def _run(self) -> None:
        assert self.channel is not None
        channel, head = self.channel, self.nodes[0]
        gated = [node.element for node in self.nodes if node.gated]
        while True:
            self._attend()
            item = None
            if not self.owner.paused and all(element.ready for element in gated):
                self._refused = False
                item = channel.take(head.element.wanted, self._admits if self.outlets else None)
            if item is not None:
                head.push(item)
            elif channel.ended and not self._calls:
                return
            else:
                self._wait(len(channel) > 0)

    def _attend(self) -> None:
        """Calls, wake-ups and deadlines: what comes before items."""
        if self._calls:
            self._serve_calls()
        if self.cancelled:
            raise Cancelled
        if self.owner.paused:
            return
        for node in self.nodes:
            if node.woken:
                node.on_wake()
            if node.timed:
                deadline = node.deadline
                if deadline is not None and time.monotonic() >= deadline:
                    node.on_deadline()

    def _wait(self, has_items: bool) -> None:
        """Until something changes or the next deadline."""
        deadlines = [d for node in self.nodes if node.timed and (d := node.deadline) is not None]
        timeout = None
        if deadlines and not self.owner.paused:
            timeout = min(deadlines) - time.monotonic()
        began = time.perf_counter()
        self.signal.wait(timeout)
        waited = time.perf_counter() - began
        if has_items or self._refused:
            self.blocked += waited
        else:
            self.idle += waited

    def _admits(self, stream: str | None) -> bool:
        """Whether everything that this chain pushes to has room for an item of this stream."""
        signal = self.signal
        for outlet in self.outlets:
            if not outlet.room(stream, signal):
                self._refused = True
                return False
        return True

    def _serve_calls(self) -> None:
        while True:
            with self._calls_lock:
                if not self._calls:
                    return
                function, future = self._calls.popleft()
            _complete(future, function)


class SourceWorker(Worker):
    """Reads a source; its first node stands for the source and pushes what it yields."""

    def __init__(self, name: str, owner: Owner, source: Source, nodes: Sequence[Node]) -> None:
        super().__init__(name, owner, nodes, None)
        self.source = source
        self.stopping = False
        self.seen: set[str] = set()  # streams that it has started

    def stop_reading(self) -> None:
        """End the source and its streams soon; what it has sent goes on."""
        self.stopping = True
        self.source.interrupt()
        self.signal.set()

    def cancel(self) -> None:
        super().cancel()
        self.source.interrupt()

    def _run(self) -> None:
        node = self.nodes[0]
        items: Iterator[Any] | None = None
        while not self.stopping:
            self._attend()
            if self.owner.paused:
                self._wait(False)
                continue
            if self.outlets and not self._all_admit():
                self._wait(True)
                continue
            began = time.perf_counter()
            try:
                items = iter(self.source.read()) if items is None else items
                item = next(items, None)
            except Exception as error:
                if not self.stopping:  # an interrupted read may fail in its own way
                    self._fail(error)
                break
            finally:
                node.stats.time_in += time.perf_counter() - began
            if item is None:
                break
            self._emit(node, item)
        if items is not None and hasattr(items, "close"):
            items.close()

    def _all_admit(self) -> bool:
        return all(self._admits(stream) for stream in self.nodes[0].open_streams or (self.name,))

    def _emit(self, node: Node, item: Any) -> None:
        kind = item.__class__
        if kind is StreamStart:
            self.seen.add(item.stream)
            node.started[item.stream] = item
            if node.open_streams.get(item.stream) == item:
                return
        elif kind is StreamEnd:
            node.started.pop(item.stream, None)
            if node.open_streams.pop(item.stream, None) is None:
                return
        node.emit(item)

    def _fail(self, error: Exception) -> None:
        self.owner.source_failed(self, error)
        node = self.nodes[0]
        for stream in list(node.open_streams):
            self._emit(node, StreamEnd(stream, str(error)))

    def _end_streams(self) -> None:
        node = self.nodes[0]
        for stream in list(node.open_streams):
            try:
                self._emit(node, StreamEnd(stream))
            except Cancelled:
                break
        super()._end_streams()


def _complete(future: Future[Any], function: Callable[[], Any]) -> None:
    try:
        future.set_result(function())
    except Exception as error:
        future.set_exception(error)


def source_error(name: str, error: Exception) -> SourceError | ElementError:
    """The error of a source as a user should read it."""
    return error if isinstance(error, SourceError) else ElementError(name, error)


def stats_of(node: Node, worker: Worker, head: bool) -> NodeStats:
    """A copy of a node's counts, with its thread's and channel's when it heads the thread."""
    stats = NodeStats(node.name)
    stats.add(node.stats)
    if head:
        stats.time_blocked, stats.time_idle = worker.blocked, worker.idle
        if worker.channel is not None:
            stats.drops, stats.peak_depth, stats.depth = (
                worker.channel.drops,
                worker.channel.peak,
                len(worker.channel),
            )
    return stats
