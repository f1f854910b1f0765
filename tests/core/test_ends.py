"""Streams and threads that end in unusual ways: nobody may wait for them, nothing may stay behind."""

from __future__ import annotations

import contextlib
import functools
import threading
import time
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import pytest
from toys import WAIT, Collect, Count, Forever, Group, Num, Pairs, Pass, Sink, Slow, chain, run, until

from millrace.core import (
    Caps,
    Channel,
    ConfigError,
    Context,
    Element,
    Graph,
    MillraceError,
    Pipeline,
    Source,
    StreamEnd,
    StreamError,
    StreamStart,
    setting,
    state,
)
from millrace.elements.batch import Batch
from millrace.media import Frame


class Frames(Source):
    """Frames without pictures."""

    stream: str = setting(default="a")
    count: int = setting(default=10)
    live: bool = setting(default=False)

    def read(self) -> Iterator[Any]:
        yield StreamStart(self.stream, Caps("frames"), live=self.live)
        for index in range(self.count):
            yield Frame(self.stream, index, index, None)


class Silent(Source):
    """Never starts its stream, or fails before it does."""

    stream: str = setting(default="silent")
    error: Any = setting(default=None)
    hang: bool = setting(default=False)

    def open(self, context: Context) -> None:
        self.stopped = threading.Event()

    def read(self) -> Iterator[Any]:
        if self.error is not None:
            raise self.error
        if self.hang:
            self.stopped.wait(WAIT)
        yield from ()

    def interrupt(self) -> None:
        self.stopped.set()


class Refuse(Element):
    """Does not take one stream."""

    stream: str = setting(default="b")

    def start_stream(self, start: StreamStart) -> StreamStart:
        if start.stream == self.stream:
            raise StreamError(start.stream, "not this one")
        return start


def batched(*before: Element) -> tuple[Graph, Sink]:
    graph, _ = chain(*before, Batch(size=2), sink := Sink())
    return graph, sink


def seen(sink: Sink, stream: str) -> list[int]:
    return [frame.index for batch in sink.got for frame in batch.frames if frame.stream == stream]


@pytest.mark.parametrize("threaded", [False, True])
def test_a_batch_does_not_wait_for_a_stream_that_was_refused_before_it(threaded: bool):
    refuse = Refuse()
    graph, sink = batched(refuse, *([Pass()] if threaded else []))
    pipeline = run(Pipeline(graph), Frames(stream="a"), Frames(stream="b"), Frames(stream="c"))
    assert seen(sink, "a") == seen(sink, "c") == list(range(10)) and not seen(sink, "b")
    assert [message.stream for message in pipeline.errors] == ["b"]


@pytest.mark.parametrize("error", [None, OSError("no camera")])
def test_a_batch_does_not_wait_for_a_source_that_never_starts(error: Any):
    graph, sink = batched()
    run(Pipeline(graph), Frames(stream="a"), Silent(error=error), Frames(stream="c"))
    assert seen(sink, "a") == seen(sink, "c") == list(range(10))


def test_a_batch_does_not_wait_for_a_source_that_is_removed_before_it_starts():
    graph, sink = batched()
    pipeline = Pipeline(graph)
    pipeline.add_source("a", Frames(stream="a"), "e0")
    pipeline.add_source("silent", Silent(hang=True), "e0")
    pipeline.add_source("gone", Frames(stream="gone"), "e0")
    pipeline.remove_source("gone")
    with pipeline:
        pipeline.remove_source("silent")
        assert pipeline.wait(WAIT)
    assert seen(sink, "a") == list(range(10))


def test_a_batch_waits_only_for_streams_that_can_reach_it():
    graph = Graph()
    graph.add("in", Pass())
    graph.add("other", Sink())
    graph.add("batch", Batch(size=2))
    graph.add("sink", sink := Sink())
    graph.link("in", "batch", stream="a")
    graph.link("batch", "sink")
    pipeline = Pipeline(graph)
    pipeline.add_source("x", Frames(stream="x"), "other")  # another way in
    run(pipeline, Frames(stream="a"), Frames(stream="b"))
    assert seen(sink, "a") == list(range(10))


