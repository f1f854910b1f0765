"""Objects read back from what was written."""

from __future__ import annotations

import numpy as np
import pytest

from millrace.media import Frame, Image, Label, Object, box
from millrace.outputs.dumps import KittiFolder, mot_lines
from millrace.outputs.jsonl import frame_line
from millrace.outputs.labels import LabelError, read_labels


def frame(index: int = 0, stream: str = "a") -> Frame:
    car = Object(box([10.5, 20, 30, 40.25]), 2, "car", 0.75, id=4, text="AB 12", angle=0.5)
    car.labels = [Label("colour", "red", 0.9)]
    car.keypoints = np.array([[11, 21, 0.5]], np.float32)
    plate = Object(box([12, 22, 14, 24]), 1, "plate", 0.5, parent=car)
    image = Image("GRAY8", [np.zeros((48, 64), np.uint8)], 64, 48)
    return Frame(stream, index, index * 40_000_000, image, objects=[car, plate])


def test_json_lines_of_one_stream_and_of_many(tmp_path):
    path = tmp_path / "run.jsonl"
    path.write_text("".join(frame_line(frame(index, stream)) for index in (0, 3) for stream in "ab"))
    found = read_labels(path, "b", 1)
    assert sorted(found.frames) == [0, 3] and found.count == 4 and found.size == (64, 48)
    car, plate = found.frames[3]
    assert car.box.tolist() == [10.5, 20, 30, 40.25] and (car.label, car.class_id, car.id) == ("car", 2, 4)
    assert (car.text, car.angle, car.attributes) == ("AB 12", 0.5, "red ") and car.keypoints.tolist() == [[11, 21, 0.5]]
    assert plate.parent is car and plate.id is None
    assert read_labels(path, "c", 2).frames == {}
    path.write_text(frame_line(frame(1, "other")))
    assert list(read_labels(path, "c", 2).frames) == [1]  # the only stream there is


def test_rows_of_motchallenge(tmp_path):
    path = tmp_path / "gt.txt"
    path.write_text(mot_lines(frame(0)) + "3,-1,11,21,20,10,0.5\n\n3,8,1,1,5,5\n")
    found = read_labels(path, "a", 0, "walker")
    assert sorted(found.frames) == [0, 2] and found.frames[0][0].box.tolist() == [10.5, 20, 30, 40.25]
    first, second = found.frames[2]
    assert first.box.tolist() == [10, 20, 30, 30] and first.id is None and first.confidence == 0.5
    assert (second.id, second.label, second.confidence) == (8, "walker", 1.0)


@pytest.mark.parametrize("identities", [False, True])
def test_folders_of_kitti(tmp_path, identities):
    for number in (0, 3):
        writer = KittiFolder(str(tmp_path / "dump"), number, "kitti-track" if identities else "kitti")
        for index in (0, 7):
            writer.write(frame(index))
    found = read_labels(tmp_path / "dump", "a", 3)
    assert sorted(found.frames) == [0, 7] and found.count == 8
    car = found.frames[7][0]
    assert car.box.tolist() == [10.5, 20, 30, 40.25] and car.label == "car" and car.confidence == pytest.approx(0.75)
    assert [each.id for each in found.frames[7]] == ([4] if identities else [None, None])
    plain = tmp_path / "plain"
    plain.mkdir()
    (plain / "000012.txt").write_text(
        "Pedestrian 0.00 0 -0.20 712.40 143.00 810.73 307.92 1.89 0.48 1.20 1.84 1.47 8.41 0.01\n"
    )
    (found,) = read_labels(plain, "a", 0).frames[12]
    assert found.label == "Pedestrian" and found.confidence == 1.0 and found.box[3] == np.float32(307.92)


def test_a_folder_with_a_file_for_each_stream(tmp_path):
    (tmp_path / "gate.jsonl").write_text(frame_line(frame(5, "gate")))
    (tmp_path / "yard_2.txt").write_text("1,1,1,1,5,5,1\n")
    assert list(read_labels(tmp_path, "gate", 0).frames) == [5]
    assert list(read_labels(tmp_path, "yard 2", 1).frames) == [0]


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("a.jsonl", '{"stream": "a", "frame": 0}\n', r"a.jsonl:1: not what `json` writes: KeyError\('objects'\)"),
        ("a.jsonl", '{"stream": "a"\n', r"a.jsonl:1: no line of JSON"),
        ("a.txt", "1,2,3\n", r"a.txt:1: not a row of frame, id, left"),
        ("a.txt", "1,1,1,1,5,5,1\n0,1,1,1,5,5,1\n", r"a.txt:2: not a row of .*frames from 1"),
        ("a.txt", "1,1,nan,1,5,5,1\n", r"a.txt:1: not a row"),
        ("dump/000000.txt", "car 1 2 3\n", r"000000.txt:1: not a row of KITTI"),
        ("dump/readme.md", "", r"dump: no file is named 000000.txt"),
    ],
)
def test_what_cannot_be_read(tmp_path, name, text, said):
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    with pytest.raises(LabelError, match=said):
        read_labels(path.parent if "/" in name else path, "a", 0)
    with pytest.raises(LabelError, match="cannot be read"):
        read_labels(tmp_path / "none.txt", "a", 0)


def test_a_folder_with_a_file_that_is_no_text(tmp_path):
    (tmp_path / "000000.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(LabelError, match="cannot be read"):
        read_labels(tmp_path, "a", 0)


@pytest.mark.parametrize("row", ["inf,1,1,1,2,2,1", "1,nan,1,1,2,2,1", "1,inf,1,1,2,2,1", "nan,1,1,1,2,2,1"])
def test_numbers_that_are_none_are_told_with_their_line(tmp_path, row):
    path = tmp_path / "gt.txt"
    path.write_text(f"1,1,1,1,2,2,1\n{row}\n")
    with pytest.raises(LabelError, match=r"gt\.txt:2: not a row"):
        read_labels(path, "a", 0)


def test_a_last_line_that_tells_what_is_over_is_no_frame(tmp_path):
    path = tmp_path / "a.jsonl"
    found = '{"box":[1,1,2,2],"label":"car","class_id":0,"confidence":0.5}'
    head = '{"stream":"a","frame":0,"pts":0,"width":16,"height":8,"objects":['
    path.write_text(f'{head}{found}]}}\n{head}],"end":true,"events":[]}}\n')
    assert [found.label for found in read_labels(path, "a", 0).frames[0]] == ["car"]
