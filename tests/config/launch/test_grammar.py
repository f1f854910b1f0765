"""Elements and links of a launch line, against what GStreamer makes of them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from millrace.config.launch.grammar import Description, parse
from millrace.config.launch.text import LaunchError, take_command


def links(found: Description) -> list[tuple[str, str, str, str]]:
    out = []
    for link in found.links:
        assert link.source.part is not None and link.target.part is not None
        out.append((link.source.part.name, link.source.pad, link.target.part.name, link.target.pad))
    return out


def test_names_are_those_of_gstreamer() -> None:
    found = parse("videotestsrc ! queue ! queue name=q ! queue ! fakesink")
    assert [part.name for part in found.parts] == ["videotestsrc0", "queue0", "q", "queue2", "fakesink0"]


def test_references_before_and_behind() -> None:
    found = parse("videotestsrc ! m.sink_0 nvstreammux name=m ! fakesink videotestsrc ! m.sink_1")
    assert links(found) == [
        ("videotestsrc0", "", "m", "sink_0"), ("m", "", "fakesink0", ""), ("videotestsrc1", "", "m", "sink_1")
    ]  # fmt: skip


def test_pads_behind_and_before_elements() -> None:
    assert links(parse("videotestsrc .src ! .sink fakesink")) == [("videotestsrc0", "src", "fakesink0", "sink")]


def test_several_pads_are_several_links() -> None:
    found = parse("tee name=t .src_0,src_1 ! m.sink_0,sink_1 nvstreammux name=m ! fakesink")
    assert links(found)[:2] == [("t", "src_0", "m", "sink_0"), ("t", "src_1", "m", "sink_1")]


def test_bins() -> None:
    found = parse("videotestsrc ! ( identity ! queue ) ! fakesink")
    assert links(found) == [
        ("identity0", "", "queue0", ""), ("videotestsrc0", "", "identity0", ""), ("queue0", "", "fakesink0", "")
    ]  # fmt: skip
    inside = parse("bin.( k::pattern=ball videotestsrc name=k ! fakesink )")
    assert [(each.name, each.value) for each in inside.parts[0].properties] == [("name", "k"), ("pattern", "ball")]


def test_underscores_are_hyphens_in_names_of_properties() -> None:
    found = parse("( a_b::num_buffers=3 videotestsrc name=a_b is_live=1 ! fakesink )")
    assert [each.name for each in found.parts[0].properties] == ["name", "is-live", "num-buffers"]


def test_addresses_are_elements() -> None:
    found = parse("file:///tmp/x.mp4 ! decodebin ! file:///tmp/y.raw")
    assert [(part.element, part.properties[0].value) for part in (found.parts[0], found.parts[2])] == [
        ("filesrc", "/tmp/x.mp4"), ("filesink", "/tmp/y.raw")
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "column", "message"),
    [
        ("videotestsrc !", 14, "behind `!` an element is missing"),
        ("! fakesink", 1, "before this `!` an element is missing"),
        ("videotestsrc ! ! fakesink", 16, "behind `!` an element is missing, not 'link'"),
        ("videotestsrc ! ( identity", 16, "is not closed"),
        ("videotestsrc ! ( identity ) )", 29, "was not opened"),
        ("videotestsrc ! ()", 16, "must hold an element"),
        ("name=x videotestsrc ! fakesink", 1, "belongs to no element"),
        ("videotestsrc name=a ! fakesink name=a", 37, "two elements are named 'a'"),
        ("videotestsrc ! mux. nvstreammux name=max ! fakesink", 16, "Did you mean 'max'?"),
        ("videotestsrc name=a ! fakesink a.", 32, "is not linked"),
        ("", 1, "there is no element"),
        ("gst-launch-1.0 -e", 18, "there is no element"),
        ("gst-launch-1.0 --verbos a ! fakesink", 16, "has no option '--verbos'. Did you mean '--verbose'?"),
        ("videotestsrc ! smb://host/x", 16, "no sink reads or writes smb://"),
    ],
)
def test_what_is_wrong_has_a_column(text: str, column: int, message: str) -> None:
    with pytest.raises(LaunchError) as caught:
        parse(text)
    assert (caught.value.column, message in str(caught.value)) == (column, True), caught.value


def test_lines_are_counted_where_there_are_several() -> None:
    with pytest.raises(LaunchError, match=r"launch line 2, column 5: .*a bin must hold"):
        parse("videotestsrc\n  ! () ! fakesink")


def test_bins_in_bins_end() -> None:
    with pytest.raises(LaunchError, match="more than 40 bins"):
        parse("( " * 2000 + "identity")


def test_the_command_before_the_line() -> None:
    line = take_command("$ USE_NEW_NVSTREAMMUX=yes gst-launch-1.0 -e -v a location=$HERE/x", {"HERE": "/tmp"})
    assert line.text[line.start :].strip().startswith("a location")
    assert [name for name, _ in line.options] == ["-e", "-v"]
    assert line.environment["USE_NEW_NVSTREAMMUX"] == "yes"
    assert parse(line).parts[0].properties[0].value == "/tmp/x"


def test_a_shell_puts_nothing_into_single_quotes() -> None:
    line = take_command("a location='$HERE/x' b=$GONE", {"HERE": "/tmp"})
    assert [each.value for each in parse(line).parts[0].properties] == ["$HERE/x", "$GONE"]


GST = """
import sys
import gi
gi.require_version("Gst", "1.0")
from gi.repository import Gst
Gst.init(None)
for line in sys.stdin.read().splitlines():
    try:
        pipeline = Gst.parse_launch(line)
    except Exception as error:
        print("error")
        continue
    found, iterator = [], pipeline.iterate_elements()
    while True:
        result, element = iterator.next()
        if result != Gst.IteratorResult.OK:
            break
        if element.get_factory().get_name() == "capsfilter":
            continue
        for pad in element.pads:
            peer = pad.get_peer()
            if pad.direction == Gst.PadDirection.SRC and peer is not None:
                other = peer.get_parent_element()
                if other.get_factory().get_name() == "capsfilter":
                    other = other.get_static_pad("src").get_peer().get_parent_element()
                found.append(element.get_factory().get_name() + ">" + other.get_factory().get_name())
    print(" ".join(sorted(found)))
