"""A graph at work: starts and stops threads, adds and removes sources and branches, and reports.

States: idle → starting → running ⇄ paused → draining → stopped | failed.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, wait
from types import TracebackType
from typing import Any, Literal

from .build import Plant
from .bus import Bus, Kind, Message
from .channel import Channel
from .element import Element, Source
from .errors import ConfigError, ElementError, MillraceError, SettingError, StreamError, redact
from .graph import Graph
from .link import Link
from .node import Node
from .stats import NodeStats
from .worker import SourceWorker, Worker, source_error, stats_of

State = Literal["idle", "starting", "running", "paused", "draining", "stopped", "failed"]
REMEMBERED = 1024  # ended sources whose counts are kept
STOP_TIMEOUT = 30.0  # seconds that stop() waits for an element that does not return


class Pipeline:
    """Runs a graph. All methods may be called from any thread but a worker's own, `finish` from anywhere.

    `keep_open`: do not end when the last source has ended; otherwise a pipeline that was started with sources ends
    with the last of them, and one that was started without waits for `drain()`.
    """

    def __init__(self, graph: Graph, *, keep_open: bool = False) -> None:
        graph.check()
        self.graph = graph
        self.bus = Bus()
        self.errors: list[Message] = []
        self.state: State = "idle"
        self.paused = False
        self.failure: MillraceError | None = None
        self._keep_open = keep_open
        self._opening = True  # until start() is through, the end of a worker is not the end of the pipeline
        self._lock = threading.RLock()
        self._plant = Plant(graph, self)
        self._sources: dict[str, SourceWorker] = {}
        self._branches: list[Worker] = []
        self._running: set[Worker] = set()
        self._announced: dict[str, set[int]] = {}  # streams in order, and the expecting nodes that they have passed
        self._ended_sources: dict[str, NodeStats] = {}
        self._keepers: list[Link] = []
        self._finished = threading.Event()

    # life

    def start(self) -> None:
        """Open every element, receivers first, then let the sources read. Raises what an `open` raised."""
        with self._lock:
            if self.state != "idle":
                raise MillraceError(f"a pipeline starts once; this one is {self.state}")
            self._to("starting")
            if self._keep_open or not self._sources:
                entries = [channel for name in self.graph.entries() for channel in self._plant.entry(name)]
                self._keepers = [Link(channel) for channel in entries]
            workers = self._plant.all_workers()
            sources = list(self._sources.values())
            self._running = {*workers, *sources}
        try:
            for worker in reversed(workers):
                worker.start()
                worker.opened.result()
            self._announce()
            for source in sources:
                source.start()
            for source in sources:
                source.opened.result()
        except Exception as error:
            self._abort(error)
            raise
        with self._lock:
            self._opening = False
            if self.failure is None:
                self._to("running")
            self._check_finished()

    def _abort(self, error: Exception) -> None:
        """An open failed: nothing may stay behind."""
        self.failure = error if isinstance(error, MillraceError) else MillraceError(str(error))
        self._cancel_all()
        with self._lock:
            for worker in list(self._running):
                if worker.thread.ident is None:
                    self._running.discard(worker)
        self._join_all()
        self._to("failed")
        self._finished.set()

    def pause(self) -> None:
        """Every worker finishes its item and waits; calls are still served."""
        with self._lock:
            if self.state == "running":
                self.paused = True
                self._to("paused")

    def resume(self) -> None:
        with self._lock:
            if self.state == "paused":
                self.paused = False
                self._to("running")
                for worker in self._running:
                    worker.signal.set()

    def drain(self) -> None:
        """Read no more; what is under way goes through to the end. Returns at once: `wait()` for it."""
        with self._lock:
            if self.state not in ("running", "paused"):
                return
            self.paused = False
            self._to("draining")
            for source in self._sources.values():
                source.stop_reading()
            for worker in self._running:
                worker.signal.set()
            for keeper in self._keepers:
                keeper.close()

    def stop(self) -> None:
        """End now: what waits in channels is thrown away, every element is closed. Safe to call at any time."""
        with self._lock:
            if self.state == "idle":
                self._to("stopped")
                self._finished.set()
                return
        self._cancel_all()
        self._join_all()

    def wait(self, timeout: float | None = None) -> bool:
        """Until the pipeline has ended; False when `timeout` seconds passed. Raises the error it failed with."""
        ended = self._finished.wait(timeout)
        if ended:
            self._join_all()
            if self.failure is not None:
                raise self.failure
        return ended

    def __enter__(self) -> Pipeline:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _cancel_all(self) -> None:
        with self._lock:
            workers = list(self._running)
            self.paused = False
        for worker in workers:
            worker.cancel()

    def _join_all(self) -> None:
        me = threading.current_thread()
        with self._lock:
            workers = [*self._plant.all_workers(), *self._branches, *self._sources.values()]
        for worker in workers:
            if worker.thread is not me and worker.thread.ident is not None:
                worker.thread.join(STOP_TIMEOUT)

    # sources and branches

    def add_source(self, name: str, source: Source, into: str) -> None:
        """Read `source` into the element `into`. `name` is that of its stream; before the start or at any time."""
        if into not in self.graph.entries():
            self.graph.named(into)
            raise ConfigError(f"{into}: other elements feed it; sources go into: {', '.join(self.graph.entries())}")
        with self._lock:
            if name in self._sources:
                raise ConfigError(f"a source named {name!r} is there already; remove it first or take another name")
            if self.state not in ("idle", "running", "paused"):
                raise MillraceError(f"no source can be added to a pipeline that is {self.state}")
            way = self._plant.way_into(into, live=True)
            node = Node(name, source, self)
            node.targets = [way]
            worker = SourceWorker(name, self, source, [node])
            worker.outlets.append(way)
            worker.closers.append(way.close)
            self._sources[name] = worker
            self._announced.pop(name, None)
            self._announced[name] = set()
            if self.state == "idle":
                return
            self._running.add(worker)
        self._announce()
        worker.start()

    def remove_source(self, name: str, timeout: float = 10.0) -> None:
        """End a source and its streams; what it has sent goes through. False hopes: a read that never returns."""
        with self._lock:
            worker = self._sources.get(name)
            if worker is None:
                raise ConfigError(f"no source is named {name!r}; there are: {', '.join(self._sources) or 'none'}")
        worker.stop_reading()
        if worker.thread.ident is None:
            self.worker_ended(worker)
            return
        worker.thread.join(timeout)
        if worker.thread.is_alive():
            raise MillraceError(f"{name}: the source did not end within {timeout:g} s; it still reads")

    def sources(self) -> list[str]:
        """The sources that have not ended."""
        with self._lock:
            return list(self._sources)

    def add_target(self, after: str, name: str, element: Element, policy: Any = "wait") -> None:
        """A new branch while running: what `after` yields goes to `element` too, in a thread of its own.

        It first gets the StreamStarts of the streams that are open.
        """
        self.graph.named(after)
        with self._lock:
            self.graph.add(name, element)
            node = Node(name, element, self)
            worker = Worker(name, self, [node], Channel(element.queue, policy))
            self._plant.nodes[name] = [node]
            self._plant.workers[name] = [worker]
            self._plant.heads[name] = name
            self._branches.append(worker)
            self._running.add(worker)
        senders = [(n, w) for n, w in zip(self._plant.nodes[after], self._workers_of(after), strict=True)]
        ways = [self._plant.way_into(name) for _ in senders]
        worker.start()
        worker.opened.result()
        futures = []
        for (sender, host), way in zip(senders, ways, strict=True):

            def attach(sender: Node = sender, host: Worker = host, way: Any = way) -> None:
                host.outlets.append(way)
                host.closers.append(way.close)
                for start in sender.open_streams.values():
                    way.push(start)
                sender.targets.append(way)

            futures.append(host.call(attach))
        wait(futures)

    def _workers_of(self, name: str) -> list[Worker]:
        return self._plant.workers[self._plant.heads[name]]

    def finish(self, stream: str) -> None:
        """No more of this stream is wanted: its source ends soon. Callable from anywhere."""
        for worker in list(self._sources.values()):
            if stream == worker.name or stream in worker.seen:
                worker.stop_reading()

    def _announce(self) -> None:
        """Tell the elements that ask which streams to expect, in order."""
        with self._lock:
            streams = tuple(self._announced)
            running = [worker for worker in self._running if worker.thread.ident is not None]
        for worker in running:
            for node in worker.nodes:
                if node.expects:
                    worker.call(lambda node=node: node.element.expect(streams))  # type: ignore[misc]

    # live changes

    def set(self, name: str, **settings: Any) -> None:
        """Change settings of a running element: prepared here, applied between two items.

        Raises SettingError for a setting that does not exist or cannot change while running.
        """
        element = self.graph.named(name).element
        fields = getattr(type(element), "__dataclass_fields__", {})
        live = [key for key, field in fields.items() if field.metadata.get("live")]
        for key, value in settings.items():
            if key not in live:
                what = "cannot change while running" if key in fields else "does not exist"
                raise SettingError(name, key, value, f"it {what}; those that can: {', '.join(live) or 'none'}")
        futures: list[Future[Any]] = []
        for node, worker in zip(self._plant.nodes[name], self._workers_of(name), strict=True):
            prepared = node.element.prepare(settings)
            if self.state == "idle":
                node.element.apply(prepared)
            else:
                futures.append(worker.call(lambda node=node, p=prepared: node.element.apply(p)))  # type: ignore[misc]
        for future in futures:
            future.result()

    def tap(self, name: str, function: Callable[[Any], None]) -> None:
        """Call `function(item)` for all that an element yields, markers too, in its thread: it must be quick."""
        self.graph.named(name)
        for node in self._plant.nodes[name]:
            node.taps.append(function)

    # reports

    def stats(self) -> dict[str, NodeStats]:
        """What was counted so far, by element, sources by the name of their stream."""
        out: dict[str, NodeStats] = {}
        with self._lock:
            sources = list(self._sources.values())
            groups = [(n, ns, self._workers_of(n)) for n, ns in self._plant.nodes.items()]
            for name, stats in self._ended_sources.items():
                out.setdefault(name, NodeStats(name)).add(stats)
        for source in sources:
            out.setdefault(source.name, NodeStats(source.name)).add(stats_of(source.nodes[0], source, True))
        for name, nodes, workers in groups:
            total = NodeStats(name)
            for node, worker in zip(nodes, workers, strict=True):
                total.add(stats_of(node, worker, self._plant.heads[name] == name))
            out[name] = total
        return out

    def _post(self, kind: Kind, element: str, text: str, stream: str | None = None, error: Any = None) -> None:
        message = Message(kind, element, redact(text), stream, error)
        if kind == "error":
            self.errors.append(message)
        self.bus.post(message)

    def _to(self, state: State) -> None:
        self.state = state
        self._post("state", "pipeline", state)

    # what nodes and workers report

    def element_failed(self, node: Node, error: ElementError) -> None:
        self._fail(node.name, error)

    def stream_failed(self, node: Node, error: StreamError) -> None:
        self._post("error", node.name, f"{node.name}: stream {error.stream}: {error}", error.stream, error)
        self.finish(error.stream)

    def item_skipped(self, node: Node, error: Exception, stream: str | None) -> None:
        text = f"{node.name}: skipped an item: {type(error).__name__}: {error}"
        self._post("warning", node.name, text, stream, error)

    def warned(self, node: Node, message: str, stream: str | None) -> None:
        self._post("warning", node.name, f"{node.name}: {message}", stream)

    def worker_failed(self, worker: Worker, error: BaseException) -> None:
        self._fail(worker.name, ElementError(worker.name, error))

    def _fail(self, name: str, error: MillraceError) -> None:
        with self._lock:
            first = self.failure is None
            if first:
                self.failure = error
        if first:
            self._post("error", name, str(error), error=error)
            self._cancel_all()

    def source_failed(self, worker: SourceWorker, error: Exception) -> None:
        shown = source_error(worker.name, error)
        self._post("error", worker.name, str(shown), worker.name, shown)
        if worker.name not in worker.seen:  # it will never start: nobody should wait for it
            with self._lock:
                self._announced.pop(worker.name, None)
            self._announce()

    def stream_passed(self, node: Node, stream: str) -> None:
        with self._lock:
            passed = self._announced.get(stream)
            if passed is None:
                return
            passed.add(id(node))
            if len(passed) >= sum(node.expects for nodes in self._plant.nodes.values() for node in nodes):
                del self._announced[stream]

    def worker_ended(self, worker: Worker) -> None:
        with self._lock:
            self._running.discard(worker)
            if isinstance(worker, SourceWorker):
                if self._sources.get(worker.name) is worker:
                    del self._sources[worker.name]
                    ended = self._ended_sources.setdefault(worker.name, NodeStats(worker.name))
                    ended.add(stats_of(worker.nodes[0], worker, True))
                    if len(self._ended_sources) > REMEMBERED:
                        del self._ended_sources[next(iter(self._ended_sources))]
                if not any(node.expects for nodes in self._plant.nodes.values() for node in nodes):
                    self._announced.pop(worker.name, None)
            self._check_finished()

    def _check_finished(self) -> None:
        if not self._running and not self._opening and not self._finished.is_set():
            self._to("failed" if self.failure is not None else "stopped")
            self._finished.set()
