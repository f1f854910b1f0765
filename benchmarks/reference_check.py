"""Compare a run's JSON lines with the plain reference implementation of the model's published steps.

    millrace run car.mp4 --model yolox_nano_416.onnx --confidence 0.3 --json car.jsonl
    python benchmarks/reference_check.py car.jsonl car.mp4 yolox_nano_416.onnx [--every 5] [--max-frames 100]

A reference box of confidence >= 0.35 must match one of ours of >= 0.3 with the same class at IoU >= 0.9, and the
reverse: so a box at the edge of the threshold counts for neither side. Exit code 1 below 99 % either way.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "reference"))
from detectors import Reference, Row, frames, overlap

LOW, HIGH, IOU, ENOUGH = 0.3, 0.35, 0.9, 0.99


@dataclass
class Tally:
    """How many boxes of one side were looked for on the other, and how many were found."""

    wanted: int = 0
    found: int = 0

    def add(self, rows: Iterable[Row], among: list[Row]) -> list[Row]:
        """Count the sure boxes of `rows`; returns those that have no partner."""
        missing = []
        for row in rows:
            if row[4] < HIGH:
                continue
            self.wanted += 1
            if any(row[5] == other[5] and overlap(row, other) >= IOU for other in among):
                self.found += 1
            else:
                missing.append(row)
        return missing

    @property
    def share(self) -> float:
        return self.found / self.wanted if self.wanted else 1.0


def results(path: Path, stream: str | None) -> Iterator[list[Row]]:
    """The boxes of each frame of one stream of a run's JSON lines, in order."""
    with path.open(encoding="utf-8") as lines:
        for line in lines:
            record = json.loads(line)
            if "objects" not in record or (stream is not None and record["stream"] != stream):
                continue
            yield [(*o["box"], o["confidence"], o["class_id"]) for o in record["objects"]]


def compare(ours: Iterable[list[Row]], clip: Path, reference: Reference, every: int, verbose: bool) -> list[Tally]:
    """Tallies of the reference's boxes found among ours, and of ours among the reference's."""
    there, back = Tally(), Tally()
    for index, (rows, picture) in enumerate(zip(ours, frames(clip), strict=False)):
        if index % every:
            continue
        theirs = reference(picture)
        lost = there.add(theirs, rows)
        extra = back.add(rows, theirs)
        if verbose:
            for name, missing in (("only reference", lost), ("only millrace", extra)):
                for row in missing:
                    print(f"frame {index}: {name}: {[round(float(v), 3) for v in row]}")
    return [there, back]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", type=Path)
    parser.add_argument("clip", type=Path)
    parser.add_argument("model", type=Path)
    parser.add_argument("--stream", help="which stream of the results (default: all lines are one stream's)")
    parser.add_argument("--every", type=int, default=1, help="look at every Nth frame only")
    parser.add_argument("--max-frames", type=int)
    parser.add_argument("-v", "--verbose", action="store_true", help="print the boxes without a partner")
    options = parser.parse_args()
    ours = islice(results(options.results, options.stream), options.max_frames)
    reference = Reference(options.model, confidence=LOW)
    there, back = compare(ours, options.clip, reference, options.every, options.verbose)
    print(f"{options.model.stem} on {options.clip.name}:")
    print(f"  reference boxes found by millrace: {there.found} of {there.wanted} ({there.share:.2%})")
    print(f"  millrace's boxes in the reference: {back.found} of {back.wanted} ({back.share:.2%})")
    return 0 if min(there.share, back.share) >= ENOUGH else 1


if __name__ == "__main__":
    sys.exit(main())