def test_a_stream_that_comes_back_is_waited_for_again_and_forgotten_again():
    graph, sink = batched()
    pipeline = Pipeline(graph, keep_open=True)
    with pipeline:
        for round_ in range(30):
            for name in "ab":
                pipeline.add_source(name, Frames(stream=name, count=2), "e0")
            until(lambda: not pipeline.sources())
            assert round_ >= 0
        until(lambda: len(seen(sink, "a")) == len(seen(sink, "b")) == 60)
        until(lambda: not pipeline._roll)
        pipeline.drain()
        assert pipeline.wait(WAIT)
    batch = graph.nodes["e0"].element
    assert not batch.turns and not batch.started and not batch.held


def test_a_source_that_is_removed_before_the_start_is_no_sender():
    graph, _ = chain(sink := Sink())
    pipeline = Pipeline(graph)
    pipeline.add_source("a", Count(), "e0")
    pipeline.add_source("b", Forever(stream="b"), "e0")
    pipeline.remove_source("b")
    with pipeline:
        assert pipeline.wait(WAIT)
    assert sink.log == ["start a", "end a"]


def test_a_source_that_is_added_while_the_pipeline_ends_is_refused_or_read():
    for attempt in range(60):
        graph, _ = chain(sink := Sink())
        pipeline = Pipeline(graph)
        pipeline.add_source("a", Count(count=1 + attempt % 7), "e0")
        with pipeline:
            until(lambda: sink.log)
            try:
                pipeline.add_source("b", Count(stream="b", count=20), "e0")
            except MillraceError:
                continue
            finally:
                assert pipeline.wait(WAIT), attempt
        assert sink.indices("b") == list(range(20))


def test_an_ended_channel_takes_no_more_senders():
    from millrace.core.errors import Closed

    channel = Channel()
    channel.add_sender()
    assert not channel.exhausted()
    channel.push(Num("a", 0))
    channel.remove_sender()
    assert not channel.exhausted()
    channel.take()
    channel.add_sender()  # it had not noticed yet
    channel.remove_sender()
    assert channel.exhausted()
    with pytest.raises(Closed):
        channel.add_sender()


def test_a_branch_is_added_while_running_only():
    graph, _ = chain(Pass(), Sink())
    pipeline = Pipeline(graph)
    pipeline.add_source("a", Count(), "e0")
    with pytest.raises(MillraceError, match="idle"):
        pipeline.add_target("e0", "late", Sink())
    with pipeline:
        pipeline.drain()
        assert pipeline.wait(WAIT)
    with pytest.raises(MillraceError, match="stopped"):
        pipeline.add_target("e0", "late", Sink())
    assert "late" not in graph.nodes


def test_a_branch_added_while_the_pipeline_ends_ends_too():
    for _ in range(40):
        graph, _ = chain(Pass(), sink := Sink())
        pipeline = Pipeline(graph)
        pipeline.add_source("a", Count(count=3), "e0")
        late = Sink()
        with pipeline:
            until(lambda sink=sink: sink.log)
            with contextlib.suppress(MillraceError):
                pipeline.add_target("e0", "late", late)
            assert pipeline.wait(WAIT)
        assert late.log in ([], ["start a", "end a"])


def test_a_branch_that_cannot_open_leaves_nothing():
    class Broken(Element):
        """Cannot open."""

        def open(self, context: Context) -> None:
            raise OSError("no disk")

    graph, _ = chain(Pass(), Sink())
    pipeline = Pipeline(graph)
    pipeline.add_source("a", Forever(delay=0.001), "e0")
    with pipeline:
        with pytest.raises(MillraceError, match="no disk"):
            pipeline.add_target("e0", "late", Broken())
        pipeline.add_target("e0", "late", late := Sink())
        until(lambda: late.got)
        pipeline.drain()
        assert pipeline.wait(WAIT)


def test_set_after_the_end_is_an_error_and_no_wait():
    class Scale(Element):
        """Has a setting."""

        factor: int = setting(default=1, live=True)

    graph, _ = chain(Scale())
    pipeline = Pipeline(graph)
    pipeline.stop()
    with pytest.raises(MillraceError, match="stopped"):
        pipeline.set("e0", factor=2)


