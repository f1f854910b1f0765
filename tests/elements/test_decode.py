from __future__ import annotations

import itertools
from dataclasses import replace
from fractions import Fraction
from types import SimpleNamespace

import av
import av.error
import pytest

from millrace.core.caps import Caps
from millrace.core.element import Context
from millrace.core.errors import SourceError, StreamError
from millrace.core.item import StreamStart
from millrace.decoders.base import Decoded
from millrace.decoders.libav import image_of
from millrace.elements.decode import Decode
from millrace.media import Decoding, Frame, Packet
from millrace.sources import open_source

VIDEOS = [
    "Retail02_short.mp4", "av1_video.mkv", "bottle-detection.mp4", "car-detection.mp4", "highway_320x240_mpeg4.avi",
    "nasa_13013_multi_stream.mp4", "night_street_1080p_3fps.mp4", "one-by-one-person-detection.mp4",
    "pedestrians_626x360_vfr.mp4", "people-detection.264", "road_640x352_vfr.mp4", "udacity_dashcam_720p.mp4",
    "derived/car_av1.mp4", "derived/car_bframes_longgop.h264", "derived/car_corrupt_bytes.ts",
    "derived/car_fisheye_equidistant_720.mp4", "derived/car_fragmented_truncated.mp4", "derived/car_hevc.mp4",
    "derived/car_hevc_main10.mkv", "derived/car_mjpeg_640x360.avi", "derived/car_mpeg2_interlaced_sar.ts",
    "derived/car_odd_321x181.webm", "derived/car_packet_loss_2pct.ts", "derived/car_resolution_change.h264",
    "derived/car_rotation90_metadata.mp4", "derived/car_starts_midgop.ts", "derived/car_truncated_60pct.mp4",
    "derived/car_vfr.mp4", "derived/car_vp9_opus.webm", "derived/pair_cam_a.mp4", "derived/pair_cam_b.mp4",
    "derived/two_video_streams.mkv",
]  # fmt: skip
FRAMES = {  # the manifest's counts; the whole of the long ones takes too long for a test, see LIMIT
    "av1_video.mkv": 125, "car-detection.mp4": 377, "highway_320x240_mpeg4.avi": 748,
    "nasa_13013_multi_stream.mp4": 325, "night_street_1080p_3fps.mp4": 8, "pedestrians_626x360_vfr.mp4": 242,
    "people-detection.264": 596, "road_640x352_vfr.mp4": 905, "udacity_dashcam_720p.mp4": 38,
    "derived/car_bframes_longgop.h264": 125, "derived/car_corrupt_bytes.ts": 149,
    "derived/car_fragmented_truncated.mp4": 74, "derived/car_hevc_main10.mkv": 75,
    "derived/car_mjpeg_640x360.avi": 100, "derived/car_mpeg2_interlaced_sar.ts": 125,
    "derived/car_odd_321x181.webm": 100, "derived/car_packet_loss_2pct.ts": 149,
    "derived/car_resolution_change.h264": 100, "derived/car_starts_midgop.ts": 60,
    "derived/car_truncated_60pct.mp4": 220, "derived/car_vfr.mp4": 68, "derived/car_vp9_opus.webm": 125,
}  # fmt: skip
LIMIT = {"Retail02_short.mp4": 60, "bottle-detection.mp4": 300, "one-by-one-person-detection.mp4": 300}
REPAIRED = {"highway_320x240_mpeg4.avi"}


class Hand:
    """Drives one Decode as the engine would, with one stream."""

    def __init__(self, **settings):
        self.warnings: list[str] = []
        self.element = Decode(**settings)
        self.element.open(Context("decode", lambda: None, lambda message, stream: self.warnings.append(message)))
        self.starts: list[StreamStart] = []
        self.frames: list[Frame] = []
        self.order: list[str] = []

    def push(self, item):
        if isinstance(item, StreamStart):
            self.starts.append(self.element.start_stream(item))
        else:
            self.take(self.element.process(item))

    def take(self, out):
        for item in out:
            (self.starts if isinstance(item, StreamStart) else self.frames).append(item)
            self.order.append("start" if isinstance(item, StreamStart) else "frame")

    def end(self):
        self.take(self.element.end_stream("a"))
        self.element.close()
        return self


