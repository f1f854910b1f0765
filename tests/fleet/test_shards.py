import pytest

from millrace.config.plan import Plan, Select, Step, Stream
from millrace.core.errors import ConfigError
from millrace.elements.discard import Discard
from millrace.fleet import is_fleet, places
from millrace.fleet.shards import split
from millrace.sources.push import Push


def plan(count: int = 5, **given) -> Plan:
    return Plan([Stream(f"s{number}", f"{number}.mp4") for number in range(count)], **given)


@pytest.mark.parametrize(
    ("device", "processes", "expected"),
    [
        ("cpu", 3, ["cpu"] * 3),
        ("cuda:0,cuda:1", None, ["cuda:0", "cuda:1"]),
        ("cuda:0, cuda:1", 4, ["cuda:0", "cuda:1", "cuda:0", "cuda:1"]),
        ("cuda:1", 2, ["cuda:1", "cuda:1"]),
    ],
)
def test_a_process_for_each_device_or_as_many_as_asked(device, processes, expected):
    assert places(device, processes) == expected


def test_what_asks_for_several_processes():
    assert is_fleet(plan(device="cuda:0,cuda:1")) and is_fleet(plan(device="cuda:all")) and is_fleet(plan(), 2)
    assert not is_fleet(plan()) and not is_fleet(plan(device="cuda:1"), 1)


@pytest.mark.parametrize(
    ("device", "processes", "words"),
    [
        ("cuda:0,cuda:0", None, "cuda:0 stands there twice"),
        ("cuda:0,tpu", None, "'tpu' is not known"),
        ("cuda:0,cuda:1", 1, "1 processes cannot use 2 devices"),
        ("gpu:all", None, "only cuda:all"),
    ],
)
def test_wrong_places(device, processes, words):
    with pytest.raises(ConfigError, match=words):
        places(device, processes)


def test_streams_are_dealt_out_in_turn_and_all_are_told_of_the_whole_run():
    parts = split(plan(), ["cuda:0", "cuda:1"])
    assert [[stream.name for stream in part.streams] for part in parts] == [["s0", "s2", "s4"], ["s1", "s3"]]
    assert [part.device for part in parts] == ["cuda:0", "cuda:1"]
    assert {part.run for part in parts} == {("s0", "s1", "s2", "s3", "s4")}


def test_no_process_without_a_stream():
    assert len(split(plan(2), ["cpu"] * 4)) == 2


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ([Step("tile")], "tile puts all streams into one picture"),
        ([Select("s1")], "select: the other processes do not have that stream"),
        ([Step(Discard())], "Discard is an object of this program"),
        ([Step("function", {"call": lambda frame: frame})], "cannot be handed to another process"),
    ],
)
def test_what_cannot_be_taken_apart_is_said(line, words):
    with pytest.raises(ConfigError, match=words):
        split(plan(line=line), ["cpu", "cpu"])


def test_a_source_of_the_program_stays():
    with pytest.raises(ConfigError, match="stream 'mine' is an object of this program"):
        split(Plan([Stream("mine", Push(stream="mine"))]), ["cpu", "cpu"])
