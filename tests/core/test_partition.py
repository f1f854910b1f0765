"""Streams of many sources over the workers of one partitioned element."""

from __future__ import annotations

import threading
from collections import defaultdict

from toys import Count, Forever, until

from millrace.core import Graph, Pipeline
from millrace.core.element import Element, setting


class Spread(Element):
    """Notes which thread worked on which stream."""

    threaded = True
    partitioned = True
    workers: int = setting(default=3)
    where = defaultdict(set)

    def process(self, item):
        Spread.where[threading.current_thread().name].add(item.stream)
        yield item


def test_each_source_has_its_own_link_and_the_workers_share_the_streams_evenly():
    Spread.where.clear()
    graph = Graph()
    graph.add("spread", Spread())
    pipeline = Pipeline(graph)
    streams = [f"s{n}" for n in range(7)]
    for stream in streams:
        pipeline.add_source(stream, Count(stream=stream, count=20, delay=0.01), into="spread")
    pipeline.start()
    assert pipeline.wait(10)
    shares = sorted(len(own) for own in Spread.where.values())
    assert shares == [2, 2, 3]
    assert sorted(stream for own in Spread.where.values() for stream in own) == streams
    assert pipeline.stats()["spread"].items_in == 7 * 20


def test_sources_that_come_later_find_the_workers_that_had_none():
    """Files are read by the workers themselves: the second and third, which begin without one, wait for theirs."""
    Spread.where.clear()
    graph = Graph()
    graph.add("spread", Spread())
    pipeline = Pipeline(graph)
    pipeline.add_source("s0", first := Forever(stream="s0", guest=True, delay=0.001), into="spread")
    pipeline.start()
    until(lambda: pipeline.stats()["spread"].items_in > 5)
    for stream in ("s1", "s2", "s3"):
        pipeline.add_source(stream, Count(stream=stream, count=20, guest=True), into="spread")
    until(lambda: pipeline.sources() == ["s0"])
    first.interrupt()
    assert pipeline.wait(10)
    assert sorted(len(own) for own in Spread.where.values()) == [1, 1, 2]
    assert pipeline.stats()["s3"].items_out == 20
    assert not pipeline.errors