def decode(path, limit=None, track=None, **settings):
    hand = Hand(**settings)
    for item in open_source("a", str(path), track=track).read():
        hand.push(item)
        if limit and len(hand.frames) >= limit:
            break
    return hand.end()


def plain_loop(path, limit, track):
    """(ns or None, luma mean) of each frame as PyAV's own loop gives them."""
    with av.open(str(path)) as container:
        stream = container.streams.video[track] if track is not None else container.streams.best("video")
        stream.codec_context.thread_count = 1
        out = []
        for packet in container.demux(stream):
            try:
                frames = packet.decode()
            except av.error.InvalidDataError:
                continue
            for frame in frames:
                base = stream.time_base
                out.append((None if frame.pts is None else round(frame.pts * base * 10**9), frame.width))
            if limit and len(out) >= limit:
                break
        return out


@pytest.mark.parametrize("name", VIDEOS)
def test_every_clip_gives_what_plain_pyav_gives(corpus, name):
    path, limit = corpus / "videos" / name, LIMIT.get(name)
    track = 0 if name.startswith("nasa") else None  # the manifest tells of the first track, the second is larger
    hand, cut = Hand(), False
    try:
        for item in open_source("a", str(path), track=track, rotate=0).read():
            hand.push(item)
            if limit and len(hand.frames) >= limit:
                break
    except SourceError:
        cut = True
    hand.end()
    expected = plain_loop(path, limit, track)
    count = limit or len(expected)
    assert cut == ("truncated.mp4" in name)
    assert len(hand.frames) >= count and (limit or len(hand.frames) == FRAMES.get(name, count))
    times = [frame.pts for frame in hand.frames[:count]]
    assert all(later > earlier for earlier, later in itertools.pairwise(times))
    assert [frame.image.width for frame in hand.frames[:count]] == [width for _, width in expected[:count]]
    if name in REPAIRED:
        return
    if expected[0][0] is None or expected[-1][0] is None:
        fps = hand.starts[0].caps["fps"]
        assert times == [round(i * 10**9 / fps) for i in range(count)]
    else:
        assert times == [pts for pts, _ in expected[:count]]


def test_avi_with_b_frames_keeps_the_pace(corpus):
    times = [frame.pts for frame in decode(corpus / "videos/highway_320x240_mpeg4.avi").frames]
    steps = [later - earlier for earlier, later in itertools.pairwise(times)]
    assert min(steps) >= 20_000_000
    assert sum(step == 40_000_000 for step in steps) >= len(steps) - 6  # the first few, before pts are found wrong


@pytest.mark.parametrize("name", ["derived/empty.mp4", "derived/car_moov_missing.mp4"])
def test_broken_clips_are_one_clear_error(corpus, name):
    with pytest.raises(SourceError, match=r"is empty|without its index"):
        decode(corpus / "videos" / name)


def test_frames_of_a_clip(clip):
    hand = decode(clip(count=7))
    caps = hand.starts[0].caps
    assert caps.kind == "frames"
    assert [caps[key] for key in ("format", "width", "height", "matrix", "full_range", "memory", "fps", "frames")] == [
        "I420", 64, 48, "bt601", False, "cpu", Fraction(25), 7,
    ]  # fmt: skip
    assert [frame.index for frame in hand.frames] == list(range(7))
    assert [frame.pts for frame in hand.frames] == [i * 40_000_000 for i in range(7)]
    assert {frame.duration for frame in hand.frames} == {40_000_000}
    assert all(frame.stream == "a" and frame.arrived > 0 for frame in hand.frames)
    assert len(hand.starts) == 1 and not hand.warnings and not hand.element.streams


def test_raw_h264_has_times_from_the_rate(clip):
    hand = decode(clip("a.h264", count=5, options={"bf": "2"}))
    assert [frame.pts for frame in hand.frames] == [i * 40_000_000 for i in range(5)]


