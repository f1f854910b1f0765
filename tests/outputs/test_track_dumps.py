"""DeepStream's folders of tracks: embeddings, hidden ones, those that ended."""

from __future__ import annotations

import numpy as np

from millrace.media import Frame, Image, Object, box
from millrace.media.objects import Place, Trajectory
from millrace.outputs.dumps import KittiFolder
from millrace.trackers.base import Past, Reports

GREY = Image("GRAY8", [np.zeros((8, 8), np.uint8)], 8, 8)


def frame(index: int, reports: Reports | None = None) -> Frame:
    car = Object(box([1, 2, 3, 4]), 2, "car", 0.5, id=7, embedding=np.array([0.6, 0.8], np.float32))
    new = Object(box([1, 2, 3, 4]), 2, "car", 0.5, embedding=np.array([1, 0], np.float32))
    extras = {"tracks": reports} if reports else {}
    return Frame("a", index, index * 40, GREY, objects=[car, new], extras=extras)


def test_embeddings(tmp_path):
    KittiFolder(str(tmp_path / "reid"), 3, "kitti-reid").write(frame(5))
    (path,) = (tmp_path / "reid").iterdir()
    assert path.name == "00_003_000005.txt" and path.read_text() == "7 0.600000 0.800000\n"


def test_hidden_tracks(tmp_path):
    hidden = Object(box([1, 2, 3, 4]), 2, "car", 0.5, id=9, track_confidence=0.25)
    writer = KittiFolder(str(tmp_path / "shadow"), 0, "kitti-shadow")
    writer.write(frame(4))
    writer.write(frame(5, Reports(shadows=[hidden])))
    (path,) = (tmp_path / "shadow").iterdir()
    assert path.read_text() == (
        "5 9 2 0 0.0 1.000000 2.000000 3.000000 4.000000 0.0 0.0 0.0 0.0 0.0 0.0 0.0 0.250000 2 0.000000\n"
    )


def test_tracks_that_ended(tmp_path):
    trail = Trajectory(8).then(Place(40, 1, 2, 3, 4, 0.5)).then(Place(80, 2, 2, 4, 4, 0.75))
    writer = KittiFolder(str(tmp_path / "over"), 0, "kitti-terminated")
    for index in range(4):
        writer.write(frame(index))
    writer.write(frame(4, Reports(terminated=[Past(9, 2, "car", None, 40, 80, 2, trail)])))
    (path,) = (tmp_path / "over").iterdir()
    assert path.read_text().splitlines() == [
        "Target: 9,2,2",
        "1 9 2 0 0.0 1.000000 2.000000 3.000000 4.000000 0.0 0.0 0.0 0.0 0.0 0.0 0.0 0.500000 1 0.000000",
        "2 9 2 0 0.0 2.000000 2.000000 4.000000 4.000000 0.0 0.0 0.0 0.0 0.0 0.0 0.0 0.750000 1 0.000000",
    ]