"""
LINES = [
    "videotestsrc ! queue ! fakesink",
    "videotestsrc ! tee name=t t. ! queue ! fakesink t. ! identity ! fakesink",
    "videotestsrc ! t. tee name=t t.src_7 ! queue ! fakesink t. ! identity ! fakesink",
    "videotestsrc .src ! .sink fakesink",
    "videotestsrc ! video/x-raw,width=[1,100] ! fakesink",
    "videotestsrc ! video/x-raw , format={ I420, NV12 }, width=(int)100, framerate=30/1 ! identity ! fakesink",
    "videotestsrc ! video/x-raw,width=1;video/x-raw,width=2 ! fakesink",
    "videotestsrc : video/x-raw,width=100 ! fakesink",
    "videotestsrc ! video/x-raw,width=100, ! fakesink",
    "filesrc name=x location=a fakesink name=y x.src ! y.sink",
    "filesrc name=x location=a x. ! fakesink",
    "videotestsrc pattern=18 num-buffers=0x10 ! fakesink silent=YES",
    'filesrc location="a b" ! fakesink',
    "videotestsrc ! fakesink !",
    "! fakesink",
    "videotestsrc ! ( identity",
    "videotestsrc ! ()",
    "videotestsrc ! fakesink videotestsrc ! fakesink",
]


@pytest.fixture(scope="session")
def gstreamer() -> list[str]:
    """What GStreamer makes of LINES: `videotestsrc>queue queue>fakesink`, or `error`."""
    python = "/usr/bin/python3"  # PyGObject is Debian's own
    if not Path(python).exists() or sys.platform != "linux":
        pytest.skip("there is no Python of the system")
    try:
        done = subprocess.run(
            [python, "-c", GST], input="\n".join(LINES), capture_output=True, text=True, timeout=60, check=True
        )  # fmt: skip
    except (subprocess.SubprocessError, OSError):
        pytest.skip("GStreamer for Python is not installed")
    return done.stdout.splitlines()


@pytest.mark.parametrize("number", range(len(LINES)))
def test_agrees_with_gstreamer(gstreamer: list[str], number: int) -> None:
    try:
        found: Any = parse(LINES[number])
        ours = " ".join(sorted(f"{a.source.part.element}>{a.target.part.element}" for a in found.links))
    except LaunchError:
        ours = "error"
    assert ours == gstreamer[number]
