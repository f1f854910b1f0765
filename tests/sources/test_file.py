from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import pytest

from millrace.core.errors import ConfigError, SourceError
from millrace.core.item import StreamStart
from millrace.media import Packet
from millrace.sources import open_source


def read(path, **options):
    return list(open_source("a", str(path), **options).read())


def test_caps_then_packets_with_times_in_ns(clip):
    start, *packets = read(clip(count=5))
    assert isinstance(start, StreamStart) and start.stream == "a" and not start.live
    caps = start.caps
    assert caps.kind == "packets"
    assert (caps["codec"], caps["width"], caps["height"], caps["fps"]) == ("h264", 64, 48, Fraction(25))
    assert caps["frames"] == 5 and caps["duration"] == 200_000_000 and caps["rotation"] == 0
    assert all(isinstance(p, Packet) and p.stream == "a" and p.kind == "video" for p in packets)
    assert sorted(p.pts for p in packets) == [0, 40_000_000, 80_000_000, 120_000_000, 160_000_000]
    assert packets[0].key and packets[0].duration == 40_000_000
    assert [p.dts for p in packets] == sorted(p.dts for p in packets)


def test_packets_hold_the_demuxers_memory(clip):
    packet = read(clip())[1]
    assert isinstance(packet.data, av.Packet)
    assert len(memoryview(packet.data)) == packet.data.size > 0


def test_caps_of_two_readings_are_equal_and_of_two_clips_not(clip):
    path = clip("a.mp4")
    assert read(path)[0].caps == read(path)[0].caps
    assert read(path)[0].caps != read(clip("b.mp4", width=80))[0].caps


def test_file_address_with_escapes(clip):
    path = clip("a b.mp4")
    assert len(read(path.as_uri())) == 11


def test_a_colon_in_the_name_is_not_a_protocol(clip, monkeypatch):
    path = clip("http:x.mp4")
    monkeypatch.chdir(path.parent)
    assert len(read("http:x.mp4")) == 11


def test_interrupt_stops_reading(clip):
    source = open_source("a", str(clip()))
    items = source.read()
    next(items), next(items)
    source.interrupt()
    assert list(items) == []


def test_rotation_is_clockwise_degrees(tmp_path):
    path = tmp_path / "r.mp4"
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=25, width=64, height=48, pix_fmt="yuv420p")
        stream.set_display_rotation(-90)  # PyAV counts counter-clockwise
        for index in range(3):
            frame = av.VideoFrame(64, 48, "yuv420p")
            frame.pts = index
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    assert read(path)[0].caps["rotation"] == 90


def test_tracks(tmp_path):
    path = tmp_path / "two.mkv"
    with av.open(str(path), "w") as out:
        streams = [out.add_stream("mpeg4", rate=25, width=w, height=48, pix_fmt="yuv420p") for w in (64, 96)]
        for index in range(3):
            for stream, width in zip(streams, (64, 96), strict=True):
                frame = av.VideoFrame(width, 48, "yuv420p")
                frame.pts = index
                out.mux(stream.encode(frame))
        for stream in streams:
            out.mux(stream.encode(None))
    assert [read(path, track=n)[0].caps["width"] for n in (None, 0, 1)] == [64, 64, 96]
    with pytest.raises(SourceError, match=r"no video track 2: it has 2"):
        read(path, track=2)


def error_of(path) -> str:
    with pytest.raises(SourceError) as caught:
        read(path)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)
    return str(caught.value)


def test_errors_are_one_clear_sentence(tmp_path: Path, clip):
    assert "there is no file" in error_of(tmp_path / "none.mp4")
    assert "is a folder" in error_of(tmp_path)
    (tmp_path / "empty.mp4").touch()
    assert "is empty" in error_of(tmp_path / "empty.mp4")
    (tmp_path / "text.mp4").write_text("no video in here, only words, and not many of them\n" * 9)
    assert "not a media file" in error_of(tmp_path / "text.mp4")
    whole = clip("whole.mp4").read_bytes()  # PyAV writes the moov at the end
    (tmp_path / "cut.mp4").write_bytes(whole[: whole.rindex(b"moov") - 4])
    assert "without its index (moov)" in error_of(tmp_path / "cut.mp4")


def test_no_video_track(tmp_path):
    path = tmp_path / "sound.wav"
    with av.open(str(path), "w") as out:
        stream = out.add_stream("pcm_s16le", rate=8000)
        frame = av.AudioFrame(format="s16", layout="stereo", samples=800)
        frame.sample_rate, frame.pts = 8000, 0
        frame.planes[0].update(bytes(frame.planes[0].buffer_size))
        out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    message = error_of(path)
    assert "no video track" in message and "audio (pcm_s16le)" in message


def test_a_cut_fragment_gives_its_packets_then_one_error(clip):
    whole = clip("frag.mp4", count=30, container={"movflags": "frag_keyframe+empty_moov"}, options={"g": "10"})
    cut = whole.with_name("cut.mp4")
    content = whole.read_bytes()
    cut.write_bytes(content[: content.rindex(b"mdat") + 60])
    got = []
    with pytest.raises(SourceError, match="cut off"):
        for item in open_source("a", str(cut)).read():
            got.append(item)
    assert len(got) > 20  # the StreamStart and the two whole fragments


def test_unknown_schemes_and_settings_say_what_there_is():
    with pytest.raises(ConfigError, match=r"there is no source for gopher://; use a path or file://"):
        open_source("a", "gopher://me:secret@host/x")
    with pytest.raises(ConfigError) as caught:
        open_source("a", "gopher://me:secret@host/x")
    assert "secret" not in str(caught.value)
    with pytest.raises(ConfigError, match=r"no setting 'trakc'; there are: .*track"):
        open_source("a", "a.mp4", trakc=1)