def test_a_listener_may_ask_and_stop_and_fail():
    for what in ("stats", "stop", "raise"):
        graph, _ = chain(Pass(), Slow(delay=0.0005), Sink())
        pipeline = Pipeline(graph)
        for name in "abcd":
            pipeline.add_source(name, Forever(stream=name), "e0")
        heard: list[str] = []

        def hear(message: Any, pipeline: Pipeline = pipeline, heard: list[str] = heard, what: str = what) -> None:
            heard.append(message.text)
            if what == "raise":
                raise ValueError("a bad listener")
            if what == "stats" or message.kind == "state":
                pipeline.stats()
            elif "enough" in message.text:
                pipeline.stop()

        with pipeline:
            pipeline.bus.subscribe(hear)
            node = pipeline._plant.nodes["e1"][0]
            warn = functools.partial(pipeline.warned, node, "enough", None)
            thread = threading.Thread(target=lambda warn=warn: [warn() for _ in range(50)])
            thread.start()
            for _ in range(50):
                pipeline.pause()
                pipeline.resume()
            thread.join(WAIT)
            began = time.monotonic()
            pipeline.stop()
            assert time.monotonic() - began < 5
            assert pipeline.wait(WAIT)
        assert "stopped" in heard


def test_stop_is_no_error_of_a_source_that_is_interrupted():
    class Camera(Silent):
        """Its read fails when it is interrupted."""

        def read(self) -> Iterator[Any]:
            yield StreamStart(self.stream, Caps("numbers"))
            self.stopped.wait(WAIT)
            raise OSError("cancelled")

        def interrupt(self) -> None:
            super().interrupt()
            raise RuntimeError("nothing to interrupt")

    for ending in ("stop", "drain"):
        graph, _ = chain(sink := Sink())
        pipeline = Pipeline(graph)
        pipeline.add_source("silent", Camera(), "e0")
        pipeline.add_source("a", Forever(delay=0.001), "e0")
        with pipeline:
            until(lambda sink=sink: len(sink.log) == 2)
            getattr(pipeline, ending)()
            assert pipeline.wait(WAIT)
        assert not pipeline.errors


def test_a_source_added_live_that_cannot_open_is_one_error():
    class Broken(Silent):
        """Cannot open."""

        def open(self, context: Context) -> None:
            raise OSError("no such camera")

        def interrupt(self) -> None: ...

    graph, sink = batched()
    pipeline = Pipeline(graph, keep_open=True)
    with pipeline:
        pipeline.add_source("silent", Broken(), "e0")
        until(lambda: pipeline.errors)
        assert "no such camera" in pipeline.errors[0].text
        pipeline.add_source("a", Frames(), "e0")
        until(lambda: seen(sink, "a") == list(range(10)))
        pipeline.drain()
        assert pipeline.wait(WAIT)


def test_a_source_whose_end_fails_has_ended():
    class Leaky(Source):
        """Fails while it cleans up."""

        stream: str = setting(default="a")

        def read(self) -> Iterator[Any]:
            yield StreamStart(self.stream, Caps("numbers"))
            try:
                while True:
                    yield Num(self.stream, 0)
            finally:
                raise OSError("cannot close")

    graph, _ = chain(sink := Sink())
    pipeline = Pipeline(graph)
    pipeline.add_source("a", Leaky(), "e0")
    with pipeline:
        until(lambda: sink.got)
        pipeline.drain()
        assert pipeline.wait(WAIT)
    assert sink.log == ["start a", "end a"]


@pytest.mark.parametrize("guest", [True, False])
def test_a_source_that_cannot_be_closed_leaves_the_others_alone(guest: bool):
    class Stuck(Count):
        def close(self) -> None:
            raise OSError("cannot close")

    graph, _ = chain(sink := Sink())
    pipeline = run(Pipeline(graph), Stuck(count=3, guest=guest), Count(stream="b", count=50, delay=0.001))
    assert sink.indices("a") == [0, 1, 2] and sink.indices("b") == list(range(50))
    assert [(error.stream, error.text) for error in pipeline.errors] == [("a", "a: OSError: cannot close")]


