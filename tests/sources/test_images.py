from __future__ import annotations

from fractions import Fraction

import av
import numpy as np
import pytest

import millrace
from millrace.core.errors import SourceError
from millrace.sources import open_source
from millrace.sources.images import image_paths
from millrace.sources.listing import natural
from millrace.testing.run import run

MS = 1_000_000


@pytest.fixture
def image(tmp_path):
    """Writes one picture of one grey level, with its codec by the suffix."""

    def write(name, level, width=64, height=48, pixels=None):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        codec, kind = {"png": ("png", "rgb24"), "jpg": ("mjpeg", "yuvj444p"), "bmp": ("bmp", "bgr24")}[path.suffix[1:]]
        context = av.CodecContext.create(codec, "w")
        context.width, context.height, context.pix_fmt, context.time_base = (
            width,
            height,
            pixels or kind,
            Fraction(1, 25),
        )
        if pixels == "gray16be":
            frame = av.VideoFrame.from_ndarray(np.full((height, width), level, np.uint16), "gray16be")
        else:
            rgb = np.full((height, width, 3), level, np.uint8)
            frame = av.VideoFrame.from_ndarray(rgb, "rgb24").reformat(format=pixels or kind)
        frame.pts = 0
        path.write_bytes(b"".join(bytes(packet) for packet in [*context.encode(frame), *context.encode(None)]))
        return path

    return write


def levels(frames):
    return [round(float(frame.image.to_rgb().mean())) for frame in frames]


def close(got, wanted):
    return len(got) == len(wanted) and all(abs(a - b) <= 3 for a, b in zip(got, wanted, strict=True))


@pytest.mark.parametrize("suffix", ["png", "jpg", "bmp"])
def test_a_still_image_is_one_frame(image, suffix):
    frames = run(millrace.open(str(image(f"still.{suffix}", 120))))
    assert close(levels(frames), [120])
    assert (frames[0].pts, frames[0].duration, frames[0].stream) == (0, 40 * MS, "still")


def test_a_still_image_can_last(image):
    frames = run(millrace.open(str(image("still.png", 120)), loop=5, fps=10))
    assert [frame.pts for frame in frames] == [i * 100 * MS for i in range(5)]


def test_a_folder_is_one_stream_in_natural_order(image, tmp_path):
    for number in (10, 9, 1, 100):
        image(f"shots/shot{number}.png", number + 50)
    (tmp_path / "shots" / "notes.txt").write_text("not an image")
    frames = run(millrace.open(str(tmp_path / "shots"), fps=5))
    assert close(levels(frames), [51, 59, 60, 150])
    assert [frame.pts for frame in frames] == [0, 200 * MS, 400 * MS, 600 * MS]
    assert {frame.stream for frame in frames} == {"shots"}


def test_a_numbered_sequence(image, tmp_path):
    for number in (3, 4, 12):
        image(f"seq/f{number:04d}.png", number * 10)
    image("seq/other.png", 200)
    frames = run(millrace.open(str(tmp_path / "seq" / "f%04d.png")))
    assert close(levels(frames), [30, 40, 120])
    assert [len(image_paths(str(tmp_path / "seq" / name))) for name in ("f%d.png", "f%05d.png")] == [3, 0]


def test_a_part_of_a_sequence(image, tmp_path):
    for number in range(10):
        image(f"seq/{number}.png", number * 20)
    frames = run(millrace.open(str(tmp_path / "seq"), fps=10, start=0.2, stop=0.5))
    assert close(levels(frames), [40, 60, 80]) and frames[0].pts == 200 * MS


def test_sizes_and_kinds_may_change(image, tmp_path):
    image("seq/1.png", 50)
    image("seq/2.png", 60, width=99, height=33)
    image("seq/3.jpg", 70)
    frames = run(millrace.open(str(tmp_path / "seq")))
    assert [(f.image.width, f.image.height) for f in frames] == [(64, 48), (99, 33), (64, 48)]
    assert close(levels(frames), [50, 60, 70]) and [f.index for f in frames] == [0, 1, 2]


def test_sixteen_bit_grey_stays(image):
    frame = run(millrace.open(str(image("depth.png", 12345, pixels="gray16be"))))[0]
    assert frame.image.format == "GRAY16" and set(np.unique(frame.image.planes[0])) == {12345}


def test_errors_name_the_file(image, tmp_path):
    (tmp_path / "text.png").write_text("no picture")
    (tmp_path / "none.png").touch()
    for name, said in (("text.png", "not an image"), ("none.png", "is empty"), ("gone.png", "there is no file")):
        with pytest.raises(SourceError, match=said):
            list(open_source("a", str(tmp_path / name)).read())
    with pytest.raises(SourceError, match="names no images"):
        list(open_source("a", str(tmp_path / "%d.png")).read())


def test_people_count_so():
    assert sorted(["b2", "a10", "a9", "A1", "a"], key=natural) == ["a", "A1", "a9", "a10", "b2"]
