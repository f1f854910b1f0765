"""Branches that meet again."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from toys import WAIT, Count, Forever, Note, Num, Pairs, Pass, Sink, Slow, run, starts_and_ends, until

from millrace.core import (
    ConfigError,
    Element,
    Graph,
    Parts,
    Pipeline,
    StreamEnd,
    StreamError,
    StreamStart,
    setting,
    state,
)
from millrace.core.join import Window
from millrace.core.signal import Signal


class Merge(Element):
    """Keeps the first part, with the notes of all."""

    joins = True
    max_wait: float | None = setting(default=None)

    def process(self, item: Parts) -> Iterator[Num]:
        there = [part for part in item.parts if part is not None]
        there[0].notes = sorted({note for part in there for note in part.notes})
        if item.partial:
            there[0].notes.append("partial")
        yield there[0]


class Held(Pass):
    """Holds what comes until it is told to go on."""

    go_on: Any = state(threading.Event)

    def process(self, item: Num) -> Iterator[Num]:
        assert self.go_on.wait(WAIT)
        yield item


class Odd(Element):
    """Drops even items."""

    threaded = True

    def process(self, item: Num) -> Iterator[Num]:
        if item.index % 2:
            yield item


def diamond(left: list[Element], right: list[Element], merge: Element | None = None) -> tuple[Graph, Sink, list[Any]]:
    graph = Graph()
    graph.add("fork", Pass())
    graph.add("merge", merge or Merge())
    for side, elements in (("left", left), ("right", right)):
        last = "fork"
        for i, element in enumerate(elements):
            name = graph.add(f"{side}{i}", element)
            graph.link(last, name)
            last = name
        graph.link(last, "merge")
    graph.add("sink", sink := Sink())
    graph.link("merge", "sink")
    return graph, sink, []


@pytest.mark.parametrize("delays", [(0.0, 0.003), (0.003, 0.0)])
def test_a_diamond_with_a_slow_branch_pairs_everything_in_order(delays: tuple[float, float]):
    graph, sink, log = diamond([Slow(delay=delays[0]), Note(text="left")], [Slow(delay=delays[1]), Note(text="right")])
    pipeline = Pipeline(graph)
    pipeline.tap("merge", log.append)
    run(pipeline, Count(stream="a", count=60), Count(stream="b", count=60))
    for stream in "ab":
        assert sink.indices(stream) == list(range(60))
    assert all(item.notes == ["left", "right"] for item in sink.got)
    starts_and_ends(log)


def test_the_window_holds_the_fork_while_the_join_stands_still(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(Window, "STALL", WAIT)  # else it doubles

    class Still(Merge):
        """Holds all up until it is told to go on."""

        go_on: Any = state(threading.Event)

        def process(self, item: Parts) -> Iterator[Num]:
            assert self.go_on.wait(WAIT)
            yield from super().process(item)

    graph, sink, _ = diamond([Pass()], [Pass()], still := Still())
    pipeline = Pipeline(graph)
    forked: list[Any] = []
    pipeline.tap("fork", lambda item: forked.append(item) if isinstance(item, Num) else None)
    pipeline.add_source("a", Count(count=60), "fork")
    with pipeline:
        until(lambda: len(forked) > 16)  # those of the window, and the one that the join has
        time.sleep(0.1)
        assert len(forked) <= 18
        still.go_on.set()
        assert pipeline.wait(WAIT)
    assert sink.indices() == list(range(60))


def test_a_branch_may_drop():
    graph, sink, _ = diamond([Odd(), Note(text="left")], [Note(text="right")])
    run(Pipeline(graph), Count(count=21))
    assert sink.indices() == list(range(21))
    assert [item.notes for item in sink.got] == [["left", "right"] if i % 2 else ["right"] for i in range(21)]


def test_what_every_branch_drops_is_gone():
    graph, sink, _ = diamond([Odd()], [Odd()])
    run(Pipeline(graph), Count(count=20))
    assert sink.indices() == list(range(1, 20, 2))


def test_a_direct_link_and_a_batched_branch():
    graph, sink, _ = diamond([Pairs(), Note(text="left")], [])
    run(Pipeline(graph), Count(count=20))
    assert sink.indices() == list(range(20))
    assert all(item.notes == ["left"] for item in sink.got)


def test_live_streams_do_not_wait_longer_than_max_wait():
    held = Held()
    graph, sink, _ = diamond([held, Note(text="left")], [Note(text="right")], Merge(max_wait=0.02))
    pipeline = Pipeline(graph)
    pipeline.add_source("a", Forever(delay=0.01, live=True), "fork")
    with pipeline:
        until(lambda: sink.got)  # while the left branch still holds it
        held.go_on.set()
        pipeline.drain()
        assert pipeline.wait(WAIT)
    assert sink.got[0].notes == ["right", "partial"]


def test_a_stream_that_fails_in_one_branch_goes_on_in_the_other():
    class Refuse(Element):
        """Gives the stream up."""

        threaded = True

        def process(self, item: Num) -> Iterator[Num]:
            if item.index == 3:
                raise StreamError(item.stream, "no more")
            yield item

    graph, sink, log = diamond([Refuse(), Note(text="left")], [Note(text="right")])
    pipeline = Pipeline(graph)
    pipeline.tap("merge", log.append)
    run(pipeline, Count(count=6))
    assert sink.indices()[:4] == [0, 1, 2, 3]
    starts_and_ends(log)
    assert isinstance(log[-1], StreamEnd)


def test_a_join_needs_a_fork():
    graph = Graph()
    for name in ("a", "b"):
        graph.add(name, Pass())
    graph.add("merge", Merge())
    graph.link("a", "merge")
    with pytest.raises(ConfigError, match="at least two inputs"):
        graph.check()
    graph.link("b", "merge")
    with pytest.raises(ConfigError, match="one element that forks"):
        graph.check()


class Every(Element):
    """Lets one of `n` items pass."""

    n: int = setting(default=50)

    def process(self, item: Num) -> Iterator[Num]:
        if item.index % self.n == 0:
            yield item


class Gather(Element):
    """Holds many items, then gives them back."""

    threaded = True
    size: int = setting(default=40)
    held: list[Num] = state(list)

    def process(self, item: Num) -> Iterator[Num]:
        self.held.append(item)
        if len(self.held) >= self.size:
            yield from self.flush(item.stream)

    def flush(self, stream: str) -> Iterator[Num]:
        held, self.held = self.held, []
        yield from held


@pytest.mark.parametrize("element", [Every, Gather])
def test_a_branch_may_drop_or_hold_more_than_the_window(element: Any):
    graph, sink, _ = diamond([element()], [Note(text="right")])
    pipeline = run(Pipeline(graph), Count(count=200))
    assert sink.indices() == list(range(200))
    window = pipeline._plant._windows["merge"]
    assert not window._order and not window._of


class RefuseStart(Element):
    """Does not take stream b."""

    threaded = True

    def start_stream(self, start: StreamStart) -> StreamStart:
        if start.stream == "b":
            raise StreamError("b", "not this one")
        return start


class RefuseSoon(RefuseStart):
    """Gives stream b up after a while."""

    def start_stream(self, start: StreamStart) -> StreamStart:
        return start

    def process(self, item: Num) -> Iterator[Num]:
        if item.stream == "b" and item.index == 3:
            raise StreamError("b", "no more")
        yield item


@pytest.mark.parametrize("kind", [RefuseStart, RefuseSoon])
@pytest.mark.parametrize("both", [False, True])
def test_streams_that_branches_refuse_do_not_hold_the_others(kind: Any, both: bool):
    graph, sink, log = diamond([kind(), Slow()], [kind()] if both else [Note(text="right")])
    pipeline = Pipeline(graph, keep_open=True)
    pipeline.tap("merge", log.append)
    with pipeline:
        for _ in range(3):
            pipeline.add_source("b", Forever(stream="b"), "fork")
            until(lambda: not pipeline.sources())
        pipeline.add_source("a", Count(count=30), "fork")
        until(lambda: "end a" in sink.log)
        assert sink.indices("a") == list(range(30))
        starts_and_ends(log)
        window = pipeline._plant._windows["merge"]
        assert not window._order and not window._of and not window._open
        pipeline.drain()
        assert pipeline.wait(WAIT)


def test_a_stream_that_comes_back_at_once_is_not_taken_for_its_old_self():
    graph, sink, log = diamond([Slow(delay=0.001)], [Note(text="right")])
    pipeline = Pipeline(graph, keep_open=True)
    pipeline.tap("merge", log.append)
    with pipeline:
        for _ in range(30):
            pipeline.add_source("a", Count(count=2), "fork")
            until(lambda: not pipeline.sources())
        pipeline.drain()
        assert pipeline.wait(WAIT)
    assert sink.indices() == [0, 1] * 30
    starts_and_ends(log)


def test_selected_branches_of_a_batched_fork():
    graph = Graph()
    graph.add("fork", Pairs())
    graph.add("left", Note(text="left"))
    graph.add("right", Pass())
    graph.add("merge", Merge())
    graph.add("sink", sink := Sink())
    graph.link("fork", "left", stream="a")  # nothing of b comes by here
    graph.link("fork", "right")
    graph.link("left", "merge")
    graph.link("right", "merge")
    graph.link("merge", "sink")
    run(Pipeline(graph), Count(stream="a", count=40), Count(stream="b", count=40))
    assert sink.indices("a") == sink.indices("b") == list(range(40))


def test_a_selection_deep_in_a_branch():
    graph, sink, _ = diamond([], [Note(text="right")])
    graph.add("pass", Pass())
    graph.add("of_a", Note(text="left"))
    graph.links[:] = [link for link in graph.links if (link.source, link.target) != ("fork", "merge")]
    graph.link("fork", "pass")
    graph.link("pass", "of_a", stream="a")
    graph.link("of_a", "merge")
    run(Pipeline(graph), Count(stream="a", count=40), Count(stream="b", count=40))
    assert sink.indices("a") == sink.indices("b") == list(range(40))


def test_a_live_start_that_waits_for_a_slow_branch_costs_nothing(monkeypatch: pytest.MonkeyPatch):
    class Late(Pass):
        """Slow to start."""

        def start_stream(self, start: StreamStart) -> StreamStart:
            time.sleep(0.3)
            return start

    waits = 0

    def wait(signal: Signal, timeout: float | None = None) -> bool:
        nonlocal waits
        waits += 1
        return real(signal, timeout)

    real = Signal.wait
    monkeypatch.setattr(Signal, "wait", wait)
    graph, _, _ = diamond([Late()], [], Merge(max_wait=0.01))
    pipeline = Pipeline(graph)
    pipeline.add_source("a", Count(count=8, delay=0.05, live=True), "fork")
    with pipeline:
        assert pipeline.wait(WAIT)
    assert waits < 100  # it would be thousands
