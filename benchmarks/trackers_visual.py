"""What looking at pictures gives: `dcf` beside `default`, with inference on every frame and on every 4th.

    python benchmarks/trackers_visual.py [--every 4] [--seeds 31,32,33] [--seconds 6]

Generated streets with 15 to 35 things in view and exact truth, seen by the made-up detector of trackers_accuracy.py.
"""

from __future__ import annotations

import argparse
import time
from typing import Any

import numpy as np
from trackers_accuracy import detector

from millrace.media import Image, Object, box
from millrace.metrics.mot import corners, judge
from millrace.metrics.tracking import tally
from millrace.testing.scene import Scene
from millrace.trackers import open_tracker


def scene(seed: int, seconds: int, fps: int = 25) -> tuple[list[Any], np.ndarray, np.ndarray, int]:
    """Pictures, truth, detections, frames a second."""
    made = Scene(seed=seed, fps=fps, frame_count=fps * seconds, crowd=10 + seed % 3 * 5)
    pictures, truth, kinds = [], [], []
    for index in range(made.frame_count):
        pixels, things = made.frame(index)
        pictures.append(Image("RGB", [pixels], made.width, made.height))
        for thing in things:
            x1, y1, x2, y2 = thing.box
            if thing.visible >= 0.15 and y2 - y1 >= 10:
                truth.append([index + 1, thing.id, x1 + 1, y1 + 1, x2 - x1, y2 - y1, 1, 1, thing.visible])
                kinds.append(thing.class_id + 1)
    rows = np.array(truth, dtype=np.float64)
    return pictures, rows, detector(rows, np.array(kinds), seed), fps


def run(name: str, data: Any, every: int) -> tuple[dict[str, float], float, float]:
    """Figures, milliseconds a frame, targets a frame."""
    pictures, truth, seen, fps = data
    boxes, frames = corners(seen), seen[:, 0].astype(int)
    tracker, out, spent, targets = open_tracker(name), [], 0.0, 0
    for n, picture in enumerate(pictures):
        looked = n % every == 0
        rows = np.flatnonzero(frames == n + 1) if looked else []
        objects = [Object(box(boxes[k]), int(seen[k, 7]), "", float(seen[k, 6])) for k in rows]
        before = time.perf_counter()
        found = tracker.update(objects, round(n * 1e9 / fps), looked, picture)
        spent += time.perf_counter() - before
        targets += tracker.n  # type: ignore[attr-defined]
        for one in found:
            if one.id is not None:
                x1, y1, x2, y2 = one.box.tolist()
                out.append([n + 1, one.id, x1 + 1, y1 + 1, x2 - x1, y2 - y1, 1])
    figures = tally(judge(name, truth, np.array(out, dtype=np.float64), "all")).figures()
    return figures, spent / len(pictures) * 1e3, targets / len(pictures)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--every", type=int, default=4)
    parser.add_argument("--seeds", default="31,32,33")
    parser.add_argument("--seconds", type=int, default=6)
    options = parser.parse_args()
    print("| scene | tracker | inference | HOTA | DetA | AssA | IDF1 | ms a frame | us a target |")
    print("|---|---|---|---:|---:|---:|---:|---:|---:|")
    mean: dict[tuple[str, int], list[float]] = {}
    for seed in map(int, options.seeds.split(",")):
        data = scene(seed, options.seconds)
        for name in ("default", "dcf"):
            for every in (1, options.every):
                figures, spent, targets = run(name, data, every)
                mean.setdefault((name, every), []).append(figures["HOTA"])
                cells = " | ".join(f"{figures[key]:.1f}" for key in ("HOTA", "DetA", "AssA", "IDF1"))
                cost = f"{spent:.2f} | {1e3 * spent / targets:.0f}"
                print(f"| street-{seed} | {name} | every {every} | {cells} | {cost} |", flush=True)
    for name in ("default", "dcf"):
        one, some = (float(np.mean(mean[name, every])) for every in (1, options.every))
        print(f"\n{name}: mean HOTA {one:.1f} on every frame, {some:.1f} on every {options.every}th: "
              f"{100 * (some / one - 1):+.1f} %", flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
