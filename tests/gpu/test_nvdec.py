"""NVDEC against FFmpeg on the CPU: decoding is exact, so every byte is the same."""

from __future__ import annotations

import hashlib
import threading
from fractions import Fraction

import av
import numpy as np
import pytest
from changing import FRAMES, changing

from millrace import devices
from millrace.core.caps import PACKETS, Caps
from millrace.cuda.context import gpu
from millrace.cuda.limits import why_not
from millrace.decoders.libav import open_decoder as open_libav
from millrace.decoders.nvdec import open_decoder
from millrace.imaging.cuda import to_cpu
from millrace.media import Packet
from millrace.sources import open_source


@pytest.fixture(scope="module", params=["libx264", "libx265"])
def moving(request, tmp_path_factory):
    """90 pictures of 640x360 that move, with B-pictures and a key picture every 25."""
    path = tmp_path_factory.mktemp("clips") / f"{request.param}.mp4"
    rng = np.random.default_rng(1)
    noise = rng.integers(0, 255, (90, 160, 3)).astype(np.uint8).repeat(8, 0).repeat(8, 1)
    with av.open(str(path), "w") as out:
        stream = out.add_stream(request.param, rate=25, width=640, height=360, pix_fmt="yuv420p")
        stream.codec_context.options = {"g": "25", "bf": "2", "x265-params": "log-level=none:keyint=25:bframes=2"}
        for index in range(90):
            frame = av.VideoFrame.from_ndarray(noise[index : index + 360, index * 3 : index * 3 + 640], "rgb24")
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return path


def digests(path):
    """pts → md5 of the NV12 bytes, by FFmpeg."""
    found = {}
    with av.open(str(path)) as container:
        for frame in container.decode(video=0):
            rows = frame.to_ndarray().reshape(-1)
            size = frame.width * frame.height
            bytes_ = rows[:size].tobytes() + rows[size:].reshape(2, -1).T.tobytes()
            found[round(frame.pts * frame.time_base * 1_000_000_000)] = hashlib.md5(bytes_).hexdigest()
    return found


def digest(image):
    return hashlib.md5(b"".join(plane.tobytes() for plane in to_cpu(image).planes)).hexdigest()


def decode(path, device, **options):
    start, *packets = open_source("a", str(path)).read()
    decoder = open_decoder(start.caps, device, **options)
    pictures = [picture for packet in packets for picture in decoder.decode(packet)] + decoder.flush()
    decoder.close()
    return pictures, decoder


def test_every_picture_is_exact(device, moving):
    pictures, decoder = decode(moving, device)
    wanted = digests(moving)
    assert [p.pts for p in pictures] == sorted(wanted)
    assert {p.pts: digest(p.image) for p in pictures} == wanted  # all were held until here: no surface was used again
    assert decoder.damaged == 0
    image = pictures[0].image
    assert (image.format, image.width, image.height, image.memory) == ("NV12", 640, 360, device)


def test_twelve_streams_on_three_threads_stay_exact_while_surfaces_are_used_again(device, moving):
    wanted, wrong, seen, failures = digests(moving), [], [0], []

    def work():
        try:
            streams = []
            for _ in range(4):
                start, *packets = open_source("a", str(moving)).read()
                streams.append((open_decoder(start.caps, device), packets))
            held = []
            for step in range(len(streams[0][1]) + 1):
                for decoder, packets in streams:
                    held += decoder.decode(packets[step]) if step < len(packets) else decoder.flush()
                while len(held) > (30 if step < len(packets) else 0):
                    picture = held.pop(0)
                    seen[0] += 1
                    if digest(picture.image) != wanted[picture.pts]:
                        wrong.append(picture.pts)
            for decoder, _ in streams:
                decoder.close()
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not failures
    assert not wrong
    assert seen[0] == 12 * len(wanted)


def test_a_decoder_is_used_again_after_flush(device, moving):
    start, *packets = open_source("a", str(moving)).read()
    decoder = open_decoder(start.caps, device)
    counts = [len([p for x in packets for p in decoder.decode(x)]) + len(decoder.flush()) for _ in range(2)]
    decoder.close()
    assert counts == [90, 90]