def test_a_new_size_is_announced_before_its_first_frame(clip, tmp_path):
    small, large = clip("s.h264", count=5), clip("l.h264", count=5, width=96)
    both = tmp_path / "both.h264"
    both.write_bytes(small.read_bytes() + large.read_bytes())
    hand = decode(both)
    assert [start.caps["width"] for start in hand.starts] == [64, 96]
    assert hand.order == ["frame"] * 5 + ["start"] + ["frame"] * 5
    assert [frame.image.width for frame in hand.frames] == [64] * 5 + [96] * 5
    assert [frame.index for frame in hand.frames] == list(range(10))


def test_more_threads_give_the_same(clip):
    path = clip(count=20)
    one, two = decode(path), decode(path, threads=2)
    assert [f.pts for f in one.frames] == [f.pts for f in two.frames]
    assert all((a.image.planes[0] == b.image.planes[0]).all() for a, b in zip(one.frames, two.frames, strict=True))


def test_a_second_epoch_goes_on_counting(clip):
    start, *packets = open_source("a", str(clip(count=4))).read()
    hand = Hand()
    hand.push(start)
    for packet in packets:
        hand.push(packet)
    hand.take(hand.element.flush("a"))
    hand.push(StreamStart("a", start.caps, epoch=1, discontinuity=True))
    for packet in packets:
        packet.pts += 160_000_000
        hand.push(packet)
    hand.end()
    assert [frame.index for frame in hand.frames] == list(range(8))
    assert [frame.epoch for frame in hand.frames] == [0] * 4 + [1] * 4
    assert [frame.pts for frame in hand.frames] == [i * 40_000_000 for i in range(8)]


def test_frames_pass(clip):
    frame = decode(clip(count=1)).frames[0]
    element = Decode()
    start = StreamStart("b", Caps("frames", width=64))
    assert element.start_stream(start) is start
    assert list(element.process(frame)) == [frame]
    assert list(element.end_stream("b")) == []


def test_damage_is_told_once_at_the_end(clip):
    start, *packets = open_source("a", str(clip(count=12, options={"g": "4", "bf": "0"}))).read()
    hand = Hand()
    hand.push(start)
    for index, packet in enumerate(packets):
        hand.push(Packet("a", b"\0\0\1\xff broken", packet.pts) if index in (5, 6) else packet)
    assert not hand.warnings
    hand.end()
    assert len(hand.frames) == 10
    assert len(hand.warnings) == 1 and hand.warnings[0].startswith("2 damaged packets")


def test_no_picture_at_all_is_an_error(clip):
    start, *packets = open_source("a", str(clip())).read()
    hand = Hand()
    hand.push(start)
    for packet in packets:
        hand.push(Packet("a", b"\0\0\1\xff broken", packet.pts))
    with pytest.raises(StreamError, match=r"a: no picture in 10 packets \(10 of them damaged\)"):
        hand.end()


def live(clip, monkeypatch, **settings):
    """A hand with a live stream begun, and a decoder that gives a picture of each packet that is `b"picture"`."""
    start, *_ = open_source("a", str(clip(count=1, options={"bf": "0"}))).read()
    with av.open(str(clip(count=1))) as container:
        image = image_of(next(container.decode(video=0)), None)
    decoder = SimpleNamespace(flush=list, close=lambda: None, damaged=0)

    def give(packet):
        decoder.damaged += packet.data == b"broken"
        return [Decoded(image, packet.pts, None)] if packet.data == b"picture" else []

    decoder.decode = give
    monkeypatch.setattr("millrace.elements.decode.open_decoder", lambda *a, **b: decoder)
    hand = Hand(**settings)
    hand.push(StreamStart("a", start.caps, live=True))
    return hand, start.caps


def send(hand, data, seconds, fps=25, key_every=0):
    """As many packets as a camera sends in this time."""
    last = getattr(hand, "last", 1_000_000_000)
    for n in range(round(seconds * fps)):
        last += 1_000_000_000 // fps if fps >= 1 else round(1e9 / fps)
        hand.push(Packet("a", data, last, None, None, bool(key_every) and n % key_every == 0, 0, "video", last))
    hand.last = last


