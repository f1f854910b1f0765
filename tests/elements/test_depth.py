"""`depth`: distances of objects in 16-bit video made here, right within 1 %."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

import millrace
from millrace.core import FRAMES, Caps, Context, StreamStart
from millrace.core.errors import ConfigError, MillraceError
from millrace.elements.depth import Depth
from millrace.media import Frame, Image, Object, box
from millrace.testing.clips import write_video

WIDTH, HEIGHT, COUNT = 160, 120, 12
NEAR, FAR = 1234, 5678  # millimetres at the start; the near thing comes closer by 50 a frame


def truth(index: int) -> tuple[int, int]:
    return NEAR - 50 * index, FAR


def places(index: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
    return (10 + 3 * index, 20, 50 + 3 * index, 60), (90, 70, 150, 110)


def steps(index: int) -> np.ndarray:
    """A wall at 8 m, two things before it, noise of 5 mm, and a third of the pixels without a measure."""
    rng = np.random.default_rng(index)
    picture = np.full((HEIGHT, WIDTH), 8000, np.float64)
    for far, (x1, y1, x2, y2) in zip(truth(index), places(index), strict=True):
        picture[y1:y2, x1:x2] = far
    picture += rng.normal(0, 5, picture.shape)
    picture[rng.random(picture.shape) < 0.33] = 0
    return picture.round().astype(np.uint16)


def write_ffv1(path: Path) -> Path:
    with av.open(str(path), "w") as out:
        stream = out.add_stream("ffv1", rate=25, width=WIDTH, height=HEIGHT, pix_fmt="gray16le")
        for index in range(COUNT):
            out.mux(stream.encode(av.VideoFrame.from_ndarray(steps(index), format="gray16le")))
        out.mux(stream.encode())
    return path


def write_pngs(folder: Path) -> Path:
    folder.mkdir()
    for index in range(COUNT):
        cv2.imwrite(str(folder / f"{index:03}.png"), steps(index))
    return folder


def find(frame: Frame) -> None:
    """A detector that is always right."""
    for number, (name, sides) in enumerate(zip(("near", "far"), places(frame.index), strict=True)):
        frame.objects.append(Object(box(sides), number, name, 0.9, id=number))


def check(frames: list[Frame]) -> None:
    assert len(frames) == COUNT
    for frame in frames:
        for found, true in zip(frame.objects, truth(frame.index), strict=True):
            assert found.depth is not None and abs(found.depth * 1000 - true) < true / 100, (frame.index, found.depth)


@pytest.fixture(params=["ffv1", "png"])
def video(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return write_ffv1(tmp_path / "z.mkv") if request.param == "ffv1" else write_pngs(tmp_path / "z")


def test_distances_are_right_within_a_hundredth(video: Path) -> None:
    check(list(millrace.open(str(video)).map(find).depth()))
    check(list(millrace.open(str(video)).map(find).depth(part=1.0)))


def test_steps_may_be_others_than_millimetres(video: Path) -> None:
    frames = list(millrace.open(str(video)).map(find).depth(unit=0.0001))
    assert frames[0].objects[0].depth == pytest.approx(NEAR / 10000, rel=0.01)


def test_distances_stand_in_json_and_the_picture_in_colours(tmp_path: Path) -> None:
    path = write_ffv1(tmp_path / "z.mkv")
    flow = millrace.open(str(path)).map(find).depth(picture=True, near=0.5, far=8.0).json(str(tmp_path / "out.jsonl"))
    frames = list(flow)
    check(frames)
    line = json.loads((tmp_path / "out.jsonl").read_text().splitlines()[0])
    assert line["objects"][0]["depth"] == pytest.approx(1.234, rel=0.01)
    assert line["readings"][0]["depth"][0] > 1.1  # the least that was measured, not 0
    image = frames[0].image
    assert (image.format, image.width, image.height) == ("RGB", WIDTH, HEIGHT)
    near, far = image.planes[0][20:60, 10:50], image.planes[0][70:110, 90:150]
    known = [part[part.any(axis=-1)].mean(axis=0) for part in (near, far)]
    assert known[0][0] > 200 > known[0][2] and known[1][2] > 100 > known[1][0]
    flow.draw(maps=0.0).save(str(tmp_path / "shown.mp4")).run()
    assert (tmp_path / "shown.mp4").stat().st_size > 1000


def test_what_is_near_is_red_over_the_picture_too(tmp_path: Path) -> None:
    path = write_ffv1(tmp_path / "z.mkv")
    frame = next(iter(millrace.open(str(path)).map(find).depth().convert(format="RGB").draw(boxes=False, labels=False)))
    near, wall = frame.image.planes[0][22:58, 12:48], frame.image.planes[0][80:110, 20:60]
    assert near[..., 0].mean() > near[..., 2].mean() + 30  # against the wall, which is far
    assert abs(wall[..., 2].mean() - wall[..., 0].mean()) < 5  # what is farthest stays as it is


@pytest.mark.parametrize("names", [["rgb", "z"], ["z", "rgb"]])
def test_distances_of_another_stream(tmp_path: Path, names: list[str]) -> None:
    grey = [np.full((HEIGHT * 2, WIDTH * 2, 3), 90, np.uint8) for _ in range(COUNT)]
    write_video(tmp_path / "rgb.mp4", grey)

    def find_twice_as_large(frame: Frame) -> None:
        if frame.stream == "rgb":
            find(frame)
            for found in frame.objects:
                found.box = found.box * 2

    write_ffv1(tmp_path / "z.mkv")
    paths = [str(tmp_path / {"rgb": "rgb.mp4", "z": "z.mkv"}[name]) for name in names]

    def run() -> Iterator[Frame]:
        flow = millrace.open(*paths, name=names)
        yield from flow.map(find_twice_as_large).depth(of={"rgb": "z"})

    frames = list(run())
    assert {frame.stream for frame in frames} == {"rgb"} and frames[0].image.width == WIDTH * 2
    check(frames)
    assert [f.objects[0].depth for f in run()] == [f.objects[0].depth for f in frames]


def test_pictures_without_distances_near_in_time_have_none() -> None:
    element = Depth(of={"rgb": "z"}, apart=0.05)
    element.open(Context("depth"))

    def seen(stream: str, pts: int, far: int = 0) -> list[Frame]:
        plane = np.full((20, 20), far, np.uint16) if far else np.zeros((20, 20), np.uint8)
        frame = Frame(stream, 0, pts * 1_000_000, Image("GRAY16" if far else "GRAY8", [plane], 20, 20))
        frame.objects = [] if far else [Object(box([2, 2, 18, 18]), 0, "x", 0.9)]
        return list(element.process(frame))

    assert seen("rgb", 0) == [] and seen("rgb", 40) == []
    [first] = seen("z", 30, 1000)  # the first is 30 ms away; the second may get a better one
    assert first.objects[0].depth == pytest.approx(1.0)
    [second] = seen("z", 45, 2000)
    assert second.objects[0].depth == pytest.approx(2.0)
    assert seen("rgb", 200) == []
    [late] = list(element.end_stream("z"))
    assert late.objects[0].depth is None and late.readings == []
    [after] = seen("rgb", 240)  # no more distances come
    assert after.objects[0].depth is None
    element.start_stream(StreamStart("z", Caps(FRAMES, format="GRAY16"), False))  # the camera is back
    assert seen("rgb", 280) == []
    [found] = seen("z", 280, 3000)
    assert found.objects[0].depth == pytest.approx(3.0)
    waiting = Depth(of={"rgb": "z"})
    waiting.open(Context("depth"))
    element = waiting
    given = [seen("rgb", 40 * n) for n in range(100)]
    assert sum(map(len, given)) == 100 - 32  # so many wait at most
    assert len(list(element.flush("rgb"))) == 32


def test_what_cannot_work_is_said(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="near=3 is not nearer than far=2"):
        Depth(near=3.0, far=2.0).validate()
    for of in ({"a": "b", "c": "b"}, {"a": "b", "b": "c"}):
        with pytest.raises(ConfigError, match="b must stand for the distances of one stream"):
            Depth(of=of).validate()
    write_video(tmp_path / "rgb.mp4", [np.zeros((HEIGHT, WIDTH, 3), np.uint8)] * 3)
    flow = millrace.open(str(tmp_path / "rgb.mp4"), str(tmp_path / "rgb.mp4"), name=["rgb", "z"])
    with pytest.raises(MillraceError, match="z: depth: its pictures are I420, and distances are GRAY16"):
        flow.depth(of={"rgb": "z"}).run()