def test_guests_whose_end_fails_while_all_stops_leave_nobody_waiting():
    class Leaky(Forever):
        def read(self) -> Iterator[Any]:
            try:
                yield from super().read()
            finally:
                raise OSError("cannot end")

    graph, _ = chain(sink := Sink())
    pipeline = Pipeline(graph)
    for name in "abc":
        pipeline.add_source(name, Leaky(stream=name, guest=True, delay=0.0005), "e0")
    pipeline.start()
    until(lambda: len(sink.got) > 10)
    pipeline._plant.workers["e0"][0].cancel()  # a moment before its guests are
    assert pipeline.wait(WAIT)
    assert pipeline.sources() == [] and pipeline.failure is None
    pipeline.stop()


def test_no_source_is_added_to_a_pipeline_that_stops():
    """It would not learn that it should stop, and could wait for the world for ever."""

    class Closing(Sink):
        def close(self) -> None:
            closing.set()
            assert closed.wait(WAIT)

    closing, closed = threading.Event(), threading.Event()
    graph, _ = chain(Closing())
    pipeline = Pipeline(graph, keep_open=True)
    pipeline.start()
    thread = threading.Thread(target=pipeline.stop)
    thread.start()
    try:
        assert closing.wait(WAIT)
        with pytest.raises(MillraceError, match="no source can be added"):
            pipeline.add_source("silent", Silent(hang=True), "e0")
    finally:
        closed.set()
        thread.join(WAIT)
    assert pipeline.wait(WAIT)


@pytest.mark.parametrize("guest", [True, False])
def test_a_source_is_removed_while_the_pipeline_starts(guest: bool):
    class Opening(Sink):
        def open(self, context: Context) -> None:
            opening.set()
            assert go_on.wait(WAIT)

    opening, go_on = threading.Event(), threading.Event()
    graph, _ = chain(sink := Opening())
    pipeline = Pipeline(graph, keep_open=True)
    pipeline.add_source("a", Forever(guest=guest, delay=0.001), "e0")
    thread = threading.Thread(target=pipeline.start)
    thread.start()
    try:
        assert opening.wait(WAIT)
        with pytest.raises(MillraceError, match="did not end within"):
            pipeline.remove_source("a", 0.01)
        go_on.set()
        with contextlib.suppress(ConfigError):  # it has ended since
            pipeline.remove_source("a", WAIT)
        assert pipeline.sources() == []
    finally:
        go_on.set()
        thread.join(WAIT)
        pipeline.stop()
    assert not sink.got


def test_a_source_comes_to_an_entry_that_had_none_while_others_read():
    graph = Graph()
    for name in ("left", "right"):
        graph.add(name, sink := Sink())
    pipeline = Pipeline(graph)
    pipeline.add_source("a", Forever(delay=0.001), "left")
    with pipeline:
        until(lambda: pipeline.stats()["left"].items_in > 5)
        pipeline.add_source("b", Count(stream="b", count=5), "right")
        until(lambda: pipeline.sources() == ["a"])
        pipeline.remove_source("a")
        assert pipeline.wait(WAIT)
        with pytest.raises(MillraceError, match="stopped"):
            pipeline.add_source("c", Count(stream="c"), "right")
    assert sink.indices("b") == list(range(5))


def test_ctrl_c_while_starting_leaves_no_thread():
    class Interrupted(Sink):
        """Ctrl+C comes while it opens."""

        def open(self, context: Context) -> None:
            raise KeyboardInterrupt

    before = threading.active_count()
    graph, _ = chain(Interrupted(), after := Sink())
    pipeline = Pipeline(graph)
    pipeline.add_source("a", Forever(), "e0")
    with pytest.raises(KeyboardInterrupt):
        pipeline.start()
    assert after.closed and threading.active_count() == before


def test_a_drain_while_starting_is_not_lost():
    class Opening(Sink):
        """Takes its time to open."""

        def open(self, context: Context) -> None:
            began.set()
            time.sleep(0.05)

    began = threading.Event()
    graph, _ = chain(Opening())
    pipeline = Pipeline(graph, keep_open=True)
    thread = threading.Thread(target=lambda: (began.wait(WAIT), pipeline.drain()))
    thread.start()
    with pipeline:
        assert pipeline.wait(WAIT)
    thread.join(WAIT)


