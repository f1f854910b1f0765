from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from millrace.core.caps import Caps
from millrace.core.element import Context
from millrace.core.errors import ConfigError, SourceError, StreamError
from millrace.core.item import StreamStart
from millrace.elements.decode import Decode
from millrace.elements.encode import Encode
from millrace.media import Batch, Frame, Image, Packet
from millrace.outputs.container import open_container
from millrace.sources import open_source

CAPS = Caps(
    "frames", format="I420", width=64, height=48, time_base=Fraction(1, 90000), fps=Fraction(25), matrix="bt601"
)
VARIABLE = ["derived/car_vfr.mp4", "road_640x352_vfr.mp4", "pedestrians_626x360_vfr.mp4"]
OTHERS = [
    "derived/car_fragmented_truncated.mp4", "derived/car_odd_321x181.webm", "derived/car_resolution_change.h264",
    "derived/car_hevc_main10.mkv", "derived/car_mjpeg_640x360.avi", "derived/car_mpeg2_interlaced_sar.ts",
    "udacity_dashcam_720p.mp4",
]  # fmt: skip


def frame(index=0, stream="a", width=64, height=48):
    half = ((height + 1) // 2, (width + 1) // 2)
    planes = [np.full(shape, 50 + index * 9, np.uint8) for shape in ((height, width), half, half)]
    return Frame(stream, index, index * 40_000_000, Image("I420", planes, width, height), duration=40_000_000)


def opened(**settings):
    element = Encode(**settings)
    warnings: list[tuple[str, str | None]] = []
    element.open(Context("encode", lambda: None, lambda message, stream: warnings.append((message, stream))))
    return element, warnings


def test_frames_become_packets_with_the_encoders_caps():
    element, warnings = opened(codec="h264")
    start = element.start_stream(StreamStart("a", CAPS, live=True, epoch=2))
    assert (start.stream, start.live, start.epoch) == ("a", True, 2)
    assert start.caps.kind == "packets" and start.caps["codec"] == "h264" and start.caps["extradata"]
    out = [packet for n in range(5) for packet in element.process(frame(n))] + list(element.end_stream("a"))
    assert all(isinstance(p, Packet) and p.stream == "a" for p in out)
    assert sorted(p.pts for p in out) == [n * 40_000_000 for n in range(5)]
    assert not element.streams and not warnings


def test_batches_are_unpacked_and_streams_are_apart():
    element, _ = opened(codec="mpeg4")
    for stream in ("a", "b"):
        element.start_stream(StreamStart(stream, CAPS))
    out = []
    for n in range(3):
        out += element.process(Batch([frame(n, "a"), frame(n, "b")]))
    out += [*element.end_stream("a"), *element.end_stream("b")]
    assert sorted((p.stream, p.pts) for p in out) == [(s, n * 40_000_000) for s in "ab" for n in range(3)]


def test_a_new_size_is_scaled_and_warned_of_once():
    element, warnings = opened()
    first = element.start_stream(StreamStart("a", CAPS))
    out = list(element.process(frame(0)))
    again = element.start_stream(StreamStart("a", CAPS.replace(width=96)))
    assert again.caps == first.caps
    for n in (1, 2):
        out += element.process(frame(n, width=96))
    out += element.end_stream("a")
    assert len(out) == 3
    assert warnings == [("the pictures are now 96x48 and are scaled to 64x48", "a")]


def test_new_caps_before_the_first_frame_open_another_encoder():
    element, warnings = opened()
    element.start_stream(StreamStart("a", CAPS))
    again = element.start_stream(StreamStart("a", CAPS.replace(width=96)))
    assert again.caps["width"] == 96
    assert len([*element.process(frame(width=96)), *element.end_stream("a")]) == 1 and not warnings


def test_settings_reach_the_encoder():
    def size(**settings):
        element, _ = opened(**settings)
        element.start_stream(StreamStart("a", CAPS.replace(width=256, height=256)))
        rng = np.random.default_rng(3)
        planes = [rng.integers(0, 255, shape, np.uint8) for shape in ((256, 256), (128, 128), (128, 128))]
        noise = Frame("a", 0, 0, Image("I420", planes, 256, 256))
        return sum(p.data.size for p in [*element.process(noise), *element.end_stream("a")])

    assert size(quality=45) < size(quality=10) / 3


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"codec": "x"}, r"encode: codec 'x' cannot be encoded; there are: h264"),
        ({"preset": "warp"}, r"encode: preset 'warp' is not allowed for h264"),
        ({"codec": "mjpeg", "quality": 50}, r"encode: quality 50 is not allowed for mjpeg: 2 \(best\) to 31"),
    ],
)
def test_wrong_settings_are_found_before_anything_runs(settings, message):
    with pytest.raises(ConfigError, match=message):
        opened(**settings)


def test_a_picture_that_the_encoder_refuses_ends_its_stream_only():
    element, _ = opened()
    with pytest.raises(StreamError, match="a: the encoder libx264 cannot be opened at 100000x48"):
        element.start_stream(StreamStart("a", CAPS.replace(width=100_000)))
    element.start_stream(StreamStart("b", CAPS))
    assert len([*element.process(frame(stream="b")), *element.end_stream("b")]) == 1


def test_packets_are_refused():
    element, _ = opened()
    with pytest.raises(StreamError, match="a: encode takes frames, not packets"):
        element.start_stream(StreamStart("a", Caps("packets", codec="h264")))


def through(path, target, codec):
    """Decode → encode → file, driven by hand; the times of the frames that went in."""
    context = Context("x", lambda: None, lambda message, stream: None)
    decode, encode, output, times = Decode(), Encode(codec=codec, preset=None), None, []
    decode.open(context), encode.open(context)

    def push(items):
        nonlocal output
        for item in items:
            if isinstance(item, StreamStart):
                started = encode.start_stream(item)
                output = output or open_container(str(target), started.caps)
                continue
            times.append(item.pts)
            for packet in encode.process(item):
                output.write(packet)

    try:
        for item in open_source("a", str(path)).read():
            push([decode.start_stream(item)] if isinstance(item, StreamStart) else decode.process(item))
    except SourceError as error:
        assert "cut off" in str(error)
    push(decode.end_stream("a"))
    for packet in encode.end_stream("a"):
        output.write(packet)
    output.close()
    return times


def times_in(path):
    context = Context("x", lambda: None, lambda message, stream: None)
    decode = Decode()
    decode.open(context)
    start, *packets = open_source("a", str(path)).read()
    decode.start_stream(start)
    frames = [item for packet in packets for item in decode.process(packet)] + list(decode.end_stream("a"))
    return [item.pts for item in frames if isinstance(item, Frame)], start.caps["time_base"]


@pytest.mark.parametrize("name", VARIABLE + OTHERS)
def test_there_and_back_keeps_count_and_times(corpus, tmp_path, name):
    codec = "mpeg4" if name.startswith(("road", "udacity")) else "h264"
    target = tmp_path / "out.mp4"
    before = through(corpus / "videos" / name, target, codec)
    after, tick = times_in(target)
    assert len(after) == len(before)
    assert max(abs(a - b) for a, b in zip(after, before, strict=True)) <= tick * 10**9
    assert tick <= Fraction(1, 1000)


def test_pixels_that_are_not_square_stay_so(clip, tmp_path):
    source = clip("wide.mp4", sample_aspect_ratio=Fraction(12, 11))
    for codec in ("h264", "mpeg4"):
        through(source, tmp_path / "out.mp4", codec)
        start = next(iter(open_source("a", str(tmp_path / "out.mp4")).read()))
        assert start.caps["parameters"].sample_aspect == Fraction(12, 11)
