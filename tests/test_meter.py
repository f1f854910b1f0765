"""Counting by stream: latencies in buckets, rates, states."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from pictures import Mark, Pictures, frame

import millrace
from millrace.config.plan import Plan, Step, Stream
from millrace.core import Caps, Element, Source, SourceError, StreamEnd, StreamStart, setting, state
from millrace.meter import REMEMBERED, Counter, Latencies, Meter, Tally
from millrace.summary import Run


def test_quantiles_are_within_four_percent_from_microseconds_to_minutes() -> None:
    rng = np.random.default_rng(4)
    values = np.exp(rng.uniform(np.log(2e4), np.log(6e10), 20_000)).astype(int)  # 20 us to 60 s
    latencies = Latencies()
    for value in values:
        latencies.add(int(value))
    for share in (0.01, 0.5, 0.9, 0.99):
        [found] = latencies.quantiles(share)
        assert found == pytest.approx(np.quantile(values, share, method="inverted_cdf") / 1e9, rel=0.04)


def test_quantiles_of_what_came_since() -> None:
    latencies = Latencies()
    assert latencies.quantiles(0.5, 0.99) == [None, None]
    for _ in range(1000):
        latencies.add(1_000_000)
    before = list(latencies.counts)
    for _ in range(100):
        latencies.add(50_000_000)
    assert latencies.quantiles(0.5)[0] == pytest.approx(1e-3, rel=0.04)
    assert latencies.quantiles(0.5, 0.99, since=before) == [pytest.approx(0.05, rel=0.04)] * 2
    for odd in (-5, 0, 1, 1 << 62):  # a clock that went back, and a frame that was lost for a century
        latencies.add(odd)
    assert sum(latencies.counts) == 1104


def test_counting_a_frame_costs_little() -> None:
    counter, one = Counter(), frame()
    one.arrived = time.monotonic_ns()
    best = min(_seconds(counter, one) for _ in range(5))
    assert best < 10e-6  # 1 us on a quiet machine; the limit allows for a busy one


def _seconds(counter: Counter, one: Any) -> float:
    began = time.thread_time()  # others that keep the machine busy do not count
    for _ in range(2000):
        counter(one)
    return (time.thread_time() - began) / 2000


def test_counts_of_streams_that_come_and_go_are_bounded() -> None:
    counter = Counter()
    for number in range(REMEMBERED + 50):
        counter(StreamStart(str(number), Caps("frames")))
        if number:
            counter(StreamEnd(str(number)))
    assert len(counter.tallies) == REMEMBERED and "0" in counter.tallies and "1" not in counter.tallies


def test_rates_are_those_of_the_last_seconds() -> None:
    now = [0.0]
    meter, first, last = Meter(span=3.0, clock=lambda: now[0]), Tally(), Tally()
    for tick in range(101):  # 10 s: 30 fps come in; 30 and then 10 fps go out
        now[0] = tick / 10
        first.frames = 3 * tick
        last.frames = 3 * min(tick, 50) + max(0, tick - 50)
        reading = meter.read("a", "running", first, last, 2, 7)
    assert reading.fps_in == pytest.approx(30) and reading.fps_out == pytest.approx(10)
    assert (reading.frames_in, reading.frames_out, reading.waiting, reading.drops) == (300, 200, 2, 7)
    assert reading.p50 is None


class Live(Source):
    """A live stream of frames, faster than anyone can take them."""

    count: int = setting(default=200, help="frames")

    def read(self) -> Iterator[Any]:
        yield StreamStart("live", Caps("frames", width=16, height=8), live=True)
        for index in range(self.count):
            made = frame("live", index)
            made.arrived = time.monotonic_ns()
            yield made


class Slow(Element):
    """Takes its time."""

    threaded = True

    def process_frame(self, item: Any) -> None:
        time.sleep(0.005)


def test_drops_at_the_door_are_counted_for_their_stream_and_latency_is_known() -> None:
    flow = millrace.open(Live(), Pictures(stream="file"), name=["live", "file"])
    summary = flow.add(Slow()).run()
    live, file = summary.streams["live"], summary.streams["file"]
    assert file.drops == 0 and file.frames_out == 5 and file.latency is None  # these frames do not say when they came
    assert live.drops == 200 - live.frames_out == summary.drops > 100
    assert live.latency is not None and 0.004 < live.latency[0] <= live.latency[1] < 5


def test_readings_tell_the_state_of_every_stream() -> None:
    flow = millrace.open(Pictures(stream="a", count=None), Pictures(stream="b", fail_at=1), Pictures(stream="c"),
                         name=["a", "b", "c"]).add(Mark())  # fmt: skip
    run = Run(flow.plan)
    assert [reading.state for reading in run.readings()] == ["starting"] * 3
    run.start()
    try:
        wanted, deadline = {"a": "running", "b": "failed", "c": "ended"}, time.monotonic() + 20
        while (states := {r.name: r.state for r in run.readings()}) != wanted and time.monotonic() < deadline:
            time.sleep(0.02)
        assert states == wanted
        while (going := run.readings()[0]).fps_out == 0 and time.monotonic() < deadline:
            time.sleep(0.05)
        assert going.frames_out > 0 and going.fps_out > 0 and going.drops == 0
    finally:
        run.pipeline.stop()


class Flaky(Source):
    """Gives a frame, loses its camera until it is told that it is back, and gives another."""

    back: threading.Event = state(threading.Event)

    def read(self) -> Iterator[Any]:
        yield StreamStart("a", Caps("frames", width=16, height=8), live=True)
        yield frame("a", 0)
        self.away = True
        self.back.wait(30)
        self.away = False
        yield frame("a", 1)
        self.back.clear()
        self.back.wait(30)

    def interrupt(self) -> None:
        self.back.set()


def test_a_source_that_is_away_is_reconnecting() -> None:
    source = Flaky()
    run = Run(millrace.open(source, name="a").add(Mark()).plan)

    def until(state: str, frames: int) -> None:
        deadline = time.monotonic() + 20
        while (found := run.readings()[0]).state != state or found.frames_out != frames:
            assert time.monotonic() < deadline, found
            time.sleep(0.01)

    run.start()
    try:
        until("reconnecting", 1)
        source.back.set()
        until("running", 2)
    finally:
        run.pipeline.stop()
    assert run.readings()[0].state == "ended"


def test_a_stream_that_is_begun_again_is_reconnecting_and_then_well(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also while the source that has ended is not closed yet: that may take its time."""
    monkeypatch.setattr("millrace.config.streams.FIRST_WAIT", 60.0)
    lives: list[int] = []
    ended, close, back = threading.Event(), threading.Event(), threading.Event()

    class Fails(Source):
        """Fails in its first life."""

        def read(self) -> Iterator[Any]:
            lives.append(1)
            yield StreamStart("a", Caps("frames", width=16, height=8))
            yield frame("a", 0)
            if len(lives) > 1:
                back.wait(30)
            else:
                raise SourceError("a", "the cable is out")

        def interrupt(self) -> None:
            back.set()

        def close(self) -> None:
            assert close.wait(30)

    run = Run(Plan([Stream("a", Fails(), restart="on_error")], [Step(Mark())]))
    run.pipeline.tap("mark", lambda item: ended.set() if isinstance(item, StreamEnd) else None)

    def until(condition: Callable[[], object]) -> None:
        deadline = time.monotonic() + 20
        while not condition():
            assert time.monotonic() < deadline, run.readings()
            time.sleep(0.01)

    run.start()
    try:
        assert ended.wait(20)
        until(lambda: run.readings()[0].frames_out == 1 and run.readings()[0].state != "running")
        assert run.readings()[0].state == "reconnecting"
        close.set()
        until(lambda: run.streams.rows()["a"].state == "waiting")
        assert run.readings()[0].state == "reconnecting"
        run.streams.rows()["a"].due = 0.0
        run.streams.reconcile()
        until(lambda: run.readings()[0].state == "running" and run.readings()[0].frames_out == 2)
    finally:
        close.set()
        run.close()
    assert len(lives) == 2 and run.readings()[0].state == "ended" and run.summary().streams["a"].frames_out == 2
