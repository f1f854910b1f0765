from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from millrace.core.caps import Caps
from millrace.decoders.libav import open_decoder
from millrace.encoders.libav import _wrap, open_encoder
from millrace.media import Frame, Image
from millrace.media.colour import rgb_to_yuv

RED = (200, 60, 30)


def caps(width=64, height=48, **fields):
    facts = {"format": "I420", "width": width, "height": height, "time_base": Fraction(1, 90000), "fps": Fraction(25)}
    return Caps("frames", **{**facts, "matrix": "bt601", "full_range": False, "memory": "cpu", **fields})


def i420(width=64, height=48, colour=RED, **facts):
    y, u, v = rgb_to_yuv(*colour, facts.get("matrix", "bt601"), facts.get("full_range", False))
    half = ((height + 1) // 2, (width + 1) // 2)
    planes = [np.full(shape, value, np.uint8) for shape, value in (((height, width), y), (half, u), (half, v))]
    return Image("I420", planes, width, height, **facts)


def encode(images, times=None, start=None, **options):
    """The packets and the encoder's caps."""
    first = images[0]
    tags = {"matrix": first.matrix, "full_range": first.full_range}
    encoder = open_encoder(start or caps(first.width, first.height, **tags), **options)
    times = times or [index * 40_000_000 for index in range(len(images))]
    frames = [
        Frame("a", n, pts, image, duration=40_000_000) for n, (pts, image) in enumerate(zip(times, images, strict=True))
    ]
    packets = [packet for frame in frames for packet in encoder.encode(frame)] + encoder.flush()
    encoder.close()
    return packets, encoder.caps


def decode(packets, start):
    decoder = open_decoder(start)
    return [picture for packet in packets for picture in decoder.decode(packet)] + decoder.flush()


@pytest.mark.parametrize("codec", ["h264", "hevc", "av1", "mpeg4", "mjpeg"])
def test_each_codec_keeps_count_times_and_colour(codec):
    times = [0, 40_000_000, 100_000_000, 101_000_000, 500_000_000, 540_000_000]
    packets, start = encode([i420() for _ in times], times, codec=codec)
    assert start.kind == "packets" and start["codec"] == codec
    assert sorted(p.pts for p in packets) == times and packets[0].key
    assert all(p.dts <= p.pts and p.duration == 40_000_000 and p.stream == "a" for p in packets)
    assert [p.dts for p in packets] == sorted(p.dts for p in packets)
    pictures = decode(packets, start)
    assert [p.pts for p in pictures] == times
    assert np.abs(pictures[0].image.to_rgb().reshape(-1, 3).mean(0) - RED).max() < 6


@pytest.mark.parametrize(("matrix", "full"), [("bt601", False), ("bt709", False), ("bt2020", False), ("bt709", True)])
def test_colour_tags_are_carried(matrix, full):
    packets, start = encode([i420(matrix=matrix, full_range=full)] * 2)
    image = decode(packets, start)[0].image
    assert (image.matrix, image.full_range) == (matrix, full)
    assert np.abs(image.to_rgb().reshape(-1, 3).mean(0) - RED).max() < 6


def test_mjpeg_is_full_range_whatever_came():
    packets, start = encode([i420()], codec="mjpeg", quality=2)
    image = decode(packets, start)[0].image
    assert image.full_range and np.abs(image.to_rgb().reshape(-1, 3).mean(0) - RED).max() < 6


@pytest.mark.parametrize("format", ["NV12", "RGB", "BGR", "GRAY8"])
def test_other_formats_are_converted(format):
    if format == "GRAY8":
        image = Image("GRAY8", [np.full((48, 64), 119, np.uint8)], 64, 48)
    elif format == "NV12":
        y, u, v = (plane for plane in i420().planes)
        image = Image("NV12", [y, np.stack([u, v], axis=2)], 64, 48)
    else:
        pixels = np.tile(np.array(RED if format == "RGB" else RED[::-1], np.uint8), (48, 64, 1))
        image = Image(format, [pixels], 64, 48)
    packets, start = encode([image, image])
    got = decode(packets, start)[0].image.to_rgb().reshape(-1, 3).mean(0)
    assert np.abs(got - (RED if format != "GRAY8" else (120, 120, 120))).max() < 6


def test_odd_sizes_are_padded_by_repeating_the_edge():
    image = i420(321, 181)
    image.planes[0][:, -1] = 200
    image.planes[0][-1, :] = 40
    packets, start = encode([image], quality=1)
    assert (start["width"], start["height"]) == (322, 182)
    luma = decode(packets, start)[0].image.planes[0].astype(int)
    assert luma.shape == (182, 322)
    assert np.abs(luma[:170, 321] - 200).max() < 12 and np.abs(luma[181, :310] - 40).max() < 12


def test_i420_is_not_copied():
    image = i420()
    assert _wrap(image).planes[0].buffer_ptr == image.planes[0].ctypes.data


def test_a_decoders_own_picture_is_encoded_where_it_lies(clip):
    from millrace.sources import open_source

    start, *packets = open_source("a", str(clip(count=12))).read()
    pictures = decode(packets, start.caps)
    image = pictures[0].image
    picture = _wrap(image)
    assert picture.planes[0].buffer_ptr == image.planes[0].ctypes.data
    assert picture.pict_type == 0 and image.owner.pict_type != 0  # so the encoder is free in its choice
    before = [p.image.owner.pts for p in pictures]
    encode([p.image for p in pictures], gop=100)
    assert [p.image.owner.pts for p in pictures] == before  # others may hold these frames too


def test_read_only_arrays_of_others_are_copied():
    image = i420()
    for plane in image.planes:
        plane.flags.writeable = False
    packets, start = encode([image])
    assert np.abs(decode(packets, start)[0].image.to_rgb().reshape(-1, 3).mean(0) - RED).max() < 6


def test_device_pictures_are_fetched():
    class Plane:
        def __init__(self, array):
            self.array = array

        def numpy(self):
            return self.array

    host = i420()
    image = Image("I420", [Plane(plane) for plane in host.planes], 64, 48, memory="cuda:0")
    assert len(encode([image])[0]) == 1
    image.planes = host.planes
    with pytest.raises(ValueError, match="pictures in cuda:0 cannot be encoded here"):
        encode([image])


def test_another_size_is_scaled_to_the_first():
    packets, start = encode([i420(), i420(96, 80, colour=(30, 60, 200))], start=caps(), gop=1)
    pictures = decode(packets, start)
    assert [(p.image.width, p.image.height) for p in pictures] == [(64, 48)] * 2
    assert np.abs(pictures[1].image.to_rgb().reshape(-1, 3).mean(0) - (30, 60, 200)).max() < 8


@pytest.mark.parametrize(
    ("given", "codec", "used"),
    [
        (Fraction(1, 90000), "h264", Fraction(1, 90000)),
        (Fraction(1, 1000), "h264", Fraction(1, 1000)),
        (Fraction(1, 25), "h264", Fraction(1, 90000)),
        (Fraction(1, 1200000), "h264", Fraction(1, 90000)),
        (None, "h264", Fraction(1, 90000)),
        (Fraction(1, 90000), "mpeg4", Fraction(1, 60000)),
        (Fraction(1, 12800), "mpeg4", Fraction(1, 12800)),
    ],
)
def test_time_base(given, codec, used):
    assert open_encoder(caps(time_base=given), codec=codec).caps["time_base"] == used


def test_times_that_fall_on_one_tick_are_kept_apart():
    packets, _ = encode([i420()] * 3, [0, 100, 200], start=caps(time_base=Fraction(1, 1000)))
    assert sorted(p.data.pts for p in packets) == [0, 1, 2]
    assert sorted(p.pts for p in packets) == [0, 100, 200]


def test_gop_quality_and_bitrate():
    rng = np.random.default_rng(1)
    images = [Image("I420", [rng.integers(0, 255, s, np.uint8) for s in ((96, 128), (48, 64), (48, 64))], 128, 96)
              for _ in range(25)]  # fmt: skip
    sizes = {q: sum(p.data.size for p in encode(images, quality=q)[0]) for q in (10, 40)}
    assert sizes[40] < sizes[10] / 3
    assert sum(p.data.size for p in encode(images, bitrate=200_000)[0]) < sizes[10] / 3
    assert [p.key for p in encode(images, codec="mpeg4", gop=5)[0]] == [n % 5 == 0 for n in range(25)]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"codec": "vp3"}, r"codec 'vp3' cannot be encoded; there are: h264, hevc, av1, mpeg4, mjpeg"),
        ({"quality": 60}, r"quality 60 is not allowed for h264: 0 \(best\) to 51"),
        ({"preset": "warp"}, r"preset 'warp' is not allowed for h264: ultrafast, superfast"),
        ({"codec": "mjpeg", "preset": "fast"}, r"not allowed for mjpeg: it has none"),
        ({"quality": 20, "bitrate": 9000}, r"bitrate or quality, not both"),
    ],
)
def test_wrong_settings_say_what_is_allowed(options, message):
    with pytest.raises(ValueError, match=message):
        open_encoder(caps(), **options)


def test_formats_that_cannot_be_encoded_are_named():
    image = Image("GRAY16", [np.zeros((48, 64), np.uint16)], 64, 48)
    with pytest.raises(ValueError, match="GRAY16 cannot be encoded; there are: I420"):
        encode([image])


def test_nothing_is_printed(capfd):
    for codec in ("h264", "hevc", "av1"):
        encode([i420()] * 3, codec=codec)
    out, err = capfd.readouterr()
    assert out == "" and err == ""


@pytest.mark.parametrize("count", [1, 2, 3])
def test_streams_shorter_than_the_reordering_have_sane_times(count):
    for _ in range(8):  # x265 reads memory that nobody wrote: not every time the same
        packets, _ = encode([i420()] * count, codec="hevc")
        times = [packet.dts for packet in packets]
        assert len(packets) == count and times == sorted(set(times))
        assert all(-1_000_000_000 < packet.dts <= packet.pts for packet in packets)
