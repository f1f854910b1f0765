"""The channel alone."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest
from toys import WAIT, Group, Num

from millrace.core import Caps, Channel, StreamEnd, StreamStart
from millrace.core.channel import FIRST
from millrace.core.errors import Cancelled, Closed
from millrace.core.signal import Signal


def test_first_in_first_out():
    channel = Channel(size=10)
    for i in range(5):
        channel.push(Num("a", i))
    assert [channel.take().index for _ in range(5)] == list(range(5))
    assert channel.take() is None


def test_a_push_waits_for_room_in_its_own_share():
    channel = Channel(size=2)
    channel.push(Num("a", 0))
    channel.push(Num("a", 1))
    channel.push(Num("b", 0))  # another stream's share
    done = threading.Event()

    def push() -> None:
        channel.push(Num("a", 2))
        done.set()

    thread = threading.Thread(target=push)
    thread.start()
    assert not done.wait(0.05)
    assert channel.take().index == 0
    assert done.wait(WAIT)
    thread.join(WAIT)
    assert channel.peak == 2


def test_a_reader_that_rests_for_one_stream_is_woken_by_a_bundle():
    channel = Channel()
    for push in (lambda bundle: channel.push(bundle), lambda bundle: channel.push_all({None: bundle})):
        while channel.reader.wait(0):
            pass
        assert channel.take(frozenset({"a"})) is None
        push(Group([Num("a", 0)]))
        assert channel.reader.wait(0)
        assert isinstance(channel.take(frozenset({"a"})), Group)


@pytest.mark.parametrize(
    ("few", "last"),
    [
        ([Num("a", 0), Num("b", 0)], Num("c", 0)),  # as many as are enough
        ([Num("a", 0)], Num("a", 1)),  # half of what may wait of a stream: its sender shall find room
        ([Num("a", 0)], StreamEnd("b")),
        ([Num("a", 0)], Group([Num("b", 0)])),
    ],
)
def test_a_reader_for_whom_one_item_is_not_enough_is_woken_for_several_together(few: list[Any], last: Any):
    channel = Channel(size=4)
    assert channel.take(enough=3) is None
    for item in few:
        channel.push(item)
    assert not channel.reader.wait(0)
    channel.push(last)
    assert channel.reader.wait(0)
    assert [channel.take() for _ in range(len(few) + 1)] == [*few, last]
    assert channel.take() is None
    channel.push(Num("a", 2))
    assert channel.reader.wait(0)


def test_where_items_are_dropped_none_waits_for_others():
    channel = Channel(size=4)
    assert channel.take(enough=3) is None
    channel.push(Num("a", 0), policy="drop_oldest")
    assert channel.reader.wait(0)


def test_what_stands_before_a_bundle_comes_though_another_stream_is_wanted():
    channel = Channel()
    waiting = [StreamEnd("b"), StreamStart("b", Caps("numbers")), StreamEnd("c"), Group([Num("a", 0), Num("b", 0)])]
    for item in waiting:
        channel.push(item)
    wanted = frozenset({"a"})
    assert [channel.take(wanted) for _ in range(4)] == [waiting[0], waiting[1], waiting[3], None]
    channel.push(Group([Num("a", 1), Num("c", 0)]))
    assert channel.take(wanted, lambda stream: stream != "c") is None  # there is no room for it
    assert channel.take(wanted) is waiting[2]


def test_drop_oldest_keeps_markers_and_the_last_item():
    channel = Channel(size=2, policy="drop_oldest")
    channel.push(StreamStart("a", Caps("numbers")))
    for i in range(100):
        channel.push(Num("a", i))
    channel.push(StreamEnd("a"))
    got = [channel.take() for _ in range(len(channel))]
    assert isinstance(got[0], StreamStart) and isinstance(got[-1], StreamEnd)
    assert [item.index for item in got[1:-1]] == [98, 99]
    assert channel.drops == 98


def test_drop_newest_keeps_the_first():
    channel = Channel(size=2, policy="drop_newest")
    for i in range(5):
        channel.push(Num("a", i))
    assert [channel.take().index, channel.take().index] == [0, 1] and channel.drops == 3


def test_one_streams_loss_is_not_anothers():
    channel = Channel(size=2, policy="drop_oldest")
    channel.push(Num("b", 0))
    for i in range(50):
        channel.push(Num("a", i))
    got = [channel.take() for _ in range(len(channel))]
    assert [item.index for item in got if item.stream == "b"] == [0]


def test_wanted_streams_are_taken_first_and_order_within_a_stream_stays():
    channel = Channel(size=10)
    for i in range(3):
        channel.push(Num("a", i))
        channel.push(Num("b", i))
    assert [channel.take(wanted={"b"}).index for _ in range(3)] == [0, 1, 2]
    assert channel.take(wanted={"b"}) is None
    assert [channel.take().index for _ in range(3)] == [0, 1, 2]


def test_bundles_come_whatever_is_wanted():
    channel = Channel()
    channel.push(Num("a", 0))
    channel.push(StreamStart("b", Caps("numbers")))
    channel.push(Group([Num("c", 1)]))
    assert isinstance(channel.take(wanted=frozenset()), Group)
    assert channel.take(wanted=frozenset()) is None
    assert isinstance(channel.take(wanted={"b"}), StreamStart)


def test_room_of_a_bundle_is_room_of_its_streams_and_no_others():
    channel = Channel(size=1)
    assert channel.room(None, of="ab") and channel.room("a")
    channel.push(Num("a", 0))
    assert not channel.room(None, of="ab") and not channel.room("a") and channel.room("b")
    assert channel.room(None, of="b"), "what others have waiting may be wanted after it"
    for asked in ({"stream": "a"}, {"stream": None, "of": "ba"}):
        signal = Signal()
        assert not channel.room(**asked, waiter=signal)
        channel.take()
        assert signal.wait(WAIT) and channel.room(**asked)
        channel.push(Num("a", 0))


def test_who_has_a_bundle_is_woken_when_the_reader_rests_for_another_stream():
    channel = Channel(size=4)
    for index in range(4):
        channel.push(Num("a", index))
    signal = Signal()
    assert not channel.room(None, signal, of="ab")
    channel.take()  # one place: nobody is woken for that while the reader goes on
    assert channel.take(frozenset({"b"})) is None
    assert signal.wait(WAIT) and channel.room(None, of="ab")


def test_who_waits_until_nothing_waits_is_woken_by_the_last_item_and_not_when_its_work_is_done():
    channel = Channel(size=4)
    for stream in "ab":
        channel.push(Num(stream, 0))
    signal = Signal()
    channel.take()
    assert not channel.idle(signal) and not signal.wait(0)
    channel.take()
    assert signal.wait(0) and channel.idle(signal)


def test_room_of_an_item_is_room_of_a_bundle_where_it_may_be_packed():
    channel = Channel(size=1)
    channel.push(Group([Num("a", 0)]))
    signal = Signal()
    assert not channel.room(None) and not channel.room("b", signal)
    assert channel.room("b", packs=False) and channel.room(None, of="b", packs=False), "others' bundles do not matter"
    channel.take()
    assert signal.wait(WAIT) and channel.room("b")


def test_get_ends_at_its_deadline_and_when_senders_are_gone():
    channel = Channel()
    channel.add_sender()
    began = time.monotonic()
    assert channel.get(deadline=began + 0.03) is None
    assert time.monotonic() - began >= 0.03
    channel.push(Num("a", 0))
    channel.remove_sender()
    assert channel.get().index == 0
    with pytest.raises(Closed):
        channel.get()


def test_cancel_wakes_both_sides():
    channel = Channel(size=1)
    channel.add_sender()
    channel.push(Num("a", 0))
    failures: list[type[BaseException]] = []

    def push() -> None:
        try:
            channel.push(Num("a", 1))
        except Cancelled as error:
            failures.append(type(error))

    thread = threading.Thread(target=push)
    thread.start()
    time.sleep(0.02)
    channel.cancel()
    thread.join(WAIT)
    assert failures == [Cancelled]
    with pytest.raises(Cancelled):
        channel.get()


def test_nothing_is_kept_of_streams_that_are_gone():
    channel = Channel()
    for i in range(1000):
        channel.push(Num(f"s{i}", 0))
        channel.take()
    assert not channel._shares and not channel._depth


def test_streams_take_turns_where_that_is_asked_for():
    channel = Channel(size=10, rotate=True)
    for stream in "aaaabb":
        channel.push(Num(stream, channel.depth(stream)))
    channel.push(StreamEnd("a"))
    order = [channel.take() for _ in range(len(channel))]
    assert [item.stream for item in order] == ["a", "b", "a", "b", "a", "a", "a"]
    assert [item.index for item in order[:-1]] == [0, 0, 1, 1, 2, 3]
    assert isinstance(order[-1], StreamEnd) and channel.take() is None


def test_where_streams_take_turns_those_that_begin_come_last_but_not_never():
    channel = Channel(size=10, rotate=True)
    starts = [StreamStart(stream, Caps("numbers")) for stream in "bc"]
    for item in [*starts, Num("b", 0), Num("a", 0), Num("a", 1), Num("a", 2)]:
        channel.push(item)
    order = [channel.take() for _ in range(len(channel))]
    assert [item.stream for item in order] == ["a", "a", "a", "b", "b", "c"] and order[3::2] == starts
    many = [StreamStart(f"s{number}", Caps("numbers")) for number in range(20)]
    for start in many:
        channel.push(start)
    asked: list[str] = []
    for index in range(100):  # there is always something of another stream
        channel.push(Num("a", index))
        if channel.take(admits=lambda stream: not asked.append(stream)) is many[0]:
            break
    assert index == FIRST, "those that begin do not wait for each other"
    assert len(asked) <= 2 * (FIRST + 1), "one of them is asked for"
