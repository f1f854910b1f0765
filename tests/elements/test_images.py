from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from pictures import frame

from millrace.core.element import Context
from millrace.core.errors import OutputError, SettingError
from millrace.elements.images import Images
from millrace.media import Frame, Image, Object, box


def picture(index: int, stream: str = "a") -> Frame:
    """Left half red, right half blue, as RGB."""
    pixels = np.zeros((48, 64, 3), np.uint8)
    pixels[:, :32, 0], pixels[:, 32:, 2] = 255, 255
    return Frame(stream, index, index * 40_000_000, Image("RGB", [pixels], 64, 48))


def written(folder: Path, frames: list[Frame], path: str, **settings: Any) -> list[str]:
    element = Images(path=str(folder / path), **settings)
    element.open(Context("images"))
    for item in frames:
        element.process_frame(item)
    element.close()
    return sorted(os.listdir(folder))


def test_every_nth_frame_with_its_colours(tmp_path: Path) -> None:
    names = written(tmp_path, [picture(i, "gate 1") for i in range(25)], "frame-{stream}-{index:06d}.png", every=10)
    assert names == [f"frame-gate_1-{index:06d}.png" for index in (0, 10, 20)]
    pixels = cv2.imread(str(tmp_path / names[1]))
    assert pixels.shape == (48, 64, 3)
    assert pixels[10, 10].tolist() == [0, 0, 255] and pixels[10, 50].tolist() == [255, 0, 0]  # BGR


@pytest.mark.parametrize("ending", ["jpg", "webp", "bmp", "tif"])
def test_kinds_of_files(tmp_path: Path, ending: str, capfd: pytest.CaptureFixture[str]) -> None:
    [name] = written(tmp_path, [picture(0)], "{pts}." + ending)
    pixels = cv2.imread(str(tmp_path / name)).astype(int)
    assert np.abs(pixels[10, 10] - [0, 0, 255]).max() < 12
    assert "".join(capfd.readouterr()) == ""  # OpenCV has nothing to say


def test_yuv_of_decoders_is_converted(tmp_path: Path) -> None:
    [name] = written(tmp_path, [frame("a", 0, grey=126)], "x.png")
    assert np.abs(cv2.imread(str(tmp_path / name)).astype(int) - 128).max() <= 1


def test_crops_are_the_objects(tmp_path: Path) -> None:
    item = picture(3)
    item.objects = [
        Object(box([2.5, 4, 20, 30]), 0, "car", 0.9, id=7),
        Object(box([-5, 40, 70, 60]), 0, "big/thing", 0.9),  # over the edges: what is in the picture
        Object(box([80, 10, 90, 20]), 0, "car", 0.9),  # outside: nothing to write
    ]
    names = written(tmp_path, [item], "{index}-{label}-{id}.png", crops=True)
    assert names == ["3-big_thing--1-2.png", "3-car-7-1.png"]
    assert cv2.imread(str(tmp_path / names[1])).shape == (26, 18, 3)
    assert cv2.imread(str(tmp_path / names[0])).shape == (8, 64, 3)


def test_wrong_paths_are_named(tmp_path: Path) -> None:
    for path, says in [
        ("{frame}.jpg", r"{frame} is not known; there are {stream}, {index}"),
        ("{stream.__class__}.jpg", "is not known"),
        ("{index:zz}.jpg", "not a pattern"),
        ("{index.jpg", "not a pattern"),
        ("{index}.gif", "must end in .jpg"),
        (str(tmp_path / "none" / "x.jpg"), "does not exist"),
    ]:
        with pytest.raises(SettingError, match=says):
            Images(path=path).open(Context("images"))


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full here")
def test_a_full_disk_is_named(tmp_path: Path) -> None:
    (tmp_path / "x.png").symlink_to("/dev/full")
    with pytest.raises(OutputError, match=r"cannot write .*x\.png: No space left on device"):
        written(tmp_path, [picture(0)], "x.png")
