"""The table of streams: what it says is what runs."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator
from typing import ClassVar

import numpy as np
import pytest

import millrace
from millrace.config.plan import Stream
from millrace.config.streams import Streams
from millrace.core import Graph, Pipeline
from millrace.core.element import Source, setting
from millrace.core.errors import ConfigError, MillraceError, SourceError
from millrace.elements.decode import Decode
from millrace.media import Frame
from millrace.sources import add_scheme
from millrace.sources.pattern import PatternSource
from millrace.sources.push import Push
from millrace.testing.clips import numbered_clip

SMALL = "pattern:?width=32&height=32"


def wait_for(condition: Callable[[], object], seconds: float = 30.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come to be"
        time.sleep(0.005)


class Table:
    """A pipeline of a decoder, its table, and the frames that came."""

    def __init__(self, streams: list[Stream], keep_open: bool = True, drain: bool = False) -> None:
        graph = Graph()
        graph.add("decode", Decode(workers=2))
        self.pipeline = Pipeline(graph, keep_open=keep_open or drain)
        self.frames: dict[str, list[int]] = {}
        self.pipeline.tap("decode", self._see)
        self.streams = Streams(self.pipeline, "decode", streams, drain=drain)

    def _see(self, item: object) -> None:
        if isinstance(item, Frame):
            self.frames.setdefault(item.stream, []).append(item.index)

    def count(self, name: str) -> int:
        return len(self.frames.get(name, ()))


@pytest.fixture
def table() -> Iterator[Callable[..., Table]]:
    made: list[Table] = []

    def make(*streams: Stream, **settings: bool) -> Table:
        made.append(Table(list(streams), **settings))
        made[-1].pipeline.start()
        return made[-1]

    yield make
    for each in made:
        each.pipeline.stop()
        each.streams.close()


class Flaky(PatternSource):
    """Fails after 3 frames the first `failures` times it is opened."""

    failures: int = setting(default=0)
    opened: ClassVar[int] = 0
    times: ClassVar[list[float]] = []

    def once(self, begin, end):  # type: ignore[no-untyped-def]
        cls = type(self)
        cls.opened += 1
        cls.times.append(time.monotonic())
        for number, item in enumerate(super().once(begin, end)):
            if number > 3 and cls.opened <= self.failures:
                raise SourceError(self.stream, "the cable is out")
            yield item


@pytest.fixture
def flaky(monkeypatch: pytest.MonkeyPatch) -> type[Flaky]:
    monkeypatch.setattr("millrace.config.streams.FIRST_WAIT", 0.05)
    add_scheme("scene", Flaky)  # any address that is made
    Flaky.opened, Flaky.times = 0, []
    yield Flaky  # type: ignore[misc]
    from millrace.testing.scene_source import SceneSource

    add_scheme("scene", SceneSource)


def test_streams_are_added_and_removed_while_running(table):
    run = table(Stream("a", f"{SMALL}&fps=100", {"pace": True}))
    wait_for(lambda: run.count("a") > 3)
    run.streams.add("b", SMALL, frames=7)
    wait_for(lambda: run.count("b") == 7 and run.streams.rows()["b"].state == "ended")
    run.streams.remove("a")
    assert run.pipeline.sources() == [] and list(run.streams.names) == ["b"]
    run.streams.add("a", SMALL, frames=2)
    wait_for(lambda: run.streams.rows()["a"].state == "ended")
    wait_for(lambda: run.frames["a"][-2:] == [0, 1])  # a new life of the name counts from 0


def test_what_is_wrong_is_said_at_once_and_changes_nothing(table):
    run = table(Stream("a", SMALL, {"pace": True}))
    with pytest.raises(ConfigError, match="a stream 'a' is there already"):
        run.streams.add("a", SMALL)
    with pytest.raises(ConfigError, match="no setting 'lop'"):
        run.streams.add("b", "x.mp4", lop=1)
    with pytest.raises(ConfigError, match="no source for gopher://"):
        run.streams.add("b", "gopher://x")
    with pytest.raises(ConfigError, match="no stream is named 'c'; there are: a"):
        run.streams.remove("c")
    with pytest.raises(ConfigError, match="a source object is read once"):
        run.streams.add("b", Push(), restart="always")
    assert run.streams.names == ["a"] and run.pipeline.sources() == ["a"]


def test_a_stream_that_ends_while_it_is_removed_is_removed(table, monkeypatch):
    run = table(Stream("a", f"{SMALL}&fps=100", {"pace": True}))
    remove = run.pipeline.remove_source

    def late(name: str) -> None:
        remove(name)  # as if it had ended a moment before
        remove(name)

    monkeypatch.setattr(run.pipeline, "remove_source", late)
    run.streams.remove("a")
    assert run.streams.names == [] and run.pipeline.sources() == []


@pytest.mark.parametrize("drain", [True, False])
def test_no_stream_is_added_when_the_pipeline_has_ended(table, drain: bool):
    run = table(Stream("a", SMALL, {"frames": 2}))
    (run.pipeline.drain if drain else run.pipeline.stop)()
    assert run.pipeline.wait(30)
    with pytest.raises(MillraceError, match="can be added"):
        run.streams.add("b", SMALL, frames=2)
    assert run.streams.names == ["a"]


def test_never_leaves_a_failed_stream_alone(table, flaky):
    run = table(Stream("a", "scene:", {"failures": 1}))
    wait_for(lambda: run.streams.rows()["a"].state == "failed")
    time.sleep(0.2)
    row = run.streams.rows()["a"]
    assert flaky.opened == 1 and row.restarts == 0 and "the cable is out" in row.error


def test_on_error_begins_again_with_growing_waits_until_it_ends_well(table, flaky):
    run = table(Stream("a", "scene:", {"failures": 3, "frames": 5}, "on_error"))
    wait_for(lambda: run.streams.rows()["a"].state == "ended")
    row = run.streams.rows()["a"]
    assert (flaky.opened, row.restarts, row.error) == (4, 3, None)
    gaps = np.diff(flaky.times)
    assert gaps[0] >= 0.05 and gaps[1] >= 0.1 and gaps[2] >= 0.2
    wait_for(lambda: run.frames["a"][-5:] == [0, 1, 2, 3, 4])  # the last ones may still be on their way


def test_always_begins_again_after_a_good_end_and_stops_when_removed(table, flaky):
    run = table(Stream("a", "scene:", {"frames": 2}, "always"))
    wait_for(lambda: flaky.opened >= 3)
    run.streams.remove("a")
    opened = flaky.opened
    time.sleep(0.3)
    assert flaky.opened == opened and run.streams.names == []


def test_a_stream_that_waits_can_be_removed(table, flaky):
    run = table(Stream("a", "scene:", {"failures": 99}, "on_error"))
    wait_for(lambda: run.streams.rows()["a"].state == "waiting" and flaky.opened > 2)
    run.streams.remove("a")
    assert run.streams.names == []


def test_the_pipeline_ends_when_nothing_will_begin_again(table, flaky):
    run = table(Stream("a", "scene:", {"failures": 2, "frames": 5}, "on_error"), Stream("b", SMALL, {"frames": 3}),
                drain=True)  # fmt: skip
    assert run.pipeline.wait(15)
    assert flaky.opened == 3 and run.count("b") == 3


def test_a_stop_while_a_stream_waits_leaves_no_thread(table, flaky):
    run = table(Stream("a", "scene:", {"failures": 99}, "on_error"))
    wait_for(lambda: run.streams.rows()["a"].state == "waiting")
    began = time.monotonic()
    run.pipeline.stop()
    run.streams.close()
    assert time.monotonic() - began < 5 and not [t for t in threading.enumerate() if t.name == "millrace:streams"]


def test_apply_brings_the_pipeline_to_a_table(table):
    paced = {"pace": True}
    run = table(Stream("a", SMALL, paced), Stream("b", SMALL, paced), Stream("c", SMALL, paced))
    wait_for(lambda: run.count("a") > 1)
    run.streams.apply([Stream("a", SMALL, paced), Stream("c", SMALL, {"frames": 3}), Stream("d", SMALL, paced)])
    wait_for(lambda: run.streams.rows()["c"].state == "ended" and run.count("d"))
    assert sorted(run.pipeline.sources()) == ["a", "d"] and run.streams.names == ["a", "c", "d"]
    seen = list(run.frames["a"])  # more come meanwhile
    assert seen == list(range(len(seen))), "what is said as before goes on"


def test_mixed_streams_come_and_go_and_the_others_lose_nothing(table, tmp_path):
    """The small one of benchmarks/streams_come_and_go.py."""
    clip = str(numbered_clip(tmp_path / "n.mp4", frames=12, width=64, height=48))
    steady = [Stream(f"steady-{n}", (clip, SMALL)[n % 2], {"loop": 0, "pace": True, "live": False}) for n in range(4)]
    run = table(*steady)
    dice, pushes = random.Random(3), {}

    def add(name: str) -> None:
        kind = dice.choice(["file", "push", "pattern"])
        if kind == "push":
            pushes[name] = Push(live=True)
            run.streams.add(name, pushes[name])
            pushes[name].push(np.zeros((16, 16), np.uint8))
        else:
            run.streams.add(name, clip if kind == "file" else SMALL, loop=0, pace=True)

    names = [f"s{n}" for n in range(10)]
    for name in names:
        add(name)
    threads = threading.active_count()
    for _ in range(60):
        name = dice.choice(names)
        run.streams.remove(name)
        add(name)
    assert threading.active_count() <= threads
    for name in run.streams.names:
        run.streams.remove(name)
    run.pipeline.drain()
    assert run.pipeline.wait(20) and not run.pipeline.errors
    for stream in steady:
        sent = run.pipeline.stats()[stream.name].items_out
        assert run.frames[stream.name] == list(range(sent)) and sent > 0


def test_a_flow_in_the_background(tmp_path):
    run = millrace.open(SMALL, name="a", pace=True).map(lambda frame: True).start()
    try:
        run.streams.add("b", SMALL, frames=4)
        wait_for(lambda: run.streams.rows()["b"].state == "ended")
        run.streams.remove("a")
        run.streams.add("c", str(tmp_path / "gone.mp4"))
        wait_for(lambda: run.streams.rows()["c"].state == "failed")
    finally:
        summary = run.finish(20)
    assert summary.streams["b"].frames_out == 4 and "there is no file" in summary.streams["c"].errors[0]
    assert isinstance(Push(), Source)


def test_restart_in_a_flow(flaky):
    summary = millrace.open("scene:", restart="on_error", failures=2, frames=5).map(lambda frame: True).run(check=False)
    assert flaky.opened == 3 and len(summary.errors) == 2 and summary.frames == 3 + 3 + 5


def test_a_stream_that_cannot_be_made_again_is_an_error_and_is_tried_again(table, flaky, monkeypatch):
    from millrace.config import streams as module

    made, make = list[str](), module.source_of

    def source_of(stream: Stream) -> object:
        made.append(stream.name)
        if made.count("a") in (2, 3):
            raise ConfigError("there is no camera 3") if made.count("a") == 2 else AttributeError("no such thing")
        return make(stream)

    monkeypatch.setattr(module, "source_of", source_of)
    run = table(Stream("a", "scene:", {"failures": 1, "frames": 5}, "on_error"))
    wait_for(lambda: run.streams.rows()["a"].state == "ended")
    told = [(message.stream, message.text) for message in run.pipeline.errors]
    assert told[1:] == [("a", "a: there is no camera 3"), ("a", "a: AttributeError: no such thing")]
    assert run.streams.rows()["a"].restarts == 3
