"""Compare a run's JSON lines with the plain reference implementation of the model's published steps.

    millrace run car.mp4 --model yolox_nano_416.onnx --confidence 0.3 --json car.jsonl
    python benchmarks/reference_check.py car.jsonl car.mp4 yolox_nano_416.onnx [--every 5] [--max-frames 100]

A reference box of confidence >= 0.35 must match one of ours of >= 0.3 with the same class at IoU >= 0.9, and the
reverse: so a box at the edge of the threshold counts for neither side.

Making RGB of YUV is no published step, and there is more than one plain way: swscale ("bgr24") rounds each product
down, which makes pictures about a level darker than the equations of BT.601 say. Small as this is, it makes some
models choose a neighbouring box. So the reference runs on both pictures, and three comparisons are printed: the two
references with each other, and millrace with each of them. Exit code 0 when millrace agrees with one of them, both
ways, by at least 99 %, or by as much as the two agree with each other where that is less.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "reference"))
from detectors import Reference, Row, frames, overlap

__all__ = ["ENOUGH", "LOW", "Comparison", "Reference", "Row", "compare", "results"]

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


@dataclass
class Comparison:
    """Boxes of one side that the other has too, there and back."""

    title: str
    there: Tally = field(default_factory=Tally)
    back: Tally = field(default_factory=Tally)

    def add(self, one: list[Row], other: list[Row]) -> tuple[list[Row], list[Row]]:
        return self.there.add(one, other), self.back.add(other, one)

    @property
    def share(self) -> float:
        """The worse of the two ways."""
        return min(self.there.share, self.back.share)

    def __str__(self) -> str:
        there, back = (f"{t.found} of {t.wanted} ({t.share:.2%})" for t in (self.there, self.back))
        return f"  {self.title}: {there}, back {back}"


def compare(
    ours: Iterable[list[Row]], clip: Path, reference: Reference, every: int, verbose: bool
) -> tuple[Comparison, Comparison, Comparison]:
    """The two references with each other, and each of them with ours."""
    floor = Comparison("reference on swscale's picture / on BT.601's or BT.709's equations")
    swscale = Comparison("reference on swscale's picture / millrace")
    equations = Comparison("reference on the equations' picture / millrace")
    ours = islice(ours, 0, None, every)
    for index, (rows, (first, second)) in enumerate(zip(ours, frames(clip, every), strict=False)):
        one, other = reference(first), reference(second)
        floor.add(one, other)
        swscale.add(one, rows)
        lost, extra = equations.add(other, rows)
        if verbose:
            for name, missing in (("only reference", lost), ("only millrace", extra)):
                for row in missing:
                    print(f"frame {index * every}: {name}: {[round(float(v), 3) for v in row]}")
    return floor, swscale, equations


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
    floor, swscale, equations = compare(ours, options.clip, reference, options.every, options.verbose)
    print(f"{options.model.stem} on {options.clip.name}:", floor, swscale, equations, sep="\n")
    return 0 if max(swscale.share, equations.share) >= min(ENOUGH, floor.share) else 1


if __name__ == "__main__":
    sys.exit(main())
