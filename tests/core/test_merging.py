"""An element that makes one stream of many: those behind it expect, see and end that one stream."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import Any

from toys import WAIT, Behind, Count, Forever, Num, chain, until

from millrace.core import Caps, Context, Element, Pipeline, StreamEnd, StreamStart, setting, state


class Merge(Element):
    """Every item again, as one of the stream `all`."""

    threaded = True
    name: str = setting(default="all")
    ticks: float = setting(default=0.0)
    open_now: set[str] = state(set)
    known: set[str] = state(set)
    begun: bool = state(bool)

    @property
    def merges(self) -> str:
        return self.name

    def open(self, context: Context) -> None:
        self.context = context

    def expect(self, streams: Sequence[str]) -> None:
        self.known = set(streams)
        self.context.wake()

    def start_stream(self, start: StreamStart) -> None:
        self.open_now.add(start.stream)
        if self.ticks:
            self.deadline = time.monotonic() + self.ticks

    def process(self, item: Num) -> Iterator[Any]:
        if not self.ticks:
            yield from self.give(item)

    def give(self, item: Num | None) -> Iterator[Any]:
        if not self.begun:
            self.begun = True
            yield StreamStart(self.name, Caps("numbers"))
        yield Num(self.name, item.index if item else -1)

    def on_deadline(self) -> Iterator[Any]:
        self.deadline = time.monotonic() + self.ticks
        yield from self.give(None)

    def end_stream(self, stream: str) -> Iterator[Any]:
        self.open_now.discard(stream)
        self.known.discard(stream)
        yield from self.on_wake()

    def on_wake(self) -> Iterator[Any]:
        if self.begun and not self.open_now and not self.known:
            self.begun, self.deadline = False, None
            yield StreamEnd(self.name)


def built(*elements: Element) -> Pipeline:
    return Pipeline(chain(*elements)[0])


def entry(pipeline: Pipeline) -> str:
    return pipeline.graph.entries()[0]


def test_one_start_one_end_and_what_is_expected():
    pipeline = built(Merge(), behind := Behind())
    for name in "abc":
        pipeline.add_source(name, Count(stream=name, count=20), entry(pipeline))
    with pipeline:
        assert pipeline.wait(WAIT)
    assert behind.log == ["start all", "end all"]
    assert len(behind.items) == 60 and {item.stream for item in behind.items} == {"all"}
    assert all(told in (("all",), ()) for told in behind.told)
    assert len(pipeline._roll) == 0


def test_the_one_stream_is_expected_while_a_source_of_it_is_left_before_the_start():
    pipeline = built(Merge(), Behind())
    for name in "ab":
        pipeline.add_source(name, Count(stream=name), entry(pipeline))
    pipeline.remove_source("a")
    assert pipeline._roll.expected("e1") == ("all",)
    pipeline.remove_source("b")
    assert len(pipeline._roll) == 0


def test_a_stop_in_the_middle_ends_the_stream_in_the_same_thread():
    class Same(Behind):
        threaded = False

    pipeline = built(Merge(), behind := Same())
    pipeline.add_source("a", Forever(stream="a"), entry(pipeline))
    with pipeline:
        until(lambda: len(behind.items) > 10)
    assert behind.log == ["start all", "end all"]


def test_the_one_stream_is_finished_by_ending_its_sources():
    pipeline = built(Merge(), Behind(most=7))
    for name in "ab":
        pipeline.add_source(name, Forever(stream=name, delay=0.001), entry(pipeline))
    with pipeline:
        assert pipeline.wait(WAIT)


def test_streams_come_and_go_and_the_one_goes_on():
    graph, names = chain(Merge(), behind := Behind())
    pipeline = Pipeline(graph)
    pipeline.add_source("base", Forever(stream="base", delay=0.001), names[0])
    with pipeline:
        for number in range(20):
            pipeline.add_source(f"s{number}", Count(stream=f"s{number}", count=3), names[0])
        until(lambda: pipeline.sources() == ["base"])
        pipeline.drain()
        assert pipeline.wait(WAIT)
    assert behind.log == ["start all", "end all"]


def test_back_pressure_reaches_through_it():
    pipeline = built(Merge(), Behind(delay=0.01))
    for name in "ab":
        pipeline.add_source(name, Count(stream=name, count=30), entry(pipeline))
    with pipeline:
        assert pipeline.wait(WAIT)
    peaks = [stats.peak_depth for stats in pipeline.stats().values()]
    assert max(peaks) <= 5  # its queue and what one item makes


def test_a_clock_does_not_outrun_those_behind():
    pipeline = built(Merge(ticks=0.001), behind := Behind(delay=0.01))
    pipeline.add_source("a", Forever(stream="a", delay=0.01), entry(pipeline))
    with pipeline:
        until(lambda: len(behind.items) > 30)
        pipeline.drain()
        assert pipeline.wait(WAIT)
    assert max(stats.peak_depth for stats in pipeline.stats().values()) <= 5
