"""What a tracker costs for each frame of a stream, ours and others, on the same boxes in the same run.

    python benchmarks/trackers_speed.py [--peers PYTHON=trackers,supervision,boxmot ...] [--element]

Objects that wander, a twentieth of them missed; `update` alone is timed, from detections to identities, with all that
it writes to our objects. The figure is the median over frames, the least of some rounds. A peer's ratio is its time to
that of our tracker of the same method (cbiou, botsort, sfsort: to `default`). `--element` adds the element `track`.
"""

from __future__ import annotations

import argparse
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import numpy as np

from millrace.core.caps import Caps
from millrace.core.item import StreamStart
from millrace.elements.track import Track
from millrace.media import Frame, Image, Object
from millrace.trackers import TABLE, open_tracker, rules_of
from millrace.trackers.motion import MotionTracker

MOTION = [name for name in TABLE if name not in ("dcf", "deepsort")]  # those that need no picture
PEERS = {
    "trackers": ("sort", "bytetrack", "ocsort", "cbiou", "botsort"),
    "supervision": ("bytetrack",),
    "boxmot": ("bytetrack", "ocsort", "sfsort", "botsort"),
}
COUNTS = (5, 20, 100)
STEP = 33_333_333
Boxes = list[tuple[np.ndarray, np.ndarray]]  # [n, 4] float32, [n]


def boxes(count: int, frames: int, seed: int = 0) -> Boxes:
    random = np.random.default_rng(seed)
    place = random.uniform(0, 1, (count, 2)) * (1800, 990)
    speed, size = random.normal(0, 3, (count, 2)), random.uniform(30, 90, (count, 2))
    out = []
    for _ in range(frames):
        place = place + speed
        seen = random.random(count) > 0.05
        corner = (place + random.normal(0, 1, place.shape))[seen]
        out.append(
            (np.hstack((corner, corner + size[seen])).astype(np.float32), random.uniform(0.72, 0.99, len(corner)))
        )
    return out


def objects(frames: Boxes) -> list[list[Object]]:
    return [
        [Object(box, 0, "thing", float(sure)) for box, sure in zip(found, confidences, strict=True)]
        for found, confidences in frames
    ]


def timed(frames: Boxes, rounds: int, make: Callable[[], Callable[[int, list[Object]], object]]) -> float:
    """Microseconds a frame."""
    best = np.inf
    for _ in range(rounds):
        update, seconds = make(), []
        for n, found in enumerate(objects(frames)):
            before = time.perf_counter()
            update(n, found)
            seconds.append(time.perf_counter() - before)
        best = min(best, median(seconds))
    return best * 1e6


def ours(name: str, frames: Boxes, rounds: int, compiled: bool = True) -> float:
    def make() -> Callable[[int, list[Object]], object]:
        tracker = open_tracker(name) if compiled else MotionTracker(rules_of(name), compiled=False)
        return lambda n, found: tracker.update(found, n * STEP, True)

    return timed(frames, rounds, make)


def element(name: str, frames: Boxes, rounds: int) -> float:
    picture = Image("GRAY8", [np.zeros((1080, 1920), np.uint8)], 1920, 1080)

    def make() -> Callable[[int, list[Object]], object]:
        track = Track(tracker=name)
        track.start_stream(StreamStart("a", Caps("frames", width=1920, height=1080)))
        return lambda n, found: track.process_frame(
            Frame("a", n, n * STEP, picture, objects=found, inferred=["detector"])
        )

    return timed(frames, rounds, make)


def theirs(python: str, name: str, frames: Boxes, rounds: int) -> float | str:
    start = np.cumsum([0, *(len(found) for found, _ in frames)])
    rows = np.vstack([np.column_stack(pair) for pair in frames])
    best = np.inf
    with tempfile.TemporaryDirectory() as folder:
        paths = [f"{folder}/in.npz", f"{folder}/out.npz"]
        np.savez(paths[0], start=start, rows=rows, fps=30.0, size=(1920, 1080))
        for _ in range(rounds):
            command = [python, str(Path(__file__).with_name("tracker_peers.py")), name, *paths]
            run = subprocess.run(command, capture_output=True, text=True, timeout=300)
            if run.returncode:
                return run.stderr.strip().splitlines()[-1]
            best = min(best, float(np.median(np.load(paths[1])["seconds"])))
    return best * 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peers", action="append", default=[], metavar="PYTHON=PACKAGES")
    parser.add_argument("--element", action="store_true")
    parser.add_argument("--frames", type=int, default=150)
    options = parser.parse_args()
    sets = {count: boxes(count, options.frames) for count in COUNTS}
    print("| tracker | " + " | ".join(f"{count} objects, us" for count in COUNTS) + " |")
    print("|---|" + "---:|" * len(COUNTS))
    known: dict[str, list[float]] = {}
    for name in MOTION:
        known[name] = [ours(name, frames, 5) for frames in sets.values()]
        print(f"| millrace {name} | " + " | ".join(f"{value:.1f}" for value in known[name]) + " |", flush=True)
    plain = [ours("default", frames, 1, compiled=False) for frames in sets.values()]
    print("| millrace default, NumPy alone | " + " | ".join(f"{value:.0f}" for value in plain) + " |", flush=True)
    if options.element:
        values = [element("default", frames, 5) for frames in sets.values()]
        print("| element track, default | " + " | ".join(f"{value:.1f}" for value in values) + " |", flush=True)
    for peer in options.peers:
        python, _, packages = peer.partition("=")
        for package in packages.split(","):
            for name in PEERS[package]:
                found = [theirs(python, f"{package}/{name}", frames, 1) for frames in sets.values()]
                same = known.get(name, known["default"])
                cells = [
                    each[:40] if isinstance(each, str) else f"{each:.0f} ({each / mine:.0f}x)"
                    for each, mine in zip(found, same, strict=True)
                ]
                print(f"| {package} {name} | " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
