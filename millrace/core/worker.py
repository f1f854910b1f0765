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
from .link import Link, Outlet, Partition
from .node import Host, Node
from .stats import NodeStats


class Owner(Host, Protocol):
    """What a worker needs of the pipeline."""

    paused: bool

    def open_failed(self, worker: Worker, error: BaseException) -> None: ...
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
        self.merges = next((node.merges for node in nodes if node.merges), None)
        self.closers: list[Callable[[], None]] = []  # give back the senders that this worker holds
        self.thread = threading.Thread(target=self._main, name=f"millrace:{name}", daemon=True)
        self.opened: Future[None] = Future()
        self.blocked = 0.0
        self.idle = 0.0
        self.cancelled = False
        self.closed = False  # its nodes are closed and it takes no more closers
        self.ended = False  # its thread is at its end, or will never start
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

    def attach(self, node: Node, way: Link | Partition, announce: Callable[[str], None]) -> None:
        """A further target of one of its nodes; it first gets the starts of open streams. Run it by `call`."""
        if self.closed:
            way.close()
            return
        self.outlets.append(way)
        self.closers.append(way.close)
        for start in node.open_streams.values():
            announce(start.stream)
            way.push(start)
        node.targets.append(way)

    def cancel(self) -> None:
        self.cancelled = True
        if self.channel is not None:
            self.channel.cancel()
        self.signal.set()

    def abandon(self) -> None:
        """In place of a start: give back what it holds, keep nobody waiting."""
        self._give_back()
        self.owner.worker_ended(self)

    # its own thread

    def _main(self) -> None:
        opened: list[Node] = []
        try:
            if self._open(opened):
                try:
                    with contextlib.suppress(Cancelled):
                        self._run()
                finally:
                    self._end_streams()
        except BaseException as error:  # a bug here must not leave others waiting
            self.owner.worker_failed(self, error)
        finally:
            for node in self.nodes:
                if node in opened:
                    node.close()
            self._give_back()
            self.owner.worker_ended(self)

    def _open(self, opened: list[Node]) -> bool:
        """Open the nodes, receivers first; those that did are noted in `opened`."""
        try:
            for node in reversed(self.nodes):
                node.open(self.signal.set)
                opened.append(node)
        except BaseException as error:
            self.owner.open_failed(self, error)
            self.opened.set_exception(error)
            return False
        self.opened.set_result(None)
        return True

    def _give_back(self) -> None:
        self.closed = True
        for close in self.closers:
            close()
        with self._calls_lock:
            self.ended = True
        self._serve_calls()

    def _end_streams(self) -> None:
        for node in self.nodes:
            node.end_all()

    def _run(self) -> None:
        assert self.channel is not None
        channel, head = self.channel, self.nodes[0]
        gated = [node.element for node in self.nodes if node.gated]
        admits: Callable[[str | None], bool] | None = self._admits
        if head.element.joins:  # it takes all that comes, its window bounds it, and asks for room when it releases
            admits, head.admits = None, admits
        while True:
            self._attend()
            item = None
            if not self.owner.paused and all(element.ready for element in gated):
                self._refused = False
                item = channel.take(head.element.wanted, admits if self.outlets else None)
            if item is not None:
                head.push(item)
            elif not self._calls and not head.stuck and channel.exhausted():
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
            if node.stuck:
                node.release()
        if self._clock_runs():
            for node in self.nodes:
                if node.timed:
                    deadline = node.deadline
                    if deadline is not None and time.monotonic() >= deadline:
                        node.on_deadline()

    def _wait(self, has_items: bool) -> None:
        """Until something changes or the next deadline."""
        deadlines = [d for node in self.nodes if node.timed and (d := node.deadline) is not None]
        timeout = None
        if deadlines and not self.owner.paused and self._clock_runs():
            timeout = min(deadlines) - time.monotonic()
        began = time.perf_counter()
        self.signal.wait(timeout)
        waited = time.perf_counter() - began
        if has_items or self._refused:
            self.blocked += waited
        else:
            self.idle += waited

    def _admits(self, stream: str | None) -> bool:
        """Whether everything that this chain pushes to has room for what it makes of an item of this stream."""
        signal = self.signal
        stream = self.merges or stream
        for outlet in self.outlets:
            if not outlet.room(stream, signal):
                self._refused = True
                return False
        return True

    def _clock_runs(self) -> bool:
        """Whether deadlines count: what makes pictures by the clock must not outrun those behind it."""
        return self.merges is None or not self.outlets or self._admits(self.merges)

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
        self._interrupt()
        self.signal.set()

    def cancel(self) -> None:
        super().cancel()
        self._interrupt()

    def _interrupt(self) -> None:
        if self.thread.ident is None:
            return  # it has not begun, and will see that it should not
        try:
            self.source.interrupt()
        except Exception as error:
            self.owner.warned(self.nodes[0], f"interrupt() failed: {type(error).__name__}: {error}", self.name)

    def _open(self, opened: list[Node]) -> bool:
        if super()._open(opened):
            return True
        self._end_streams()  # somebody may wait for it
        return False

    def _run(self) -> None:
        items: list[Iterator[Any]] = []
        try:
            self._read(items)
        finally:
            if items and hasattr(items[0], "close"):
                try:
                    items[0].close()
                except Exception as error:
                    if not self.cancelled:
                        self._fail(error)

    def _read(self, begun: list[Iterator[Any]]) -> None:
        """Push what the source yields; its iterator is left in `begun`."""
        node = self.nodes[0]
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
                if not begun:
                    begun.append(iter(self.source.read()))
                item = next(begun[0], None)
            except Exception as error:
                if not self.stopping and not self.cancelled:  # an interrupted read may fail in its own way
                    self._fail(error)
                break
            finally:
                node.stats.time_in += time.perf_counter() - began
            if item is None:
                break
            self._emit(node, item)

    def _all_admit(self) -> bool:
        return all(self._admits(stream) for stream in self.nodes[0].open_streams or (self.name,))

    def _emit(self, node: Node, item: Any) -> None:
        kind = item.__class__
        if kind is StreamStart:
            if not self.seen and item.stream != self.name:
                node.push(StreamEnd(self.name))  # the stream that was announced will not come
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
        try:
            for stream in list(node.open_streams):
                self._emit(node, StreamEnd(stream))
            if not self.seen:
                node.push(StreamEnd(self.name))  # it never started, and somebody may wait for it
        except Cancelled:
            pass
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
