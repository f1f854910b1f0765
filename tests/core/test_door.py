"""The door of a live stream: what is dropped there, and when a stream behind it counts as late."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from millrace.core import Caps, StreamEnd, StreamStart
from millrace.core.channel import Channel
from millrace.core.link import Link


@dataclass
class Piece:
    """Part of a chain: it needs all before it up to the last one that leads."""

    index: int
    leads: bool
    stream: str = "a"
    droppable = True

    def fork(self) -> Piece:
        return self


def drain(channel: Channel) -> list[Any]:
    out = []
    while (item := channel.take()) is not None:
        out.append(item)
    return out


def pieces(pattern: str) -> list[Piece]:
    return [Piece(n, letter == "K") for n, letter in enumerate(pattern)]


@pytest.mark.parametrize(
    ("pattern", "left"),
    [
        ("KppKpp", [3, 4, 5]),  # the oldest go, up to the next that leads
        ("KpppppK", [6]),  # nothing else can be used
        ("Kpppppp", [0, 1, 2, 3]),  # what waits is good, what comes is not
        ("KKKKKK", [2, 3, 4, 5]),  # each for itself: only the oldest
        ("KpppppKp", [6, 7]),
    ],
)
def test_dropping_never_leaves_an_item_that_needs_a_dropped_one(pattern: str, left: list[int]) -> None:
    channel = Channel(4, "drop_oldest")
    channel.add_sender()
    for piece in pieces(pattern):
        channel.push(piece)
    assert [piece.index for piece in drain(channel)] == left
    assert channel.drops == len(pattern) - len(left) and channel.depth("a") == 0


@settings(deadline=None, max_examples=200)
@given(
    st.lists(st.sampled_from("Kppb--"), max_size=60), st.integers(1, 5),
    st.sampled_from(["drop_oldest", "drop_newest"]), st.booleans(),
)  # fmt: skip
def test_what_comes_through_can_always_be_decoded(steps: list[str], size: int, policy: Any, rotate: bool) -> None:
    """Beside another stream that comes now and then (b)."""
    channel = Channel(size, policy, rotate=rotate)
    channel.add_sender()
    got, sent = [], {"a": 1, "b": 0}
    channel.push(Piece(0, True))
    for step in steps:
        if step == "-":
            if (item := channel.take()) is not None:
                got.append(item)
        else:
            stream = "b" if step == "b" else "a"
            channel.push(Piece(sent[stream], step != "p", stream))
            sent[stream] += 1
        assert channel.depth("a") <= size and channel.depth("b") <= size
        assert channel.holds("a") == (channel.depth("a") > 0)
    got += drain(channel)
    for before, after in pairwise([None, *(piece for piece in got if piece.stream == "a")]):
        assert after.leads or (before is not None and after.index == before.index + 1)
    assert len(got) + channel.drops == sum(sent.values())


@pytest.mark.parametrize("policy", ["drop_oldest", "drop_newest"])
@pytest.mark.parametrize(("rotate", "wanted"), [(True, None), (False, None), (False, frozenset({"a"}))])
def test_a_stream_of_which_all_is_dropped_has_nothing_waiting(
    policy: Any, rotate: bool, wanted: frozenset[str] | None
) -> None:
    """What waited has been taken, and what comes is dropped up to the next that leads."""
    channel = Channel(2, policy, rotate=rotate)
    channel.add_sender()
    for piece in pieces("Kpp"):
        channel.push(piece)
    assert [channel.take(wanted).index for _ in range(2)] == [0, 1]
    channel.push(Piece(3, False))
    assert channel.drops == 2 and len(channel) == 0 and not channel.holds("a")
    assert channel.take(wanted) is None
    channel.push(Piece(0, True, "b"))
    assert channel.take().stream == "b" and channel.take() is None
    for piece in (Piece(4, True), Piece(5, False)):
        channel.push(piece)
    assert [piece.index for piece in drain(channel)] == [4, 5]


def test_a_stream_that_waits_again_still_needs_what_was_dropped() -> None:
    """One that was late, behind an element that sheds."""
    channel = Channel(2)
    channel.add_sender()
    for piece in pieces("KppKp"):
        channel.push(piece, wait=False, policy="drop_oldest" if piece.index == 2 else "wait")
        if piece.index == 2:
            assert [piece.index for piece in drain(channel)] == [0, 1]
    channel.push(Piece(5, False), wait=False)
    channel.push(Piece(6, False), wait=False, policy="drop_oldest")
    channel.push(Piece(7, False), wait=False)
    assert [piece.index for piece in drain(channel)] == [3, 4, 5] and channel.drops == 3


def test_a_new_epoch_begins_anew() -> None:
    channel = Channel(1, "drop_oldest")
    channel.add_sender()
    channel.push(Piece(0, True))
    channel.push(Piece(1, False))
    channel.take()
    channel.push(Piece(2, False))
    assert channel.drops == 2
    channel.push(StreamStart("a", Caps("x"), epoch=1))
    channel.push(Piece(3, False))
    assert channel.drops == 2


def test_behind_an_element_that_sheds_a_burst_waits_and_lateness_drops(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr("millrace.core.link.time.monotonic", lambda: now[0])
    inlet, channel = Channel(4), Channel(2)
    link = Link(channel, "drop_oldest", inlets=[inlet])
    link.push(StreamStart("a", Caps("x"), live=True))
    for n in range(2):
        assert link.room("a")
        link.push(Piece(n, True))
    assert not link.room("a"), "in time"
    for n in range(10):
        inlet.push(Piece(n, True), wait=False)
    assert not link.room("a"), "a burst waits"
    now[0] += 0.9
    assert not link.room("a")
    now[0] += 0.2
    assert link.room("a"), "late for more than a second: it drops"
    for _ in range(6):
        inlet.take()
    assert not link.room("a"), "in time again: it waits"
    inlet.push(Piece(10, True), wait=False)
    assert link.room("a"), "but not for long, while it was late just now"
    for n in range(2):
        assert link.room("b")
        link.push(Piece(n, True, "b"))
    assert not link.room("b"), "a stream that is not live waits"
    link.close()


@pytest.mark.parametrize("first", [1, 10])
def test_each_burst_has_its_own_time(first: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also one long after the stream began, or after another one that it has caught up with."""
    now = [100.0]
    monkeypatch.setattr("millrace.core.link.time.monotonic", lambda: now[0])
    inlet, channel = Channel(4), Channel(2)
    link = Link(channel, "drop_oldest", inlets=[inlet])
    link.push(StreamStart("a", Caps("x"), live=True))
    for count in (first, 10, 10):
        for n in range(count):
            inlet.push(Piece(n, True), wait=False)
        for n in range(count):
            if n > 5 or not link.room("a"):
                drain(channel)
            assert link.room("a")
            inlet.take()
            link.push(Piece(n, True))
        assert channel.drops == 0
        drain(channel)
        now[0] += 6  # nothing comes
    link.close()


