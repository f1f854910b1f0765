"""What the engine itself costs (`millrace bench`): no pixels, no models, elements that do nothing."""

from __future__ import annotations

import gc
import resource
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

import numpy as np

from millrace.core import Caps, Element, Graph, Pipeline, Source, StreamStart, setting, state
from millrace.core.node import Node
from millrace.elements.batch import Batch
from millrace.media import Frame, Image

SOURCES = 16
ELEMENTS = 8
WAIT = 300.0


class Synthetic(Source):
    """Frames without a picture, as fast as they are taken."""

    stream: str = setting(default="a")
    count: int = setting(default=1000)
    own_thread: bool = setting(default=False)
    stopped: bool = state(bool)

    @property
    def quick(self) -> bool:
        return not self.own_thread

    def read(self) -> Iterator[Any]:
        image = Image("GRAY8", [np.zeros((1, 1), np.uint8)], 1, 1)
        yield StreamStart(self.stream, Caps("frames", width=1, height=1))
        for index in range(self.count):
            if self.stopped:
                return
            yield Frame(self.stream, index, index * 33_333_333, image)

    def interrupt(self) -> None:
        self.stopped = True


class Nothing(Element):
    """Passes items on."""


class Last(Element):
    """Counts frames, in a thread of its own."""

    threaded = True
    frames: int = state(int)

    def process(self, item: Any) -> Iterator[Any]:
        self.frames += 1 if item.stream is not None else len(item.frames)
        yield item


def build(batch: int, threaded_every: int = 0) -> tuple[Pipeline, Last]:
    """16 sources → batch → 8 elements that do nothing → a sink."""
    graph = Graph()
    last = graph.add("batch", Batch(size=batch))
    for number in range(ELEMENTS):
        name = graph.add(f"nothing{number}", Nothing())
        graph.link(last, name)
        last = name
    graph.add("last", sink := Last())
    graph.link(last, "last")
    return Pipeline(graph), sink


def overhead(batch: int, frames: int, own_threads: bool = False) -> float:
    """Seconds of the whole process for one frame, of processor time or by the clock, whichever is more.

    Sources are read where files are, in the thread of what they feed, or in threads of their own, as cameras are.
    """
    pipeline, sink = build(batch)
    for number in range(SOURCES):
        source = Synthetic(stream=f"s{number}", count=frames, own_thread=own_threads)
        pipeline.add_source(f"s{number}", source, "batch")
    gc.collect()
    began, wall = time.process_time(), time.perf_counter()
    with pipeline:
        if not pipeline.wait(WAIT):
            raise TimeoutError(f"the benchmark did not end: {pipeline.stats()}")
    spent = max(time.process_time() - began, time.perf_counter() - wall)
    if sink.frames != frames * SOURCES:
        raise RuntimeError(f"{sink.frames} of {frames * SOURCES} frames arrived")
    return spent / sink.frames


def push(count: int = 200_000) -> float:
    """Seconds for one push through one element that does nothing, into one that takes everything."""

    class Drain:
        def push(self, item: Any) -> None:
            pass

    node = Node("nothing", Nothing(), host=None)  # type: ignore[arg-type]  # nothing fails here
    node.targets = [Drain()]
    image = Image("GRAY8", [np.zeros((1, 1), np.uint8)], 1, 1)
    frame = Frame("a", 0, 0, image)
    best = float("inf")
    for _ in range(5):
        began = time.perf_counter()
        for _ in range(count // 5):
            node.push(frame)
        best = min(best, (time.perf_counter() - began) / (count // 5))
    return best


def resident() -> int:
    """Resident memory of this process now, bytes."""
    try:
        with open("/proc/self/statm") as file:
            return int(file.read().split()[1]) * resource.getpagesize()
    except OSError:  # no /proc: the peak has to do
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def soak(frames: int = 100_000, changes: int = 1000) -> tuple[int, int, int]:
    """How much resident memory grew (bytes) over `frames` frames and over `changes` short sources; threads left."""
    before = threading.active_count()
    pipeline, sink = build(batch=4)
    marks: list[int] = []
    with pipeline:
        each = frames // 20
        for number in range(20):  # the first fifth is warm-up
            pipeline.add_source(f"long{number}", Synthetic(stream=f"long{number}", count=each), "batch")
            _until(lambda done=(number + 1) * each: sink.frames >= done)
            if number in (3, 19):
                marks.append(_settled())
        arrived = sink.frames
        for number in range(changes):
            name = f"short{number}"
            pipeline.add_source(name, Synthetic(stream=name, count=5), "batch")
            arrived += 5
            _until(lambda done=arrived: sink.frames >= done)
            if number in (changes // 5, changes - 1):
                marks.append(_settled())
        pipeline.drain()
        if not pipeline.wait(WAIT):
            raise TimeoutError(f"the soak did not end: {pipeline.stats()}")
    return marks[1] - marks[0], marks[3] - marks[2], threading.active_count() - before


def _settled() -> int:
    gc.collect()
    return resident()


def _until(condition: Any) -> None:
    end = time.monotonic() + WAIT
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError("the soak stands still")
        time.sleep(0.0005)


def report(quick: bool = False) -> list[tuple[str, str, str]]:
    """Rows of (what, figure, limit)."""
    scale = 10 if quick else 1
    rows = []
    for batch, frames, limit in ((1, 1000, "100"), (16, 4000, "15")):
        for own in (False, True):
            least = min(overhead(batch, frames // scale, own) for _ in range(3))
            what = f"{SOURCES} sources{' with threads of their own' if own else ''}, {ELEMENTS} elements, batch {batch}"
            rows.append((what, f"{least * 1e6:.1f} µs a frame", limit))
    grown, changed, threads = soak(100_000 // scale, 1000 // scale)
    return [
        *rows,
        ("a push", f"{push() * 1e6:.2f} µs", "1"),
        (f"memory over {100_000 // scale:,} frames", f"{grown / 1024:+,.0f} KiB", "flat"),
        (f"memory over {1000 // scale:,} sources that come and go", f"{changed / 1024:+,.0f} KiB", "flat"),
        ("threads left", str(threads), "0"),
    ]


def main(quick: bool = False) -> int:
    """Print the table; 0."""
    rows = report(quick)
    width = max(len(row[0]) for row in rows)
    for what, figure, limit in rows:
        sys.stdout.write(f"{what:<{width}}  {figure:>18}  (limit {limit})\n")
    return 0
