"""A file that ends in the middle of something plays up to there."""

from __future__ import annotations

from pathlib import Path

import av
import av.error
import pytest

from millrace.outputs.container import open_container
from millrace.outputs.torn import cut_torn_box
from millrace.sources import open_source
from millrace.testing.clips import numbered_clip


@pytest.fixture
def unfinished(tmp_path: Path) -> Path:
    """A file whose writer was killed: whole fragments, no end."""
    start, *packets = open_source("a", str(numbered_clip(tmp_path / "in.mp4", 40, 96, 64, gop=10))).read()
    out = open_container(str(tmp_path / "growing.mp4"), start.caps)
    for packet in packets:
        out.write(packet)
    path = tmp_path / "cut.mp4"
    path.write_bytes((tmp_path / "growing.mp4").read_bytes())
    out.close()
    return path


def frames(path: Path) -> int:
    with av.open(str(path)) as file:
        return sum(1 for _ in file.decode(video=0))


@pytest.mark.parametrize("torn", [b"\0\0\0\xc0moof" + bytes(37), b"\0\0\0\xc0mo", b"\0"])
def test_the_header_of_a_fragment_that_is_not_whole_goes(unfinished: Path, torn: bytes) -> None:
    whole = unfinished.read_bytes()
    assert frames(unfinished) >= 20
    unfinished.write_bytes(whole + torn)
    cut_torn_box(str(unfinished))
    assert unfinished.read_bytes() == whole


def test_a_file_that_ends_within_such_a_header_can_be_opened_again(unfinished: Path) -> None:
    whole = unfinished.read_bytes()
    last = whole.rindex(b"moof") - 4
    unfinished.write_bytes(whole[: last + 45])
    with pytest.raises(av.error.InvalidDataError):
        frames(unfinished)
    cut_torn_box(str(unfinished))
    assert unfinished.read_bytes() == whole[:last] and frames(unfinished) >= 10


def test_media_that_are_not_whole_stay(unfinished: Path) -> None:
    whole = unfinished.read_bytes()
    for torn in (b"\0\0\x10\0mdat" + bytes(100), b"\0\0\0\1mdat\0\0\0\0\0\1\0\0" + bytes(9), b"\0\0\0\0mdat"):
        unfinished.write_bytes(whole + torn)
        cut_torn_box(str(unfinished))
        assert unfinished.read_bytes() == whole + torn


def test_a_whole_file_is_left_alone(tmp_path: Path) -> None:
    clip = numbered_clip(tmp_path / "in.mp4", 10, 96, 64)
    before = clip.read_bytes()
    cut_torn_box(str(clip))
    assert clip.read_bytes() == before
