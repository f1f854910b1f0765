"""Batches of files depend on frame numbers only; batches of live streams leave in time."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import millrace
from millrace.core import Caps, ConfigError, Element, Graph, Pipeline, Source, StreamStart, setting, state
from millrace.elements.batch import Batch
from millrace.media import Frame, Image
from millrace.testing.clips import numbered_clip

GREY = Image("GRAY8", [np.zeros((2, 2), np.uint8)], 2, 2)


class Watched(Batch):
    """A batch that says how many frames it has taken, and whether one was full."""

    taken: int = state(int)
    filled: bool = state(bool)

    def process(self, item: Any) -> Any:
        out = Batch.process(self, item)
        self.taken += 1
        self.filled |= len(self.held) == self.size or any(len(batch) == self.size for batch in out)
        return out


class Frames(Source):
    """Frames at an uneven pace; with `batch` few at a time until one was full, so that no live one is dropped."""

    stream: str = setting(default="a")
    count: int = setting(default=10)
    seed: int | None = setting(default=None)
    live: bool = setting(default=False)
    delay: float = setting(default=0.0)
    fails: bool = setting(default=False)
    stopped: Any = state(threading.Event)
    batch: Any = state(lambda: None)

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
            while self.batch and index - self.batch.taken > 1 and not self.batch.filled:
                if self.stopped.wait(0.001):
                    return
            yield Frame(self.stream, index, index * 40_000_000, GREY)

    def interrupt(self) -> None:
        self.stopped.set()


class Sink(Element):
    """Keeps the composition of every batch."""

    threaded = True
    got: list[list[str]] = state(list)
    dropped: int = state(int)  # frames of live streams, on a busy machine

    def process(self, batch: Any) -> Iterator[Any]:
        self.got.append([f"{frame.stream}{frame.index}" for frame in batch.frames])
        yield batch


def run(batch: Batch, *sources: Frames, sink: Sink | None = None) -> list[list[str]]:
    sink = sink or Sink()
    graph = Graph()
    graph.add("batch", batch)
    graph.add("sink", sink)
    graph.link("batch", "sink")
    pipeline = Pipeline(graph)
    for source in sources:
        pipeline.add_source(source.stream, source, "batch")
    with pipeline:
        assert pipeline.wait(30)
    sink.dropped = sum(node.drops for node in pipeline.stats().values())
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


class Kept(Watched):
    """Looks for items only when one has come, however long that takes."""

    looks: Any = state(threading.Event)
    came: Any = state(threading.Event)

    @property
    def ready(self) -> bool:
        self.looks.set()
        return self.came.wait(20) and Batch.ready.fget(self)  # type: ignore[attr-defined]


class Second(Frames):
    """The second of two streams, the first to give something."""

    def read(self) -> Iterator[Any]:
        for item in Frames.read(self):
            if isinstance(item, Frame):
                self.batch.came.set()
            yield item


class First(Frames):
    """Begins when the second has."""

    def read(self) -> Iterator[Any]:
        assert self.batch.came.wait(20)
        yield from Frames.read(self)


def test_streams_take_turns_as_configured_whichever_comes_first_and_whenever_the_batch_looks(monkeypatch):
    batch, announce = Kept(size=2), Pipeline._announce
    batch.filled = True  # the sources need not wait for it

    def late(self: Pipeline, *arguments: Any) -> None:
        assert batch.looks.wait(20)
        announce(self, *arguments)

    monkeypatch.setattr(Pipeline, "_announce", late)
    sources = [kind(stream=name, count=2) for kind, name in ((First, "x"), (Second, "y"))]
    for source in sources:
        source.batch = batch
    assert run(batch, *sources) == [["x0", "y0"], ["x1", "y1"]]


def test_a_source_that_never_starts_is_not_waited_for():
    got = run(Batch(size=2), Frames(stream="dead", fails=True), Frames(stream="x", count=4))
    assert got == [["x0", "x1"], ["x2", "x3"]]


class Silent(Frames):
    """Gives a frame and then none, and goes on."""

    def read(self) -> Iterator[Any]:
        yield StreamStart(self.stream, Caps("frames"), live=True)
        yield Frame(self.stream, 0, 0, GREY)
        self.stopped.wait(60)


def test_a_live_frame_leaves_at_the_timeout():
    graph = Graph()
    graph.add("batch", Batch(size=8, timeout=0.03))
    graph.add("sink", sink := Sink())
    graph.link("batch", "sink")
    pipeline = Pipeline(graph)
    pipeline.add_source("x", Silent(stream="x"), "batch")
    until = time.monotonic() + 20
    with pipeline:
        while not sink.got and time.monotonic() < until:
            time.sleep(0.002)
        assert sink.got == [["x0"]]  # no frame and no end of the stream has brought it about


def test_a_live_batch_is_woken_for_what_it_lacks_and_a_bounded_one_for_each_frame():
    def held(batch: Batch, live: bool = True) -> Batch:
        for stream in "xyz":
            batch.start_stream(StreamStart(stream, Caps("frames"), live=live))
        assert batch.enough == 1  # the first one begins its time
        assert batch.process(Frame("x", 0, 0, GREY)) == []
        return batch

    batch = held(Batch(size=4, timeout=60))
    assert batch.enough == 3
    batch.enough = 1  # the engine's: its deadline has come
    batch.process(Frame("y", 0, 0, GREY))
    assert batch.enough == 1
    assert [len(given.frames) for given in batch.on_deadline()] == [2] and batch.enough == 1
    assert held(Batch(adaptive=True, timeout=60)).enough == 2
    assert held(Batch(size=4, per_stream=1, timeout=60)).enough == 1  # any may be the last
    assert held(Batch(size=4), live=False).enough == 1


class Busy(Sink):
    """At work on its first batch until all frames have come."""

    source: Any = state(lambda: None)

    def process(self, batch: Any) -> Iterator[Any]:
        assert self.source.done.wait(20)
        yield from Sink.process(self, batch)


class Counted(Frames):
    """Says when it has given all."""

    done: Any = state(threading.Event)

    def read(self) -> Iterator[Any]:
        yield from Frames.read(self)
        self.done.set()


def test_while_the_next_one_is_busy_a_live_batch_fills_up():
    frames, sink = Counted(stream="x", count=100, live=True, delay=0.002), Busy()
    sink.source, frames.batch = frames, Watched(size=64, timeout=0.001)
    sizes = [len(batch) for batch in run(frames.batch, frames, sink=sink)]
    assert sum(sizes) + sink.dropped == 100
    assert max(sizes) == 64  # at the timeout alone the one that is busy would find many of a frame or two
    assert len(sizes) <= 6, sizes


class Slow(Sink):
    def process(self, batch: Any) -> Iterator[Any]:
        time.sleep(0.02)
        yield from Sink.process(self, batch)


@pytest.mark.parametrize("live", [True, False])
def test_a_full_batch_whose_time_has_come_takes_no_more_while_it_waits(live: bool):
    frames = Frames(stream="x", count=60, live=live, delay=0.002)
    sizes = [len(batch) for batch in run(Batch(size=2, timeout=0.01, max_fps=100), frames, sink=Slow())]
    assert max(sizes) <= 2 and (live or sum(sizes) == 60), sizes


class Stuck(Sink):
    """Takes no second batch before it may."""

    gate: Any = state(threading.Event)

    def process(self, batch: Any) -> Iterator[Any]:
        assert self.gate.wait(20)
        yield from Sink.process(self, batch)


def test_a_branch_that_drops_does_not_hold_up_the_others():
    graph = Graph()
    graph.add("batch", Batch(size=1000, timeout=0.01))
    graph.add("sink", sink := Sink())
    graph.add("stuck", stuck := Stuck())
    graph.link("batch", "sink")
    graph.link("batch", "stuck", policy="drop_oldest", size=1)
    pipeline = Pipeline(graph)
    pipeline.add_source("x", Frames(stream="x", count=2000, live=True, delay=0.005), "batch")
    with pipeline:
        until = time.monotonic() + 20
        while len(sink.got) < 10 and time.monotonic() < until:
            time.sleep(0.01)
        assert len(sink.got) >= 10
        stuck.gate.set()


class Occupied(Sink):
    """Takes its first batch and is occupied by it until all frames have come; holds nothing up."""

    source: Any = state(lambda: None)
    context: Any = state(lambda: None)

    def open(self, context: Any) -> None:
        self.context = context

    @property
    def occupied(self) -> bool:
        return bool(self.got) and not self.source.done.is_set()


def test_while_the_next_one_is_occupied_a_live_batch_fills_up_too():
    frames, sink = Counted(stream="x", count=100, live=True, delay=0.002), Occupied()
    sink.source, frames.batch = frames, Watched(size=64, timeout=0.001)
    sizes = [len(batch) for batch in run(frames.batch, frames, sink=sink)]
    assert sum(sizes) + sink.dropped == 100
    assert max(sizes) == 64
    assert len(sizes) <= 4, sizes


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


def test_where_every_stream_has_given_its_frames_the_batch_is_full():
    got = run(Batch(size=8, per_stream=1), Frames(stream="x", count=3), Frames(stream="y", count=2))
    assert got == [["x0", "y0"], ["x1", "y1"], ["x2"]]
    live = [Frames(stream=name, count=4, live=True, delay=0.001) for name in "xy"]  # so many may wait before it
    got = run(Batch(size=8, per_stream=1, timeout=30), *live)
    assert sorted(frame for batch in got for frame in batch) == sorted(f"{s}{n}" for s in "xy" for n in range(4))


def test_an_adaptive_batch_has_a_frame_of_each_open_stream():
    got = run(Batch(adaptive=True), Frames(stream="x", count=4), Frames(stream="y", count=2))
    assert got == [["x0", "y0"], ["x1", "y1"], ["x2"], ["x3"]]


@pytest.mark.parametrize("settings", [{"adaptive": True}, {"size": 8, "per_stream": 1}])
def test_a_batch_that_is_full_once_a_stream_will_not_come_leaves(settings: dict[str, Any]):
    """`dead` fails to start when x0 and y0 wait for it."""
    sources = [Frames(stream="x", count=3), Frames(stream="y", count=2), Frames(stream="dead", fails=True)]
    assert run(Batch(**settings), *sources) == [["x0", "y0"], ["x1", "y1"], ["x2"]]


class Twice(Frames):
    """Begins anew before its third frame."""

    def read(self) -> Iterator[Any]:
        for item in Frames.read(self):
            if isinstance(item, Frame) and item.index == 2:
                yield StreamStart(self.stream, Caps("frames"), epoch=1)
            yield item


def test_a_full_batch_does_not_wait_until_a_marker_is_taken_that_waits_for_it():
    """The second one takes y1 next, which the first holds; before that no marker of x."""
    graph, sink = Graph(), Sink()
    graph.add("first", Batch(size=3, max_fps=20))
    graph.add("second", Batch(size=2))
    graph.add("sink", sink)
    graph.link("first", "second")
    graph.link("second", "sink")
    pipeline = Pipeline(graph)
    for source in (Twice(stream="x", count=3), Frames(stream="y", count=3)):
        pipeline.add_source(source.stream, source, "first")
    with pipeline:
        assert pipeline.wait(10)
    assert [frame for batch in sink.got for frame in batch] == ["x0", "y0", "x1", "y1", "x2", "y2"]


def test_no_more_batches_a_second_than_asked_for():
    began = time.monotonic()
    got = run(Batch(size=1, max_fps=20), Frames(stream="x", count=6))
    assert got == [[f"x{index}"] for index in range(6)] and time.monotonic() - began >= 0.24
    live = Frames(stream="x", count=6, live=True, delay=0.001)
    live.batch = Watched(size=2, max_fps=20)  # 4 may wait before it
    began = time.monotonic()
    got = run(live.batch, live)
    assert sorted(frame for batch in got for frame in batch) == [f"x{index}" for index in range(6)]
    assert time.monotonic() - began >= 0.09


STREAMMUX = """[property]
algorithm-type=1
batch-size=3
adaptive-batching=0
max-fps-control=1
overall-max-fps-n=1000
overall-min-fps-n=50
overall-min-fps-d=2
max-same-source-frames=1
[source-config-1]
max-num-frames-per-batch=2
priority=1
"""


def test_a_file_of_the_new_streammux(tmp_path):
    path = tmp_path / "mux.txt"
    path.write_text(STREAMMUX)
    batch = Batch(config=str(path))
    got = run(batch, Frames(stream="x", count=2), Frames(stream="y", count=4))
    assert (batch.size, batch.timeout, batch.max_fps, batch.per_stream) == (3, 0.04, 1000.0, 1)
    assert got == [["x0", "y0", "y1"], ["x1", "y2", "y3"]]
    path.write_text(STREAMMUX.replace("adaptive-batching=0", "adaptive-batching=1").replace("control=1", "control=0"))
    batch = Batch(config=str(path))
    batch.validate()
    assert batch.adaptive and batch.max_fps is None
    path.write_text(STREAMMUX.replace("algorithm-type=1", "algorithm-type=5"))
    with pytest.raises(ConfigError, match=r"mux.txt:2: \[property\] algorithm-type: '5' is not one of 0 \(none\)"):
        Batch(config=str(path)).validate()


def test_a_batch_behind_a_batch_takes_it_apart(tmp_path):
    for name in ("a", "b"):
        numbered_clip(tmp_path / f"{name}.mp4", frames=5, width=64, height=48)
    flow = millrace.open(tmp_path / "a.mp4", tmp_path / "b.mp4")
    order = [(frame.stream, frame.index) for frame in flow.batch(size=4).batch(size=1)]
    assert order == [(name, index) for index in range(5) for name in "ab"]
    assert [(frame.stream, frame.index) for frame in flow.batch(size=2).batch(size=5)] == order
