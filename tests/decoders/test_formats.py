"""Grey of more than 8 bit, 10-bit video, and files with sound, each from a clip made here."""

from __future__ import annotations

import av
import numpy as np
import pytest

import millrace
from millrace.testing.run import run


def write(path, codec, pixels, planes, sound=False):
    """One picture of these planes ([h, w] each, in the format's own numbers); with sound, before and behind it."""
    height, width = planes[0].shape
    with av.open(str(path), "w") as out:
        stream = out.add_stream(codec, rate=25, width=width, height=height, pix_fmt=pixels)
        audio = out.add_stream("pcm_s16le", rate=8000) if sound else None
        for index in range(3):
            frame = av.VideoFrame(width, height, pixels)
            for plane, values in zip(frame.planes, planes, strict=True):
                rows = np.frombuffer(plane, np.uint8).reshape(plane.height, plane.line_size)
                data = np.ascontiguousarray(values).view(np.uint8)
                rows[:, : data.shape[1]] = data
            frame.pts = index
            out.mux(stream.encode(frame))
            if audio is not None:
                tone = av.AudioFrame(format="s16", layout="stereo", samples=320)
                tone.sample_rate, tone.pts = 8000, index * 320
                tone.planes[0].update(bytes(tone.planes[0].buffer_size))
                out.mux(audio.encode(tone))
        out.mux(stream.encode(None))
    return str(path)


@pytest.mark.parametrize(
    ("pixels", "codec", "bits"),
    [("gray16le", "rawvideo", 16), ("gray16be", "rawvideo", 16), ("gray10le", "rawvideo", 10),
     ("gray12le", "rawvideo", 12), ("gray10le", "ffv1", 10), ("gray16le", "ffv1", 16)],
)  # fmt: skip
def test_deep_grey_keeps_every_level(tmp_path, pixels, codec, bits):
    values = np.linspace(0, 2**bits - 1, 31 * 21).astype(np.uint16).reshape(21, 31)
    stored = values.astype(">u2" if pixels.endswith("be") else "<u2")
    image = run(millrace.open(write(tmp_path / "g.nut", codec, pixels, [stored])))[0].image
    assert image.format == "GRAY16" and image.planes[0].shape == (21, 31)
    assert (image.planes[0] == values.astype(np.uint32) << (16 - bits)).all(), "the value stands in the upper bits"


def test_caps_say_deep_grey_beforehand(tmp_path):
    path = write(tmp_path / "g.nut", "rawvideo", "gray16le", [np.zeros((20, 20), np.uint16)])
    starts = []
    pipeline = millrace.open(path).decode().pipeline()
    pipeline.tap("decode", lambda item: starts.append(item.caps["format"]) if hasattr(item, "caps") else None)
    pipeline.start()
    assert pipeline.wait(20) and starts == ["GRAY16"]


def test_deep_grey_goes_through_drawing_and_encoding(tmp_path):
    path = write(tmp_path / "g.nut", "rawvideo", "gray16le", [np.full((48, 64), 128 << 8, np.uint16)])
    millrace.open(path).draw().save(tmp_path / "out.mp4").run()
    back = run(millrace.open(str(tmp_path / "out.mp4")))
    assert len(back) == 3 and abs(float(back[0].image.to_rgb().mean()) - 128) < 4


@pytest.mark.parametrize("codec", ["rawvideo", "ffv1", "libx265"])
def test_ten_bit_video_becomes_eight_of_the_same_colour(tmp_path, codec):
    planes = [np.full((48, 64), 4 * 150, np.uint16), *[np.full((24, 32), 4 * level, np.uint16) for level in (90, 170)]]
    path = write(tmp_path / "ten.mkv" if codec != "rawvideo" else tmp_path / "ten.nut", codec, "yuv420p10le", planes)
    image = run(millrace.open(path))[0].image
    assert image.format == "I420"
    assert [abs(int(np.median(plane)) - level) <= 1 for plane, level in zip(image.planes, (150, 90, 170), strict=True)]


def test_sound_beside_the_pictures_is_left_alone(tmp_path):
    planes = [np.full((48, 64), 90, np.uint8), *[np.full((24, 32), 128, np.uint8)] * 2]
    frames = run(millrace.open(write(tmp_path / "s.mkv", "mpeg4", "yuv420p", planes, sound=True)))
    assert len(frames) == 3 and abs(int(np.median(frames[1].image.planes[0])) - 90) <= 2
