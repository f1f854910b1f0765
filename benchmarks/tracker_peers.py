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


def of_trackers(name: str, fps: float) -> Iterator[Callable[[np.ndarray], Any]]:
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


def of_supervision(name: str, fps: float) -> Iterator[Callable[[np.ndarray], Any]]:
    """`supervision`: bytetrack."""
    import supervision as sv

    assert name == "bytetrack"
    tracker = sv.ByteTrack(frame_rate=round(fps))
    yield lambda rows: sv.Detections(
        rows[:, :4].copy(), confidence=rows[:, 4].copy(), class_id=np.zeros(len(rows), int)
    )
    yield tracker.update_with_detections
    yield lambda found: [(i, *box) for i, box in zip(found.tracker_id, found.xyxy, strict=True)]


def of_boxmot(name: str, size: np.ndarray) -> Iterator[Callable[[np.ndarray], Any]]:
    """`boxmot`: bytetrack, ocsort, sfsort; botsort without appearance and camera motion."""
    from boxmot.trackers import TrackerSpec, create_tracker

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
            "boxmot": lambda: of_boxmot(name, given["size"]),
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
