"""The promises of the engine, one test each."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Any, ClassVar

import pytest
from toys import (
    WAIT,
    Collect,
    Count,
    Fail,
    Forever,
    Group,
    Note,
    Num,
    Overlap,
    Pairs,
    Pass,
    Sink,
    Slow,
    chain,
    run,
    starts_and_ends,
    until,
)

from millrace.core import (
    Caps,
    ConfigError,
    Context,
    Element,
    ElementError,
    Graph,
    MillraceError,
    Pipeline,
    SettingError,
    Source,
    SourceError,
    StreamEnd,
    StreamError,
    StreamStart,
    setting,
    state,
)


def test_order_and_drain_for_n_streams():
    sink = Sink()
    graph, _ = chain(Pass(), Note(), sink)
    run(Pipeline(graph), *(Count(stream=f"s{i}", count=200) for i in range(5)))
    for i in range(5):
        assert sink.indices(f"s{i}") == list(range(200))


def test_markers_keep_their_place_among_the_items():
    log: list[Any] = []
    graph, _ = chain(Pass(), Sink())
    pipeline = Pipeline(graph)
    pipeline.tap("e0", log.append)
    run(pipeline, Count(stream="a", count=3), Count(stream="b", count=3))
    starts_and_ends(log)
    mine = [item for item in log if item.stream == "a"]
    assert isinstance(mine[0], StreamStart) and isinstance(mine[-1], StreamEnd) and len(mine) == 5


def test_partial_batch_leaves_at_its_deadline():
    pairs, sink = Pairs(wait=0.05), Sink()
    graph, _ = chain(pairs, sink)
    pipeline = Pipeline(graph)
    source = Count(count=3, delay=0.0, live=True)
    slow = Forever(stream="b", delay=60.0)  # one item, then silence: the pair of it stays open
    pipeline.add_source("a", source, "e0")
    pipeline.add_source("b", slow, "e0")
    with pipeline:
        until(lambda: sum(len(group.frames) for group in sink.got) == 4)
        pipeline.drain()
        assert pipeline.wait(WAIT)
    assert pairs.deadline is None


def test_deadline_fires_for_a_single_item():
    sink = Sink()
    graph, _ = chain(Pairs(wait=0.05), sink)
    pipeline = Pipeline(graph)
    pipeline.add_source("a", Forever(delay=60.0), "e0")
    began = time.monotonic()
    with pipeline:
        until(lambda: sink.got)
        assert time.monotonic() - began >= 0.05
        assert len(sink.got[0].frames) == 1


class Several(Pairs):
    """Gives all that it holds when that is asked for, and need not be woken for each item."""

    due: bool = setting(default=False, live=True)

    def process(self, item: Num) -> Iterator[Group]:
        self.held.append(item)
        if self.deadline is None:
            self.deadline, self.enough = time.monotonic() + WAIT, 10
        yield from ()

    def apply(self, prepared: Any) -> None:
        self.deadline = time.monotonic()


def test_what_an_element_was_not_woken_for_comes_before_its_deadline():
    several, sink = Several(), Sink()
    graph, _ = chain(several, sink)
    pipeline = Pipeline(graph)
    pipeline.add_source("a", Forever(delay=60.0), "e0")
    with pipeline:
        until(lambda: several.held)
        for stream in ("b", "c"):
            pipeline.add_source(stream, Forever(stream=stream, delay=60.0), "e0")
        until(lambda: len(several.held) + sum(pipeline.stats()["e0"].waiting.values()) == 3)
        assert not sink.got
        pipeline.set("e0", due=True)
        until(lambda: sink.got)
        assert sorted(item.stream for item in sink.got[0].frames) == ["a", "b", "c"]


def test_peak_depth_stays_within_the_size():
    graph, _ = chain(Pass(), Slow(delay=0.001))
    stats = run(Pipeline(graph), Count(count=100)).stats()
    assert 1 <= stats["e1"].peak_depth <= Slow.queue + 1
    assert 1 <= stats["e0"].peak_depth <= Pass.queue + 1


def test_a_fast_stream_cannot_starve_or_evict_a_slow_one():
    sink = Sink(delay=0.0005)
    graph, _ = chain(sink)
    fast, slow = Count(stream="fast", count=400), Count(stream="slow", count=20, delay=0.005)
    stats = run(Pipeline(graph), fast, slow).stats()
    assert sink.indices("fast") == list(range(400))
    assert sink.indices("slow") == list(range(20))
    assert stats["e0"].peak_depth <= Sink.queue + 1


def test_live_sources_drop_at_their_door_and_nothing_else_does():
    graph, _ = chain(Slow(delay=0.005), sink := Sink())
    stats = run(Pipeline(graph), Count(stream="live", count=200, live=True), Count(stream="file", count=30)).stats()
    assert sink.indices("file") == list(range(30))
    got = sink.indices("live")
    assert got == sorted(got) and got[-1] == 199  # the newest is kept
    assert stats["e0"].drops == 200 - len(got) > 0
    assert stats["e1"].drops == 0


def test_an_error_names_the_element_stops_all_and_closes_all():
    first, last = Collect(), Sink()
    graph, _ = chain(first, Fail(at=5), last)
    with pytest.raises(ElementError, match=r"e1 \(stream a\): ValueError: bad item") as caught:
        run(Pipeline(graph), Count(count=1000))
    assert isinstance(caught.value.__cause__, ValueError)
    assert first.closed and last.closed
    assert last.log.count("end a") == 1


def test_skip_continues():
    graph, _ = chain(Pass(), Fail(at=5), sink := Sink(), on_error="skip")
    pipeline = run(Pipeline(graph), Count(count=10))
    assert sink.indices() == [0, 1, 2, 3, 4, 6, 7, 8, 9]
    assert pipeline.stats()["e1"].skipped == 1


def test_a_downstream_error_is_not_blamed_upstream():
    class Careful(Element):
        """Would notice if an error of others came through it."""

        def process(self, item: Any) -> Any:
            try:
                yield item
            except ValueError:
                raise AssertionError("blamed") from None

    graph, _ = chain(Careful(), Note(), Fail(at=2))
    with pytest.raises(ElementError, match=r"^e2 "):
        run(Pipeline(graph), Count())


def test_one_camera_dies_and_the_others_finish():
    graph, _ = chain(Pass(), sink := Sink())
    pipeline = run(
        Pipeline(graph),
        Count(stream="a", count=50),
        Count(stream="b", count=50, fail_at=7),
        Count(stream="c", count=50),
    )
    assert sink.indices("a") == sink.indices("c") == list(range(50))
    assert sink.indices("b") == list(range(7))
    assert [message.stream for message in pipeline.errors] == ["b"]
    assert "the camera died" in pipeline.errors[0].text
    assert pipeline.state == "stopped"


def test_a_source_that_never_starts_is_one_error_and_no_stream():
    class Dead(Source):
        """Cannot be opened."""

        stream: str = setting(default="dead")

        def read(self) -> Any:
            raise SourceError(self.stream, "no such file: rtsp://user:secret@host/x")
            yield

    graph, _ = chain(sink := Sink())
    pipeline = run(Pipeline(graph), Dead(), Count(stream="a"))
    assert len(pipeline.errors) == 1 and "secret" not in pipeline.errors[0].text
    assert sink.indices("a") == list(range(10)) and sink.log == ["start a", "end a"]


def test_stream_error_ends_that_stream_here_and_its_source():
    class Picky(Element):
        """Gives one stream up."""

        def process(self, item: Num) -> Any:
            if item.stream == "b" and item.index == 3:
                raise StreamError("b", "cannot decode this")
            yield item

    log: list[Any] = []
    graph, _ = chain(Pass(), picky := Picky(), sink := Sink())
    pipeline = Pipeline(graph)
    pipeline.tap("e1", log.append)
    run(pipeline, Count(stream="a", count=60), Forever(stream="b"))
    assert picky is not None
    starts_and_ends(log)
    assert sink.indices("b") == [0, 1, 2] and sink.indices("a") == list(range(60))
    assert [m.text for m in pipeline.errors] == ["e1: b: cannot decode this"]


def test_stream_error_in_a_bundle_takes_that_streams_frames_out():
    class Picky(Element):
        """Gives one stream up, frame by frame."""

        def process_frame(self, frame: Num) -> None:
            if frame.stream == "b" and frame.index == 3:
                raise StreamError("b", "no")

    graph, _ = chain(Pairs(), Picky(), sink := Sink())
    run(Pipeline(graph), Count(stream="a", count=20), Count(stream="b", count=20))
    frames = [frame for group in sink.got for frame in group.frames]
    assert [f.index for f in frames if f.stream == "a"] == list(range(20))
    assert [f.index for f in frames if f.stream == "b"] == [0, 1, 2]


@pytest.mark.parametrize("on_error", ["fail", "skip"])
def test_an_item_is_finished_after_its_frames_and_goes_on_whatever_fails(on_error: Any):
    class Careful(Element):
        log: ClassVar[list[Any]] = []

        def process_frame(self, frame: Num) -> None:
            self.log.append(frame.index)
            if frame.index == 1:
                raise StreamError("b", "no more") if frame.stream == "b" else ValueError("odd")

        def finish_item(self) -> None:
            self.log.append("finished")
            raise ValueError("full")

    class Three(Element):
        threaded = True

        def process(self, item: Num) -> Iterator[Group]:
            yield Group([Num("a", 0), Num("b", 1), Num("a", 1), Num("a", 2)])

    graph, _ = chain(Three(), careful := Careful(), sink := Sink(), on_error=on_error)
    pipeline = Pipeline(graph)
    if on_error == "skip":
        run(pipeline, Count(count=1))
        assert [[frame.index for frame in group.frames] for group in sink.got] == [[0, 2]]
        assert [m.text for m in pipeline.errors] == ["e1: b: no more"] and pipeline.stats()["e1"].skipped == 2
    else:
        with pytest.raises(ElementError, match="odd"):
            run(pipeline, Count(count=1))
    assert careful.log == [0, 1, 1, 2, "finished"]


@pytest.mark.parametrize("again", [False, True])
def test_a_stream_that_is_given_up_ends_behind_what_its_bundle_had_of_it(again: bool):
    class Picky(Element):
        def process_frame(self, frame: Num) -> None:
            if frame.index == 2 or (again and frame.index > 2):
                raise StreamError(frame.stream, "no more")

    class Six(Element):
        threaded = True

        def process(self, item: Num) -> Iterator[Group]:
            yield Group([Num("a", item.index * 6 + n) for n in range(6)])

    graph, _ = chain(Six(), Picky(), Sink())
    pipeline = Pipeline(graph)
    log: list[Any] = []
    pipeline.tap("e1", log.append)
    run(pipeline, Count(count=3))
    start, group, end = log
    assert isinstance(start, StreamStart) and isinstance(end, StreamEnd)
    assert [frame.index for frame in group.frames] == [0, 1]
    assert len(pipeline.errors) == 1


def stands_still(sink: Sink) -> bool:
    """Nothing came for a time in which a source that is not paused gives a hundred items."""
    count = len(sink.got)
    time.sleep(0.1)
    return len(sink.got) == count


def test_pause_gates_and_resume_continues():
    graph, _ = chain(Pass(), sink := Sink())
    pipeline = Pipeline(graph)
    pipeline.add_source("a", Forever(delay=0.001), "e0")
    with pipeline:
        until(lambda: len(sink.got) > 5)
        pipeline.pause()
        until(lambda: stands_still(sink))
        count = len(sink.got)
        pipeline.resume()
        until(lambda: len(sink.got) > count + 5)


def test_an_item_that_becomes_very_many_does_not_keep_a_paused_worker_from_a_change():
    class Many(Pass):
        """Yields more than may run over."""

        factor: int = setting(default=1, live=True)

        def process(self, item: Num) -> Iterator[Num]:
            for n in range(100):
                yield Num(item.stream, item.index * 100 + n)

    class Gated(Sink):
        gate: Any = state(threading.Event)

        def process(self, item: Num) -> Iterator[Num]:
            assert self.gate.wait(WAIT)
            yield from Sink.process(self, item)

    graph, _ = chain(many := Many(), sink := Gated())
    pipeline = Pipeline(graph)
    pipeline.add_source("a", Count(count=3), "e0")
    with pipeline:
        until(lambda: pipeline.stats()["e1"].depth > 32)  # soon it waits in its push
        pipeline.pause()
        change = threading.Thread(target=pipeline.set, args=("e0",), kwargs={"factor": 2}, daemon=True)
        change.start()
        change.join(5)
        assert not change.is_alive() and many.factor == 2
        pipeline.resume()
        sink.gate.set()
        assert pipeline.wait(WAIT)
    assert sink.indices() == list(range(300))


def test_stop_while_everyone_is_blocked_is_quick():
    class Stuck(Element):
        """Never ready."""

        threaded = True

        @property
        def ready(self) -> bool:
            return False

    graph, _ = chain(Pass(), Pass(), Stuck())
    pipeline = Pipeline(graph)
    for i in range(4):
        pipeline.add_source(f"s{i}", Forever(stream=f"s{i}"), "e0")
    pipeline.start()
    until(lambda: pipeline.stats()["e2"].peak_depth >= 4)
    time.sleep(0.05)
    began = time.monotonic()
    pipeline.stop()
    assert time.monotonic() - began < 5, "the bound is for a busy machine; it waits 30 s for who does not return"
    assert pipeline.state == "stopped"


def test_sources_come_and_go_and_their_state_is_freed():
    class Keyed(Element):
        """Holds state by stream."""

        def open(self, context: Context) -> None:
            self.counts: dict[str, int] = {}

        def process(self, item: Num) -> Any:
            self.counts[item.stream] = self.counts.get(item.stream, 0) + 1
            yield item

        def end_stream(self, stream: str) -> Any:
            self.counts.pop(stream, None)
            yield from ()

    graph, _ = chain(keyed := Keyed(), sink := Sink())
    pipeline = Pipeline(graph, keep_open=True)
    with pipeline:
        for i in range(20):
            pipeline.add_source(f"s{i}", Forever(stream=f"s{i}"), "e0")
            until(lambda i=i: len(sink.indices(f"s{i}")) > 3)
            pipeline.remove_source(f"s{i}")
        until(lambda: not keyed.counts)
        assert pipeline.sources() == []
        pipeline.drain()
        assert pipeline.wait(WAIT)
    assert sink.log.count("end s7") == 1


def test_remove_works_when_paused_and_when_blocked():
    class Gate(Element):
        """Opens when told."""

        threaded = True

        def open(self, context: Context) -> None:
            self.context, self.go = context, False

        @property
        def ready(self) -> bool:
            return self.go

    graph, _ = chain(gate := Gate(), sink := Sink())
    pipeline = Pipeline(graph, keep_open=True)
    pipeline.add_source("a", Forever(stream="a"), "e0")
    pipeline.add_source("b", Forever(stream="b"), "e0")
    with pipeline:
        until(lambda: pipeline.stats()["e0"].depth >= 8)
        pipeline.remove_source("a", timeout=WAIT)
        pipeline.pause()
        pipeline.remove_source("b", timeout=WAIT)
        pipeline.resume()
        gate.go = True
        gate.context.wake()
        until(lambda: sorted(sink.log) == ["end a", "end b", "start a", "start b"])


def test_new_caps_are_seen_and_equal_ones_are_not():
    class Changing(Source):
        """Repeats its caps, then changes them."""

        stream: str = setting(default="a")

        def read(self) -> Any:
            for width in (1, 1, 2):
                yield StreamStart("a", Caps("numbers", width=width))
                yield Num("a", width)

    graph, _ = chain(Pass(), sink := Sink())
    run(Pipeline(graph), Changing())
    assert sink.log == ["start a", "start a", "end a"]


def test_new_caps_come_after_what_was_held():
    class Changing(Source):
        """One item, then new caps."""

        stream: str = setting(default="a")

        def read(self) -> Any:
            yield StreamStart("a", Caps("numbers", width=1))
            yield Num("a", 0)
            yield StreamStart("a", Caps("numbers", width=2))
            yield Num("a", 1)

    log: list[Any] = []
    graph, _ = chain(Pairs(), Sink())
    pipeline = Pipeline(graph)
    pipeline.tap("e0", log.append)
    run(pipeline, Changing())
    assert [type(item).__name__ for item in log] == ["StreamStart", "Group", "StreamStart", "Group", "StreamEnd"]


def test_a_bundle_is_flushed_by_overlap_before_new_caps():
    class Changing(Source):
        """Changes its caps between items."""

        stream: str = setting(default="a")

        def read(self) -> Any:
            for index in range(20):
                yield StreamStart("a", Caps("numbers", width=index // 3))
                yield Num("a", index)

    seen: list[Any] = []
    graph, _ = chain(Pass(), Overlap(delay=0.002), Sink())
    pipeline = Pipeline(graph)
    pipeline.tap("e1", seen.append)
    run(pipeline, Changing())
    width = None
    for item in seen:
        if isinstance(item, StreamStart):
            width = item.caps["width"]
        elif isinstance(item, Num):
            assert item.index // 3 == width


def test_set_changes_a_setting_between_items():
    class Scale(Element):
        """Notes its factor twice; both must agree."""

        factor: int = setting(default=1, live=True)
        fixed: int = setting(default=1)

        def process(self, item: Num) -> Any:
            before = self.factor
            time.sleep(0.0005)
            assert before == self.factor
            item.notes.append(str(self.factor))
            yield item

    graph, _ = chain(Pass(), Scale(), sink := Sink())
    pipeline = Pipeline(graph)
    pipeline.add_source("a", Forever(delay=0.0005), "e0")
    with pipeline:
        for factor in range(2, 12):
            pipeline.set("e1", factor=factor)
            until(lambda f=factor: sink.got and sink.got[-1].notes == [str(f)])
        with pytest.raises(SettingError, match="cannot change while running"):
            pipeline.set("e1", fixed=3)
        with pytest.raises(SettingError, match="does not exist"):
            pipeline.set("e1", factr=3)
        with pytest.raises(ConfigError, match="did you mean 'e1'"):
            pipeline.set("e11", factor=3)


def test_an_open_failure_raises_from_start_and_nothing_leaks():
    class Broken(Element):
        """Cannot open."""

        threaded = True

        def open(self, context: Context) -> None:
            raise OSError("no such model")

    after = Sink()
    graph, _ = chain(Pass(), Broken(), after)
    pipeline = Pipeline(graph)
    pipeline.add_source("a", Forever(), "e0")
    with pytest.raises(ElementError, match="e1: OSError: no such model"):
        pipeline.start()
    assert after.closed and pipeline.state == "failed"
    pipeline.stop()


def test_a_pipeline_starts_once():
    graph, _ = chain(Sink())
    pipeline = run(Pipeline(graph), Count())
    with pytest.raises(MillraceError, match="starts once"):
        pipeline.start()


def test_a_pipeline_without_a_source_waits_for_drain():
    graph, _ = chain(sink := Sink())
    pipeline = Pipeline(graph)
    with pipeline:
        assert not pipeline.wait(0.05)
        pipeline.add_source("a", Count(), "e0")
        until(lambda: len(sink.got) == 10)
        assert not pipeline.wait(0.05)
        pipeline.drain()
        assert pipeline.wait(WAIT)


def test_drain_delivers_everything_that_was_sent():
    sent: list[Any] = []
    graph, _ = chain(Slow(delay=0.001), Overlap(), sink := Sink())
    pipeline = Pipeline(graph)
    pipeline.add_source("a", Forever(), "e0")
    with pipeline:
        pipeline.tap("e0", lambda item: sent.append(item) if isinstance(item, Num) else None)
        until(lambda: len(sink.got) > 10)
        pipeline.drain()
        assert pipeline.wait(WAIT)
    assert sink.indices() == list(range(len(sink.got))) and len(sink.got) >= len(sent)


def test_overlap_loses_nothing_and_keeps_order():
    overlap, sink = Overlap(delay=0.001), Sink()
    graph, _ = chain(Pass(), overlap, sink)
    run(Pipeline(graph), Count(stream="a", count=100), Count(stream="b", count=100))
    assert sink.indices("a") == sink.indices("b") == list(range(100))
    assert overlap.most == 2


def test_a_result_leaves_when_ready_without_another_item():
    graph, _ = chain(Overlap(delay=0.02), sink := Sink())
    pipeline = Pipeline(graph)
    pipeline.add_source("a", Forever(delay=60.0), "e0")
    with pipeline:
        until(lambda: sink.got)


def test_select_demultiplexes():
    graph = Graph()
    graph.add("in", Pass())
    a, b, groups = Sink(), Sink(), Sink()
    for name, sink in (("a", a), ("b", b)):
        graph.add(name, sink)
        graph.link("in", name, stream=name)
    graph.add("pairs", Pairs())
    graph.add("of_b", groups)
    graph.link("in", "pairs")
    graph.link("pairs", "of_b", stream="b")
    run(Pipeline(graph), Count(stream="a"), Count(stream="b"), Count(stream="c"))
    assert a.log == ["start a", "end a"] and a.indices("a") == list(range(10)) and not a.indices("b")
    assert b.indices("b") == list(range(10))
    assert [f.index for g in groups.got for f in g.frames] == list(range(10))
    assert {f.stream for g in groups.got for f in g.frames} == {"b"}


def test_tee_forks_metadata():
    graph = Graph()
    graph.add("in", Pass())
    sinks = []
    for i in range(3):
        graph.add(f"note{i}", Note(text=str(i)))
        graph.add(f"sink{i}", sink := Sink())
        graph.link("in", f"note{i}")
        graph.link(f"note{i}", f"sink{i}")
        sinks.append(sink)
    run(Pipeline(graph), Count(count=50))
    for i, sink in enumerate(sinks):
        assert sink.indices() == list(range(50))
        assert all(item.notes == [str(i)] for item in sink.got)


def test_a_late_branch_gets_the_stream_start_first():
    graph, _ = chain(Pass(), Sink())
    pipeline = Pipeline(graph)
    pipeline.add_source("a", Forever(delay=0.001), "e0")
    with pipeline:
        until(lambda: pipeline.stats()["e1"].items_in > 3)
        late = Sink()
        pipeline.add_target("e0", "late", late)
        until(lambda: len(late.got) > 3)
        assert late.log == ["start a"] and late.indices()[0] > 0
        pipeline.drain()
        assert pipeline.wait(WAIT)
    assert late.log == ["start a", "end a"]
    assert late.indices() == list(range(late.indices()[0], late.indices()[-1] + 1))


def test_stats_count_at_every_boundary():
    graph, _ = chain(Pass(), Slow(delay=0.002), Sink())
    stats = run(Pipeline(graph), Count(count=40)).stats()
    assert (stats["a"].items_out, stats["e0"].items_in, stats["e2"].items_out) == (40, 40, 40)
    assert stats["e1"].time_in >= 0.08
    assert stats["e0"].time_blocked > 0 and stats["e2"].time_idle > 0


def test_finish_ends_a_source_and_keeps_what_was_sent():
    class First(Element):
        """Wants three items of each stream."""

        def open(self, context: Context) -> None:
            self.context = context

        def process(self, item: Num) -> Any:
            if item.index < 3:
                yield item
            if item.index == 2:
                self.context.finish(item.stream)

    graph, _ = chain(First(), sink := Sink())
    run(Pipeline(graph), Forever(stream="a"), Forever(stream="b"))
    assert sink.indices("a") == sink.indices("b") == [0, 1, 2]


def test_expected_streams_are_announced_in_order_and_forgotten():
    class Expecting(Element):
        """Keeps what it is told to expect."""

        threaded = True

        def open(self, context: Context) -> None:
            self.told: list[tuple[str, ...]] = []

        def expect(self, streams: Any) -> None:
            self.told.append(tuple(streams))

    graph, _ = chain(expecting := Expecting())
    pipeline = Pipeline(graph, keep_open=True)
    for name in "cab":
        pipeline.add_source(name, Count(stream=name), "e0")
    with pipeline:
        until(lambda: not pipeline.sources() and not pipeline._roll)
        pipeline.add_source("d", Count(stream="d"), "e0")
        until(lambda: expecting.told[-1] == ("d",))
    assert expecting.told[0] == ("c", "a", "b")


def test_wanted_streams_come_first():
    class Turns(Element):
        """Takes turns between its streams."""

        threaded = True

        def open(self, context: Context) -> None:
            self.order: list[str] = []
            self.open_streams: list[str] = []

        def expect(self, streams: Any) -> None:
            self.open_streams = list(streams)
            self.wanted = frozenset(self.open_streams[:1])

        def process(self, item: Num) -> Any:
            self.order.append(item.stream)
            self.turn()
            yield item

        def turn(self) -> None:
            self.open_streams.append(self.open_streams.pop(0))
            self.wanted = frozenset(self.open_streams[:1])

        def end_stream(self, stream: str) -> Any:
            self.open_streams.remove(stream)
            self.wanted = frozenset(self.open_streams[:1])
            yield from ()

    class Split(Pass):
        """Two threads, so that streams overtake each other."""

        partitioned = True
        workers: int = setting(default=2)

    for _ in range(3):
        graph, _ = chain(Split(), turns := Turns())
        sources = [Count(stream="x", count=30, delay=0.001), Count(stream="y", count=30), Count(stream="z", count=30)]
        run(Pipeline(graph), *sources)
        assert turns.order == ["x", "y", "z"] * 30


def test_no_threads_for_a_pipeline_that_never_starts():
    before = threading.active_count()
    graph, _ = chain(Sink())
    pipeline = Pipeline(graph)
    pipeline.add_source("a", Count(), "e0")
    pipeline.stop()
    assert threading.active_count() == before and pipeline.state == "stopped"
