"""Rows of the agreement table: what millrace finds on clips against the plain reference of each model's steps.

    python benchmarks/agreement.py --model yolox_nano_416.onnx [--model …] CLIP… [--frames 60]

Each clip is run in full through `millrace.open(CLIP).infer(MODEL, every=N)`, N such that some `--frames` pictures are
looked at; with `--records OUT` the records that corpus_check.py left in OUT are read instead. What counts as agreement:
reference_check.py. Exit code 1 when a row with enough boxes to say so (100; below, one box is more than a per cent)
agrees with libswscale's picture by less than 99 %.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

import av
from reference_check import ENOUGH, LOW, Comparison, Reference, Row, compare, results

import millrace
from millrace.media import Object

SURE = 100  # boxes


def count(clip: Path) -> int:
    """Pictures of the best video track, by their packets."""
    with av.open(str(clip)) as container:
        return sum(packet.size > 0 for packet in container.demux(container.streams.best("video")))


def ours(clip: Path, model: Path, every: int) -> Iterator[list[Row]]:
    """The boxes of every frame: none where nothing was inferred."""
    for frame in millrace.open(str(clip)).infer(str(model), confidence=LOW, every=every):
        yield [row_of(found) for found in frame.objects]


def row_of(found: Object) -> Row:
    x1, y1, x2, y2 = map(float, found.box)
    return x1, y1, x2, y2, found.confidence, found.class_id


def shares(comparison: Comparison) -> str:
    return f"{comparison.there.share:.2%}, {comparison.back.share:.2%}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clips", type=Path, nargs="+", metavar="CLIP")
    parser.add_argument("--model", type=Path, action="append", required=True)
    parser.add_argument("--frames", type=int, default=60, help="how many pictures of a clip to look at, about")
    parser.add_argument("--records", type=Path, help="a folder of records, one for each clip")
    parser.add_argument("-v", "--verbose", action="store_true", help="print the boxes without a partner")
    options = parser.parse_args()
    short = False
    for model in options.model:
        reference = Reference(model, confidence=LOW)
        for clip in options.clips:
            every = max(1, count(clip) // options.frames)
            found = results(options.records / f"{clip.stem}.rec", None) if options.records else ours(clip, model, every)
            floor, swscale, equations = compare(found, clip, reference, every, options.verbose)
            boxes = min(swscale.there.wanted, swscale.back.wanted)
            texts = [shares(swscale), shares(equations), shares(floor)] if boxes else ["no box on either side", "", ""]
            print(
                f"| {clip.name} | {model.stem} | {every} | {swscale.there.wanted} | {' | '.join(texts)} |", flush=True
            )
            short |= boxes >= SURE and swscale.share < ENOUGH
    return int(short)


if __name__ == "__main__":
    sys.exit(main())
