"""Random pipelines under random treatment: no hang, every start has its end, order is kept, nothing is lost."""

from __future__ import annotations

import contextlib
import os
import random
import time
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import pytest
from test_graph import Split
from test_join import Merge, Odd
from toys import WAIT, Count, Fail, Forever, Note, Num, Overlap, Pairs, Pass, Sink, Slow, starts_and_ends

from millrace.core import ConfigError, Element, Graph, Pipeline, StreamEnd, StreamError, StreamStart, setting, state
from millrace.elements.batch import Batch

SEEDS = range(int(os.environ.get("MILLRACE_FUZZ_FROM", "0")), int(os.environ.get("MILLRACE_FUZZ_TO", "60")))


class Sent(Count):
    """Notes what it has yielded."""

    sent: list[int] = state(list)

    def read(self) -> Iterator[Any]:
        for item in super().read():
            if isinstance(item, Num):
                self.sent.append(item.index)
            yield item


class Scaled(Element):
    """Has a setting that changes while it runs."""

    factor: int = setting(default=1, live=True)

    def process(self, item: Any) -> Iterator[Any]:
        before = self.factor
        yield item
        assert self.factor == before


class GivesUp(Element):
    """Refuses some streams at their start and gives others up later."""

    threaded = True

    def start_stream(self, start: StreamStart) -> StreamStart:
        if start.stream.endswith("3"):
            raise StreamError(start.stream, "not this one")
        return start

    def process(self, item: Num) -> Iterator[Num]:
        if item.stream.endswith("1") and item.index == 7:
            raise StreamError(item.stream, "no more")
        yield item


def some_element(rng: random.Random, lossless: bool) -> Element:
    kinds: list[Any] = [
        lambda: Pass(),
        lambda: Note(),
        lambda: Scaled(),
        lambda: Slow(delay=rng.uniform(0, 0.001)),
        lambda: Overlap(delay=rng.uniform(0, 0.002)),
        lambda: Split(workers=rng.randint(1, 3)),
    ]
    if not lossless:
        kinds += [lambda: GivesUp(), lambda: Odd()]
    return rng.choice(kinds)()


def some_graph(rng: random.Random, lossless: bool) -> tuple[Graph, list[str]]:
    """A line with maybe a diamond, a batch and a tee; returns the graph and its sinks."""
    graph = Graph()
    last = graph.add("entry", some_element(rng, lossless))
    for i in range(rng.randint(0, 3)):
        graph.link(last, graph.add(f"line{i}", some_element(rng, lossless)))
        last = f"line{i}"
    if rng.random() < 0.5:
        last = add_diamond(rng, graph, last, lossless)
    if not lossless and rng.random() < 0.4:
        graph.link(last, graph.add("skipping", Fail(at=rng.randint(0, 5)), "skip"))
        last = "skipping"
    if rng.random() < 0.4:
        graph.link(last, graph.add("batch", Batch(size=rng.randint(1, 5), timeout=0.005)))
        graph.link("batch", graph.add("after", Pass()))
        last = "after"
    sinks = []
    for i in range(rng.randint(1, 2)):
        name = graph.add(f"sink{i}", Sink())
        policy = "wait" if i == 0 or lossless else rng.choice(["wait", "drop_oldest", "drop_newest"])
        graph.link(last, name, policy=policy)
        sinks.append(name)
    if rng.random() < 0.3 and last != "after":
        graph.link(last, graph.add("pairs", Pairs(wait=0.005)))
        sinks.append("pairs")
    return graph, sinks


def add_diamond(rng: random.Random, graph: Graph, last: str, lossless: bool, depth: int = 0) -> str:
    merge = graph.add(f"merge{depth}", Merge(max_wait=rng.choice([None, 0.01])))
    for side in range(rng.randint(2, 3)):
        before = last
        for i in range(rng.randint(0, 2)):
            graph.link(before, graph.add(f"side{depth}_{side}_{i}", some_element(rng, lossless)))
            before = f"side{depth}_{side}_{i}"
        if depth == 0 and side == 0 and before != last and rng.random() < 0.4:
            before = add_diamond(rng, graph, before, lossless, 1)
        graph.link(before, merge)
    return merge


