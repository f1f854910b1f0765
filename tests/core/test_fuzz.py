"""Random pipelines under random treatment: no hang, every start has its end, order is kept."""

from __future__ import annotations

import random
import time
from collections import defaultdict
from typing import Any

import pytest
from test_graph import Split
from test_join import Merge
from toys import WAIT, Count, Fail, Forever, Note, Overlap, Pairs, Pass, Sink, Slow, starts_and_ends

from millrace.core import Element, Graph, Pipeline, StreamEnd, StreamStart


def some_element(rng: random.Random) -> Element:
    return rng.choice(
        [
            lambda: Pass(),
            lambda: Note(),
            lambda: Slow(delay=rng.uniform(0, 0.001)),
            lambda: Overlap(delay=rng.uniform(0, 0.002)),
            lambda: Split(workers=rng.randint(1, 3)),
        ]
    )()


def some_graph(rng: random.Random) -> tuple[Graph, list[str]]:
    """A line with maybe a diamond and a tee; returns the graph and its sinks."""
    graph = Graph()
    last = graph.add("entry", some_element(rng))
    for i in range(rng.randint(0, 3)):
        graph.link(last, graph.add(f"line{i}", some_element(rng)))
        last = f"line{i}"
    if rng.random() < 0.5:
        graph.add("merge", Merge(max_wait=rng.choice([None, 0.01])))
        for side in range(rng.randint(2, 3)):
            before = last
            for i in range(rng.randint(0, 2)):
                graph.link(before, graph.add(f"side{side}_{i}", some_element(rng)))
                before = f"side{side}_{i}"
            graph.link(before, "merge")
        last = "merge"
    if rng.random() < 0.4:
        graph.link(last, graph.add("skipping", Fail(at=rng.randint(0, 5)), "skip"))
        last = "skipping"
    sinks = []
    for i in range(rng.randint(1, 2)):
        name = graph.add(f"sink{i}", Sink())
        policy = "wait" if i == 0 else rng.choice(["wait", "drop_oldest", "drop_newest"])
        graph.link(last, name, policy=policy)
        sinks.append(name)
    if rng.random() < 0.3:
        graph.link(last, graph.add("pairs", Pairs(wait=0.005)))
        sinks.append("pairs")
    return graph, sinks


@pytest.mark.parametrize("seed", range(40))
def test_random_life(seed: int):
    rng = random.Random(seed)
    graph, sinks = some_graph(rng)
    pipeline = Pipeline(graph, keep_open=True)
    logs: dict[str, list[Any]] = defaultdict(list)
    for sink in sinks:
        pipeline.tap(sink, logs[sink].append)
    count = 0

    def add() -> None:
        nonlocal count
        name, live = f"s{count}", rng.random() < 0.3
        count += 1
        source = rng.choice(
            [
                lambda: Count(stream=name, count=rng.randint(0, 60), live=live),
                lambda: Count(stream=name, count=50, fail_at=rng.randint(0, 49), live=live),
                lambda: Forever(stream=name, delay=rng.uniform(0, 0.001), live=live),
            ]
        )()
        pipeline.add_source(name, source, "entry")

    def remove() -> None:
        names = pipeline.sources()
        if names:
            name = rng.choice(names)
            try:
                pipeline.remove_source(name, WAIT)
            except ValueError:
                assert name not in pipeline.sources()  # it ended by itself in between

    for _ in range(rng.randint(0, 3)):
        add()
    ending = rng.choice(["drain", "stop", "stop paused"])
    pipeline.start()
    try:
        for _ in range(rng.randint(3, 12)):
            rng.choice([add, add, remove, pipeline.pause, pipeline.resume, lambda: time.sleep(0.003)])()
        if ending == "drain":
            pipeline.drain()
            assert pipeline.wait(WAIT), pipeline.stats()
        elif ending == "stop paused":
            pipeline.pause()
    finally:
        began = time.monotonic()
        pipeline.stop()
        assert time.monotonic() - began < 5
    assert pipeline.state in ("stopped",), pipeline.failure
    for sink in sinks:
        if ending == "drain":
            starts_and_ends(logs[sink])
        assert in_order(logs[sink])


def in_order(log: list[Any]) -> bool:
    """Indices of a stream grow, and only markers start and end it."""
    last: dict[str, int] = {}
    for item in log:
        if isinstance(item, StreamStart):
            last.setdefault(item.stream, -1)
        elif isinstance(item, StreamEnd):
            last.pop(item.stream)
        else:
            for frame in [item] if item.stream is not None else item.frames:
                if frame.index <= last[frame.stream]:
                    return False
                last[frame.stream] = frame.index
    return True
