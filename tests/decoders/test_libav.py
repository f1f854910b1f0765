from __future__ import annotations

from types import SimpleNamespace

import av
import numpy as np
import pytest
from av.sidedata.sidedata import Type

from millrace.core.caps import Caps
from millrace.decoders.libav import _user_data, open_decoder
from millrace.media import CodecParameters, Packet
from millrace.sources import open_source


def grey_level(index):
    return 32 + index * 7 % 180


def decode(path, **options):
    start, *packets = open_source("a", str(path)).read()
    decoder = open_decoder(start.caps, **options)
    pictures = [picture for packet in packets for picture in decoder.decode(packet)] + decoder.flush()
    decoder.close()
    return pictures, decoder


def test_pictures_in_order_with_times(clip):
    pictures, decoder = decode(clip(count=8, ticks=[0, 3600, 9000, 10000, 20000, 21000, 30000, 50000]))
    assert [p.pts for p in pictures] == [
        0, 40_000_000, 100_000_000, 111_111_111, 222_222_222, 233_333_333, 333_333_333, 555_555_556,
    ]  # fmt: skip
    assert decoder.damaged == 0
    for index, picture in enumerate(pictures):
        assert abs(int(np.median(picture.image.planes[0])) - grey_level(index)) <= 3


def test_planes_are_views_of_the_decoders_memory_and_cannot_be_written(clip):
    image = decode(clip(width=66))[0][0].image
    assert isinstance(image.owner, av.VideoFrame) and image.read_only and image.memory == "cpu"
    assert [plane.shape for plane in image.planes] == [(48, 66), (24, 33), (24, 33)]
    first = image.owner.planes[0]
    assert image.planes[0].ctypes.data == first.buffer_ptr
    assert image.planes[0].strides == (first.line_size, 1)
    with pytest.raises(ValueError, match="read-only"):
        image.planes[0][0, 0] = 1
    image.writable().planes[0][0, 0] = 1


def test_pictures_outlive_the_decoder(clip):
    pictures, decoder = decode(clip(count=40))
    del decoder
    assert [abs(int(np.median(p.image.planes[0])) - grey_level(i)) <= 3 for i, p in enumerate(pictures)] == [True] * 40


def test_odd_sizes(clip):
    image = decode(clip("odd.webm", width=321, height=181, codec="libvpx-vp9", count=2))[0][0].image
    assert (image.width, image.height) == (321, 181)
    assert [plane.shape for plane in image.planes] == [(181, 321), (91, 161), (91, 161)]


@pytest.mark.parametrize(
    ("codec", "name", "pixels", "format", "full"),
    [
        ("libx264", "a.mp4", "yuv422p", "I420", False),
        ("libx264", "a.mp4", "yuv444p", "I420", False),
        ("libx265", "a.mp4", "yuv420p10le", "I420", False),
        ("mjpeg", "a.avi", "yuvj420p", "I420", True),
        ("mjpeg", "a.avi", "yuvj444p", "I420", True),
        ("rawvideo", "a.nut", "gray", "GRAY8", False),
        ("libx264", "a.mp4", "nv12", "I420", False),
        ("png", "a.nut", "rgb24", "I420", False),
        ("rawvideo", "a.avi", "bgr24", "I420", False),
        ("rawvideo", "a.nut", "nv12", "NV12", False),
    ],
)
def test_formats_keep_their_colour(tmp_path, codec, name, pixels, format, full):
    rgb = np.zeros((48, 64, 3), np.uint8)
    rgb[:] = (200, 60, 30)
    rgb[:16] = (120, 120, 120)  # the top differs, so a picture upside down is seen
    path = tmp_path / name
    with av.open(str(path), "w") as out:
        stream = out.add_stream(codec, rate=25, width=64, height=48, pix_fmt=pixels)
        stream.codec_context.options = {"qmin": "1", "qmax": "2"} if codec == "mjpeg" else {}
        colour_range = "JPEG" if full or pixels in ("rgb24", "bgr24") else "MPEG"
        frame = av.VideoFrame.from_ndarray(rgb, "rgb24").reformat(
            format=pixels, dst_colorspace="ITU601", dst_color_range=colour_range
        )
        for index in range(8):  # more than an encoder reorders
            frame.pts = index
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    image = decode(path)[0][0].image
    assert (image.format, image.full_range, image.matrix) == (format, full, "bt601")
    top, bottom = image.to_rgb()[4:12, 8:56].mean((0, 1)), image.to_rgb()[24:44, 8:56].mean((0, 1))
    assert np.abs(top - 120).max() < 6
    if format != "GRAY8":
        assert np.abs(bottom - (200, 60, 30)).max() < 8