class Treatment:
    """What is done to one pipeline while it runs."""

    def __init__(self, rng: random.Random, pipeline: Pipeline, lossless: bool) -> None:
        self.rng, self.pipeline, self.lossless = rng, pipeline, lossless
        self.logs: dict[str, list[Any]] = defaultdict(list)
        self.sources: dict[str, Sent] = {}
        self.count = self.branches = 0

    def add(self) -> None:
        rng, lossless = self.rng, self.lossless
        name, live = f"s{self.count}", not lossless and rng.random() < 0.3
        if not lossless and self.count and rng.random() < 0.2:
            name = f"s{rng.randrange(self.count)}"  # comes back, unless it is still there
        self.count += 1
        guest = rng.random() < 0.5
        kinds = [lambda: Sent(stream=name, count=rng.randint(0, 60), guest=guest)]
        if not lossless:
            kinds += [
                lambda: Count(stream=name, count=50, fail_at=rng.randint(0, 49), live=live, guest=guest and not live),
                lambda: Forever(stream=name, delay=rng.uniform(0, 0.001), live=live, guest=guest and not live),
            ]
        source = rng.choice(kinds)()
        with contextlib.suppress(ConfigError):
            self.pipeline.add_source(name, source, "entry")
            self.sources[name] = source

    def remove(self) -> None:
        names = self.pipeline.sources()
        if names and not self.lossless:
            name = self.rng.choice(names)
            try:
                self.pipeline.remove_source(name, WAIT)
            except ConfigError:
                assert name not in self.pipeline.sources()  # it ended by itself in between

    def change(self) -> None:
        scaled = [name for name, spec in self.pipeline.graph.nodes.items() if isinstance(spec.element, Scaled)]
        if scaled and self.pipeline.state != "paused":
            self.pipeline.set(self.rng.choice(scaled), factor=self.rng.randint(2, 9))

    def branch(self) -> None:
        name = f"branch{self.branches}"
        self.branches += 1
        after = self.rng.choice([n for n in self.pipeline.graph.nodes if not n.startswith("branch")])
        self.pipeline.add_target(after, name, Sink(), self.rng.choice(["wait", "drop_oldest"]))

    def tap(self) -> None:
        self.pipeline.tap(self.rng.choice(list(self.pipeline.graph.nodes)), lambda item: None)

    def once(self) -> None:
        pipeline = self.pipeline
        acts = [self.add, self.add, self.remove, self.change, self.branch, self.tap, pipeline.pause, pipeline.resume]
        self.rng.choice([*acts, lambda: time.sleep(0.003)])()


@pytest.mark.parametrize("seed", SEEDS)
def test_random_life(seed: int):
    rng = random.Random(seed)
    lossless = rng.random() < 0.4
    graph, sinks = some_graph(rng, lossless)
    pipeline = Pipeline(graph, keep_open=True)
    treatment = Treatment(rng, pipeline, lossless)
    for sink in sinks:
        pipeline.tap(sink, treatment.logs[sink].append)
    for _ in range(rng.randint(0, 3)):
        treatment.add()
    ending = rng.choice(["drain", "drain", "stop", "stop paused"])
    pipeline.start()
    try:
        for _ in range(rng.randint(3, 12)):
            treatment.once()
        if ending == "drain":
            pipeline.drain()
            assert pipeline.wait(WAIT), pipeline.stats()
        elif ending == "stop paused":
            pipeline.pause()
    finally:
        began = time.monotonic()
        pipeline.stop()
        assert time.monotonic() - began < 5
    assert pipeline.state == "stopped", pipeline.failure
    for sink in sinks:
        assert in_order(treatment.logs[sink])
        if ending == "drain":
            starts_and_ends(treatment.logs[sink])
        if ending == "drain" and lossless:
            for name, source in treatment.sources.items():
                assert indices(treatment.logs[sink], name) == source.sent
    check_nothing_is_kept(pipeline, ending)


def check_nothing_is_kept(pipeline: Pipeline, ending: str) -> None:
    nodes = [node for group in pipeline._plant.nodes.values() for node in group]
    assert all(not worker.thread.is_alive() for worker in pipeline._workers())
    assert not any(node.started for node in nodes)
    if ending == "drain":
        assert not any(node.open_streams or node.refused for node in nodes)
        assert not pipeline._roll
        for window in pipeline._plant._windows.values():
            assert not (window._order or window._of or window._open or window._live or window._counts)


def frames(log: list[Any]) -> Iterator[Any]:
    for item in log:
        if not isinstance(item, (StreamStart, StreamEnd)):
            yield from [item] if item.stream is not None else item.frames


def indices(log: list[Any], stream: str) -> list[int]:
    return [frame.index for frame in frames(log) if frame.stream == stream]


def in_order(log: list[Any]) -> bool:
    """Indices of a stream grow, and only markers start and end it."""
    last: dict[str, int] = {}
    for item in log:
        if isinstance(item, StreamStart):
            last.setdefault(item.stream, -1)
        elif isinstance(item, StreamEnd):
            last.pop(item.stream)
        else:
            for frame in frames([item]):
                if frame.index <= last[frame.stream]:
                    return False
                last[frame.stream] = frame.index
    return True
