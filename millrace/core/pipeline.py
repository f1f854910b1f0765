"""A graph at work: starts and stops threads, adds and removes sources and branches, and reports.

States: idle → starting → running ⇄ paused → draining → stopped | failed.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, Literal

from .build import Plant
from .bus import Bus, Kind, Message
from .element import Element, Source, check_live
from .errors import Closed, ConfigError, ElementError, MillraceError, OutputError, StreamError, redact
from .graph import Graph
from .node import Node
from .reader import SourceWorker, source_error
from .roll import Roll
from .sources import Sources
from .stats import NodeStats
from .worker import Worker

State = Literal["idle", "starting", "running", "paused", "draining", "stopped", "failed"]
ENDED = ("stopped", "failed")
REMEMBERED = 1024  # errors that are kept
STOP_TIMEOUT = 30.0  # seconds that stop() waits for elements that do not return


class Pipeline:
    """Runs a graph. All methods may be called from any thread but a worker's own; from there (a tap, a listener of
    the bus) `finish`, `drain`, `pause`, `resume`, `stats`, and `stop`, which then does not wait for the threads.

    `keep_open`: do not end when the last source has ended; otherwise a pipeline that was started with sources ends
    with the last of them, and one that was started without waits for `drain()`. `run`: the streams, in order, of a run
    of which this pipeline has a part; elements that number streams or name files after them are told of all.
    """

    def __init__(self, graph: Graph, *, keep_open: bool = False, run: Sequence[str] = ()) -> None:
        graph.check()
        self.graph = graph
        self.bus = Bus()
        self.errors: list[Message] = []
        self.state: State = "idle"
        self.paused = False
        self.failure: MillraceError | None = None
        self._failed: set[str] = set()  # elements that have told what they failed with
        self._keep_open = keep_open
        self._whole = tuple(run)
        self._opening = True  # until start() is through, the end of a worker is not the end of the pipeline
        self._lock = threading.RLock()
        self._plant = Plant(graph, self)
        self._sources = Sources()
        self._running: set[Worker] = set()
        self._roll = Roll()
        self._drain_asked = False
        self._finished = threading.Event()

    # life
    def start(self) -> None:
        """Open every element, receivers first, then let the sources read. Raises what an `open` raised."""
        with self._changing():
            if self.state != "idle":
                raise MillraceError(f"a pipeline starts once; this one is {self.state}")
            self._to("starting")
            self._plant.keep_entries()
            self._keep_open = self._keep_open or not self._sources
            workers = self._plant.all_workers()
            sources = list(self._sources)
            self._running = {*workers, *sources}
        try:
            for worker in reversed(workers):
                worker.start()
                worker.opened.result()
            self._announce(self._whole)
            for source in sources:
                source.start()
            for source in sources:
                source.opened.result()
        except BaseException as error:
            self._abort(error)
            raise
        with self._changing():
            self._opening = False
            if self.failure is None:
                self._to("running")
        if self._drain_asked:
            self.drain()

    def _abort(self, error: BaseException) -> None:
        """An open failed, or Ctrl+C came: nothing may stay behind."""
        self.failure = error if isinstance(error, MillraceError) else MillraceError(str(error) or type(error).__name__)
        self._cancel_all()
        for worker in [each for each in self._running if not each.started]:
            worker.abandon()
        self._join_all()
        with self._changing():
            self._opening = False

    @contextmanager
    def _changing(self) -> Iterator[None]:
        """Hold the lock; then, without it, notice the end and tell the bus what has changed."""
        with self._lock:
            yield
            ended = not self._running and not self._opening and self.state not in ENDED
            if ended:
                self._to("failed" if self.failure is not None else "stopped")
        self.bus.deliver()
        if ended:
            self._finished.set()

    def pause(self) -> None:
        """Every worker finishes its item and waits; calls are still served."""
        with self._changing():
            if self.state == "running":
                self.paused = True
                self._plant.ease(True)
                self._to("paused")

    def resume(self) -> None:
        with self._changing():
            if self.state == "paused":
                self.paused = False
                self._plant.ease(False)
                self._to("running")
                for worker in self._running:
                    worker.signal.set()

    def drain(self) -> None:
        """Read no more; what is under way goes through to the end. Returns at once: `wait()` for it."""
        with self._changing():
            self._drain_asked = True
            if self.state not in ("running", "paused"):
                return
            self.paused = False
            self._plant.ease(False)
            self._to("draining")
            self._plant.close_entries()
            sources = list(self._sources)
            for worker in self._running:
                worker.signal.set()
        for source in sources:
            source.stop_reading()

    def stop(self) -> None:
        """End now: what waits in channels is thrown away, every element is closed. Safe to call at any time."""
        with self._changing():
            if self.state == "idle":
                self._opening = False
                return
        self._cancel_all()
        if threading.current_thread() not in [worker.thread for worker in self._workers()]:
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

    def __exit__(self, *error: object) -> None:
        self.stop()

    def _cancel_all(self) -> None:
        with self._lock:
            workers = list(self._running)
            self.paused = False
            self._plant.close_entries()
        for worker in workers:
            worker.cancel()

    def _join_all(self) -> None:
        end = time.monotonic() + STOP_TIMEOUT
        for worker in self._workers():
            foreign = worker.thread is not threading.current_thread() and worker.started
            if foreign and not worker.join(max(0.0, end - time.monotonic())):
                self._post("warning", worker.name, f"{worker.name}: does not return; its thread is left behind")

    def _workers(self) -> list[Worker]:
        with self._lock:
            return [*self._plant.all_workers(), *self._sources]

    # sources and branches
    def add_source(self, name: str, source: Source, into: str) -> None:
        """Read `source` into the element `into`. `name` is that of its stream; before the start or at any time."""
        with self._lock:
            if into not in self.graph.entries():
                self.graph.named(into)
                raise ConfigError(f"{into}: other elements feed it; sources go into: {', '.join(self.graph.entries())}")
            if name in self._sources.names():
                raise ConfigError(f"a source named {name!r} is there already; remove it first or take another name")
            if self.state not in ("idle", "running", "paused"):
                raise MillraceError(f"no source can be added to a pipeline that is {self.state}")
            try:
                self._sources.add(worker := self._plant.reader(name, source, into))
            except Closed:
                raise MillraceError("no source can be added: the last one has ended, and the pipeline ends") from None
            merged = {spec.element.merges for spec in self.graph.nodes.values()}
            for stream, reached in self.graph.reached(into, name).items():
                if stream in merged:
                    self._roll.announce_once(stream, [n for n in reached if self._plant.nodes[n][0].expects])
                else:
                    self._roll.announce(stream, reached)
            if self.state == "idle":
                return
            self._running.add(worker)
            self._announce()
            worker.start()

    def remove_source(self, name: str, timeout: float = 10.0) -> None:
        """End a source and its streams; what it has sent goes through. False hopes: a read that never returns."""
        with self._lock:
            worker = self._sources.named(name)
            if self.state == "idle":
                others = [each for each in self._sources if each is not worker]
                left = {stream for each in others for stream in self.graph.reached(each.into, each.name)}
                for stream, reached in self.graph.reached(worker.into, name).items():
                    for element in reached if stream not in left else ():
                        self._roll.passed(element, stream)
                worker.abandon()
                return
        worker.stop_reading()
        if not worker.join(timeout):
            raise MillraceError(f"{name}: the source did not end within {timeout:g} s; it still reads")

    def sources(self) -> list[str]:
        """The sources that have not ended."""
        with self._lock:
            return self._sources.names()

    def add_target(self, after: str, name: str, element: Element, policy: Any = "wait") -> None:
        """A new branch while running: what `after` yields goes to `element` too, in a thread of its own.

        It first gets the StreamStarts of the streams that are open.
        """
        self.graph.named(after)
        if element.joins or element.partitioned:
            raise ConfigError(f"{name}: a branch begins with an element that neither joins nor is partitioned")
        with self._lock:
            if self.state not in ("running", "paused"):
                raise MillraceError(f"no branch can be added to a pipeline that is {self.state}; link it in the graph")
            worker = self._plant.add_branch(name, element, policy)
            self._running.add(worker)
            ways = [(*part, self._plant.way_into(name)) for part in self._plant.parts(after)]
            worker.start()
        try:
            worker.opened.result()
        except BaseException:
            with self._lock:
                self._plant.remove_branch(name)
            raise
        calls = [
            host.call(partial(host.attach, sender, way, lambda stream: self._roll.announce(stream, [name])))
            for sender, host, way in ways
        ]
        for call in calls:
            call.result()
        if worker.nodes[0].expects:
            worker.call(worker.nodes[0].expect)

    def finish(self, stream: str, again: bool = False) -> None:
        """No more of this stream is wanted: its source ends soon. `again`: it opens the stream anew, if it can."""
        self._finish(None, stream, again)

    def _finish(self, node: Node | None, stream: str, again: bool) -> None:
        """Said by a node, it means the life of the stream that has come to it; the next may have begun elsewhere."""
        with self._lock:
            over = node is not None and self._roll.follows(node.name, stream)
            elements = [spec.element for spec in self.graph.nodes.values()]
            workers = [] if over else self._sources.behind(stream, elements)
        for worker in workers:
            (worker.source.restart if again else worker.stop_reading)()

    def _announce(self, whole: Sequence[str] = ()) -> None:
        """Tell the elements that ask which streams to expect, in order; before that, which the whole run has."""
        with self._lock:
            running = [worker for worker in self._running if worker.started]
        for worker in running:
            for node in worker.nodes:
                if node.expects:
                    for streams in [whole, None] if whole else [None]:
                        worker.call(partial(node.expect, streams))

    # live changes
    def set(self, name: str, **settings: Any) -> None:
        """Change settings of a running element: prepared here, applied between two items.

        Raises SettingError for a setting that does not exist or cannot change while running.
        """
        check_live(name, self.graph.named(name).element, settings)
        if self.state in ENDED:
            raise MillraceError(f"no setting can change in a pipeline that is {self.state}")
        parts = self._plant.parts(name)
        if any(worker.thread is threading.current_thread() for _, worker in parts):
            raise MillraceError(f"{name}: its own thread cannot wait for a change of its settings")
        prepared = [node.element.prepare(settings) for node, _ in parts]
        applied = [partial(node.element.apply, each) for (node, _), each in zip(parts, prepared, strict=True)]
        if self.state == "idle":
            for apply in applied:
                apply()
        else:
            for call in [worker.call(apply) for (_, worker), apply in zip(parts, applied, strict=True)]:
                call.result()

    def tap(self, name: str, function: Callable[[Any], None]) -> None:
        """Call `function(item)` for all that an element yields, markers too, in its thread: it must be quick."""
        self.graph.named(name)
        for node in self._plant.nodes[name]:
            node.taps.append(function)

    # reports
    def stats(self) -> dict[str, NodeStats]:
        """What was counted so far, by element, sources by the name of their stream."""
        with self._lock:
            return self._sources.stats() | self._plant.stats()

    def _post(self, kind: Kind, element: str, text: str, stream: str | None = None, error: Any = None) -> None:
        message = Message(kind, element, redact(text), stream, error)
        if kind == "error":
            self.errors.append(message)
            del self.errors[:-REMEMBERED]
        self.bus.post(message)

    def _to(self, state: State) -> None:
        """Holds the lock; `_changing` tells the bus."""
        self.state = state
        self.bus.add(Message("state", "pipeline", state))

    # what nodes and workers report
    def element_failed(self, node: Node, error: ElementError) -> None:
        if isinstance(node.element, Source):  # that it cannot be closed is nothing to the others
            return self._post("error", node.name, str(error), node.name, error)
        self._fail(node.name, error)

    def stream_failed(self, node: Node, error: StreamError) -> None:
        self._post("error", node.name, f"{node.name}: {error}", error.stream, error)
        self._finish(node, error.stream, False)

    def unwanted(self, node: Node, stream: str, again: bool = False) -> None:
        self._finish(node, stream, again)

    def output_failed(self, node: Node, error: OutputError) -> None:
        if not self._plant.wanted():  # it was the last: there is nothing left to run for
            return self._fail(node.name, ElementError(node.name, error))
        self._post("error", node.name, f"{node.name}: {error}", error=error)

    def item_skipped(self, node: Node, error: Exception, stream: str | None) -> None:
        text = f"{node.name}: skipped an item: {type(error).__name__}: {error}"
        self._post("warning", node.name, text, stream, error)

    def warned(self, node: Node, message: str, stream: str | None) -> None:
        self._post("warning", node.name, f"{node.name}: {message}", stream)

    def worker_failed(self, worker: Worker, error: BaseException) -> None:
        self._fail(worker.name, ElementError(worker.name, error))

    def _fail(self, name: str, error: MillraceError) -> None:
        with self._lock:
            first, self.failure = self.failure is None, self.failure or error
            again, self._failed = name in self._failed, self._failed | {name}
        if first:
            self._post("error", name, str(error), error=error)
            self._cancel_all()
        elif not again:
            self._post("warning", name, f"{error}; the pipeline had failed before", error=error)

    def open_failed(self, worker: Worker, error: BaseException) -> None:
        """start() and add_target() raise it themselves; nobody waits for a source that is added while running."""
        if isinstance(worker, SourceWorker) and not self._opening:
            self.source_failed(worker.name, error)

    def source_failed(self, name: str, error: BaseException) -> None:
        shown = source_error(name, error)
        self._post("error", name, str(shown), name, shown)

    def expected(self, node: Node) -> tuple[str, ...]:
        return self._roll.expected(node.name)

    def stream_passed(self, node: Node, stream: str) -> bool:
        return self._roll.passed(node.name, stream)

    def worker_ended(self, worker: Worker) -> None:
        with self._changing():
            self._running.discard(worker)
            if self._sources.end(worker):
                self.bus.add(Message("stream-end", worker.name, f"{worker.name}: the source has ended", worker.name))
                if not (self._sources or self._keep_open):
                    self._plant.close_entries()
