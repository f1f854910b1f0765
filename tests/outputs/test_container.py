from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from fractions import Fraction

import av
import numpy as np
import pytest

from millrace.core.caps import Caps
from millrace.core.errors import ConfigError
from millrace.core.item import StreamStart
from millrace.encoders.libav import open_encoder
from millrace.media import Frame, Image, Packet
from millrace.outputs.container import open_container
from millrace.sources import open_source

FRAMES = Caps(
    "frames", format="I420", width=64, height=48, time_base=Fraction(1, 90000), fps=Fraction(25), matrix="bt709"
)
UNEVEN = [0, 40_000_000, 120_000_000, 130_000_000, 700_000_000, 740_000_000, 780_000_000, 1_200_000_000]


def packets_of(codec="h264", times=UNEVEN, **options):
    encoder = open_encoder(FRAMES, codec=codec, **options)
    out = []
    for index, pts in enumerate(times):
        planes = [np.full(s, 40 + 20 * index % 200, np.uint8) for s in ((48, 64), (24, 32), (24, 32))]
        image = Image("I420", planes, 64, 48, matrix="bt709")
        out += encoder.encode(Frame("a", index, pts, image, duration=40_000_000))
    return encoder.caps, out + encoder.flush()


def write(path, caps, packets):
    output = open_container(str(path), caps)
    for packet in packets:
        output.write(packet)
    output.close()
    output.close()


def read(path):
    """Times of the decoded pictures in ns (None where the file has none), and the container's duration in seconds."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        times = [None if f.pts is None else round(f.pts * stream.time_base * 10**9) for f in container.decode(stream)]
        return times, None if container.duration is None else container.duration / 1e6


@pytest.mark.parametrize("codec", ["h264", "hevc", "av1", "mpeg4", "mjpeg"])
@pytest.mark.parametrize("ending", ["mp4", "mov", "mkv"])
def test_times_are_kept(tmp_path, codec, ending):
    if (codec, ending) == ("av1", "mov"):
        pytest.skip("QuickTime has no AV1")
    path = tmp_path / f"out.{ending}"
    caps, packets = packets_of(codec)
    write(path, caps, packets)
    times, duration = read(path)
    tick = 1_000_000 if ending == "mkv" else 20_000  # Matroska counts ms
    assert np.abs(np.array(times) - UNEVEN).max() <= tick
    assert duration == pytest.approx(1.24, abs=0.002)


@pytest.mark.parametrize(("ending", "codec"), [("ts", "h264"), ("ts", "hevc"), ("ts", "mpeg4")])
def test_ts_keeps_the_steps(tmp_path, ending, codec):
    path = tmp_path / f"out.{ending}"
    write(path, *packets_of(codec))
    times, _ = read(path)
    assert np.abs(np.diff(times) - np.diff(UNEVEN)).max() <= 12_000  # it begins later: its clock cannot be below 0


@pytest.mark.parametrize("codec", ["mpeg4", "mjpeg", "h264"])
def test_avi(tmp_path, codec):
    path = tmp_path / "out.avi"
    write(path, *packets_of(codec, [i * 40_000_000 for i in range(20)]))
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        assert stream.average_rate == 25 and stream.frames == 20
        assert len(list(container.decode(stream))) == 20


@pytest.mark.parametrize(
    ("name", "codec"), [("a.h264", "h264"), ("a.264", "h264"), ("a.h265", "hevc"), ("a.hevc", "hevc")]
)
def test_raw_streams_hold_their_parameters(tmp_path, name, codec):
    path = tmp_path / name
    write(path, *packets_of(codec, gop=4))
    assert len(read(path)[0]) == len(UNEVEN)


def test_what_was_read_can_be_written_without_encoding(clip, tmp_path):
    original = clip("in.mp4", count=12)
    start, *packets = open_source("a", str(original)).read()
    for ending in ("mp4", "mkv", "ts", "h264"):
        path = tmp_path / f"copy.{ending}"
        write(path, start.caps, packets)
        assert len(read(path)[0]) == 12
    assert read(tmp_path / "copy.mp4") == read(original)


def test_colour_shape_and_rotation_are_in_the_file(tmp_path):
    caps, packets = packets_of()
    write(tmp_path / "a.mp4", caps.replace(rotation=90), packets)
    start = next(iter(open_source("a", str(tmp_path / "a.mp4")).read()))
    assert isinstance(start, StreamStart)
    assert start.caps["rotation"] == 90 and start.caps["parameters"].colour_matrix == 1
    assert (start.caps["width"], start.caps["height"], start.caps["frames"]) == (64, 48, len(UNEVEN))


def test_a_packet_may_be_written_into_two_files(tmp_path):
    caps, packets = packets_of()
    before = [(p.data.pts, p.data.time_base) for p in packets]
    for name in ("a.mp4", "b.mkv"):
        write(tmp_path / name, caps, packets)
    assert [(p.data.pts, p.data.time_base) for p in packets] == before


@pytest.mark.parametrize("ending", ["mp4", "mov", "mkv", "ts"])
def test_a_killed_writer_leaves_a_file_that_plays(tmp_path, clip, ending):
    original, path = (
        clip("in.mp4", count=100, options={"g": "20", "bf": "2", "sc_threshold": "0"}),
        tmp_path / f"out.{ending}",
    )
    script = f"""
        import os, signal
        from millrace.outputs.container import open_container
        from millrace.sources import open_source
        start, *packets = open_source("a", {str(original)!r}).read()
        output = open_container({str(path)!r}, start.caps)
        for packet in packets[:90]:
            output.write(packet)
        os.kill(os.getpid(), signal.SIGKILL)
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(script)], timeout=60, env=os.environ, check=False)
    assert done.returncode == -signal.SIGKILL
    times, _ = read(path)
    assert len(times) >= (80 if ending in ("mp4", "mov") else 60)  # four fragments of 20; Matroska loses up to a second
    steps = np.diff(times)
    assert np.abs(steps - 40_000_000).max() <= 1_000_000
    if ending in ("mp4", "mov"):
        assert times[0] == 0


