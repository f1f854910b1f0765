"""Bundles of several ways in one channel, and pipelines where such are taken apart before a batch."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Any

import pytest
from test_ends import Apart
from test_join import Merge
from toys import WAIT, Count, Group, Num, Pass, Sink, Slow, chain, until

from millrace.core import Caps, Channel, Context, Element, Graph, Pipeline, StreamEnd, StreamStart, setting
from millrace.core.bundles import Admits
from millrace.core.channel import BEHIND, OVERRUN
from millrace.core.join import Parts, Window
from millrace.core.link import Link
from millrace.core.signal import Signal
from millrace.elements.batch import Batch


def channel_of(ways: int, *items: Any, size: int = 10) -> Channel:
    channel = Channel(size=size)
    for _ in range(ways):
        channel.add_sender()
    for item in items:
        channel.push(item)
    return channel


def bundle(streams: str) -> Group:
    return Group([Num(stream, 0) for stream in streams])


def streams(item: Any) -> Any:
    """What a bundle is made of, or the kind of a marker."""
    return "".join(frame.stream for frame in item.frames) if isinstance(item, Group) else type(item)


def room_but_for(full: str) -> Admits:
    """Admits all but what has something of these streams."""
    return lambda stream, of=(): not {stream, *of} & set(full)


def test_a_bundle_that_has_no_room_is_passed_where_ways_meet():
    channel = channel_of(2, bundle("ab"), StreamEnd("a"), bundle("bc"), bundle("de"), bundle("e"))
    assert streams(channel.take(admits=room_but_for("a"))) == "de", "nothing passes what has something of its stream"
    assert streams(channel.take(admits=room_but_for("a"))) == "e"
    assert channel.take(admits=room_but_for("a")) is None
    rest = [channel.take() for _ in range(3)]
    assert [streams(item) for item in rest] == ["ab", StreamEnd, "bc"], "the others have kept their places"


def test_bundles_of_one_way_stay_in_its_order():
    channel = channel_of(1, bundle("a"), bundle("b"))
    assert channel.take(admits=room_but_for("a")) is None
    assert streams(channel.take()) == "a"


def test_a_bundle_is_not_passed_where_its_room_came_while_others_were_asked_for_theirs():
    channel = channel_of(2, bundle("a"), bundle("b"), bundle("c"))
    asked: list[str] = []

    def admits(stream: str | None, of: Iterable[str] = ()) -> bool:
        asked.extend(of)
        return len(asked) > 1

    assert streams(channel.take(admits=admits)) == "a" and asked == ["a", "b", "a"]


def test_what_keeps_a_bundle_back_that_may_pass_comes_though_it_is_not_wanted():
    channel = channel_of(2, bundle("a"), StreamEnd("a"), StreamEnd("b"), bundle("bc"))
    wanted, admits = frozenset({"c"}), room_but_for("a")
    assert channel.take(wanted, admits).stream == "b"
    assert streams(channel.take(wanted, admits)) == "bc"
    assert channel.take(wanted, admits) is None


@pytest.mark.parametrize("asked", [{"stream": None, "of": "cd"}, {"stream": "c"}])
def test_a_full_channel_whose_reader_rests_has_room_for_one_bundle_of_other_streams(asked: dict[str, Any]):
    channel = channel_of(2, bundle("ab"), size=1)
    signal = Signal()
    assert not channel.room(**asked, waiter=signal), "its reader has not looked yet"
    assert channel.take(admits=room_but_for("a")) is None
    assert signal.wait(WAIT) and channel.room(**asked, waiter=signal)
    assert not channel.room(None, signal, of="bc") and not channel.room("b", signal), "b has something there"
    channel.push(bundle("cd"))
    assert not channel.room(**asked, waiter=signal), "its reader has to look"
    assert channel.take(admits=room_but_for("ac")) is None
    assert not channel.room(**asked, waiter=signal), "c has something there now"
    channel.push(Num("e", 0))
    assert channel.take(admits=room_but_for("ace")) is None
    assert not channel.room(None, signal, of="e"), "no more than its own share"


def test_a_full_channel_of_one_way_has_no_room():
    channel = channel_of(1, bundle("ab"), size=1)
    assert channel.take(admits=room_but_for("a")) is None
    assert not channel.room(None, Signal(), of="cd") and not channel.room("c", Signal())


def test_a_bundle_for_which_there_was_room_does_not_wait_for_those_of_others():
    channel = channel_of(2, size=1)
    for n in range(OVERRUN + 9):
        channel.push(Group([Num(f"s{n}", 0)]), wait=False)
    assert len(channel) == OVERRUN + 9


@pytest.mark.parametrize("ways", [1, 2])
def test_what_has_met_may_pass_behind_one_link_too(ways: int):
    before, behind = channel_of(ways), channel_of(0)
    link = Link(behind, before=before)
    Link(before).push(Num("a", 0)) if ways == 1 else before.push(Num("a", 0))
    link.push(Num("a", 0))
    assert not behind.meets
    before.bundles = True
    link.push(Num("a", 0))
    assert not behind.meets and not behind.mixes, "single items are no concern of this"
    link.push(bundle("a"))
    assert behind.meets == behind.mixes == before.mixes


@pytest.mark.parametrize("ways", [1, 2])
def test_a_full_window_has_room_for_a_bundle_of_others_while_a_stream_has_none_behind(ways: int):
    window = Window(1, frames=2)
    window.before = channel_of(ways)
    window.before.bundles = True
    for stream in "ab":
        window.register(StreamStart(stream, Caps("numbers")), {None: {0}})
        window.arrive(0, StreamStart(stream, Caps("numbers")))
    whole = Group([Num("a", 0), Num("a", 1)])
    window.batches = 1
    window.register(whole, {None: {0}})
    signal = Signal()
    assert not window.room(None, signal, of="b")
    window.arrive(0, whole)
    refused: set[str] = set()
    assert len(list(window.ready(room_but_for("a"), refused))) == 2 and refused == {"a"}
    assert signal.wait(WAIT)
    assert window.room(None, signal, of="b") == (ways == 2)
    assert not window.room(None, signal, of="ab") and not window.room(None, signal)


class Keep(Merge):
    """Gives the first part as it is."""

    def process(self, item: Parts) -> Any:
        yield next(part for part in item.parts if part is not None)


KINDS: dict[str, Any] = {
    "many": lambda: Batch(size=2), "few": lambda: Batch(size=2), "single": lambda: Pass(), "in": lambda: Pass(),
    "pass": lambda: Pass(), "on": lambda: Pass(), "slow": lambda: Slow(delay=0.01), "apart": lambda: Apart(),
    "side": lambda: Pass(), "join": lambda: Keep(), "batch": lambda: Batch(size=4), "sink": lambda: Sink(),
}  # fmt: skip
SHAPES = {
    "directly": "many>apart few>apart apart>batch",
    "through others": "many>pass few>pass pass>on on>apart apart>batch",
    "single items": "many>pass single>pass pass>apart apart>batch",
    "parted": "in>many many>pass:x many>slow:y pass>apart slow>apart apart>batch",
    "a diamond": "many>pass few>pass pass>side pass>apart side>join apart>join join>batch",
}


def shaped(shape: str) -> tuple[Graph, Sink]:
    graph, sink = Graph(), Sink()
    links = [link.partition(":") for link in f"{SHAPES[shape]} batch>sink".split()]
    for name in dict.fromkeys(name for ends, _, _ in links for name in ends.split(">")):
        element: Element = sink if name == "sink" else KINDS[name]()
        graph.add(name, element)
    for ends, _, stream in links:
        before, after = ends.split(">")
        graph.link(before, after, stream=stream or None)
    return graph, sink


@pytest.mark.parametrize("shape", SHAPES)
def test_a_stream_that_is_waited_for_passes_the_bundles_of_others_that_are_taken_apart(shape: str):
    """Of x there is more than the pipeline holds before the first y comes; the batch takes one of each in turn."""
    graph, sink = shaped(shape)
    entries = graph.entries()
    pipeline = Pipeline(graph)
    pipeline.add_source("x", Count(stream="x", count=60), entries[0])
    pipeline.add_source("y", Count(stream="y", count=10, delay=0.01), entries[-1])
    with pipeline:
        assert pipeline.wait(WAIT), pipeline.stats()
    got = [(frame.stream, frame.index) for batch in sink.got for frame in batch.frames]
    assert sorted(got) == [*(("x", n) for n in range(60)), *(("y", n) for n in range(10))]
    assert got[:20] == [(stream, n) for n in range(10) for stream in "xy"], "the batches of files are always the same"
    peaks = {name: stats.peak_depth for name, stats in pipeline.stats().items() if name != "join"}
    assert all(peak <= 8 for peak in peaks.values()), peaks


def test_what_was_taken_out_of_bundles_has_room_while_what_comes_behind_it_is_wanted():
    before, channel, signal = channel_of(1), channel_of(0, size=1), Signal()
    before.bundles = True
    link, wanted = Link(channel, before=before), frozenset({"b"})
    link.push(Num("a", 0))
    assert channel.take(wanted) is None
    assert not link.room("a", signal), "nobody knows yet what the reader lacks"
    assert channel.unpacked and channel.reader.wait(WAIT)
    channel.starve(wanted)
    assert signal.wait(WAIT)
    for _ in range(BEHIND - 1):
        assert link.room("a", signal) and link.room(None, signal, of="ab")
        link.push(Num("a", 0))
    assert not link.room("a", signal), "there is a bound"
    channel.take()
    assert channel.take(wanted) is None and not link.room("a", signal), "it may go on by itself"
    channel.starve(wanted)
    assert link.room("a", signal)
    link.push(Num("b", 0))
    channel.starve(wanted)
    assert not link.room("a", signal) and channel.take(wanted).stream == "b"
    assert channel.take(admits=lambda stream, of=(): False) is None
    channel.starve(None)
    assert not link.room("a", signal), "it lacks nothing but room behind it"


@pytest.mark.parametrize(("ways", "further", "bundles"), [(2, 0, True), (1, 1, True), (1, 0, False)])
def test_nobody_has_more_room_where_what_is_wanted_may_come_by_another_way(ways: int, further: int, bundles: bool):
    before, channel, signal = channel_of(ways), channel_of(further, size=1), Signal()
    before.bundles = bundles
    link = Link(channel, before=before)
    link.push(Num("a", 0))
    for _ in range(3):
        assert not link.room("a", signal) and channel.take(frozenset({"b"})) is None


class Doubled(Element):
    """Makes two of each."""

    def process(self, item: Num) -> Any:
        yield from (item, item.fork())


@pytest.mark.parametrize("size", [1, 3])
@pytest.mark.parametrize("between", [(), (Pass,), (Doubled, Pass)])
def test_a_stream_that_begins_late_comes_behind_the_bundles_of_others(between: tuple[type[Element], ...], size: int):
    """More of x was under way than the second batch may have when that began to wait for y."""
    graph, names = chain(Batch(size=size), Apart(), *(kind() for kind in between), Batch(size=4), Slow())
    got: list[Num] = []
    pipeline = Pipeline(graph)
    pipeline.tap(names[-1], lambda item: got.extend(getattr(item, "frames", ())))
    x, y, each = Count(stream="x", count=1_000_000), Count(stream="y", count=10), 2 if Doubled in between else 1
    pipeline.add_source("x", x, names[0])
    with pipeline:
        until(lambda: len(got) >= 8)
        pipeline.add_source("y", y, names[0])
        until(lambda: sum(item.stream == "y" for item in list(got)) == 10 * each)
        pipeline.remove_source("x", WAIT)
        assert pipeline.wait(WAIT), pipeline.stats()
    for name, count in {"x": sum(item.stream == "x" for item in got) // each, "y": 10}.items():
        assert [item.index for item in got if item.stream == name] == [n for n in range(count) for _ in range(each)]


class Wants(Element):
    """Wants `b` only, for `seconds` or for ever."""

    threaded = True
    seconds: float | None = setting(default=None)

    def open(self, context: Context) -> None:
        self.wanted = frozenset({"b"})
        self.deadline = None if self.seconds is None else time.monotonic() + self.seconds

    def on_deadline(self) -> Any:
        self.wanted = None
        yield from ()


@pytest.mark.parametrize("seconds", [None, 0.2])
def test_who_goes_on_by_itself_gets_no_more_than_its_share(seconds: float | None):
    graph, names = chain(Batch(size=2), Apart(), Wants(seconds=seconds), Sink())
    pipeline = Pipeline(graph)
    pipeline.add_source("x", Count(stream="x", count=60), names[0])
    with pipeline:
        if seconds is None:
            until(lambda: pipeline.stats()[names[2]].peak_depth == 60)
        else:
            assert pipeline.wait(WAIT)
            assert pipeline.stats()[names[2]].peak_depth <= 5
