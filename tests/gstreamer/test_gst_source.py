"""Real GStreamer fragments as sources."""

import os
import signal
from pathlib import Path

import numpy as np
import pytest

import millrace
from millrace.core import SourceError
from millrace.testing.clips import numbered_clip, read_frame_number

BARS = "gst:videotestsrc num-buffers=20 pattern=smpte ! video/x-raw,format={},width={},height={},framerate=25/1"


@pytest.mark.parametrize("format", ["I420", "NV12", "RGB", "BGR", "GRAY8", "GRAY16_LE", "P010_10LE"])
@pytest.mark.parametrize(("width", "height"), [(64, 48), (35, 27)])
def test_raw_formats_come_as_they_are(format, width, height):
    frames = list(millrace.open(BARS.format(format, width, height), name="bars"))
    assert [frame.pts for frame in frames] == [index * 40_000_000 for index in range(20)]
    image = frames[0].image
    assert (image.format, image.width, image.height) == (format.split("_")[0], width, height)
    rgb = image.to_rgb() if image.format != "GRAY16" else None
    if rgb is not None and "GRAY" not in format:  # the third bar of seven from the left is cyan, the sixth red
        for bar, colour in ((2.5, (0, 255, 255)), (5.5, (255, 0, 0))):
            assert np.abs(rgb[height // 3, int(width * bar / 7)].astype(int) - colour).max() < 30


def test_what_millrace_does_not_know_is_converted_there():
    [frame] = list(millrace.open("gst:videotestsrc num-buffers=1 ! video/x-raw,format=YUY2,width=32,height=16"))
    assert (frame.image.width, frame.image.height) == (32, 16)


def test_a_decoded_clip_has_its_frames_and_times(tmp_path):
    clip = numbered_clip(tmp_path / "clip.mp4", frames=30)
    ours = list(millrace.open(clip))
    line = f"gst:filesrc location={clip} ! qtdemux ! h264parse ! avdec_h264"
    if os.system("gst-inspect-1.0 avdec_h264 >/dev/null 2>&1"):
        line = f"gst:filesrc location={clip} ! qtdemux ! h264parse ! openh264dec"
    theirs = list(millrace.open(line))
    assert [frame.pts - theirs[0].pts for frame in theirs] == [frame.pts - ours[0].pts for frame in ours]
    assert [read_frame_number(frame.image.planes[0]) for frame in theirs] == list(range(30))


def test_coded_video_comes_as_packets_that_our_decoder_reads(tmp_path):
    clip = numbered_clip(tmp_path / "clip.mp4", frames=30)
    frames = list(millrace.open(f"gst:filesrc location={clip} ! qtdemux"))
    assert [read_frame_number(frame.image.planes[0]) for frame in frames] == list(range(30))
    jpeg = list(millrace.open("gst:videotestsrc num-buffers=5 ! video/x-raw,width=64,height=48 ! jpegenc"))
    assert [(frame.image.width, frame.image.height) for frame in jpeg] == [(64, 48)] * 5


def test_a_live_source_is_live():
    line = "gst:videotestsrc is-live=true num-buffers=5 ! video/x-raw,width=64,height=48,framerate=50/1"
    frames = list(millrace.open(line))
    assert len(frames) == 5 and all(frame.arrived for frame in frames)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("videotestsrc ! nosuchelement", 'no element "nosuchelement"'),
        ("videotestsrc ! fakesink", "could not link fakesink0 to millrace_out"),
        ("audiotestsrc num-buffers=3", "must be raw video"),
        ("filesrc location=/no/such/file ! decodebin ! videoconvert", "/no/such/file"),
        ("videotestsrc ! (", "syntax error|empty bin"),
    ],
)
def test_what_is_wrong_is_one_error_of_the_stream(line, words):
    with pytest.raises(SourceError, match=words):
        millrace.open(f"gst:{line}", name="s").run()


def test_a_killed_process_is_one_error_and_other_streams_go_on(tmp_path):
    clip = numbered_clip(tmp_path / "clip.mp4", frames=40)
    killed = []

    def kill(frame):
        if frame.stream == "test" and frame.index == 3 and not killed:
            [child] = children()
            killed.append(os.kill(child, signal.SIGKILL))

    flow = millrace.open("gst:videotestsrc ! video/x-raw,width=64,height=48", str(clip), name=["test", "clip"])
    summary = flow.each(kill).run(check=False)
    [error] = summary.errors
    assert error.stream == "test" and "signal 9" in error.text
    assert summary.streams["clip"].frames_out == 40


def test_leaving_a_loop_ends_the_process():
    for frame in millrace.open("gst:videotestsrc ! video/x-raw,width=64,height=48"):
        if frame.index == 5:
            break
    assert children() == []


def children() -> list[int]:
    """The processes of fragments that this one has begun."""
    found = []
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                stat = Path(f"/proc/{name}/stat").read_text().rpartition(")")[2].split()
                line = Path(f"/proc/{name}/cmdline").read_text()
            except OSError:
                continue
            if int(stat[1]) == os.getpid() and stat[0] != "Z" and "gstreamer.child" in line:
                found.append(int(name))
    return found


def test_a_fault_where_the_first_caps_come_is_told_and_nobody_waits(monkeypatch):
    code = (
        "from millrace.gstreamer import child\n"
        "def wrong(*_): raise AttributeError('no such thing')\n"
        "child._Fragment._take = wrong\n"
        "child.main()\n"
    )
    monkeypatch.setattr("millrace.gstreamer.process._MAIN", code)
    with pytest.raises(SourceError, match="AttributeError: no such thing"):
        list(millrace.open(BARS.format("I420", 64, 48)))