def test_skip_at_the_start_of_a_stream_refuses_that_stream():
    class Picky(Element):
        """Fails at one start."""

        def start_stream(self, start: StreamStart) -> StreamStart:
            if start.stream == "b":
                raise ValueError("bad caps")
            return start

    log: list[Any] = []
    graph, _ = chain(Picky(), sink := Sink(), on_error="skip")
    pipeline = Pipeline(graph)
    pipeline.tap("e0", log.append)
    run(pipeline, Count(stream="a"), Count(stream="b"))
    assert {item.stream for item in log} == {"a"} and sink.indices("a") == list(range(10))


def test_a_bundle_that_lost_all_its_frames_does_not_go_on():
    class Drop(Element):
        """Fails on everything."""

        def process_frame(self, frame: Num) -> None:
            raise ValueError("no")

    graph, _ = chain(Pairs(), Drop(), sink := Sink(), on_error="skip")
    run(Pipeline(graph), Count(count=4))
    assert sink.got == []


def test_an_error_in_expect_fails_the_pipeline():
    class Bad(Pass):
        """Expects nothing."""

        def expect(self, streams: Any) -> None:
            raise ValueError("unexpected")

    graph, _ = chain(Bad())
    with pytest.raises(MillraceError, match="unexpected"):
        run(Pipeline(graph), Forever())


def test_a_deadline_that_is_not_set_anew_fires_once():
    class Lazy(Pass):
        """Forgets to clear its deadline."""

        calls = 0

        def process(self, item: Num) -> Iterator[Num]:
            self.deadline = time.monotonic() + 0.01
            yield item

        def on_deadline(self) -> Iterator[Num]:
            self.calls += 1
            yield from ()

    graph, _ = chain(lazy := Lazy())
    pipeline = Pipeline(graph)
    pipeline.add_source("a", Forever(delay=60.0), "e0")
    with pipeline:
        until(lambda: lazy.calls)
        time.sleep(0.05)
        assert lazy.calls == 1


def test_a_bug_in_a_tap_still_ends_every_stream_and_the_pipeline():
    def bad(item: Any) -> None:
        raise SystemExit(3)

    graph, _ = chain(first := Collect(), sink := Sink())
    pipeline = Pipeline(graph)
    pipeline.tap("e0", bad)
    pipeline.add_source("a", Forever(), "e0")
    with pytest.raises(MillraceError, match="SystemExit"), pipeline:
        pipeline.wait(WAIT)
    assert first.closed and sink.closed and first.log == ["start a", "end a"]


def test_no_state_is_kept_of_thousands_of_streams():
    graph, _ = chain(Collect(), Batch(size=1), sink := Sink())
    pipeline = Pipeline(graph, keep_open=True)
    with pipeline:
        for number in range(1500):
            name = f"s{number}"
            pipeline.add_source(name, Frames(stream=name, count=1), "e0")
            if number % 16 == 0:
                until(lambda: not pipeline.sources())
        until(lambda: len(sink.log) == 3000)
        until(lambda: not pipeline._roll)
        nodes = [node for group in pipeline._plant.nodes.values() for node in group]
        assert not any(n.started or n.open_streams or n.refused for n in nodes)
        pipeline.drain()
        assert pipeline.wait(WAIT)


class Held(Element):
    """Holds the first life of a stream until it is let go, and then wants no more of it."""

    threaded = True
    how: str = setting(default="process")
    came: Any = state(threading.Event)
    go: Any = state(threading.Event)
    lives: int = state(int)

    def open(self, context: Context) -> None:
        self.context = context

    def start_stream(self, start: StreamStart) -> StreamStart:
        self.lives += 1
        return start

    def process(self, item: Num) -> Iterator[Num]:
        if self.lives == 1:
            self.came.set()
            assert self.go.wait(WAIT)
            if self.how == "process":
                raise StreamError(item.stream, "too late")
            if self.how == "finish":
                self.context.finish(item.stream)
        item.notes.append(str(self.lives))
        yield item

    def end_stream(self, stream: str) -> Iterator[Num]:
        if self.lives == 1 and self.how == "end":
            raise StreamError(stream, "too late")
        yield from ()


