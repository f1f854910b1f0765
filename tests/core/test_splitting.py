"""An element that makes several streams of one: those behind it expect, see and end those streams."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from toys import WAIT, Behind, Count, Forever, Num, chain, until

from millrace.core import Caps, Element, Pipeline, SourceError, StreamEnd, StreamStart, setting, state
from millrace.elements.batch import Batch


class Split(Element):
    """Every item three times, as items of NAME.0, NAME.1, NAME.2; with `of` those of these streams only."""

    threaded = True
    of: tuple[str, ...] | None = setting(default=None)
    begun: set[str] = state(set)

    def splits(self, stream: str) -> Sequence[str]:
        mine = self.of is None or stream in self.of
        return [f"{stream}.{number}" for number in range(3)] if mine else [stream]

    def start_stream(self, start: StreamStart) -> StreamStart | None:
        return start if len(self.splits(start.stream)) == 1 else None

    def process(self, item: Num) -> Iterator[Any]:
        names = self.splits(item.stream)
        if len(names) > 1 and item.stream not in self.begun:
            self.begun.add(item.stream)
            yield from (StreamStart(name, Caps("numbers")) for name in names)
        yield from (Num(name, item.index) for name in names)

    def end_stream(self, stream: str) -> Iterator[Any]:
        if len(self.splits(stream)) > 1:
            yield from (StreamEnd(name) for name in self.splits(stream))


def run(pipeline: Pipeline, *sources: Any) -> None:
    for source in sources:
        pipeline.add_source(source.stream, source, pipeline.graph.entries()[0])
    with pipeline:
        assert pipeline.wait(WAIT)


def test_each_part_starts_and_ends_once_and_is_expected():
    pipeline = Pipeline(chain(Split(), behind := Behind())[0])
    run(pipeline, Count(stream="a", count=20), Count(stream="b", count=5))
    names = [f"{stream}.{number}" for stream in "ab" for number in range(3)]
    assert sorted(behind.log) == sorted([f"{what} {name}" for what in ("start", "end") for name in names])
    for name in names:
        assert [item.index for item in behind.items if item.stream == name] == list(range(20 if "a" in name else 5))
    assert behind.told[0] == tuple(names) and len(pipeline._roll) == 0


def test_other_streams_stay_and_splits_may_follow_each_other():
    pipeline = Pipeline(chain(Split(of=("a",)), Split(of=("b",)), behind := Behind())[0])
    run(pipeline, Count(stream="a", count=3), Count(stream="b", count=3), Count(stream="c", count=3))
    assert {item.stream for item in behind.items} == {"a.0", "a.1", "a.2", "b.0", "b.1", "b.2", "c"}
    assert len(behind.items) == 21 and len(pipeline._roll) == 0


def test_parts_of_a_stream_that_never_starts_are_not_waited_for():
    class Dead(Count):
        def read(self) -> Iterator[Any]:
            raise SourceError(self.stream, "the cable is out")

    pipeline = Pipeline(chain(Split(), behind := Behind())[0])
    run(pipeline, Dead(stream="dead"), Count(stream="a", count=3))
    assert behind.told[0][:3] == ("dead.0", "dead.1", "dead.2") and "dead.0" not in behind.told[-1]
    assert not any("dead" in line for line in behind.log) and len(pipeline._roll) == 0


def test_parts_of_a_source_that_is_removed_before_the_start_are_not_waited_for():
    pipeline = Pipeline(chain(Split(), behind := Behind())[0])
    pipeline.add_source("gone", Count(stream="gone"), "e0")
    pipeline.add_source("a", Count(stream="a", count=3), "e0")
    pipeline.remove_source("gone")
    run(pipeline)
    assert behind.told[0] == ("a.0", "a.1", "a.2") and len(pipeline._roll) == 0


def test_to_finish_a_part_is_to_finish_its_source():
    pipeline = Pipeline(chain(Split(), Behind(most=7))[0])
    run(pipeline, Forever(stream="a", delay=0.001))


def test_a_stop_in_the_middle_ends_every_part():
    pipeline = Pipeline(chain(Split(), behind := Behind())[0])
    pipeline.add_source("a", Forever(stream="a"), pipeline.graph.entries()[0])
    with pipeline:
        until(lambda: len(behind.items) > 10)
    assert sorted(behind.log) == sorted(f"{what} a.{n}" for what in ("start", "end") for n in range(3))


def test_back_pressure_reaches_through_it():
    pipeline = Pipeline(chain(Split(), Behind(delay=0.005))[0])
    run(pipeline, Count(stream="a", count=30), Count(stream="b", count=30))
    assert max(stats.peak_depth for stats in pipeline.stats().values()) <= 5


class Apart(Split):
    """The same of bundles, whose items go on alone."""

    def process(self, item: Any) -> Iterator[Any]:
        for each in item.frames:
            yield from super().process(each)


def test_back_pressure_reaches_bundles_through_it():
    pipeline = Pipeline(chain(Batch(size=2), Apart(), Behind(delay=0.005))[0])
    run(pipeline, Count(stream="a", count=30), Count(stream="b", count=30))
    assert max(stats.peak_depth for stats in pipeline.stats().values()) <= 5


def test_streams_come_and_go():
    graph, names = chain(Split(), behind := Behind())
    pipeline = Pipeline(graph)
    pipeline.add_source("base", Forever(stream="base", delay=0.001), names[0])
    with pipeline:
        for number in range(8):
            pipeline.add_source(f"s{number}", Count(stream=f"s{number}", count=3), names[0])
        until(lambda: pipeline.sources() == ["base"])
        pipeline.drain()
        assert pipeline.wait(WAIT)
    assert sum(line.startswith("end") for line in behind.log) == 27 and len(pipeline._roll) == 0
