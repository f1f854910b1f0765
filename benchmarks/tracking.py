"""How well and how fast the trackers follow: CLEAR MOT and IDF1 on MOTChallenge sequences, microseconds a frame.

    MILLRACE_TEST_DATA=... python benchmarks/tracking.py

Scores: Bernardin and Stiefelhagen, "Evaluating multiple object tracking performance: the CLEAR MOT metrics", 2008;
Ristani et al., "Performance measures and a data set for multi-target, multi-camera tracking", 2016. Matching at
IoU 0.5. In MOT17, detections on distractors (people on vehicles, reflections, …) count neither way.
"""

from __future__ import annotations

import csv
import json
import os
import sys
import time
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from millrace.media import Object, box
from millrace.media.geometry import iou
from millrace.trackers import open_tracker
from millrace.trackers.matching import assign

DISTRACTORS = {2, 7, 8, 12}
Rows = dict[int, list[tuple[int, list[float]]]]  # frame → (identity, x1 y1 x2 y2)


class Score(NamedTuple):
    MOTA: float
    IDF1: float
    IDSW: int
    FP: int
    FN: int


def read(path: Path) -> list[list[float]]:
    """Lines of a MOTChallenge file: frame, id, x, y, w, h, confidence, …"""
    with path.open() as file:
        return [[float(value) for value in row] for row in csv.reader(file) if row]


def corners(row: list[float]) -> list[float]:
    return [row[2], row[3], row[2] + row[4], row[3] + row[5]]


def truth(rows: list[list[float]], mot17: bool) -> tuple[Rows, Rows]:
    """(what must be found, distractors)"""
    wanted: Rows = defaultdict(list)
    others: Rows = defaultdict(list)
    for row in rows:
        item = (int(row[1]), corners(row))
        if mot17 and int(row[7]) in DISTRACTORS:
            others[int(row[0])].append(item)
        elif row[6] != 0 and (not mot17 or int(row[7]) == 1):
            wanted[int(row[0])].append(item)
    return wanted, others


def overlaps(a: list[tuple[int, list[float]]], b: list[tuple[int, list[float]]]) -> np.ndarray[Any, Any]:
    if not a or not b:
        return np.zeros((len(a), len(b)))
    return iou(np.array([item[1] for item in a]), np.array([item[1] for item in b]))


def score(wanted: Rows, found: Rows, others: Rows, last: int) -> Score:
    previous: dict[int, int] = {}  # truth → identity that it was last found as
    present: dict[int, int] = {}  # the same, of the frame before alone
    misses = false = switches = total = 0
    together: Counter[tuple[int, int]] = Counter()
    lengths: Counter[int] = Counter()
    predicted: Counter[int] = Counter()
    for frame in range(1, last + 1):
        real, ours = wanted.get(frame, []), found.get(frame, [])
        if others.get(frame):
            everything = real + others[frame]
            rows, columns = assign(1 - overlaps(everything, ours), 0.5 + 1e-9)
            drop = {column for row, column in zip(rows, columns, strict=True) if row >= len(real)}
            ours = [item for n, item in enumerate(ours) if n not in drop]
        same = overlaps(real, ours)
        lengths.update(item[0] for item in real)
        predicted.update(item[0] for item in ours)
        for n, m in zip(*np.nonzero(same >= 0.5), strict=True):
            together[real[n][0], ours[m][0]] += 1
        keeps = np.array([[present.get(a[0]) == b[0] for b in ours] for a in real]).reshape(same.shape)
        rows, columns = assign(np.where(same >= 0.5, -same - 1000.0 * keeps, np.inf), 0.0)
        present = {}
        for row, column in zip(rows, columns, strict=True):
            key, identity = real[row][0], ours[column][0]
            switches += key in previous and previous[key] != identity
            previous[key] = present[key] = identity
        total += len(real)
        misses += len(real) - len(rows)
        false += len(ours) - len(rows)
    return Score(1 - (misses + false + switches) / total, idf1(together, lengths, predicted), switches, false, misses)


