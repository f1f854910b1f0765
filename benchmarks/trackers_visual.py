"""What looking at pictures gives: trackers that look, ours and others, with the same re-identification model.

    MILLRACE_TEST_DATA=... python benchmarks/trackers_visual.py [--every 4] [--seeds 31,32,33] [--seconds 6]
        [--clips car-detection,people-detection] [--peers PYTHON=boxmot] [--reid MODEL]

Generated streets with 15 to 35 things in view and exact truth, seen by the made-up detector of trackers_accuracy.py;
and clips of the test data with their own truth and the detections of a model. The embeddings of all detections are made
once and given to every tracker, ours and theirs. All trackers with their own settings.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from trackers_accuracy import detector

import millrace
from millrace.elements._model import load_model
from millrace.elements._units import Imagings
from millrace.media import Image, Object, box
from millrace.media.geometry import iou
from millrace.metrics.mot import Rows, corners, judge, read_rows
from millrace.metrics.tracking import tally
from millrace.testing.scene import Scene
from millrace.trackers import open_tracker

REID = "models/reid/osnet_x0_25_msmt17.onnx"
CLIPS = {  # cars seen from above are cell phones and tables to a detector: there any label counts, as one class
    "car-detection": ("videos/car-detection.mp4", "models/detect/nanodet_m_416.onnx", None),
    "people-detection": ("videos/people-detection.264", "models/detect/yolox_nano_384x640_dynbatch.onnx", "person"),
}
OURS = {"default": False, "deepsort": True, "dcf": False, "dcf with reid": True}  # whether it is given embeddings
PEERS = {
    "boxmot": ("bytetrack", "ocsort", "botsort", "deepocsort", "strongsort", "hybridsort", "boosttrack", "occluboost"),
    "trackers": ("sort", "bytetrack", "ocsort", "cbiou", "botsort"),
    "supervision": ("bytetrack",),
}
Figures = dict[str, float]


@dataclass
class Sequence:
    name: str
    pictures: list[Image]
    truth: Rows
    detections: Rows
    fps: float
    looks: np.ndarray  # [detections, d], of length 1


def scene(seed: int, seconds: int, reid: Any, fps: int = 25) -> Sequence:
    """A street, as it is and as it is seen."""
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
    seen = detector(rows, np.array(kinds), seed)
    return Sequence(f"street-{seed}", pictures, rows, seen, fps, embeddings(reid, pictures, seen))


def clip(folder: Path, name: str, reid: Any) -> Sequence:
    """A clip of the test data, with what a model detects in it."""
    video, model, label = CLIPS[name]
    pictures, seen = [], []
    for frame in millrace.open(str(folder / video)).infer(str(folder / model), confidence=0.1):
        pictures.append(frame.image.copy())
        kept: list[Object] = []
        for found in sorted(frame.objects, key=lambda found: -found.confidence):
            twice = kept and iou(found.box[None], np.array([one.box for one in kept])).max() > 0.5
            if (label is None or found.label == label) and not twice:
                kept.append(found)
        for found in kept:
            x1, y1, x2, y2 = found.box.tolist()
            seen.append([len(pictures), -1, x1 + 1, y1 + 1, x2 - x1, y2 - y1, found.confidence, 1])
    fps = json.loads((folder / "mot" / name / "facts.json").read_text())["fps"]
    rows = np.array(seen, dtype=np.float64).reshape(-1, 8)
    truth = read_rows(folder / "mot" / name / "gt" / "gt.txt", 7)
    return Sequence(name, pictures, truth, rows, fps, embeddings(reid, pictures, rows))


def embeddings(reid: Any, pictures: list[Image], rows: Rows) -> np.ndarray:
    """What the model says of each detection [n, d]."""
    imagings, out, boxes = Imagings(), [], corners(rows)
    size = reid.batch or 16
    for at in range(0, len(rows), size):
        part = slice(at, min(at + size, len(rows)))
        images = [pictures[int(frame) - 1] for frame in rows[part, 0]]
        areas = [inside(one, image) for one, image in zip(boxes[part], images, strict=True)]
        tensor, _ = imagings.of(images[0]).to_tensor(images, reid.spec, boxes=areas)
        answers = reid.read(reid.runtime.run(reid.feed(tensor, len(images))), len(images))
        out += [answer.embedding for answer in answers]
    return np.array(out, np.float32)


def inside(one: Any, image: Image) -> Any:
    """A box, of which at least a pixel is in the picture."""
    x1, y1, x2, y2 = one
    x1, y1 = min(max(x1, 0), image.width - 2), min(max(y1, 0), image.height - 2)
    return [x1, y1, max(x2, x1 + 1), max(y2, y1 + 1)]


def run(name: str, data: Sequence, every: int, **settings: Any) -> tuple[Figures, float, float]:
    """Figures, milliseconds a frame, targets a frame."""
    boxes, frames = corners(data.detections), data.detections[:, 0].astype(int)
    tracker, out, spent, targets = open_tracker(name.partition(" ")[0], **settings), [], 0.0, 0
    start = np.searchsorted(frames, np.arange(1, len(data.pictures) + 2))
    for n, picture in enumerate(data.pictures):
        looked = n % every == 0
        objects = []
        for k in range(start[n], start[n + 1]) if looked else ():
            found = Object(box(boxes[k]), int(data.detections[k, 7]), "", float(data.detections[k, 6]))
            found.embedding = data.looks[k] if OURS[name] else None
            objects.append(found)
        before = time.perf_counter()
        shown = tracker.update(objects, round(n * 1e9 / data.fps), looked, picture)
        spent += time.perf_counter() - before
        targets += tracker.n  # type: ignore[attr-defined]
        for one in shown:
            if one.id is not None:
                x1, y1, x2, y2 = np.clip(one.box, 0, (picture.width, picture.height) * 2).tolist()
                if x1 < x2 and y1 < y2:  # as the element `track` clips what was not detected
                    out.append([n + 1, one.id, x1 + 1, y1 + 1, x2 - x1, y2 - y1, 1])
    return judged(data, out), spent / len(data.pictures) * 1e3, max(targets / len(data.pictures), 1e-9)


def judged(data: Sequence, found: list[Any]) -> Figures:
    rows = np.array(found, dtype=np.float64).reshape(-1, 7)
    return tally(judge(data.name, data.truth, rows, "all")).figures()


def theirs(data: Sequence, python: str, name: str, folder: str, every: int) -> Figures | str:
    """A peer's figures, or why there are none. It is given pictures, detections and embeddings."""
    picture = data.pictures[0]
    pixels = f"{folder}/{data.name}.npy"
    if not os.path.exists(pixels):
        np.save(pixels, np.stack([one.to_rgb()[..., ::-1] for one in data.pictures]))
    shown = data.detections[:, 0] % every == 1 % every
    rows, looks = data.detections[shown], data.looks[shown]
    start = np.searchsorted(rows[:, 0], np.arange(1, len(data.pictures) + 2))
    np.savez(
        f"{folder}/in.npz", start=start, rows=np.column_stack([corners(rows), rows[:, 6]]), kinds=rows[:, 7],
        fps=data.fps, size=(picture.width, picture.height), looks=looks, pictures=pixels,
    )  # fmt: skip
    command = [python, str(Path(__file__).with_name("tracker_peers.py")), name, f"{folder}/in.npz", f"{folder}/out.npz"]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=900)
    if ran.returncode:
        return ran.stderr.strip().splitlines()[-1]
    out = np.load(f"{folder}/out.npz")["out"]
    found = [[f, i, x1 + 1, y1 + 1, x2 - x1, y2 - y1, 1] for f, i, x1, y1, x2, y2 in out.tolist()]
    return judged(data, found)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--every", type=int, default=4)
    parser.add_argument("--seeds", default="31,32,33")
    parser.add_argument("--seconds", type=int, default=6)
    parser.add_argument("--clips", default=",".join(CLIPS))
    parser.add_argument("--peers", action="append", default=[], metavar="PYTHON=PACKAGES")
    parser.add_argument("--reid", help="a model for embeddings (default: OSNet of the test data)")
    options = parser.parse_args()
    if "MILLRACE_TEST_DATA" not in os.environ:
        sys.exit("MILLRACE_TEST_DATA is not set: there is no model for embeddings")
    data = Path(os.environ["MILLRACE_TEST_DATA"])
    reid = load_model(options.reid or str(data / REID))
    sequences = [scene(int(seed), options.seconds, reid) for seed in options.seeds.split(",") if seed]
    sequences += [clip(data, name, reid) for name in options.clips.split(",") if name]
    table: dict[tuple[str, int], list[float]] = {}
    print("| sequence | tracker | inference | HOTA | DetA | AssA | IDF1 | MOTA | ms a frame | us a target |")
    print("|---|---|---|---:|---:|---:|---:|---:|---:|---:|", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        for sequence in sequences:
            for every in (1, options.every):
                for name in OURS:
                    figures, spent, targets = run(name, sequence, every)
                    row(
                        table,
                        sequence.name,
                        f"millrace {name}",
                        every,
                        figures,
                        f"{spent:.2f} | {1e3 * spent / targets:.0f}",
                    )
                for peer in options.peers if every == 1 else ():
                    python, _, packages = peer.partition("=")
                    for package in packages.split(","):
                        for name in PEERS[package]:
                            told = theirs(sequence, python, f"{package}/{name}", folder, every)
                            row(table, sequence.name, f"{package} {name}", every, told, "|")
    print("\n| tracker | inference | mean HOTA |\n|---|---|---:|")
    for (name, every), hota in table.items():
        print(f"| {name} | every {every} | {np.mean(hota):.1f} |")
    for name in OURS:
        one, some = (np.array(table[f"millrace {name}", every]) for every in (1, options.every))
        change = ", ".join(f"{s.name} {100 * (b / a - 1):+.1f} %" for s, a, b in zip(sequences, one, some, strict=True))
        whole = 100 * (some.mean() / one.mean() - 1)
        print(f"\n{name}, every {options.every}th to every frame: {whole:+.1f} % ({change})")


def row(table: Any, sequence: str, name: str, every: int, figures: Figures | str, cost: str) -> None:
    if isinstance(figures, str):
        print(f"| {sequence} | {name} | every {every} | {figures[:80]} |", flush=True)
        return
    table.setdefault((name, every), []).append(figures["HOTA"])
    cells = " | ".join(f"{figures[key]:.1f}" for key in ("HOTA", "DetA", "AssA", "IDF1", "MOTA"))
    print(f"| {sequence} | {name} | every {every} | {cells} | {cost} |", flush=True)


if __name__ == "__main__":
    main()
