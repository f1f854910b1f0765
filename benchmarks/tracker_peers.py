"""Runs other packages' trackers for trackers_accuracy.py and trackers_speed.py; it knows nothing of millrace.

    PYTHON benchmarks/tracker_peers.py NAME IN.npz OUT.npz

PYTHON is that of an environment where `trackers`, `supervision` (before 0.28; later ones have no tracker) or `boxmot`
is installed: they are peers to be measured, no dependency. IN has `start` [frames + 1] and `rows` [n, 5]: x1 y1 x2 y2
and confidence, frame by frame, and `fps`, `size`. OUT gets `out` [m, 6]: frame, identity, x1 y1 x2 y2; and `seconds`
[frames], of `update` alone. All settings are the packages' own; no pictures, no appearance, no camera motion.
"""

from __future__ import annotations

import contextlib
import io
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

import numpy as np

Update = Callable[[Any], Any]


def of_trackers(name: str, fps: float) -> Iterator[Update]:
    """`trackers`: sort, bytetrack, ocsort, cbiou, botsort."""
    import supervision as sv
    import trackers

    kinds = {"sort": "SORT", "bytetrack": "ByteTrack", "ocsort": "OCSORT", "cbiou": "CBIoU", "botsort": "BoTSORT"}
    more = {"enable_cmc": False} if name == "botsort" else {}
    tracker = getattr(trackers, f"{kinds[name]}Tracker")(frame_rate=fps, **more)
    yield lambda rows: sv.Detections(
        rows[:, :4].copy(), confidence=rows[:, 4].copy(), class_id=np.zeros(len(rows), int)
    )
    yield tracker.update
    yield lambda found: [(i, *box) for i, box in zip(found.tracker_id, found.xyxy, strict=True) if i >= 0]


def of_supervision(name: str, fps: float) -> Iterator[Update]:
    """`supervision`: bytetrack."""
    import supervision as sv

    assert name == "bytetrack"
    tracker = sv.ByteTrack(frame_rate=round(fps))
    yield lambda rows: sv.Detections(
        rows[:, :4].copy(), confidence=rows[:, 4].copy(), class_id=np.zeros(len(rows), int)
    )
    yield tracker.update_with_detections
    yield lambda found: [(i, *box) for i, box in zip(found.tracker_id, found.xyxy, strict=True)]


class Looks:
    """A re-identification model whose answers are known: by the box of each detection, frame by frame."""

    def __init__(self, given: Any) -> None:
        self.start, self.rows, self.looks = given["start"], given["rows"], given["looks"]
        self.frame = 0

    def get_features(self, boxes: np.ndarray, picture: Any) -> np.ndarray:
        own = slice(self.start[self.frame], self.start[self.frame + 1])
        if not len(boxes):
            return np.zeros((0, self.looks.shape[1]), np.float32)
        off = np.abs(self.rows[own, None, :4] - np.asarray(boxes)[None, :, :4]).sum(axis=2)
        assert off.min(axis=0).max() < 1, "a box that is none of the detections"
        looks: np.ndarray = self.looks[own][off.argmin(axis=0)]
        return looks


def of_boxmot(name: str, given: Any) -> Iterator[Update]:
    """`boxmot`: bytetrack, ocsort, sfsort; botsort without appearance and camera motion, unless pictures are given."""
    from boxmot.trackers import TrackerSpec, create_tracker

    if "pictures" in given:
        tracker = create_tracker(TrackerSpec(name))
        looks, pictures = Looks(given), np.load(str(given["pictures"]), mmap_mode="r")
        if getattr(tracker, "accepts_embeddings", False):
            tracker._reid_model, tracker._raw_reid_configured = looks, True
        numbers = iter(range(len(pictures)))

        def update(found: np.ndarray) -> Any:
            looks.frame = next(numbers)
            return tracker.update(found, np.array(pictures[looks.frame]))

        yield lambda rows: np.column_stack([rows, np.zeros(len(rows))]).astype(np.float32)
        yield update
        yield lambda found: [(row[4], *row[:4]) for row in np.asarray(found)]
        return
    size = given["size"]
    options = {"botsort": (("use_cmc", False), ("use_embeddings", False))}
    tracker = create_tracker(TrackerSpec(name, options=options.get(name, ())))
    picture = np.zeros((int(size[1]), int(size[0]), 3), np.uint8)
    yield lambda rows: np.column_stack([rows, np.zeros(len(rows))]).astype(np.float32)
    yield lambda found: tracker.update(found, picture)
    yield lambda found: [(row[4], *row[:4]) for row in np.asarray(found)]


def main() -> None:
    package, _, name = sys.argv[1].partition("/")
    given = np.load(sys.argv[2])
    start, rows, fps = given["start"], given["rows"], float(given["fps"])
    noise = io.StringIO()
    with contextlib.redirect_stdout(noise), contextlib.redirect_stderr(noise):
        warnings.simplefilter("ignore")
        made = {
            "trackers": lambda: of_trackers(name, fps),
            "supervision": lambda: of_supervision(name, fps),
            "boxmot": lambda: of_boxmot(name, given),
        }[package]()
        prepare, update, read = made
        out, seconds = [], []
        frames = [prepare(rows[a:b]) for a, b in pairwise(start)]
        for n, frame in enumerate(frames):
            before = time.perf_counter()
            found = update(frame)
            seconds.append(time.perf_counter() - before)
            out += [(n + 1, *row) for row in read(found)]
    np.savez(sys.argv[3], out=np.array(out, dtype=np.float64).reshape(-1, 6), seconds=np.array(seconds))


if __name__ == "__main__":
    main()