def test_a_live_stream_without_a_picture_is_told_once_and_when_pictures_come(clip, monkeypatch):
    hand, _ = live(clip, monkeypatch)
    send(hand, b"broken", 9.9)
    assert not hand.warnings
    send(hand, b"broken", 30)
    assert hand.warnings == [
        "no picture for 10 s, though packets come: 251 packets (1506 bytes, 0 key pictures, 251 damaged); "
        "set a shorter interval of key pictures (GOP, I-frame interval) in the camera"
    ]
    send(hand, b"picture", 1)
    assert hand.warnings[1:] == ["pictures come again after 40 s"]
    send(hand, b"nothing", 12, key_every=25)  # and then none any more
    assert "0 damaged); check the camera's h264 settings" in hand.warnings[2]
    assert len(hand.warnings) == 3 and len(hand.frames) == 25


def test_a_live_stream_on_a_gpu_is_told_of_the_cpu(clip, monkeypatch):
    hand, _ = live(clip, monkeypatch, device="cuda:0")
    send(hand, b"nothing", 11, key_every=25)
    assert len(hand.warnings) == 1 and hand.warnings[0].endswith("and the network, or try `device: cpu`")


def test_what_is_not_told_to_be_without_pictures(clip, monkeypatch):
    """Files, silence, slow cameras whose decoder holds pictures back, pictures between, and key pictures only."""
    hand, caps = live(clip, monkeypatch)
    send(hand, b"nothing", 3)
    hand.last += 60_000_000_000  # the camera was silent
    send(hand, b"nothing", 3)
    for _ in range(20):
        send(hand, b"picture", 0.1)
        send(hand, b"nothing", 5)
    reorders = caps.replace(parameters=replace(caps["parameters"], reorder=16))
    hand.push(StreamStart("a", reorders, live=True, epoch=1))
    send(hand, b"picture", 0.1)
    send(hand, b"nothing", 38, fps=1)
    hand.push(StreamStart("a", caps.replace(decoding=Decoding("non_key")), live=True, epoch=2))
    for _ in range(20):
        send(hand, b"picture", 0.04, key_every=1)
        send(hand, b"nothing", 9)
    hand.push(StreamStart("a", caps, live=False, epoch=3))
    send(hand, b"nothing", 30)
    assert not hand.warnings


@pytest.mark.parametrize(("fps", "after"), [(6, 10), (2, 10), (1, 10), (0.25, 28)])
def test_a_slow_live_stream_without_a_picture_is_told_as_soon(clip, monkeypatch, fps, after):
    hand, _ = live(clip, monkeypatch)
    send(hand, b"nothing", after - 1, fps)
    assert not hand.warnings
    send(hand, b"nothing", 2 + 1 / fps, fps)
    assert len(hand.warnings) == 1 and hand.warnings[0].startswith("no picture for")


def test_where_only_key_pictures_are_decoded_and_none_comes_that_is_told(clip, monkeypatch):
    """A long interval is told once, not again and again; a much longer one is."""
    hand, caps = live(clip, monkeypatch)
    hand.push(StreamStart("a", caps.replace(decoding=Decoding("non_key")), live=True, epoch=1))
    send(hand, b"nothing", 11)
    assert hand.warnings == [
        "no picture for 10 s, though packets come: 251 packets (1757 bytes, 0 key pictures, 0 damaged); only those are "
        "decoded (`skip_frames: non_key`): set a shorter interval of key pictures (GOP, I-frame interval) in the "
        "camera, or `skip_frames: none`"
    ]
    send(hand, b"nothing", 9)
    for _ in range(5):
        send(hand, b"picture", 0.04, key_every=1)
        send(hand, b"nothing", 25)
    assert hand.warnings[1:] == ["pictures come again after 20 s"]
    send(hand, b"nothing", 20)
    assert len(hand.warnings) == 3 and hand.warnings[2].startswith("no picture for 40 s")
    assert len(hand.frames) == 5


def test_where_only_key_pictures_are_decoded_a_stream_without_one_is_an_error(clip):
    start, *packets = open_source("a", str(clip())).read()
    hand = Hand()
    hand.push(StreamStart("a", start.caps.replace(decoding=Decoding("non_key"))))
    for packet in packets[1:]:
        hand.push(packet)
    with pytest.raises(
        StreamError, match=r"a: no picture in 9 packets \(0 of them damaged\); only key pictures are dec"
    ):
        hand.end()


