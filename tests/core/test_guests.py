"""Sources without a thread of their own: the worker of the element that they feed reads them."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest
from test_graph import Split
from toys import WAIT, Collect, Count, Forever, Num, Pass, Sink, chain, run, starts_and_ends, until

from millrace.core import Context, Element, Graph, MillraceError, Pipeline, StreamEnd, state, worker
from millrace.core.channel import Channel
from millrace.elements.batch import Batch


class Gate(Element):
    """Holds everything up until it is opened, in a thread of its own."""

    threaded = True
    opened: Any = state(threading.Event)

    def process(self, item: Any) -> Iterator[Any]:
        assert self.opened.wait(WAIT)
        yield item


def full(pipeline: Pipeline, gate: Gate) -> bool:
    """Whether the channel before the gate is full, but for the place of the item that waits in the gate."""
    return pipeline.stats()["e1"].waiting.get("a", 0) >= gate.queue - 1


def test_it_is_read_in_the_thread_of_what_it_feeds():
    source, sink = Count(count=20, guest=True), Sink()
    before = threading.active_count()
    graph, _ = chain(Pass(), sink)
    pipeline = Pipeline(graph)
    pipeline.tap("e1", lambda item: counts.append(threading.active_count()))
    counts: list[int] = []
    run(pipeline, source)
    assert source.read_in == {"millrace:e0"}
    assert max(counts) <= before + 2
    assert sink.indices() == list(range(20))
    assert sink.log == ["start a", "end a"]


def test_stats_count_what_it_gave():
    graph, _ = chain(Sink())
    pipeline = run(Pipeline(graph), Count(count=7, guest=True))
    assert pipeline.stats()["a"].items_out == 7
    assert pipeline.stats()["e0"].items_in == 7


def rows(guests: tuple[bool, ...]) -> list[list[str]]:
    graph, _ = chain(Batch(size=3), Pass(), sink := Sink())
    counts = {"a": 5, "b": 9, "c": 2}
    sources = [Count(stream=name, count=counts[name], guest=guest) for name, guest in zip("abc", guests, strict=True)]
    run(Pipeline(graph), *sources)
    return [[f"{frame.stream}{frame.index}" for frame in batch.frames] for batch in sink.got]


@pytest.mark.parametrize("guests", [(True, True, True), (True, False, True), (False, True, True)])
def test_batches_are_the_same_with_and_without_threads(guests: tuple[bool, ...]):
    expected = rows((False, False, False))
    assert expected[:2] == [["a0", "b0", "c0"], ["a1", "b1", "c1"]]
    assert rows(guests) == expected


def test_it_is_read_no_further_than_there_is_room():
    gate, sink = Gate(), Collect()
    graph, _ = chain(Pass(), gate, sink)
    pipeline = Pipeline(graph)
    given: list[Any] = []
    pipeline.tap("e0", given.append)
    pipeline.add_source("a", Forever(guest=True), "e0")
    with pipeline:
        until(lambda: full(pipeline, gate))
        assert sum(isinstance(item, Num) for item in given) <= gate.queue + 2
        gate.opened.set()
        until(lambda: len(sink.got) > 50)


def test_guests_and_others_take_turns():
    """Neither who is read there nor who comes by the channel keeps the other from its turn."""
    graph, _ = chain(sink := Sink())
    pipeline = Pipeline(graph)
    for name in ("a", "b"):
        pipeline.add_source(name, Forever(stream=name, guest=True), "e0")
    for name in ("c", "d"):
        pipeline.add_source(name, Forever(stream=name), "e0")
    with pipeline:
        until(lambda: all(len(sink.indices(name)) > 20 for name in "abcd"))
    for name in "abcd":
        assert sink.indices(name) == list(range(len(sink.indices(name))))


@pytest.mark.parametrize(("patience", "most"), [(WAIT, 3), (0.0, 1)])
def test_what_a_round_of_guests_gave_is_sent_together_unless_it_is_late(
    patience: float, most: int, monkeypatch: pytest.MonkeyPatch
):
    sent: list[list[str]] = []
    push_all = Channel.push_all

    def note(channel: Channel, items: Any) -> None:
        sent.append(list(items))
        push_all(channel, items)

    monkeypatch.setattr(Channel, "push_all", note)
    monkeypatch.setattr(worker, "ROUND", patience)
    graph, _ = chain(Pass(), sink := Sink())
    run(Pipeline(graph), *(Count(stream=name, count=30, guest=True) for name in "abc"))
    for name in "abc":
        assert sink.indices(name) == list(range(30))
    assert max(map(len, sent)) == most


@pytest.mark.parametrize("state", ["paused", "blocked"])
def test_it_can_be_removed_and_come_back_while_nothing_moves(state: str):
    gate = Gate()
    graph, _ = chain(Pass(), gate, sink := Sink())
    pipeline = Pipeline(graph, keep_open=True)
    log: list[Any] = []
    pipeline.tap("e2", log.append)
    pipeline.add_source("a", Forever(guest=True), "e0")
    with pipeline:
        if state == "paused":
            gate.opened.set()
            until(lambda: sink.got)
            pipeline.pause()
        else:
            until(lambda: full(pipeline, gate))
        pipeline.remove_source("a")
        assert pipeline.sources() == []
        pipeline.add_source("a", Count(count=3, guest=True), "e0")
        gate.opened.set()
        pipeline.resume()
        until(lambda: sum(isinstance(item, StreamEnd) for item in log) == 2)
    starts_and_ends(log)
    first = next(n for n, item in enumerate(log) if isinstance(item, StreamEnd))
    assert [item.index for item in log[first + 2 : -1]] == [0, 1, 2]


def test_one_that_fails_leaves_the_others_alone():
    graph, _ = chain(sink := Sink())
    pipeline = run(
        Pipeline(graph), Count(count=9, fail_at=4, guest=True), Count(stream="b", count=30, guest=True),
        Count(stream="c", count=30),
    )  # fmt: skip
    assert [str(error.error) for error in pipeline.errors] == ["a: OSError: the camera died"]
    assert sink.indices("a") == [0, 1, 2, 3]
    assert sink.indices("b") == sink.indices("c") == list(range(30))


class Locked(Count):
    """Cannot open."""

    closed: bool = state(bool)

    def open(self, context: Context) -> None:
        raise OSError("locked")

    def close(self) -> None:
        self.closed = True


def test_one_that_cannot_open_stops_the_start():
    graph, _ = chain(Sink())
    pipeline = Pipeline(graph)
    pipeline.add_source("b", Count(stream="b", guest=True), "e0")
    pipeline.add_source("a", source := Locked(guest=True), "e0")
    with pytest.raises(MillraceError, match="locked"):
        pipeline.start()
    assert pipeline.state == "failed"
    assert not source.closed  # an open that raises cleans up after itself


def test_one_that_cannot_open_later_is_reported():
    graph, _ = chain(sink := Sink())
    pipeline = Pipeline(graph, keep_open=True)
    with pipeline:
        pipeline.add_source("a", Locked(guest=True), "e0")
        pipeline.add_source("b", Count(stream="b", guest=True), "e0")
        until(lambda: "end b" in sink.log and pipeline.sources() == [])
        assert [str(error.error) for error in pipeline.errors] == ["a: OSError: locked"]
        pipeline.add_source("a", Count(guest=True), "e0")
        until(lambda: "end a" in sink.log)


def test_a_part_that_is_split_reads_its_own():
    graph = Graph()
    graph.add("split", Split(workers=2))
    graph.add("sink", sink := Sink())
    graph.link("split", "sink")
    pipeline = Pipeline(graph, keep_open=True)
    sources = [Count(stream=name, count=30, guest=True) for name in "abcd"]
    for source in sources:
        pipeline.add_source(source.stream, source, "split")
    with pipeline:
        until(lambda: sum(line.startswith("end") for line in sink.log) == 4)
        assert {frozenset(source.read_in) for source in sources} == {
            frozenset({"millrace:split"}), frozenset({"millrace:split/1"}),
        }  # fmt: skip
        again = Count(stream="b", count=5, guest=True)
        pipeline.add_source("b", again, "split")
        until(lambda: sink.log.count("end b") == 2)
        assert again.read_in == sources[1].read_in
    for source in sources:
        expected = list(range(30)) + (list(range(5)) if source.stream == "b" else [])
        assert sink.indices(source.stream) == expected


def test_drain_ends_guests_that_would_go_on_for_ever():
    graph, _ = chain(Batch(size=4), Pass(), sink := Sink())
    pipeline = Pipeline(graph)
    for name in "abc":
        pipeline.add_source(name, Forever(stream=name, guest=True), "e0")
    with pipeline:
        until(lambda: len(sink.got) > 10)
        pipeline.drain()
        assert pipeline.wait(WAIT)
    assert sorted(sink.log) == ["end a", "end b", "end c", "start a", "start b", "start c"]


def test_an_element_that_fails_takes_its_guests_with_it():
    class Breaks(Element):
        threaded = True

        def process(self, item: Num) -> Iterator[Num]:
            if item.index == 5:
                raise ValueError("no")
            yield item

    graph, _ = chain(Breaks(), Sink())
    pipeline = Pipeline(graph)
    pipeline.add_source("a", Forever(guest=True), "e0")
    pipeline.add_source("b", Count(stream="b", count=3, guest=True), "e0")
    pipeline.start()
    with pytest.raises(MillraceError, match="no"):
        pipeline.wait(WAIT)
    assert pipeline.sources() == [] and pipeline.state == "failed"


def test_a_guest_of_a_pipeline_that_never_starts_is_given_back():
    graph, _ = chain(Sink())
    pipeline = Pipeline(graph)
    pipeline.add_source("a", Forever(guest=True), "e0")
    pipeline.remove_source("a")
    assert pipeline.sources() == []
    pipeline.add_source("a", Count(guest=True), "e0")
    pipeline.start()
    assert pipeline.wait(WAIT)
