"""How well trackers keep identities, ours and others, on the same detections in the same run.

    MILLRACE_TEST_DATA=... python benchmarks/trackers_accuracy.py [--peers PYTHON=trackers,supervision,boxmot ...]
        [--scenes] [--tuned] [--every N]

Sequences of MOTChallenge with their given detections; with `--scenes` generated streets with exact truth and made-up
detectors too. All trackers with their own settings. `--peers /env/bin/python=boxmot` names an environment and what of
it to run (tracker_peers.py). Figures are this package's, which agree with TrackEval's (tests/metrics). `--tuned`
searches `default`'s settings on all sequences but one and judges them on that one.
"""

from __future__ import annotations

import argparse
import os
import random
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from millrace.cli.track import follow
from millrace.metrics.mot import Rows, corners, frame_rate, judge, read_rows
from millrace.metrics.tracking import tally
from millrace.testing.scene import Scene
from millrace.trackers import TABLE, open_tracker

GIVEN = {"TUD-Campus": 25.0, "TUD-Stadtmitte": 25.0, "MOT17-04-FRCNN": 30.0}  # where seqinfo.ini does not say
MOTION = [name for name in TABLE if name not in ("dcf", "deepsort")]  # those that need no picture
PEERS = {
    "trackers": ("sort", "bytetrack", "ocsort", "cbiou", "botsort"),
    "supervision": ("bytetrack",),
    "boxmot": ("bytetrack", "ocsort", "sfsort", "botsort"),
}
SHOWN = ("HOTA", "IDF1", "MOTA")
Figures = dict[str, float]


@dataclass
class Sequence:
    name: str
    truth: Rows
    detections: Rows
    fps: float
    rules: str | None = None

    def judge(self, found: Rows) -> Figures:
        return tally(judge(self.name, self.truth, found, self.rules)).figures()


def given(folder: Path) -> list[Sequence]:
    """The sequences of the test data that have detections."""
    out = []
    for name, fps in GIVEN.items():
        rows = read_rows(folder / name / "det" / "det.txt", 7)
        truth = read_rows(folder / name / "gt" / "gt.txt", 7)
        out.append(Sequence(name, truth, rows[np.argsort(rows[:, 0], kind="stable")], frame_rate(folder / name) or fps))
    return out


def scenes() -> list[Sequence]:
    """Generated streets: 12 s each, at 5 to 30 frames a second, seen by a detector that errs in known ways."""
    out = []
    for seed, crowd, fps in ((11, 12, 25), (12, 20, 25), (13, 16, 15), (14, 25, 30), (15, 0, 10), (16, 15, 5)):
        scene = Scene(seed=seed, fps=fps, frame_count=fps * 12, crowd=crowd, busy=1.3)
        truth, seen = [], []
        for index in range(scene.frame_count):
            for thing in scene.objects(index):
                x1, y1, x2, y2 = thing.box
                if thing.visible >= 0.15 and y2 - y1 >= 10:
                    truth.append([index + 1, thing.id, x1 + 1, y1 + 1, x2 - x1, y2 - y1, 1, 1, thing.visible])
                    seen.append(thing.class_id + 1)
        rows = np.array(truth, dtype=np.float64)
        out.append(Sequence(f"street-{seed}-{fps}fps", rows, detector(rows, np.array(seen), seed), fps, "all"))
    return out


