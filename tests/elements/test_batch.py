"""Batches of files depend on frame numbers only; batches of live streams leave in time."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Iterator
from typing import Any

import numpy as np

from millrace.core import Caps, Element, Graph, Pipeline, Source, StreamStart, setting, state
from millrace.elements.batch import Batch
from millrace.media import Frame, Image

GREY = Image("GRAY8", [np.zeros((2, 2), np.uint8)], 2, 2)


class Frames(Source):
    """Frames at an uneven pace."""

    stream: str = setting(default="a")
    count: int = setting(default=10)
    seed: int | None = setting(default=None)
    live: bool = setting(default=False)
    delay: float = setting(default=0.0)
    fails: bool = setting(default=False)
    stopped: Any = state(threading.Event)

    def read(self) -> Iterator[Any]:
        if self.fails:
            time.sleep(0.05)
            raise OSError("no such camera")
        rng = random.Random(self.seed)
        yield StreamStart(self.stream, Caps("frames"), live=self.live)
        for index in range(self.count):
            pause = rng.uniform(0, 0.002) if self.seed is not None else self.delay
            if pause and self.stopped.wait(pause):
                return
            yield Frame(self.stream, index, index * 40_000_000, GREY)

    def interrupt(self) -> None:
        self.stopped.set()


class Sink(Element):
    """Keeps the composition of every batch."""

    threaded = True
    got: list[list[str]] = state(list)

    def process(self, batch: Any) -> Iterator[Any]:
        self.got.append([f"{frame.stream}{frame.index}" for frame in batch.frames])
        yield batch


def run(batch: Batch, *sources: Frames) -> list[list[str]]:
    graph = Graph()
    graph.add("batch", batch)
    graph.add("sink", sink := Sink())
    graph.link("batch", "sink")
    pipeline = Pipeline(graph)
    for source in sources:
        pipeline.add_source(source.stream, source, "batch")
    with pipeline:
        assert pipeline.wait(10)
    return sink.got


def test_files_are_batched_by_turns_whatever_their_pace():
    expected = None
    for seed in range(6):
        sources = [Frames(stream=s, count=n, seed=seed + i) for i, (s, n) in enumerate((("x", 9), ("y", 5), ("z", 7)))]
        got = run(Batch(size=4), *sources)
        expected = expected or got
        assert got == expected
    assert expected[0] == ["x0", "y0", "z0", "x1"]
    assert sorted(f for batch in expected for f in batch) == sorted(
        [f"x{i}" for i in range(9)] + [f"y{i}" for i in range(5)] + [f"z{i}" for i in range(7)]
    )


def test_a_source_that_never_starts_is_not_waited_for():
    got = run(Batch(size=2), Frames(stream="dead", fails=True), Frames(stream="x", count=4))
    assert got == [["x0", "x1"], ["x2", "x3"]]


def test_a_live_frame_leaves_at_the_timeout():
    graph = Graph()
    graph.add("batch", Batch(size=8, timeout=0.03))
    graph.add("sink", sink := Sink())
    graph.link("batch", "sink")
    pipeline = Pipeline(graph)
    pipeline.add_source("x", Frames(stream="x", count=2, live=True, delay=0.3), "batch")
    began = time.monotonic()
    with pipeline:
        while not sink.got and time.monotonic() - began < 5:
            time.sleep(0.002)
        assert sink.got == [["x0"]] and time.monotonic() - began < 0.55


def test_live_streams_do_not_wait_for_each_other_and_share_a_batch():
    got = run(
        Batch(size=4, timeout=0.5, per_stream=2),
        Frames(stream="x", count=40, live=True, delay=0.001),
        Frames(stream="y", count=20, live=True, delay=0.002),
    )
    assert all(sum(name[0] == stream for name in batch) <= 2 for batch in got for stream in "xy")


def test_nothing_is_kept_of_ended_streams():
    batch = Batch(size=3)
    run(batch, Frames(stream="x", count=4), Frames(stream="y", count=4))
    assert not batch.turns and not batch.started and not batch.live and not batch.held
