"""Real GStreamer fragments as filters and as sinks."""

import numpy as np
import pytest

import millrace
from millrace.core import StreamError
from millrace.media import Object, box
from millrace.testing.clips import numbered_clip, read_frame_number


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    return numbered_clip(tmp_path_factory.mktemp("clips") / "clip.mp4", frames=30)


def marked(frame):
    frame.objects = [Object(box([10, 20, 30, 40 + frame.index]), "thing", 0, 0.5, id=frame.index)]
    return frame


def test_a_filter_gives_every_frame_with_its_time_and_what_is_known(clip):
    before = list(millrace.open(clip))
    after = list(millrace.open(clip).map(marked).gst("videobalance saturation=0"))
    assert [frame.pts for frame in after] == [frame.pts for frame in before]
    assert [frame.index for frame in after] == list(range(30))
    assert [frame.objects[0].id for frame in after] == list(range(30))
    assert [read_frame_number(frame.image.planes[0]) for frame in after] == list(range(30))
    assert all(np.abs(frame.image.planes[1].astype(int) - 128).max() <= 1 for frame in after)


def test_a_filter_that_scales_scales_boxes(clip):
    frames = list(millrace.open(clip).map(marked).gst("videoscale ! video/x-raw,width=160,height=60"))
    assert (frames[0].image.width, frames[0].image.height) == (160, 60) and len(frames) == 30
    assert frames[4].objects[0].box.tolist() == [5, 5, 15, 11]


def test_a_filter_that_leaves_frames_out_keeps_the_right_ones(clip):
    frames = list(millrace.open(clip).map(marked).gst("videorate drop-only=true ! video/x-raw,framerate=5/1"))
    assert 5 <= len(frames) <= 8
    assert [read_frame_number(frame.image.planes[0]) for frame in frames] == [f.objects[0].id for f in frames]
    assert [frame.index for frame in frames] == list(range(len(frames)))


def test_a_filter_that_holds_pictures_back_loses_none(clip):
    line = "queue min-threshold-buffers=12 max-size-buffers=40"
    frames = list(millrace.open(clip).gst(line))
    assert [read_frame_number(frame.image.planes[0]) for frame in frames] == list(range(30))


def test_a_filter_that_makes_many_pictures_of_one_does_not_block(clip):
    frames = list(millrace.open(clip).map(marked).gst("videorate ! video/x-raw,framerate=250/1"))
    assert len(frames) in range(281, 302)  # ten of each; the last may be shown once
    assert {read_frame_number(frame.image.planes[0]) for frame in frames} == set(range(30))
    assert [frame.objects[0].id for frame in frames] == [frame.pts // 40_000_000 for frame in frames]


def test_two_streams_have_a_fragment_each(clip):
    frames = list(millrace.open(clip, clip, name=["a", "b"]).gst("videoflip method=horizontal-flip"))
    assert sorted((frame.stream, frame.index) for frame in frames) == [(s, n) for s in "ab" for n in range(30)]


def test_a_sink_gets_the_frames_and_they_go_on(clip, tmp_path):
    line = f"jpegenc ! multifilesink location={tmp_path}/%02d.jpg"
    summary = millrace.open(clip).gst(line).run()
    assert summary.frames == 30 and len(list(tmp_path.glob("*.jpg"))) == 30


def test_packets_into_a_sink(clip, tmp_path):
    line = f"h264parse ! matroskamux ! filesink location={tmp_path}/{{stream}}.mkv"
    millrace.open(clip, name="yard").encode().gstout(line).run()
    frames = list(millrace.open(tmp_path / "yard.mkv"))
    assert [read_frame_number(frame.image.planes[0]) for frame in frames] == list(range(30))


def test_packets_of_a_file_as_they_are(clip, tmp_path):
    millrace.open(clip, name="yard").gstout(f"h264parse ! mp4mux ! filesink location={tmp_path}/yard.mp4").run()
    ours, theirs = list(millrace.open(clip)), list(millrace.open(tmp_path / "yard.mp4"))
    assert len(theirs) == 30
    assert [f.pts - theirs[0].pts for f in theirs] == pytest.approx([f.pts - ours[0].pts for f in ours], abs=1_000_000)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("videotestsrc", "could not link videoconvert. to videotestsrc"),
        ("nosuchelement", 'no element "nosuchelement"'),
        ("identity error-after=5", "identity"),
    ],
)
def test_what_is_wrong_is_one_error_of_the_stream(clip, line, words):
    with pytest.raises(StreamError, match=words):
        millrace.open(clip, name="s").gst(line).run()
