"""Real clips with known facts: crossings and presence by a real detector; and how much faster a replay is than the run.

    MILLRACE_TEST_DATA=… python benchmarks/analytics_clips.py

Each clip is run once (decode, infer, track, analyse, JSON lines) and recorded; then the recorded run is repeated. The
lines of both must be the same bytes.
"""

from __future__ import annotations

import json
import os
import tempfile
import time
from pathlib import Path
from typing import Any

import millrace
from millrace.metrics.events import Happening, judge, read_run
from millrace.outputs.record import read_record
from millrace.replay import Replay, steps_of

DATA = Path(os.environ["MILLRACE_TEST_DATA"])
MODEL = DATA / "models" / "detect" / "omz_person_vehicle_bike_2002_512_nms.onnx"
Y216 = {"points": [[0, 216], [768, 216]], "anchor": "centre"}
X384 = {"points": [[384, 0], [384, 432]], "anchor": "centre"}
WAYS = {"up": "out", "down": "in", "left": "in", "right": "out"}
CLIPS: dict[str, tuple[str, dict[str, Any]]] = {
    "car-detection": ("car-detection.mp4", {"lines": {"y216": Y216}}),
    "people-detection": ("people-detection.264", {"lines": {"y216": Y216, "x384": X384}}),
    "one-by-one": ("one-by-one-person-detection.mp4", {"zones": {"room": {"patience": 2.0}}}),
}


def truth(clip: str, seconds: float) -> list[Happening]:
    """The facts of a clip as events; `seconds` is the length of a frame as it was read."""
    facts = json.loads((DATA / "mot" / clip / "facts.json").read_text())
    out = []
    for key, crossings in facts.items():
        if key.startswith("line_"):
            name = key.split("_")[1]
            out += [Happening((c["frame"] - 1) * seconds, "line", name, WAYS[c["direction"]]) for c in crossings]
    for first, last in facts.get("presence_intervals_0based", ()):
        out += [Happening(first * seconds, "zone", "room", "enter"), Happening(last * seconds, "zone", "room", "leave")]
    return out


def frames_of(path: Path) -> list[dict[str, Any]]:
    """The lines of a run but the one that tells what is over at its end."""
    return [line for line in map(json.loads, path.read_text().splitlines()) if not line.get("end")]


def happened(path: Path) -> list[Happening]:
    """The events of a run; one that is told to have left was there until it was last seen."""
    out, since = [], {}
    for event in read_run(path):
        out.append(event)
    for line in frames_of(path):
        for event in line.get("events", ()):
            if event["kind"] == "zone" and event.get("phase") == "new":
                since[event["event"]] = line["pts"] / 1e9
            elif event["kind"] == "zone" and event.get("phase") == "end":
                left = since[event["event"]] + event["facts"]["seconds"]
                told = next(e for e in out if e.direction == "leave" and abs(e.time - line["pts"] / 1e9) < 1e-6)
                out[out.index(told)] = Happening(left, "zone", told.name, "leave", told.stream, told.label)
    return out


def main() -> None:
    for clip, (file, settings) in CLIPS.items():
        with tempfile.TemporaryDirectory() as folder:
            record, first, again = (Path(folder) / name for name in ("run.jsonl", "out.jsonl", "again.jsonl"))
            flow = millrace.open(str(DATA / "videos" / file)).infer(str(MODEL), confidence=0.3)
            flow = flow.record(path=str(record)).track().analyze(**settings).json(path=str(first))
            began = time.perf_counter()
            flow.run()
            run = time.perf_counter() - began
            recording = read_record(str(record))
            steps, _ = steps_of(recording)
            Replay(steps)  # imports
            began = time.perf_counter()
            outcome = Replay([*steps, ("json", {"path": str(again)})]).run(recording)
            replay = time.perf_counter() - began
            same = first.read_bytes() == again.read_bytes()
            times = [line["pts"] / 1e9 for line in frames_of(first)]
            real = truth(clip, (times[-1] - times[0]) / (len(times) - 1))
            what = f"{outcome.frames} frames; run {run:.1f} s, replay {replay:.2f} s"
            print(f"{clip}: {what}: {run / replay:.0f} times as fast; {'the same' if same else 'OTHER'} lines")
            for name, verdict in judge(happened(first), real, 0.8).items():
                print(f"  {name:16} {verdict.figures()}", flush=True)


if __name__ == "__main__":
    main()
