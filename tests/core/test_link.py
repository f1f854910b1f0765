"""A link that gathers what it is given, to send it at once."""

from __future__ import annotations

from typing import Any

import pytest
from toys import Num

from millrace.core import Caps, StreamEnd, StreamStart
from millrace.core.channel import Channel
from millrace.core.errors import Cancelled
from millrace.core.link import Link, Partition
from millrace.core.signal import Signal


def drain(channel: Channel) -> list[Any]:
    out = []
    while (item := channel.take()) is not None:
        out.append(item)
    return out


def numbers(channel: Channel) -> list[tuple[str, int]]:
    return [(item.stream, item.index) for item in drain(channel)]


def test_what_is_gathered_comes_at_once_and_wakes_once():
    link = Link(channel := Channel())
    assert channel.take() is None  # the reader rests
    link.gather()
    for stream in "abc":
        link.push(Num(stream, 0))
    assert len(channel) == 0 and not channel.reader.wait(0)
    link.send()
    assert channel.reader.wait(0) and not channel.reader.wait(0)
    assert numbers(channel) == [("a", 0), ("b", 0), ("c", 0)]
    link.push(Num("a", 1))  # from now on nothing waits
    assert len(channel) == 1


def test_a_reader_that_waits_for_one_stream_is_woken_for_that_one_only():
    link = Link(channel := Channel())
    for streams, woken in (("bc", False), ("ab", True)):
        assert channel.take(frozenset({"a"})) is None
        link.gather()
        for stream in streams:
            link.push(Num(stream, 0))
        link.send()
        assert channel.reader.wait(0) is woken


@pytest.mark.parametrize("mark", [StreamStart("a", Caps("numbers")), StreamEnd("a")])
def test_markers_and_second_items_overtake_nothing(mark: Any):
    link = Link(channel := Channel())
    link.gather()
    link.push(Num("a", 0))
    link.push(Num("b", 0))
    link.push(mark)
    link.push(Num("b", 1))
    link.push(Num("b", 2))
    link.push(Num("a", 1))
    assert [item.index for item in (channel.take(), channel.take())] == [0, 0]
    assert channel.take() is mark
    link.send()
    assert numbers(channel) == [("b", 1), ("b", 2), ("a", 1)]


def test_a_live_stream_waits_for_nothing():
    link = Link(channel := Channel(), "drop_oldest")
    link.push(StreamStart("a", Caps("numbers"), live=True))
    channel.take()
    link.gather()
    link.push(Num("b", 0))
    link.push(Num("a", 0))
    assert ("a", 0) in numbers(channel)
    link.send()


def test_a_partition_gathers_in_each_of_its_links():
    channels = [Channel(), Channel()]
    partition = Partition([Link(channel) for channel in channels])
    for stream in "ab":
        partition.push(StreamStart(stream, Caps("numbers")))
    for channel in channels:
        drain(channel)
    partition.gather()
    for stream in "ab":
        partition.push(Num(stream, 0))
    assert [len(channel) for channel in channels] == [0, 0]
    partition.send()
    assert [numbers(channel) for channel in channels] == [[("a", 0)], [("b", 0)]]


def test_a_stream_does_not_overtake_the_end_of_a_life_that_never_started():
    channels = [Channel(), Channel()]
    partition = Partition([Link(channel) for channel in channels])
    partition.push(StreamStart("a", Caps("numbers")))
    partition.push(StreamEnd("b"))
    partition.push(StreamStart("b", Caps("numbers")))
    came = [[item for item in iter(channel.take, None) if item.stream == "b"] for channel in channels]
    assert sorted(map(len, came)) == [0, 2]
    assert [type(item) for each in came for item in each] == [StreamEnd, StreamStart]


def test_who_sends_into_a_cancelled_channel_learns_it():
    link = Link(channel := Channel())
    link.gather()
    link.push(Num("a", 0))
    channel.cancel()
    with pytest.raises(Cancelled):
        link.send()


def test_it_is_idle_when_what_it_pushed_was_taken_unless_others_fill_the_channel_too():
    link = Link(channel := Channel())
    assert link.idle()
    link.push(Num("a", 0))
    assert not link.idle()
    other = Link(channel)
    assert link.idle()
    other.close()
    assert not link.idle()
    drain(channel)
    assert link.idle()
    waiter = Signal()
    link.push(Num("a", 1))
    assert not link.idle(waiter) and not waiter.wait(0)
    drain(channel)
    assert waiter.wait(0) and link.idle(waiter)
    channel.tell(True)  # the reader has enough to do
    assert not link.idle(waiter) and not waiter.wait(0)
    channel.tell(False)
    assert waiter.wait(0) and link.idle(waiter)
    dropping = Link(Channel(policy="drop_oldest"))
    dropping.push(Num("a", 0))
    assert dropping.idle()
