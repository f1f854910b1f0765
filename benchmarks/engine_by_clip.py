"""How the engine that was built agrees with FP32, and plain BF16 beside it, clip by clip.

    millrace build YOLOX.onnx …          first
    MILLRACE_TEST_DATA=… python benchmarks/engine_by_clip.py [--model YOLOX.onnx] [--frames 40] [CLIP …]

F1 of detections at IoU 0.5, class by class, against the default in FP32, on evenly spread frames of each clip.
"""

from __future__ import annotations

import argparse
import os
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

from millrace.builder.calibration import pictures
from millrace.builder.subject import open_subject
from millrace.engines import Engine, find
from millrace.metrics.agreement import f1

CLIPS = (
    "car-detection.mp4", "people-detection.264", "one-by-one-person-detection.mp4", "Retail02_short.mp4",
    "pedestrians_626x360_vfr.mp4", "road_640x352_vfr.mp4", "highway_320x240_mpeg4.avi", "bottle-detection.mp4",
)  # fmt: skip


def main() -> None:
    data = Path(os.environ.get("MILLRACE_TEST_DATA", "data"))
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("clips", nargs="*", default=[str(data / "videos" / name) for name in CLIPS])
    parser.add_argument("--model", default=str(data / "models/detect/yolox_nano_416.onnx"))
    parser.add_argument("--frames", type=int, default=40)
    args = parser.parse_args()
    built = find(args.model)
    if built is None:
        print("left out: build an engine first")
        return
    plain = Engine("openvino", {"parallel": 1, "precision": "bfloat16"})
    with ExitStack() as stack:
        subject = stack.enter_context(closing(open_subject(args.model)))
        others = [stack.enter_context(closing(load(args.model))) for load in (plain.load, built.load)]
        engines = [subject.runtime, *others]
        every: list[list[Any]] = [[], [], []]
        print(f"| clip | detections | BF16 | {built.engine.label} |\n| --- | ---: | ---: | ---: |")
        for clip in args.clips:
            calls = [subject.feed(each) for each in pictures([clip], subject.spec, args.frames).tensors]
            found = [[subject.detections(engine.run(call), 1)[0] for call in calls] for engine in engines]
            for rows, own in zip(every, found, strict=True):
                rows += own
            said = [f1(found[0], other) for other in found[1:]]
            print(f"| {Path(clip).stem} | {said[0][1]} | {said[0][0]:.3f} | {said[1][0]:.3f} |", flush=True)
        said = [f1(every[0], other) for other in every[1:]]
        print(f"| all | {said[0][1]} | {said[0][0]:.3f} | {said[1][0]:.3f} |")


if __name__ == "__main__":
    main()