def test_damage_is_counted_and_the_rest_goes_on(device, moving):
    start, *packets = open_source("a", str(moving)).read()
    decoder = open_decoder(start.caps, device)
    pictures = []
    for index, packet in enumerate(packets):
        data = bytes(packet.data)
        if index == 30:
            data = data[: len(data) // 2]  # its lengths do not add up any more
        pictures += decoder.decode(Packet("a", data, packet.pts, key=packet.key))
    pictures += decoder.flush()
    decoder.close()
    assert decoder.damaged == 1
    assert 60 <= len(pictures) <= 90


def test_low_latency_gives_each_picture_at_once(device, clip):
    path = clip(count=10, width=256, height=144, options={"bf": "0"})
    start, *packets = open_source("a", str(path)).read()
    decoder = open_decoder(start.caps, device, low_latency=True)
    counts = [len(decoder.decode(packet)) for packet in packets]
    decoder.close()
    assert counts == [1] * 10


@pytest.mark.parametrize("encoder", ["libx264", "libx265"])
def test_a_stream_that_changes_its_size_goes_on(device, encoder):
    """To smaller and larger pictures, to 4:2:2, which the CPU decodes, and in HEVC to less than NVDEC's 144 rows."""
    sizes = [(320, 180, "yuv420p"), (192, 128, "yuv420p"), (640, 360, "yuv420p"), (320, 180, "yuv422p")]
    caps, packets = changing(encoder, sizes)
    said = []
    decoder, cpu = devices.open_decoder(caps, device, said.append), devices.open_decoder(caps, "cpu", said.append)
    pictures = [each for packet in packets for each in decoder.decode(packet)] + decoder.flush()
    wanted = [each for packet in packets for each in cpu.decode(packet)] + cpu.flush()
    decoder.close()
    cpu.close()
    assert [each.pts for each in pictures] == [n * 40 for n in range(4 * FRAMES)] == [each.pts for each in wanted]
    assert len(said) == (1 if encoder == "libx264" else 2)
    assert all("the cpu decodes it" in each for each in said)
    for ours, theirs in zip(pictures, wanted, strict=True):
        assert (ours.image.width, ours.image.height) == (theirs.image.width, theirs.image.height)
        assert np.array_equal(to_cpu(ours.image).planes[0], theirs.image.planes[0])


def test_a_codec_that_nvdec_does_not_know_is_one_sentence(device, clip):
    start, *_ = open_source("a", str(clip(codec="mpeg4", count=2))).read()
    with pytest.raises(ValueError, match=r"mpeg4 cannot be decoded on cuda:0, only h264, hevc, av1, vp9"):
        open_decoder(start.caps, device)


def test_a_kept_picture_outlives_its_surface(device, moving):
    pictures, _ = decode(moving, device)
    kept, wanted = pictures[5].image.keep(), digest(pictures[5].image)
    assert kept.planes[0].pointer != pictures[5].image.planes[0].pointer
    del pictures
    again, _ = decode(moving, device)
    assert digest(kept) == wanted == digest(again[5].image)


def coded(codec, count=12, size=(320, 192), pixels="yuv420p", **options):
    """Packets as an encoder gives them, parameter sets among them."""
    width, height = size
    context = av.CodecContext.create(codec, "w")
    context.width, context.height, context.pix_fmt, context.time_base = width, height, pixels, Fraction(1, 25)
    context.options = options
    noise = np.random.default_rng(2).integers(0, 255, (24, 160, 3)).astype(np.uint8).repeat(16, 0).repeat(8, 1)
    packets = []
    for index in range(count + 1):
        frame = None
        if index < count:
            frame = av.VideoFrame.from_ndarray(noise[index : index + height, index * 4 : index * 4 + width], "rgb24")
            frame = frame.reformat(format=pixels)
            frame.pts = index
        packets += context.encode(frame)
    return [Packet("a", bytes(p), p.pts * 40_000_000, None, 40_000_000, bool(p.is_keyframe)) for p in packets]


def semi_planar(frame):
    """The bytes of a picture of FFmpeg's as NV12, or as P010: 10 bits in the upper part of 16."""
    rows, size = frame.to_ndarray().reshape(-1), frame.width * frame.height
    rows = rows << 6 if rows.dtype == np.uint16 else rows
    return rows[:size].tobytes() + rows[size:].reshape(2, -1).T.tobytes()


def by_ffmpeg(codec, packets):
    context, frames = av.CodecContext.create(codec, "r"), []
    for data in [*(av.Packet(packet.data) for packet in packets), None]:
        frames += context.decode(data)
    return [hashlib.md5(semi_planar(frame)).hexdigest() for frame in frames]


def through(decoder, packets):
    pictures = [each for packet in packets for each in decoder.decode(packet)] + decoder.flush()
    decoder.close()
    return pictures


@pytest.mark.parametrize(
    ("codec", "encoder", "decoder", "pixels", "options"),
    [
        ("hevc", "libx265", "hevc", "yuv420p10le", {"x265-params": "log-level=none:repeat-headers=1"}),
        ("av1", "libsvtav1", "libdav1d", "yuv420p", {"preset": "10"}),
        ("av1", "libsvtav1", "libdav1d", "yuv420p10le", {"preset": "10"}),
        ("vp9", "libvpx-vp9", "vp9", "yuv420p", {"deadline": "realtime", "cpu-used": "8"}),
    ],
)
def test_other_codecs_and_ten_bits_are_exact(device, codec, encoder, decoder, pixels, options):
    packets, caps = coded(encoder, pixels=pixels, **options), Caps(PACKETS, codec=codec, width=320, height=192)
    if reason := why_not(gpu(device), codec, 320, 192, pixels):  # not every GPU has AV1: the CPU does it
        said = []
        pictures = through(devices.open_decoder(caps, device, said.append), packets)
        assert len(said) == 1 and codec in reason and codec in said[0] and "the cpu decodes it" in said[0]
        assert len(pictures) == len(by_ffmpeg(decoder, packets))
        assert {picture.image.memory for picture in pictures} == {device}
        return
    pictures = through(open_decoder(caps, device), packets)
    assert {picture.image.format for picture in pictures} == {"P010" if "10" in pixels else "NV12"}
    assert [digest(picture.image) for picture in pictures] == by_ffmpeg(decoder, packets)


@pytest.mark.parametrize("low_latency", [False, True])
def test_interlaced_pictures_come_whole(device, low_latency):
    packets = coded("libx264", bf="0", **{"x264-params": "tff=1:repeat-headers=1"})
    decoder = open_decoder(Caps(PACKETS, codec="h264", width=320, height=192), device, low_latency=low_latency)
    pictures = through(decoder, packets)
    cpu = through(open_libav(Caps(PACKETS, codec="h264", width=320, height=192)), packets)
    assert [picture.pts for picture in pictures] == [picture.pts for picture in cpu]
    ours, theirs = (each[-1].image.planes[0] for each in (pictures, cpu))
    assert np.abs(ours.numpy().astype(int) - np.asarray(theirs).astype(int)).mean() < 20  # deinterlaced, the same scene
