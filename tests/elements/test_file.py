from __future__ import annotations

import pytest

from millrace.core.caps import Caps
from millrace.core.element import Context
from millrace.core.errors import ConfigError, StreamError
from millrace.core.item import StreamStart
from millrace.elements.file import File
from millrace.sources import open_source


def packets(path, stream="a"):
    return list(open_source(stream, str(path)).read())


def run(element, *readings):
    """Pushes whole streams one after the other, each begun before the first ends."""
    for start, *_ in readings:
        element.start_stream(start)
    for _, *items in readings:
        for item in items:
            assert list(element.process(item)) == [item]
    for start, *_ in readings:
        assert list(element.end_stream(start.stream)) == []
    element.close()


def count(path):
    return len(packets(path)) - 1


def test_one_stream_one_file(clip, tmp_path):
    run(File(path=str(tmp_path / "out.mkv")), packets(clip(count=7)))
    assert count(tmp_path / "out.mkv") == 7


def test_several_expected_streams_have_their_names_in_the_files(clip, tmp_path):
    element = File(path=str(tmp_path / "out.mp4"))
    element.expect(["a", "gate 1/2"])
    run(element, packets(clip("1.mp4", count=3)), packets(clip("2.mp4", count=4), "gate 1/2"))
    assert count(tmp_path / "out-a.mp4") == 3 and count(tmp_path / "out-gate_1_2.mp4") == 4
    assert not (tmp_path / "out.mp4").exists()


def test_a_second_stream_that_nobody_announced(clip, tmp_path):
    run(File(path=str(tmp_path / "out.mp4")), packets(clip("1.mp4", count=3)), packets(clip("2.mp4", count=4), "b"))
    assert count(tmp_path / "out.mp4") == 3 and count(tmp_path / "out-b.mp4") == 4


def test_the_streams_name_in_the_path(clip, tmp_path):
    run(File(path=str(tmp_path / "x_{stream}_y.mkv")), packets(clip(count=3), "cam 1"))
    assert count(tmp_path / "x_cam_1_y.mkv") == 3


def test_a_stream_that_starts_again_gets_another_file(clip, tmp_path):
    element, reading = File(path=str(tmp_path / "out.mkv")), packets(clip(count=3))
    run(element, reading)
    run(element, reading)
    assert count(tmp_path / "out.mkv") == count(tmp_path / "out-2.mkv") == 3


def test_equal_caps_go_on_in_the_file_and_new_ones_in_another(clip, tmp_path):
    element = File(path=str(tmp_path / "out.mkv"))
    (start, *first), (other, *second) = packets(clip("1.mp4", count=3)), packets(clip("2.mp4", count=4, width=96))
    for item in (start, *first, start, other, *second):
        element.start_stream(item) if isinstance(item, StreamStart) else list(element.process(item))
    element.close()
    assert count(tmp_path / "out.mkv") == 3 and count(tmp_path / "out-2.mkv") == 4


def test_close_finishes_open_files(clip, tmp_path):
    element = File(path=str(tmp_path / "out.mp4"))
    start, *items = packets(clip(count=5))
    element.start_stream(start)
    for item in items:
        list(element.process(item))
    element.close()
    assert count(tmp_path / "out.mp4") == 5


def test_frames_are_refused():
    with pytest.raises(StreamError, match="a: file takes packets, not frames"):
        File(path="out.mp4").start_stream(StreamStart("a", Caps("frames")))


def test_wrong_paths_are_found_before_anything_runs(tmp_path):
    context = Context("file", lambda: None, lambda message, stream: None)
    with pytest.raises(ConfigError, match=r"out\.doc: files that end in '\.doc' are not known"):
        File(path=str(tmp_path / "out.doc")).open(context)
    with pytest.raises(ConfigError, match=r"missing/out\.mp4 cannot be written: there is no folder .*missing"):
        File(path=str(tmp_path / "missing" / "out.mp4")).open(context)
    File(path=str(tmp_path / "out.mp4")).open(context)


def test_a_file_that_cannot_be_made_is_named(clip, tmp_path):
    (tmp_path / "out.mp4").mkdir()
    with pytest.raises(OSError, match=r"cannot write .*out\.mp4: Is a directory"):
        File(path=str(tmp_path / "out.mp4")).start_stream(packets(clip("in.mkv"))[0])