@pytest.mark.parametrize(("tag", "matrix"), [(1, "bt709"), (9, "bt2020"), (6, "bt601"), (2, "bt601")])
def test_matrix_of_the_tags(clip, tag, matrix):
    image = decode(clip(colorspace=tag, color_range=1, count=2))[0][0].image
    assert image.matrix == matrix and not image.full_range


def test_full_range_of_the_tags(clip):
    assert decode(clip(color_range=2, count=2))[0][0].image.full_range


def test_damaged_packets_are_counted_and_never_raise(clip):
    start, *packets = open_source("a", str(clip(count=12, options={"g": "4", "bf": "0"}))).read()
    decoder = open_decoder(start.caps)
    pictures = []
    for index, packet in enumerate(packets):
        if index in (5, 6):
            packet = Packet("a", b"\0\0\1\xff not h264 at all", packet.pts)
        pictures += decoder.decode(packet)
    pictures += decoder.flush()
    assert decoder.damaged == 2 and len(pictures) == 10


def test_bytes_instead_of_av_packets(clip):
    path = clip(count=6)
    start, *packets = open_source("a", str(path)).read()
    decoder = open_decoder(start.caps)
    plain = [Packet("a", bytes(p.data), p.pts, p.dts, p.duration, p.key) for p in packets]
    got = [p.pts for packet in plain for p in decoder.decode(packet)] + [p.pts for p in decoder.flush()]
    assert got == [p.pts for p in decode(path)[0]]


def test_times_follow_the_packets_ns_when_the_source_moved_them(clip):
    start, *packets = open_source("a", str(clip(count=4))).read()
    decoder = open_decoder(start.caps)
    for packet in packets:
        packet.pts += 5_000_000_000
    got = [p.pts for packet in packets for p in decoder.decode(packet)] + [p.pts for p in decoder.flush()]
    assert got == [5_000_000_000 + i * 40_000_000 for i in range(4)]


def test_a_flushed_decoder_goes_on(clip):
    start, *packets = open_source("a", str(clip(count=6))).read()
    decoder = open_decoder(start.caps)
    for _ in range(2):
        pictures = [p for packet in packets for p in decoder.decode(packet)] + decoder.flush()
        assert len(pictures) == 6


def test_what_cannot_be_decoded_is_a_plain_sentence():
    with pytest.raises(ValueError, match="no decoder for the codec 'teletext9'"):
        open_decoder(Caps("packets", codec="teletext9", parameters=CodecParameters("teletext9", 0, 0)))


class Walked(list):
    """Side data as PyAV 19 has it: walking over it gives types, and its length counts them."""

    def __iter__(self):
        return iter({each.type for each in self.parts()})

    def parts(self):
        return [self[index] for index in range(list.__len__(self))]

    def __len__(self):
        return len({each.type for each in self.parts()})


@pytest.mark.parametrize("container", [list, Walked])
def test_all_user_data_of_a_picture_is_found_whichever_way_pyav_walks(container):
    said = [bytes(range(16)) + b"one", bytes(range(16)) + b"two"]

    class Part(bytes):
        type = Type.SEI_UNREGISTERED

    frame = SimpleNamespace(side_data=container(map(Part, said)))
    assert _user_data(frame) == [(each[:16], each[16:]) for each in said]
