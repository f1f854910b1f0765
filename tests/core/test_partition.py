"""Streams of many sources over the workers of one partitioned element."""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import pytest
from toys import WAIT, Count, Forever, until

from millrace.core import Graph, Pipeline, worker
from millrace.core.element import Element, setting, state


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
    assert pipeline.wait(30)
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
    assert pipeline.wait(30)
    assert sorted(len(own) for own in Spread.where.values()) == [1, 1, 2]
    assert pipeline.stats()["s3"].items_out == 20
    assert not pipeline.errors


class Slow(Spread):
    """To begin a stream takes until another one has given three items more, and so many seconds of its own clock."""

    workers: int = setting(default=1)
    pause: float = setting(default=0.0)
    clock: list[float] = state(lambda: [0.0])
    added: Any = state(threading.Event)
    log: list[Any] = state(list)
    waiting: Any = state(lambda: None)  # how many items of the other stream wait

    def start_stream(self, start):
        if start.stream != "running":
            assert self.added.wait(WAIT)
            before = self.waiting()
            until(lambda: self.waiting() >= before + 3)
            self.clock[0] += self.pause
        self.log.append(start.stream)
        return start

    def process(self, item):
        self.clock[0] += 0.01
        self.log.append(item)
        yield item


@pytest.mark.parametrize("guest", [False, True])
def test_a_stream_that_runs_goes_on_while_many_begin(guest: bool, monkeypatch: pytest.MonkeyPatch):
    graph, slow = Graph(), Slow(pause=0.1 * guest)
    # a worker shares its time; that of the machine would be another each time
    time_of_worker = SimpleNamespace(perf_counter=lambda: slow.clock[0], monotonic=time.monotonic)
    monkeypatch.setattr(worker, "time", time_of_worker)
    graph.add("slow", slow)
    pipeline = Pipeline(graph)
    (channel,) = pipeline._plant.entry("slow")
    channel.size = 1000
    slow.waiting = lambda: channel.depth("running")
    pipeline.add_source("running", Forever(stream="running", delay=0.001), "slow")
    names = [f"s{n}" for n in range(8)]
    with pipeline:
        until(lambda: "running" in slow.log)
        for name in names:
            pipeline.add_source(name, Count(stream=name, count=2, guest=guest), "slow")
        until(lambda: guest or sum(map(channel.holds, names)) >= len(names) - 1)  # the first may have begun
        slow.added.set()
        until(lambda: all(name in slow.log for name in names))
    begun = [slow.log.index(name) for name in names]
    for one, next_one in pairwise(sorted(begun)):
        between = [item for item in slow.log[one + 1 : next_one] if item.stream == "running"]
        assert len(between) >= 3, "those that waited came before the next one began"
