from __future__ import annotations

import av
import numpy as np
import pytest

import millrace
from millrace.decoders.turn import turned
from millrace.media import Image
from millrace.testing.run import run


def picture(width, height, format="I420"):
    rng = np.random.default_rng(1)
    half = ((height + 1) // 2, (width + 1) // 2)
    shapes = {"I420": [(height, width), half, half], "NV12": [(height, width), (*half, 2)], "GRAY16": [(height, width)]}
    kind = np.uint16 if format == "GRAY16" else np.uint8
    planes = [rng.integers(0, 255, shape).astype(kind) for shape in shapes[format]]
    for plane in planes:
        plane.flags.writeable = False
    return Image(format, planes, width, height, matrix="bt709", full_range=True, read_only=True)


@pytest.mark.parametrize("format", ["I420", "NV12", "GRAY16"])
@pytest.mark.parametrize("size", [(64, 48), (33, 21)])
@pytest.mark.parametrize("degrees", [90, 180, 270])
def test_planes_are_turned_clockwise(format, size, degrees):
    image = picture(*size, format)
    out = turned(image, degrees)
    assert (out.width, out.height) == (size if degrees == 180 else size[::-1])
    assert (out.matrix, out.full_range, out.format, out.read_only) == ("bt709", True, format, False)
    for before, after in zip(image.planes, out.planes, strict=True):
        assert (after == np.rot90(before, -degrees // 90)).all()


def test_no_turn_is_the_same_picture():
    image = picture(8, 8)
    assert turned(image, 0) is image


def clip_turned(path, degrees):
    """A clip whose pictures are white at the top when they are shown as it says."""
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=25, width=64, height=48, pix_fmt="yuv420p")
        stream.set_display_rotation(-degrees)  # PyAV counts counter-clockwise
        upright = np.zeros((48, 64) if degrees % 180 == 0 else (64, 48), np.uint8)
        upright[: upright.shape[0] // 2] = 255
        stored = np.rot90(upright, degrees // 90)
        for index in range(4):
            frame = av.VideoFrame.from_ndarray(np.repeat(stored[..., None], 3, axis=2).copy(), "rgb24")
            frame.pts = index
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return str(path)


@pytest.mark.parametrize("degrees", [0, 90, 180, 270])
def test_pictures_come_upright(tmp_path, degrees):
    path = clip_turned(tmp_path / "t.mp4", degrees)
    for frame in run(millrace.open(path)):
        luma = frame.image.planes[0]
        assert luma.shape == (frame.image.height, frame.image.width)
        half = luma.shape[0] // 2
        assert luma[: half - 2].mean() > 200 and luma[half + 2 :].mean() < 50
    as_stored = run(millrace.open(path, rotate=0))[0].image
    assert (as_stored.width, as_stored.height) == (64, 48)


def test_the_caps_say_the_size_beforehand_and_a_turn_may_be_asked_for(tmp_path):
    path = clip_turned(tmp_path / "t.mp4", 0)
    starts = []
    pipeline = millrace.open(path, rotate=90).decode().pipeline()
    pipeline.tap("decode", lambda item: starts.append(item) if hasattr(item, "caps") else None)
    pipeline.start()
    assert pipeline.wait(20)
    assert [(start.caps["width"], start.caps["height"]) for start in starts] == [(48, 64)]


def test_saved_video_of_a_turned_clip_stays_upright(tmp_path):
    path = clip_turned(tmp_path / "t.mp4", 90)
    millrace.open(path).save(tmp_path / "out.mp4").run()
    luma = run(millrace.open(str(tmp_path / "out.mp4")))[0].image.planes[0]
    assert luma.shape == (64, 48) and luma[:30].mean() > 200 and luma[34:].mean() < 50