def test_a_stream_without_pictures_is_told_once_over_its_epochs(clip, monkeypatch):
    hand, caps = live(clip, monkeypatch)
    for epoch in range(1, 6):
        send(hand, b"broken", 6)
        hand.take(hand.element.flush("a"))
        hand.push(StreamStart("a", caps, live=True, epoch=epoch, discontinuity=True))
    assert len(hand.warnings) == 1 and "251 damaged" in hand.warnings[0]


def test_a_new_decoder_and_pictures_of_a_flush_are_counted_rightly(clip, monkeypatch):
    hand, caps = live(clip, monkeypatch)
    send(hand, b"broken", 6)
    old = hand.element.streams["a"].decoder
    new = SimpleNamespace(decode=lambda packet: [], flush=list, close=lambda: None, damaged=0)
    monkeypatch.setattr("millrace.elements.decode.open_decoder", lambda *a, **b: new)
    hand.push(StreamStart("a", caps.replace(codec="hevc"), live=True, epoch=1))
    send(hand, b"nothing", 6)
    assert len(hand.warnings) == 1 and "251 packets" in hand.warnings[0] and "150 damaged" in hand.warnings[0]
    old.damaged = 0
    picture = old.decode(Packet("a", b"picture", hand.last))
    new.flush = lambda: picture
    hand.take(hand.element.flush("a"))
    assert len(hand.frames) == 1
    send(hand, b"nothing", 12)  # ten seconds after the last picture again
    assert len(hand.warnings) == 2 and "no picture for 10 s" in hand.warnings[1]


def test_a_decoder_that_fails_ends_its_stream_with_one_error(clip, monkeypatch):
    def fails(packet):
        raise RuntimeError("cuda:0 has no memory left for a decoder")

    decoder = SimpleNamespace(decode=fails, flush=list, close=lambda: None, damaged=0)
    monkeypatch.setattr("millrace.elements.decode.open_decoder", lambda *a, **b: decoder)
    start, packet, *_ = open_source("a", str(clip())).read()
    hand = Hand(device="cuda:0")
    hand.push(start)
    with pytest.raises(StreamError, match="a: decoding on cuda:0 failed: cuda:0 has no memory left"):
        hand.push(packet)
    hand.end()
    assert not hand.frames


def test_a_stream_whose_flush_fails_ends_alone(clip, monkeypatch):
    closed = []

    def fails(*given):
        raise RuntimeError("cuda:0 has no memory left for 32 more surfaces")

    def opened(caps, *given, **options):
        decode = fails if caps["codec"] == "h264" else lambda packet: []
        return SimpleNamespace(decode=decode, flush=fails, close=lambda: closed.append(1), damaged=0)

    monkeypatch.setattr("millrace.elements.decode.open_decoder", opened)
    for codec, broken in (("h264", True), ("hevc", False)):  # in `decode` already, and only at the end
        closed.clear()
        element = Decode(device="cuda:0")
        element.start_stream(StreamStart("a", Caps("packets", codec=codec)))
        packet = Packet("a", b"x", 0, None, None, key=True)
        if broken:
            with pytest.raises(StreamError, match="no memory left"):
                element.process(packet)
            assert list(element.end_stream("a")) == []
        else:
            assert element.process(packet) == []
            with pytest.raises(StreamError, match="decoding on cuda:0 failed: cuda:0 has no memory left"):
                list(element.end_stream("a"))
        assert closed and not element.streams


def test_a_codec_that_is_not_known_refuses_the_stream():
    with pytest.raises(StreamError, match="no decoder for the codec 'nonsense'"):
        Decode().start_stream(StreamStart("a", Caps("packets", codec="nonsense")))


def test_streams_are_apart(clip):
    one, two = clip("a.mp4", count=3), clip("b.mp4", count=4, width=96)
    element = Decode()
    frames = []
    readings = [open_source("a", str(one)).read(), open_source("b", str(two)).read()]
    for reading in readings:
        element.start_stream(next(reading))
    while readings:
        for reading in list(readings):
            packet = next(reading, None)
            if packet is None:
                readings.remove(reading)
            else:
                frames += element.process(packet)
    frames += [*element.end_stream("a"), *element.end_stream("b")]
    assert [f.image.width for f in frames if f.stream == "a"] == [64] * 3
    assert [f.image.width for f in frames if f.stream == "b"] == [96] * 4
