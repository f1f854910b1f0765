"""What others read: MOT, KITTI, COCO, CSV; each file is read back by the rules of its format."""

from __future__ import annotations

import csv
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pictures import frame

from millrace.core.caps import FRAMES, Caps
from millrace.core.element import Context
from millrace.core.errors import OutputError, SettingError
from millrace.core.item import StreamStart
from millrace.elements.dump import Dump
from millrace.media import Frame, Object, box
from millrace.outputs.coco import finish_coco, journals

CAPS = Caps(FRAMES, width=16, height=8)


def found(x: float, identity: int | None = None, label: str = "car", **more: Any) -> Object:
    return Object(box([x, 1.5, x + 4, 6.25]), 2, label, 0.875, id=identity, **more)


def scene(stream: str = "a") -> list[Frame]:
    """Three frames: two objects, none, one without an identity."""
    frames = [frame(stream, index) for index in range(3)]
    frames[0].objects = [found(1, 7, track_confidence=0.5), found(3.25, 8, label="traffic light")]
    frames[2].objects = [found(2)]
    return frames


def dumped(path: Path | str, *scenes: list[Frame], **settings: Any) -> Dump:
    element = Dump(path=str(path), **settings)
    element.open(Context("dump"))
    element.expect([frames[0].stream for frames in scenes])
    for frames in scenes:
        element.start_stream(StreamStart(frames[0].stream, CAPS))
    for frames in scenes:
        for item in frames:
            element.process_frame(item)
        list(element.end_stream(frames[0].stream))
    element.close()
    return element


def test_mot_counts_frames_and_pixels_from_1(tmp_path: Path) -> None:
    dumped(tmp_path / "a.txt", scene())
    assert (tmp_path / "a.txt").read_text().splitlines() == [
        "1,7,2.00,2.50,4.00,4.75,0.8750,-1,-1,-1",
        "1,8,4.25,2.50,4.00,4.75,0.8750,-1,-1,-1",
        "3,-1,3.00,2.50,4.00,4.75,0.8750,-1,-1,-1",
    ]


def test_mot_is_read_by_our_metrics(tmp_path: Path) -> None:
    from millrace.metrics.mot import corners, read_rows

    dumped(tmp_path / "gt.txt", scene())
    rows = read_rows(tmp_path / "gt.txt")
    assert rows[:, :2].tolist() == [[1, 7], [1, 8], [3, -1]]
    assert corners(rows)[0].tolist() == [1.0, 1.5, 5.0, 6.25]


def test_kitti_as_deepstream_writes_it(tmp_path: Path) -> None:
    dumped(tmp_path / "det", scene(), scene("b"), format="kitti")
    names = sorted(os.listdir(tmp_path / "det"))
    assert names == [f"00_{stream:03d}_{index:06d}.txt" for stream in (0, 1) for index in range(3)]
    rows = [line.split(" ") for line in (tmp_path / "det" / names[0]).read_text().splitlines()]
    assert [len(row) for row in rows] == [16, 16]  # the 15 columns of KITTI and the score
    assert rows[1][0] == "traffic_light" and rows[1][1:4] == ["0.0", "0", "0.0"]
    assert [float(value) for value in rows[1][4:8]] == [3.25, 1.5, 7.25, 6.25] and float(rows[1][15]) == 0.875
    assert (tmp_path / "det" / names[1]).read_text() == ""  # a frame without objects has its file, too


def test_kitti_of_tracks_has_identities_and_the_trackers_confidence(tmp_path: Path) -> None:
    dumped(tmp_path / "trk", scene(), format="kitti-track")
    lines = (tmp_path / "trk" / "00_000_000000.txt").read_text().splitlines()
    assert lines[0] == "car 7 0.0 0 0.0 1.000000 1.500000 5.000000 6.250000 0.0 0.0 0.0 0.0 0.0 0.0 0.0 0.500000"
    assert (tmp_path / "trk" / "00_000_000002.txt").read_text() == ""


def test_csv_has_a_header_and_a_row_for_each_object(tmp_path: Path) -> None:
    frames = scene("gate, north")
    dumped(tmp_path / "o.csv", frames)
    with (tmp_path / "o.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["stream"], row["frame"], row["pts"], row["id"]) for row in rows] == [
        ("gate, north", "0", "0", "7"), ("gate, north", "0", "0", "8"), ("gate, north", "2", "200000000", ""),
    ]  # fmt: skip
    assert [rows[1][key] for key in ("class_id", "label", "confidence", "x1", "y1", "x2", "y2", "stage")] == [
        "2", "traffic light", "0.8750", "3.25", "1.50", "7.25", "6.25", "",
    ]  # fmt: skip


