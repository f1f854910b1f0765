"""Run the command line on every clip of the test data and account for every frame.

    MILLRACE_TEST_DATA=… python benchmarks/corpus_check.py MODEL.onnx --out FOLDER [--only NAME]

For each clip `millrace run CLIP --model MODEL --track --save … --json … --record …` is started as a user would, and:

* the exit code is 0, or 3 for the clips that are broken or cut, with one line on stderr;
* there is one JSON line for each frame that PyAV's own loop decodes, as many as MANIFEST.md says, numbered from 0;
* its pts and size are those of PyAV's frames (pts are counted from the rate where the stream has none, and only have
  to grow where the stream's own go back);
* ffprobe decodes as many frames from the saved video, and its duration is the input's.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import time
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import av.error

SECOND = 10**9
NO_VIDEO = {"empty.mp4", "car_moov_missing.mp4"}  # must fail cleanly
CUT = {"car_fragmented_truncated.mp4"}  # all that is there, then an error
TOLERANCE = 0.001  # s, of the saved video's duration: its clock ticks


@dataclass
class Result:
    """What one clip did; `wrong` is empty when all is as it must be."""

    clip: Path
    code: int = 0
    seconds: float = 0.0
    stderr: str = ""
    lines: list[dict[str, object]] = field(default_factory=list)
    expected: int = 0
    saved: int = 0
    wrong: list[str] = field(default_factory=list)

    def check(self, good: bool, text: str) -> None:
        if not good:
            self.wrong.append(text)


def plain_loop(path: Path) -> tuple[list[tuple[int | None, int, int]], Fraction]:
    """(pts in ns or None, width, height) of each frame of the best video track as PyAV's loop gives it; its rate."""
    out = []
    with av.open(str(path)) as container:
        stream = container.streams.best("video")
        for packet in container.demux(stream):
            try:
                frames = packet.decode()
            except av.error.InvalidDataError:
                continue
            for frame in frames:
                pts = None if frame.pts is None else round(frame.pts * stream.time_base * SECOND)
                sides = (frame.height, frame.width) if frame.rotation % 180 else (frame.width, frame.height)
                out.append((pts, *sides))  # as the file asks them to be shown
        return out, stream.average_rate


def manifest(data: Path) -> dict[str, int]:
    """Clip → frames, of MANIFEST.md."""
    found = re.findall(r"^\| videos/(\S+) \|.*?, (\d+) frames", (data / "MANIFEST.md").read_text(), flags=re.MULTILINE)
    return {name: int(count) for name, count in found}


def probe(path: Path) -> tuple[int, list[float]]:
    """Frames that ffprobe decodes, and their times in s."""
    command = ["ffprobe", "-v", "error", "-select_streams", "v:0", "-show_entries", "frame=pts_time"]
    done = subprocess.run([*command, "-of", "csv=p=0", str(path)], capture_output=True, text=True, check=False)
    times = [float(line.strip(",")) for line in done.stdout.split() if line.strip(",")]
    return len(times) if not done.stderr else -1, times


def run(clip: Path, model: Path, out: Path) -> Result:
    result = Result(clip)
    base = out / clip.stem
    files = {
        f"--{kind}": f"{base}.{suffix}" for kind, suffix in (("save", "mp4"), ("json", "jsonl"), ("record", "rec"))
    }
    options = [word for pair in files.items() for word in pair]
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", "millrace", "run", str(clip), "--model", str(model), "--track", "--quiet", *options],
        capture_output=True, text=True, check=False, timeout=900,
    )  # fmt: skip
    result.seconds = time.monotonic() - began
    result.code, result.stderr = done.returncode, done.stderr.strip()
    result.check("Traceback" not in done.stderr, "a traceback")
    if clip.name in NO_VIDEO | CUT:
        result.check(result.code == 3 and result.stderr.count("\n") == 0, "not one line and exit code 3")
    else:
        result.check(result.code == 0 and not result.stderr, "exit code or stderr")
    if clip.name not in NO_VIDEO:
        with open(files["--json"], encoding="utf-8") as lines:
            result.lines = [json.loads(line) for line in lines]
        account(result, Path(files["--save"]))
    return result


def account(result: Result, saved: Path) -> None:
    """Every frame of the clip, in the JSON lines and in the saved video."""
    expected, rate = plain_loop(result.clip)
    lines = result.lines
    result.expected = len(expected)
    result.check(len(lines) == len(expected), f"{len(lines)} lines for {len(expected)} frames")
    result.check([line["frame"] for line in lines] == list(range(len(lines))), "frames are not numbered from 0")
    times = [int(str(line["pts"])) for line in lines]
    result.check(all(a < b for a, b in pairwise(times)), "pts do not grow")
    given = [pts for pts, _, _ in expected if pts is not None]
    if len(given) < len(expected):
        given = [round(index * SECOND / rate) for index in range(len(expected))]
    if all(a < b for a, b in pairwise(given)):
        result.check(times == given, "pts are not PyAV's")
    else:
        late = max(abs(a - b) for a, b in zip(times, given, strict=False))
        print(f"  {result.clip.name}: pts go back in the file; ours grow and are at most {late / 1e6:.0f} ms off")
    sizes = [(width, height) for _, width, height in expected]
    result.check([(line["width"], line["height"]) for line in lines] == sizes, "sizes are not PyAV's")
    result.saved, saved_times = probe(saved)
    result.check(result.saved == len(lines), f"{result.saved} frames in the saved video")
    if saved_times and times:
        off = max(abs((b - saved_times[0]) - (a - times[0]) / SECOND) for a, b in zip(times, saved_times, strict=False))
        result.check(off < TOLERANCE, f"times in the saved video are up to {off * 1000:.2f} ms off")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("--out", type=Path, required=True, help="a folder for what the runs write")
    parser.add_argument("--only", action="append", help="only clips whose name holds this; repeatable")
    options = parser.parse_args()
    data = Path(os.environ["MILLRACE_TEST_DATA"])
    options.out.mkdir(parents=True, exist_ok=True)
    counts = manifest(data)
    suffixes = {".mp4", ".mkv", ".webm", ".avi", ".ts", ".264", ".h264"}
    clips = sorted(path for path in (data / "videos").rglob("*") if path.suffix in suffixes)
    failed = 0
    print("clip | exit code | frames: PyAV, MANIFEST.md, JSON lines, saved video | objects | s | wrong")
    for clip in clips:
        if options.only and not any(part in clip.name for part in options.only):
            continue
        result = run(clip, options.model, options.out)
        objects = sum(len(line["objects"]) for line in result.lines)  # type: ignore[arg-type,misc]
        told = counts.get(str(clip.relative_to(data / "videos")), 0)
        row = f"{result.expected}, {told}, {len(result.lines)}, {result.saved}"
        wrong = "; ".join(result.wrong) or "-"
        print(f"{clip.name} | {result.code} | {row} | {objects} | {result.seconds:.1f} | {wrong}", flush=True)
        if result.stderr:
            print(f"  stderr: {result.stderr}")
        failed += bool(result.wrong)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
