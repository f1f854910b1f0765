"""Graphs are checked before they run."""

from __future__ import annotations

from typing import Any

import pytest
from toys import Collect, Count, Note, Num, Pass, Sink, chain, run

from millrace.core import Caps, ConfigError, Element, Graph, MillraceError, Pipeline, StreamEnd, StreamStart, setting
from millrace.core.channel import Channel
from millrace.core.link import Link, Partition, Select


def test_names_are_unique_and_known():
    graph, _ = chain(Pass())
    with pytest.raises(ConfigError, match="two elements"):
        graph.add("e0", Pass())
    with pytest.raises(ConfigError, match="did you mean 'e0'"):
        graph.link("e0", "e00")


def test_circles_and_empty_graphs_are_refused():
    graph, _ = chain(Pass(), Pass())
    graph.link("e1", "e0")
    with pytest.raises(ConfigError, match="circle"):
        Pipeline(graph)
    with pytest.raises(ConfigError, match="no element"):
        Pipeline(Graph())


def test_elements_run_in_the_thread_that_reaches_them():
    graph, _ = chain(Note(), Note(), Sink(), Note())
    assert graph.workers() == {"e0": "e0", "e1": "e0", "e2": "e2", "e3": "e2"}


def test_an_element_fed_by_two_threads_gets_its_own():
    graph = Graph()
    for name in ("a", "b"):
        graph.add(name, Pass())
    graph.add("mux", Note())
    graph.link("a", "mux")
    graph.link("b", "mux")
    assert graph.workers()["mux"] == "mux"


class Split(Element):
    """Runs in several threads; each stream in one of them."""

    partitioned = True
    threaded = True
    workers: int = setting(default=3)

    def open(self, context: Any) -> None:
        self.streams: list[str] = []

    def start_stream(self, start: StreamStart) -> StreamStart:
        self.streams.append(start.stream)
        return start


def test_a_partition_keeps_order_and_spreads_streams():
    graph, _ = chain(Split(), sink := Sink())
    pipeline = Pipeline(graph)
    run(pipeline, *(Count(stream=f"s{i}", count=50) for i in range(9)))
    for i in range(9):
        assert sink.indices(f"s{i}") == list(range(50))
    parts = [node.element.streams for node in pipeline._plant.nodes["e0"]]
    assert sorted(s for part in parts for s in part) == [f"s{i}" for i in range(9)]
    assert len(parts) == 3
    assert pipeline.stats()["e0"].items_in == 450


def test_a_stream_that_comes_back_goes_where_it_was():
    channels = [Channel(size=100), Channel(size=100)]
    partition = Partition([Link(channel) for channel in channels])
    for name in ("a", "b", "c"):
        partition.push(StreamStart(name, Caps("numbers")))
    assert [len(channel) for channel in channels] == [2, 1]
    partition.push(StreamEnd("a"))
    partition.push(StreamEnd("c"))
    partition.push(StreamStart("a", Caps("numbers")))
    assert [len(channel) for channel in channels] == [5, 1]
    partition.push(Num("unknown", 1))
    assert [len(channel) for channel in channels] == [5, 1]


def test_select_passes_one_stream():
    class Target:
        def __init__(self) -> None:
            self.got: list[Any] = []

        def push(self, item: Any) -> None:
            self.got.append(item)

    select = Select("a", target := Target())
    for item in (Num("a", 1), Num("b", 2), StreamEnd("b"), StreamEnd("a")):
        select.push(item)
    assert len(target.got) == 2


def test_sources_go_into_entries_only():
    graph, _ = chain(Pass(), Collect())
    pipeline = Pipeline(graph)
    with pytest.raises(ConfigError, match="sources go into: e0"):
        pipeline.add_source("a", Count(), "e1")
    pipeline.add_source("a", Count(), "e0")
    with pytest.raises(ConfigError, match="is there already"):
        pipeline.add_source("a", Count(), "e0")
    with pytest.raises(ConfigError, match="no source is named"):
        pipeline.remove_source("b")
    pipeline.stop()
    with pytest.raises(MillraceError, match="stopped"):
        pipeline.add_source("b", Count(), "e0")