def test_each_stream_has_its_file(tmp_path: Path) -> None:
    dumped(tmp_path / "o.csv", scene("a"), scene("b"))
    assert sorted(os.listdir(tmp_path)) == ["o-a.csv", "o-b.csv"]


def test_a_stream_that_comes_back_goes_on_in_its_file(tmp_path: Path) -> None:
    element = Dump(path=str(tmp_path / "o.csv"))
    element.open(Context("dump"))
    for _ in range(2):
        element.start_stream(StreamStart("a", CAPS))
        element.process_frame(scene()[0])
        list(element.end_stream("a"))
    element.close()
    lines = (tmp_path / "o.csv").read_text().splitlines()
    assert len(lines) == 5 and sum(line.startswith("stream,") for line in lines) == 1


def check_coco(path: Path) -> dict[str, Any]:
    """What https://cocodataset.org/#format-data asks of object detection; returns the file."""
    data: dict[str, Any] = json.loads(path.read_text())
    assert {"info", "images", "annotations", "categories"} <= set(data)
    for table in ("images", "annotations", "categories"):
        ids = [row["id"] for row in data[table]]
        assert ids == list(range(1, len(ids) + 1))
    images = {row["id"]: row for row in data["images"]}
    categories = {row["id"] for row in data["categories"]}
    assert all(isinstance(row["file_name"], str) and row["width"] > 0 and row["height"] > 0 for row in images.values())
    for row in data["annotations"]:
        x, y, w, h = row["bbox"]
        assert row["image_id"] in images and row["category_id"] in categories and row["iscrowd"] == 0
        assert np.isclose(row["area"], w * h, atol=0.01) and min(x, y, w, h) >= 0
    return data


def test_coco(tmp_path: Path) -> None:
    dumped(tmp_path / "all.json", scene("a"), scene("b"))
    data = check_coco(tmp_path / "all.json")
    assert os.listdir(tmp_path) == ["all.json"]
    assert [(row["stream"], row["frame"]) for row in data["images"]] == [(s, i) for s in "ab" for i in range(3)]
    assert [row["name"] for row in data["categories"]] == ["car", "traffic light"]
    rows = data["annotations"]
    assert [row["image_id"] for row in rows] == [1, 1, 3, 4, 4, 6] and [row["category_id"] for row in rows[:2]] == [
        1,
        2,
    ]
    assert rows[0]["bbox"] == [1.0, 1.5, 4.0, 4.75] and rows[0]["track_id"] == 7 and "track_id" not in rows[2]
    assert data["images"][1]["file_name"] == "frame-a-000001.jpg"


def test_coco_does_not_depend_on_which_stream_was_quicker(tmp_path: Path) -> None:
    for name, order in (("1.json", "ab"), ("2.json", "ba")):
        element = Dump(path=str(tmp_path / name))
        element.open(Context("dump"))
        element.expect(["a", "b"])
        for stream in order:
            element.start_stream(StreamStart(stream, CAPS))
        for stream in order:
            for item in scene(stream):
                element.process_frame(item)
        element.close()
    assert (tmp_path / "1.json").read_bytes() == (tmp_path / "2.json").read_bytes()


def test_coco_is_made_from_the_journals_after_a_crash(tmp_path: Path) -> None:
    path = tmp_path / "all.json"
    element = Dump(path=str(path))
    element.open(Context("dump"))
    element.start_stream(StreamStart("a", CAPS, live=True))
    for item in scene():
        element.process_frame(item)
    [journal] = journals(str(path))
    with open(journal, "a") as file:
        file.write('["a",3,3000')  # the line that was being written
    assert finish_coco(str(path)) == 3
    assert len(check_coco(path)["annotations"]) == 3 and journals(str(path)) == []
    element.unfinished = False
    element.close()


def test_wrong_settings_are_named(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match=r"format=None is not allowed: out\.bin does not say it; give mot, kitti"):
        Dump(path="out.bin").open(Context("dump"))
    with pytest.raises(SettingError, match=r"the folder .* does not exist"):
        Dump(path=str(tmp_path / "none" / "o.csv")).open(Context("dump"))


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full here")
@pytest.mark.parametrize("name", ["o.csv", "o.txt"])
def test_a_full_disk_is_one_error(tmp_path: Path, name: str) -> None:
    (tmp_path / name).symlink_to("/dev/full")
    with pytest.raises(OutputError, match="No space left on device"):
        dumped(tmp_path / name, scene())