def test_a_finished_mp4_has_an_ordinary_index_and_seeks(tmp_path, clip):
    original, path = clip("in.mp4", count=100, options={"g": "20", "sc_threshold": "0"}), tmp_path / "out.mp4"
    start, *packets = open_source("a", str(original)).read()
    write(path, start.caps, packets)
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        assert stream.frames == 100 and container.duration == 4_000_000 and stream.average_rate == 25
        container.seek(2_500_000)
        assert next(container.decode(stream)).time == pytest.approx(2.4)


def test_unknown_endings_and_codecs_that_do_not_fit(tmp_path):
    caps, _ = packets_of()
    with pytest.raises(ConfigError, match=r"out\.xyz: files that end in '\.xyz' are not known: \.mp4, "):
        open_container(str(tmp_path / "out.xyz"), caps)
    with pytest.raises(ConfigError, match=r"out: files that end in 'nothing'"):
        open_container(str(tmp_path / "out"), caps)
    with pytest.raises(ConfigError, match=r"out\.webm: a webm file cannot hold h264"):
        open_container(str(tmp_path / "out.webm"), caps)


def test_a_folder_that_is_not_there(tmp_path):
    caps, _ = packets_of()
    with pytest.raises(OSError, match=r"none/out\.mp4: No such file or directory"):
        open_container(str(tmp_path / "none" / "out.mp4"), caps)


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full here")
@pytest.mark.parametrize("ending", ["mp4", "mkv", "ts", "avi", "h264"])
def test_a_full_disk_is_one_error(tmp_path, ending):
    path = tmp_path / f"out.{ending}"
    path.symlink_to("/dev/full")
    with pytest.raises(OSError, match=rf"cannot write .*out\.{ending}: No space left on device"):
        write(path, *packets_of(gop=3))


def test_packets_without_times_are_refused(tmp_path):
    caps, _ = packets_of()
    output = open_container(str(tmp_path / "out.mp4"), caps)
    with pytest.raises(ValueError, match=r"out\.mp4: a packet of a has no time"):
        output.write(Packet("a", b"x", None))
    output.close()


def test_a_colon_in_the_name_is_not_a_protocol(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write("pipe:1.mp4", *packets_of())
    assert len(read(f"file:{tmp_path}/pipe:1.mp4")[0]) == len(UNEVEN)