def test_what_one_step_gives_is_lost_of_a_late_live_stream_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """A decoder gives what it holds at once when its stream ends."""
    now = [100.0]
    monkeypatch.setattr("millrace.core.link.time.monotonic", lambda: now[0])
    inlet, channel = Channel(4), Channel(2)
    link = Link(channel, "drop_oldest", inlets=[inlet])
    for late in (False, True):
        link.push(StreamStart("a", Caps("x"), live=True))
        for n in range(10 * late):
            inlet.push(Piece(n, True), wait=False)
        assert link.room("a")
        now[0] += 6
        for n in range(6):
            if late and n == 2:
                assert not link.room("a")
                now[0] += 1.1
                assert link.room("a")
            link.push(Piece(n, True))
        link.push(StreamEnd("a"))
        assert [item.index for item in drain(channel) if isinstance(item, Piece)] == [[*range(6)], [4, 5]][late]
    assert channel.drops == 4
    link.close()


def test_what_came_before_a_live_stream_could_begin_has_time_and_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr("millrace.core.link.time.monotonic", lambda: now[0])

    def begun(waiting: int) -> tuple[Link, Channel]:
        inlet = Channel(4)
        link = Link(Channel(1), "drop_oldest", inlets=[inlet])
        for n in range(waiting):
            inlet.push(Piece(n, True), wait=False, size=128, policy="drop_oldest")
        link.push(StreamStart("a", Caps("x"), live=True))
        link.push(Piece(0, True))
        return link, inlet

    link, inlet = begun(100)
    for _ in range(4):
        assert not link.room("a"), "it waits"
        now[0] += 1.1
        link.push(StreamStart("a", Caps("x"), live=True, epoch=1))  # no new beginning
    for _ in range(40):
        inlet.take()
    assert not link.room("a")
    now[0] += 0.7
    assert link.room("a"), "after five seconds it drops as any other"
    link.close()
    link, inlet = begun(120)
    assert link.room("a"), "before packets are dropped, pictures are"
    link.close()
    link, inlet = begun(10)
    for _ in range(6):
        inlet.take()
    assert not link.room("a"), "it is in time, and from now on like any other"
    for n in range(10):
        inlet.push(Piece(n, True), wait=False)
    assert not link.room("a")
    now[0] += 1.1
    assert link.room("a")
    link.close()


def decoders_door(monkeypatch: pytest.MonkeyPatch) -> tuple[list[float], Channel, Link]:
    """The time, and a door as a decoder has it, through which a live stream has begun."""
    now = [100.0]
    monkeypatch.setattr("millrace.core.link.time.monotonic", lambda: now[0])
    channel = Channel(16, rotate=True)
    link = Link(channel, "drop_oldest", burst=128)
    link.push(StreamStart("a", Caps("x"), live=True))
    drain(channel)
    return now, channel, link


def test_what_is_not_worked_off_at_a_door_is_no_burst(monkeypatch: pytest.MonkeyPatch) -> None:
    now, channel, link = decoders_door(monkeypatch)

    def send(count: int, take: int) -> list[int]:
        """Packets at 30 a second with a key picture each second, of which so many of 30 are taken."""
        depths = []
        for n in range(count):
            link.push(Piece(n, n % 30 == 0))
            now[0] += 1 / 30
            if n % 30 < take:
                channel.take()
            depths.append(channel.depth("a"))
        return depths

    assert max(send(120, 0)) == 120 and channel.drops == 0, "a burst"
    assert send(180, 30)[-1] == 120 and channel.drops == 0, "nine seconds of it in all"
    assert max(send(600, 20)[60:]) <= 32 and channel.drops > 0, "it does not get less: no burst"
    for _ in range(40):
        channel.take()
    before = channel.drops
    assert max(send(60, 10)) <= 32 and channel.drops > before, "nor soon after it is in time"
    for _ in range(40):
        channel.take()
    send(15 * 30, 30)
    before = channel.drops
    assert max(send(60, 0)) == 60 and channel.drops == before, "but later it may have one again"
    link.close()


def test_a_burst_that_is_worked_off_slowly_loses_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    now, channel, link = decoders_door(monkeypatch)
    for _ in range(5):  # one after the other
        for n in range(120):
            link.push(Piece(n, n % 30 == 0))
        while channel.depth("a") > 3:
            link.push(Piece(1, False))
            now[0] += 1 / 30
            for _ in range(2):
                channel.take()
    assert channel.drops == 0
    link.close()