def detector(truth: Rows, classes: np.ndarray, seed: int) -> Rows:
    """Detections of known truth: boxes off by 4 % of their sides, misses that come in rows, doubt, false alarms."""
    rng = np.random.default_rng(seed)
    out, blind = [], dict.fromkeys(truth[:, 1], False)
    for row, kind in zip(truth, classes, strict=True):
        frame, identity, x, y, w, h, _, _, visible = row
        blind[identity] = rng.random() < (0.6 if blind[identity] else 0.05)
        hidden = visible < 0.25 or (visible < 0.6 and rng.random() < 0.5)
        if hidden or rng.random() < (0.4 if blind[identity] else 0.04):
            continue
        sure = rng.uniform(0.12, 0.5) if blind[identity] else np.clip(rng.normal(0.75 + 0.2 * visible, 0.1), 0.3, 0.999)
        off = rng.normal(0, 0.04, 4)
        out.append([frame, -1, x + off[0] * w, y + off[1] * h, w * (1 + off[2]), h * (1 + off[3]), sure, kind])
    last = int(truth[:, 0].max())
    for row in truth[rng.integers(0, len(truth), last // 3)]:
        x, y = row[2] + rng.normal() * row[4], row[3] + 0.5 * rng.normal() * row[5]
        out.append([rng.integers(1, last + 1), -1, x, y, row[4], row[5], rng.uniform(0.1, 0.65), 1])
    rows = np.array(out, dtype=np.float64)
    return rows[np.argsort(rows[:, 0], kind="stable")]


def ours(sequence: Sequence, name: str, every: int = 1, **settings: Any) -> Figures:
    text, _, _ = follow(sequence.detections, open_tracker(name, **settings), sequence.fps, every)
    rows = [[float(value) for value in line.split(",")] for line in text.splitlines()]
    return sequence.judge(np.array(rows, dtype=np.float64).reshape(-1, 10))


def theirs(sequence: Sequence, python: str, name: str) -> Figures | str:
    """A peer's figures, or why there are none."""
    rows = sequence.detections
    start = np.searchsorted(rows[:, 0], np.arange(1, int(rows[:, 0].max()) + 2))
    size = corners(rows)[:, 2:].max(axis=0).astype(int) + 1
    with tempfile.TemporaryDirectory() as folder:
        paths = [f"{folder}/in.npz", f"{folder}/out.npz"]
        np.savez(paths[0], start=start, rows=np.column_stack([corners(rows), rows[:, 6]]), fps=sequence.fps, size=size)
        command = [python, str(Path(__file__).with_name("tracker_peers.py")), name, *paths]
        run = subprocess.run(command, capture_output=True, text=True, timeout=600)
        if run.returncode:
            return run.stderr.strip().splitlines()[-1]
        out = np.load(paths[1])["out"]
    found = np.column_stack([out[:, :2], out[:, 2:4] + 1, out[:, 4:] - out[:, 2:4], *np.ones((1, len(out)))])
    return sequence.judge(found)


def table(sequences: list[Sequence], rows: dict[str, list[Figures | str]]) -> None:
    """Markdown: HOTA / IDF1 / MOTA of every sequence, and the mean HOTA."""
    print(f"\n| tracker | {' | '.join(s.name for s in sequences)} | mean HOTA |")
    print("|---|" + "---|" * len(sequences) + "---:|")
    for name, figures in rows.items():
        cells, hota = [], []
        for each in figures:
            if isinstance(each, str):
                cells.append(each[:60])
            else:
                cells.append(" / ".join(f"{each[key]:.1f}" for key in SHOWN))
                hota.append(each["HOTA"])
        mean = f"{np.mean(hota):.2f}" if len(hota) == len(figures) else ""
        print(f"| {name} | {' | '.join(cells)} | {mean} |", flush=True)


SPACE: dict[str, list[Any]] = {
    "max_age": [1.0, 1.5, 2.0, 3.0], "evidence": [0.0, 1.2, 1.8, 2.2], "high_confidence": [0.3, 0.4, 0.5, 0.6],
    "iou": [0.1, 0.15, 0.2, 0.25, 0.3], "low_iou": [0.3, 0.5], "direction": [0.0, 0.1, 0.2, 0.3],
    "min_hits": [2, 3], "coast": [0.0, 0.05, 0.1], "reassociate": [0.0, 2.0, 4.0],
}  # fmt: skip


def tuned(sequences: list[Sequence], tries: int = 60) -> None:
    """Leave one out: settings that are best on the others, judged on the one."""
    rng = random.Random(1)
    choices = [{}, *({key: rng.choice(values) for key, values in SPACE.items()} for _ in range(tries))]
    hota = np.array([[ours(s, "default", **choice)["HOTA"] for s in sequences] for choice in choices])
    print("\n| left out | its HOTA with the usual settings | tuned on the others | settings |\n|---|---:|---:|---|")
    held = []
    for k, sequence in enumerate(sequences):
        best = int(np.delete(hota, k, axis=1).mean(axis=1).argmax())
        held.append(hota[best, k])
        print(f"| {sequence.name} | {hota[0, k]:.2f} | {hota[best, k]:.2f} | {choices[best] or 'the usual ones'} |")
    print(f"| mean | {hota[0].mean():.2f} | {np.mean(held):.2f} | |")
    print(f"\n{tries} random settings: mean HOTA {hota.mean(axis=1).mean():.2f}, its deviation "
          f"{hota.mean(axis=1).std():.2f}, best {hota.mean(axis=1).max():.2f}")  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peers", action="append", default=[], metavar="PYTHON=PACKAGES")
    parser.add_argument("--scenes", action="store_true")
    parser.add_argument("--tuned", action="store_true")
    parser.add_argument("--every", type=int, default=1)
    options = parser.parse_args()
    sets = []
    if "MILLRACE_TEST_DATA" in os.environ:
        sets.append(given(Path(os.environ["MILLRACE_TEST_DATA"]) / "mot"))
    if options.scenes:
        sets.append(scenes())
    if not sets:
        sys.exit("MILLRACE_TEST_DATA is not set: nothing to judge; --scenes needs no data")
    for sequences in sets:
        rows: dict[str, list[Figures | str]] = {}
        for name in MOTION:
            rows[f"millrace {name}"] = [ours(s, name, options.every) for s in sequences]
        for peer in options.peers:
            python, _, packages = peer.partition("=")
            for package in packages.split(","):
                for name in PEERS[package]:
                    rows[f"{package} {name}"] = [theirs(s, python, f"{package}/{name}") for s in sequences]
        table(sequences, rows)
        if options.tuned:
            tuned(sequences)


if __name__ == "__main__":
    main()
