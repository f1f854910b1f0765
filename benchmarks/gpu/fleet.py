"""The application on one GPU and on several, a process for each: "Must show" 6 of the GPU issue.

    python benchmarks/gpu/fleet.py h264.mp4 --models folder --gpus 1 2 4 --streams 32 --processes 1

`--streams` are those of one GPU, `--processes` too. The streams, the elements and the supervisor are those of
`millrace run --device cuda:0,cuda:1`; the rate is what it counts in one window.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path
from typing import Any

from application import LINES, ZONES

import millrace
from millrace.fleet import Fleet

START = 150.0  # seconds that all processes have to begin
SECONDS = 10.0


def plan(clip: str, models: str, streams: int, devices: str, folder: str) -> Any:
    names = [f"s{number}" for number in range(streams)]
    on = {"growth": 1.5, "min_width": 24, "min_height": 24}
    flow = millrace.open(*[clip] * streams, name=names, device=devices, loop=0)
    flow = flow.infer(f"{models}/detector.yaml", confidence=0.3).track()
    flow = flow.infer(f"{models}/classifier0.yaml", on=on).infer(f"{models}/classifier1.yaml", on=on)
    return flow.analyze(lines=LINES, zones=ZONES).json(f"{folder}/{{stream}}.jsonl").plan


def measure(clip: str, gpus: int, arguments: argparse.Namespace) -> dict[str, Any]:
    devices = ",".join(f"cuda:{number}" for number in range(gpus))
    with tempfile.TemporaryDirectory() as folder:
        streams, processes = arguments.streams * gpus, arguments.processes * gpus
        fleet = Fleet(plan(clip, arguments.models, streams, devices, folder), processes, cores=arguments.cores)
        said: list[str] = []
        fleet.bus.subscribe(lambda message: said.append(message.text) if message.kind in ("error", "warning") else None)
        try:
            fleet.start()
            until = time.monotonic() + START
            while not all(reading.frames_out > 40 for reading in fleet.readings()):
                if not fleet.step(0.1) or time.monotonic() > until:
                    raise RuntimeError(f"it did not start: {said[:3]}")
            before, began = fleet.frames, time.monotonic()
            while time.monotonic() - began < SECONDS:
                fleet.step(0.1)
            fps = (fleet.frames - before) / (time.monotonic() - began)
        finally:
            fleet.stop()
    return {"gpus": gpus, "streams": streams, "processes": processes, "fps": round(fps), "said": said[:3]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clips", nargs="+")
    parser.add_argument("--models", required=True, help="the folder that train.py filled")
    parser.add_argument("--gpus", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--streams", type=int, default=32)
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--cores", type=int, help="on so many of its own each process stays")
    arguments = parser.parse_args()
    for clip in arguments.clips:
        alone: float | None = None
        for gpus in arguments.gpus:
            try:
                found = measure(clip, gpus, arguments)
            except RuntimeError as error:
                found = {"gpus": gpus, "fps": 0, "error": str(error)}
            alone = float(found["fps"]) if alone is None else alone  # where it failed there is nothing to compare with
            print(
                json.dumps({"clip": Path(clip).name, **found, "ratio": round(found["fps"] / alone, 2) if alone else 0}),
                flush=True,
            )


if __name__ == "__main__":
    main()