@pytest.mark.parametrize("how", ["process", "finish", "end"])
def test_what_is_said_of_the_earlier_life_of_a_stream_ends_not_its_new_one(how: str):
    graph, _ = chain(Pass(), held := Held(how=how), sink := Sink())
    pipeline = Pipeline(graph, keep_open=True)
    pipeline.add_source("a", Forever(delay=0.001), "e0")
    with pipeline:
        assert held.came.wait(WAIT)
        pipeline.remove_source("a", WAIT)
        pipeline.add_source("a", Count(count=50), "e0")
        held.go.set()
        until(lambda: not pipeline.sources())
        pipeline.drain()
        assert pipeline.wait(WAIT)
    assert [item.index for item in sink.got if item.notes == ["2"]] == list(range(50))
    assert not pipeline._roll


def test_a_bundle_that_is_waited_for_passes_single_items_that_wait():
    graph = Graph()
    for name, element in {"bundles": Batch(size=2), "singles": Pass(), "meet": Pass(), "batch": Batch(size=4)}.items():
        graph.add(name, element)
    graph.add("sink", sink := Sink())
    for before, after in [("bundles", "meet"), ("singles", "meet"), ("meet", "batch"), ("batch", "sink")]:
        graph.link(before, after)
    pipeline = Pipeline(graph)
    pipeline.add_source("x", Count(stream="x", count=10, delay=0.01), "bundles")
    pipeline.add_source("y", Count(stream="y", count=50), "singles")
    with pipeline:
        assert pipeline.wait(WAIT), pipeline.stats()
    got = [frame for batch in sink.got for frame in batch.frames]
    for name, count in {"x": 10, "y": 50}.items():
        assert [frame.index for frame in got if frame.stream == name] == list(range(count))


class Apart(Element):
    """Takes bundles apart."""

    threaded = True

    def process(self, item: Any) -> Iterator[Num]:
        yield from item.frames if item.stream is None else [item]


@pytest.mark.parametrize("unpacked", [False, True])
def test_single_items_that_are_waited_for_pass_bundles_that_wait(unpacked: bool):
    """Items that were never in a bundle, or were taken out of one on their way."""
    graph = Graph()
    singles = {"singles": Batch(size=1), "unpack": Apart()} if unpacked else {"singles": Pass()}
    for name, element in {"bundles": Batch(size=2), **singles, "meet": Apart(), "batch": Batch(size=4)}.items():
        graph.add(name, element)
    graph.add("sink", sink := Sink())
    for before, after in pairwise([*singles, "meet", "batch", "sink"]):
        graph.link(before, after)
    graph.link("bundles", "meet")
    pipeline = Pipeline(graph)
    pipeline.add_source("x", Count(stream="x", count=50), "bundles")
    pipeline.add_source("y", Count(stream="y", count=10, delay=0.01), "singles")
    with pipeline:
        assert pipeline.wait(WAIT), pipeline.stats()
    got = [frame for batch in sink.got for frame in batch.frames]
    for name, count in {"x": 50, "y": 10}.items():
        assert [frame.index for frame in got if frame.stream == name] == list(range(count))


def test_markers_do_not_overtake_bundles_and_bundles_do_not_overtake_their_streams():
    channel = Channel(size=10)
    channel.push(StreamStart("a", Caps("numbers")))
    channel.push(Num("b", 0))
    channel.push(Group([Num("a", 0), Num("b", 1)]))
    channel.push(StreamEnd("a"))
    channel.push(Num("c", 0))
    assert isinstance(channel.take(), StreamStart)
    assert channel.take(admits=lambda s, of=(): s not in (None, "b")).stream == "c"
    assert channel.take(admits=lambda s, of=(): s not in (None, "b")) is None
    assert channel.take(admits=lambda s, of=(): s != "b") is None  # the bundle has a frame of b
    assert channel.take().stream == "b"
    assert isinstance(channel.take(), Group) and isinstance(channel.take(), StreamEnd)


