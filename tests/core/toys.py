"""Small items, elements and sources for the tests of the engine."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from millrace.core import Caps, Context, Element, Graph, Pipeline, Source, StreamEnd, StreamStart, setting, state

WAIT = 30.0  # seconds that any test waits at most


@dataclass(slots=True, eq=False)
class Num:
    """An item with a number and a list of notes that elements may write."""

    stream: str
    index: int
    epoch: int = 0
    notes: list[str] = field(default_factory=list)
    droppable = True

    def fork(self) -> Num:
        return Num(self.stream, self.index, self.epoch, list(self.notes))


@dataclass(slots=True, eq=False)
class Group:
    """A bundle of items."""

    frames: list[Num]
    stream = None
    droppable = True

    def fork(self) -> Group:
        return Group([frame.fork() for frame in self.frames])

    def select(self, stream: str) -> Group | None:
        chosen = [frame for frame in self.frames if frame.stream == stream]
        return Group(chosen) if chosen else None


class Count(Source):
    """Yields 0, 1, 2 … `count` - 1, `delay` seconds apart."""

    stream: str = setting(default="a")
    count: int = setting(default=10)
    delay: float = setting(default=0.0)
    live: bool = setting(default=False)
    fail_at: int | None = setting(default=None)
    guest: bool = setting(default=False)
    stopped: Any = state(threading.Event)
    read_in: set[str] = state(set)  # names of the threads that have read it

    @property
    def quick(self) -> bool:
        return self.guest

    def read(self) -> Iterator[Any]:
        yield StreamStart(self.stream, Caps("numbers"), live=self.live)
        for index in range(self.count):
            if index == self.fail_at:
                raise OSError("the camera died")
            if self.delay and self.stopped.wait(self.delay):
                return
            self.read_in.add(threading.current_thread().name)
            yield Num(self.stream, index)

    def interrupt(self) -> None:
        self.stopped.set()


class Forever(Source):
    """Counts until it is interrupted."""

    stream: str = setting(default="a")
    delay: float = setting(default=0.0)
    live: bool = setting(default=False)
    guest: bool = setting(default=False)
    stopped: Any = state(threading.Event)

    @property
    def quick(self) -> bool:
        return self.guest

    def read(self) -> Iterator[Any]:
        yield StreamStart(self.stream, Caps("numbers"), live=self.live)
        index = 0
        while not self.stopped.is_set():
            yield Num(self.stream, index)
            index += 1
            if self.delay:
                self.stopped.wait(self.delay)

    def interrupt(self) -> None:
        self.stopped.set()


class Collect(Element):
    """Keeps everything that comes, markers too."""

    delay: float = setting(default=0.0)
    got: list[Any] = state(list)
    log: list[str] = state(list)
    closed: bool = state(bool)

    def start_stream(self, start: StreamStart) -> StreamStart:
        self.log.append(f"start {start.stream}")
        return start

    def process(self, item: Any) -> Iterator[Any]:
        if self.delay:
            time.sleep(self.delay)
        self.got.append(item)
        yield item

    def end_stream(self, stream: str) -> Iterator[Any]:
        self.log.append(f"end {stream}")
        yield from ()

    def close(self) -> None:
        self.closed = True

    def indices(self, stream: str = "a") -> list[int]:
        return [item.index for item in self.got if item.stream == stream]


class Sink(Collect):
    """The same behind a channel."""

    threaded = True


class Pass(Element):
    """Does nothing, in a thread of its own."""

    threaded = True


class Note(Element):
    """Writes its name on what passes, in place."""

    text: str = setting(default="note")

    def process_frame(self, frame: Num) -> None:
        frame.notes.append(self.text)


class Slow(Element):
    """Takes its time, in a thread of its own."""

    threaded = True
    delay: float = setting(default=0.002)

    def process(self, item: Any) -> Iterator[Any]:
        time.sleep(self.delay)
        yield item


class Pairs(Element):
    """Groups two items of any streams; what is left leaves at the deadline or with the stream."""

    threaded = True
    wait: float | None = setting(default=None)
    held: list[Num] = state(list)

    def process(self, item: Num) -> Iterator[Group]:
        self.held.append(item)
        if len(self.held) == 1 and self.wait is not None:
            self.deadline = time.monotonic() + self.wait
        if len(self.held) == 2:
            yield from self.give()

    def give(self) -> Iterator[Group]:
        held, self.held = self.held, []
        self.deadline = None
        if held:
            yield Group(held)

    def on_deadline(self) -> Iterator[Group]:
        yield from self.give()

    def flush(self, stream: str) -> Iterator[Group]:
        if any(item.stream == stream for item in self.held):
            yield from self.give()


class Overlap(Element):
    """Works on up to two items at a time in threads of its own; results leave in order, when ready."""

    threaded = True
    delay: float = setting(default=0.005)
    jobs: list[tuple[Num, threading.Thread]] = state(list)
    most: int = state(int)

    def open(self, context: Context) -> None:
        self.context = context

    @property
    def ready(self) -> bool:
        return len(self.jobs) < 2

    def process(self, item: Num) -> Iterator[Num]:
        def work() -> None:
            time.sleep(self.delay)
            self.context.wake()

        thread = threading.Thread(target=work)
        self.jobs.append((item, thread))
        self.most = max(self.most, len(self.jobs))
        thread.start()
        yield from ()

    def on_wake(self) -> Iterator[Num]:
        while self.jobs and not self.jobs[0][1].is_alive():
            yield self.take()
        if self.jobs and len(self.jobs) == 2:  # woken in the last moment of its thread's life
            self.jobs[0][1].join(0.001)
            self.context.wake()

    def take(self) -> Num:
        item, thread = self.jobs.pop(0)
        thread.join(WAIT)
        return item

    def flush(self, stream: str) -> Iterator[Num]:
        while any(item.stream == stream for item, _ in self.jobs):
            yield self.take()

    def close(self) -> None:
        for _, thread in self.jobs:
            thread.join(WAIT)


class Fail(Element):
    """Raises on one item."""

    at: int = setting(default=3)
    error: Any = setting(default=ValueError("bad item"))

    def process(self, item: Num) -> Iterator[Num]:
        if item.index == self.at:
            raise self.error
        yield item


def chain(*elements: Element, on_error: str = "fail") -> tuple[Graph, list[str]]:
    """A line of elements named e0, e1, …"""
    graph = Graph()
    names = [graph.add(f"e{i}", element, on_error) for i, element in enumerate(elements)]  # type: ignore[arg-type]
    for before, after in pairwise(names):
        graph.link(before, after)
    return graph, names


def run(pipeline: Pipeline, *sources: Source) -> Pipeline:
    """Feed the first entry and wait for the end."""
    into = pipeline.graph.entries()[0]
    for source in sources:
        pipeline.add_source(source.stream, source, into)  # type: ignore[attr-defined]
    try:
        pipeline.start()
        assert pipeline.wait(WAIT), f"did not end: {pipeline.stats()}"
    finally:
        pipeline.stop()
    return pipeline


def until(condition: Any, timeout: float = WAIT) -> None:
    """Wait until `condition()` holds."""
    end = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < end, "timed out"
        time.sleep(0.002)


def starts_and_ends(log: Sequence[Any]) -> None:
    """Check that every start has its end, and no item lies outside."""
    open_streams: set[str] = set()
    for item in log:
        if isinstance(item, StreamStart):
            open_streams.add(item.stream)
        elif isinstance(item, StreamEnd):
            open_streams.remove(item.stream)
        elif item.stream is not None:
            assert item.stream in open_streams
    assert not open_streams


class Behind(Element):
    """Notes what it is told."""

    threaded = True
    delay: float = setting(default=0.0)
    most: int | None = setting(default=None)
    log: list[str] = state(list)
    items: list[Num] = state(list)
    told: list[tuple[str, ...]] = state(list)

    def open(self, context: Context) -> None:
        self.context = context

    def expect(self, streams: Sequence[str]) -> None:
        self.told.append(tuple(streams))

    def start_stream(self, start: StreamStart) -> StreamStart:
        self.log.append(f"start {start.stream}")
        return start

    def process(self, item: Num) -> Iterator[Any]:
        time.sleep(self.delay)
        self.items.append(item)
        if self.most is not None and len(self.items) == self.most:
            self.context.finish(item.stream)
        yield item

    def end_stream(self, stream: str) -> Iterator[Any]:
        self.log.append(f"end {stream}")
        yield from ()
