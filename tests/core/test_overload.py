"""Live streams that come faster than they can be taken: nothing fails, hangs or is kept, losses are counted."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Iterator
from itertools import pairwise
from typing import Any, ClassVar

import pytest
from test_door import Piece
from test_fuzz import check_nothing_is_kept
from toys import WAIT, Sink, Slow, starts_and_ends

from millrace.core import Caps, Element, Graph, Pipeline, Source, StreamEnd, StreamError, StreamStart, setting, state
from millrace.core.link import Link
from millrace.elements.batch import Batch


class Camera(Source):
    """Gives pieces in bursts, every `gop`th or so one that leads; a file gives them one after the other."""

    stream: str = setting(default="a")
    live: bool = setting(default=True)
    count: int = setting(default=100)
    epochs: int = setting(default=1)
    gop: int = setting(default=5)
    burst: int = setting(default=10)
    fails: bool = setting(default=False)
    seed: int = setting(default=0)
    sent: list[int] = state(list)
    stopped: Any = state(threading.Event)

    def read(self) -> Iterator[Any]:
        rng = random.Random(self.seed)
        for epoch in range(self.epochs):
            yield StreamStart(self.stream, Caps("pieces"), self.live, epoch, epoch > 0)
            for number in range(self.count):
                if self.stopped.is_set():
                    return
                if self.fails and rng.random() < 1 / self.count:
                    raise OSError("the camera died")
                self.sent.append(len(self.sent))
                yield Piece(self.sent[-1], number == 0 or rng.random() < 1 / self.gop, self.stream)
                if rng.random() < 1 / self.burst:
                    self.stopped.wait(rng.random() * 0.002)

    def interrupt(self) -> None:
        self.stopped.set()


class Decoder(Element):
    """Makes pieces whole, and notes what it gets: lists, each after a start."""

    threaded = True
    partitioned = True
    sheds = True
    workers: int = setting(default=2)
    delay: float = setting(default=0.0)
    refuses: bool = setting(default=False)
    got: ClassVar[dict[str, list[list[Piece]]]] = {}

    def start_stream(self, start: StreamStart) -> StreamStart:
        self.got.setdefault(start.stream, []).append([])
        return start

    def process(self, item: Piece) -> Iterator[Piece]:
        self.got[item.stream][-1].append(item)
        time.sleep(self.delay)
        if self.refuses and item.index == 50:
            raise StreamError(item.stream, "broken")
        yield Piece(item.index, True, item.stream)


def some_graph(rng: random.Random) -> tuple[Graph, list[str]]:
    """A decoder, maybe a slow element or a batch or two, and two sinks; returns the graph and what stands in a line."""

    class Some(Decoder):
        queue = rng.choice([1, 2, 4])
        burst = rng.choice([None, 1, 8, 32])
        got: ClassVar[dict[str, list[list[Piece]]]] = {}

    graph = Graph()
    line = [
        graph.add("decoder", Some(workers=rng.randint(1, 4), delay=rng.uniform(0, 2e-3), refuses=rng.random() < 0.2))
    ]
    for n in range(rng.randint(0, 3)):
        batch = Batch(size=rng.choice([1, 4, 16]), timeout=0.005, per_stream=rng.choice([None, None, 1]))
        line.append(graph.add(f"e{n}", rng.choice([batch, Slow(delay=rng.uniform(0, 1e-3))])))
    line.append(graph.add("sink", Sink(delay=rng.uniform(0, 2e-3))))
    for before, after in pairwise(line):
        graph.link(before, after, size=rng.choice([None, 1, 3]))
    graph.link(line[-2], graph.add("side", Sink(delay=1e-3)), policy=rng.choice(["drop_oldest", "drop_newest"]), size=1)
    return graph, line


@pytest.mark.parametrize("seed", range(24))
def test_overload(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Link, "PATIENCE", 0.1)
    monkeypatch.setattr(Link, "STARTING", 0.1)
    rng = random.Random(seed)
    graph, line = some_graph(rng)
    decoder: Any = graph.nodes["decoder"].element
    pipeline = Pipeline(graph, keep_open=True)
    log: list[Any] = []
    pipeline.tap("sink", log.append)
    cameras: list[Camera] = []

    def add() -> None:
        camera = Camera(
            stream=f"s{len(cameras)}", live=rng.random() < 0.8, count=rng.choice([5, 60, 200]), seed=seed,
            gop=rng.choice([2, 10, 40]), epochs=rng.randint(1, 3), burst=rng.choice([1, 10, 50]),
            fails=rng.random() < 0.2,
        )  # fmt: skip
        cameras.append(camera)
        pipeline.add_source(camera.stream, camera, "decoder")

    for _ in range(rng.randint(1, 8)):
        add()
    with pipeline:
        for act in rng.choices([add, pipeline.pause, pipeline.resume, lambda: time.sleep(0.02)], [2, 1, 1, 4], k=8):
            act()
        pipeline.drain()
        assert pipeline.wait(WAIT), pipeline.stats()
    stats = pipeline.stats()
    for before, after in [*pairwise(line), (line[-2], "side")]:
        assert stats[before].items_out == stats[after].items_in + stats[after].drops
    assert sum(len(each.sent) for each in cameras) == stats["decoder"].items_in + stats["decoder"].drops
    for life in (life for lives in decoder.got.values() for life in lives):
        for before, after in pairwise([None, *life]):
            assert after.leads or (before is not None and after.index == before.index + 1)
    starts_and_ends(log)
    check_nothing_is_kept(pipeline, "drain")
    check_what_came(log, cameras, decoder.refuses)


def check_what_came(log: list[Any], cameras: list[Camera], refuses: bool) -> None:
    """In order, and all of a file."""
    came: dict[str, list[int]] = {camera.stream: [] for camera in cameras}
    for item in log:
        if not isinstance(item, (StreamStart, StreamEnd)):
            for piece in [item] if item.stream is not None else item.frames:
                came[piece.stream].append(piece.index)
    for camera in cameras:
        assert all(before < after for before, after in pairwise(came[camera.stream]))
        if not camera.live and not refuses:
            assert came[camera.stream] == camera.sent