def test_an_error_of_a_tap_names_the_element_that_it_is_at_and_the_stream():
    def bad(item: Any) -> None:
        raise AttributeError("no such thing")

    graph, _ = chain(Collect(), Pass(), Collect(), Collect())
    pipeline = Pipeline(graph)
    pipeline.tap("e2", bad)
    pipeline.add_source("a", Count(), "e0")
    with pytest.raises(MillraceError, match=r"^e2 \(stream a\): a tap failed: AttributeError: no such thing"), pipeline:
        pipeline.wait(WAIT)


def test_what_fails_after_the_pipeline_is_told_once_by_each_element():
    class Unclosed(Collect):
        def end_stream(self, stream: str) -> Iterator[Any]:
            raise OSError(f"{stream} has no trailer")

    class Broken(Element):
        def process_frame(self, frame: Any) -> None:
            if frame.index == 3:
                raise ValueError("bad item")

    graph, _ = chain(Unclosed(), Pass(), Broken())
    pipeline, told = Pipeline(graph), list[tuple[str, str]]()
    pipeline.bus.subscribe(
        lambda message: told.append((message.element, message.text)) if message.kind == "warning" else None
    )
    for name in ("a", "b"):
        pipeline.add_source(name, Forever(stream=name), "e0")
    with pytest.raises(MillraceError, match="bad item"), pipeline:
        pipeline.wait(WAIT)
    ((element, text),) = told
    assert element == "e0" and "has no trailer; the pipeline had failed before" in text
    assert [message.element for message in pipeline.errors] == ["e2"]


def test_sys_exit_in_a_listener_is_logged_and_everything_ends(caplog: pytest.LogCaptureFixture):
    def hear(message: Any) -> None:
        if message.kind == "error":
            raise SystemExit(1)

    class Broken(Element):
        def process_frame(self, frame: Any) -> None:
            raise ValueError("bad item")

    graph, _ = chain(Pass(), Broken(), Sink())
    pipeline = Pipeline(graph)
    pipeline.bus.subscribe(hear)
    for name in ("a", "b"):
        pipeline.add_source(name, Forever(stream=name), "e0")
    with pytest.raises(MillraceError, match="bad item"), pipeline:
        assert pipeline.wait(WAIT), "it never ended"
    assert "a listener of the bus failed" in caplog.text


@pytest.mark.parametrize("guest", [False, True])
def test_sys_exit_while_closing_ends_the_pipeline_with_an_error(guest: bool):
    class Exits(Collect):
        def close(self) -> None:
            raise SystemExit(4)

    class Source(Count):
        def close(self) -> None:
            raise SystemExit(5)

    for source, first, error in [
        (Source(guest=guest), Collect(), "a: SystemExit: 5"),
        (Count(guest=guest), Exits(), "e0: SystemExit: 4"),
    ]:
        graph, _ = chain(first, sink := Sink())
        pipeline = Pipeline(graph)
        pipeline.add_source("a", source, "e0")
        with pytest.raises(MillraceError, match=error), pipeline:
            assert pipeline.wait(WAIT), "it never ended"
        assert sink.closed


def test_sys_exit_in_a_call_is_raised_where_it_was_waited_for():
    class Applies(Pass):
        level: int = setting(default=0, live=True)

        def apply(self, prepared: Any) -> None:
            raise SystemExit(6)

    graph, _ = chain(Applies(), Sink())
    pipeline = Pipeline(graph)
    pipeline.add_source("a", Forever(), "e0")
    with pipeline:
        with pytest.raises(SystemExit):
            pipeline.set("e0", level=2)
        assert pipeline.state == "running"


@pytest.mark.parametrize("guest", [False, True])
def test_what_a_source_gives_that_is_no_item_is_its_own_error_and_the_others_go_on(guest: bool):
    class Wrong(Count):
        def read(self) -> Iterator[Any]:
            yield StreamStart(self.stream, Caps("numbers"))
            yield 5

    graph, _ = chain(sink := Sink())
    pipeline = run(Pipeline(graph), Wrong(stream="a", guest=guest), Count(stream="b", guest=guest))
    assert [(message.element, message.text) for message in pipeline.errors] == [
        ("a", "a: AttributeError: 'int' object has no attribute 'droppable'")
    ]
    assert sink.indices("b") == list(range(10))