def idf1(together: Counter[tuple[int, int]], lengths: Counter[int], predicted: Counter[int]) -> float:
    """2 IDTP / (truth boxes + our boxes) under the best one-to-one assignment of whole identities."""
    rows, columns = list(lengths), list(predicted)
    gain = np.array([[float(together[a, b]) for b in columns] for a in rows]).reshape(len(rows), len(columns))
    chosen, taken = assign(-gain, 0.0)
    return float(2 * gain[chosen, taken].sum() / max(1, lengths.total() + predicted.total()))


def follow(rows: list[list[float]], fps: float, last: int, least: float, every: int = 1, **settings: Any) -> Rows:
    """The identities that the tracker gives, with detections of confidence >= `least` in every nth frame."""
    by_frame: dict[int, list[Object]] = defaultdict(list)
    for row in rows:
        if row[6] >= least:
            by_frame[int(row[0])].append(Object(box(corners(row)), 0, "person", min(1.0, row[6])))
    tracker = open_tracker(**settings)
    out: Rows = {}
    for frame in range(1, last + 1):
        inferred = (frame - 1) % every == 0
        objects = by_frame[frame] if inferred else []
        objects = tracker.update(objects, round(frame * 1e9 / fps), inferred)
        out[frame] = [(o.id, [float(v) for v in o.box]) for o in objects if o.id is not None]
    return out


SEQUENCES = {  # name: (fps, least confidence)
    "TUD-Campus": (25.0, 0.3),
    "TUD-Stadtmitte": (25.0, 0.3),
    "MOT17-04-FRCNN": (30.0, 0.3),
}
WAYS = (("millrace", 1, False), ("millrace smooth", 1, True), ("millrace every 3rd", 3, False))


def run(data: Path, name: str, every: int = 1, **settings: Any) -> Score:
    fps, least = SEQUENCES[name]
    wanted, others = truth(read(data / "mot" / name / "gt" / "gt.txt"), name.startswith("MOT17"))
    last = max(wanted)
    found = follow(read(data / "mot" / name / "det" / "det.txt"), fps, last, least, every, **settings)
    return score(wanted, found, others, last)


def speed(count: int, frames: int = 300) -> float:
    """Microseconds a frame with `count` objects that drift over a picture of 1920 x 1080, some meeting others."""
    random = np.random.default_rng(7)
    start = random.uniform((0, 0), (1800, 1000), (count, 2))
    step = random.uniform(-4, 4, (count, 2))
    shown = []
    for frame in range(frames):
        corner = start + frame * step + random.normal(0, 1, (count, 2))
        boxes = np.hstack((corner, corner + np.array((40, 80)))).astype(np.float32)
        shown.append([Object(item, 0, "person", 0.9) for item in boxes])
    tracker = open_tracker()
    spent = []
    for frame, objects in enumerate(shown):
        begin = time.perf_counter()
        tracker.update(objects, frame * 40_000_000, True)
        spent.append(time.perf_counter() - begin)
    return float(np.median(spent) * 1e6)


def main() -> None:
    data = Path(os.environ["MILLRACE_TEST_DATA"])
    expected = json.loads((data / "mot" / "EXPECTED_trackeval.json").read_text())
    settings = {key: float(value) for key, value in (word.split("=") for word in sys.argv[1:])}
    for name in SEQUENCES:
        for label, known in expected[name].items():
            print(f"{name:16} {label:22} MOTA {known['MOTA']:5.1f}  IDF1 {known['IDF1']:5.1f}  IDSW {known['IDSW']}")
        for label, every, smooth in (
            ("millrace", 1, False),
            ("millrace smooth", 1, True),
            ("millrace every 3rd", 3, False),
        ):
            mine = run(data, name, every, smooth=smooth, **settings)
            print(
                f"{name:16} {label:22} MOTA {100 * mine.MOTA:5.1f}  IDF1 {100 * mine.IDF1:5.1f}  "
                f"IDSW {mine.IDSW}  FP {mine.FP}  FN {mine.FN}"
            )
    for count in (5, 20, 100):
        print(f"{count:4} objects: {speed(count):6.0f} us a frame")


if __name__ == "__main__":
    main()
