"""DeepStream's classic chain as its own files: a primary detector, a tracker, and two classifiers of its vehicles.

    MILLRACE_TEST_DATA=... python benchmarks/nvinfer_chain.py [CLIP] [PICTURE.png]

The three networks are configured by nvinfer's files (INI, as DeepStream's samples are). It counts how often the
classifiers are asked, with answers kept by identity and asked for again in every frame, and how stable the labels are:
the share of an identity's frames that carry the label which it carries most often.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections import Counter, defaultdict
from pathlib import Path

import millrace
from millrace.runtimes.onnx import OnnxRuntime

PRIMARY = """[property]
gpu-id=0
net-scale-factor=0.0039215697906911373
onnx-file={models}/detect/detectnet_v2_style_yoloxnano_384x640.onnx
labelfile-path=labels.txt
batch-size=1
network-mode=0
process-mode=1
model-color-format=0
num-detected-classes=3
interval=0
gie-unique-id=1
output-blob-names=output_bbox/BiasAdd;output_cov/Sigmoid
cluster-mode=2
maintain-aspect-ratio=1

[class-attrs-all]
pre-cluster-threshold=0.35
topk=20
nms-iou-threshold=0.5
"""
SECONDARY = """[property]
gpu-id=0
net-scale-factor=1
onnx-file={models}/classify/omz_vehicle_attributes_0039_72.onnx
labelfile-path={head}.txt
batch-size=16
network-mode=0
network-type=1
process-mode=2
model-color-format=1
gie-unique-id={number}
operate-on-gie-id=1
operate-on-class-ids=2
input-object-min-width=24
input-object-min-height=24
output-blob-names={head}
classifier-threshold=0.3
classifier-type={head}
{more}
"""
NAMES = {"color": "white;gray;yellow;red;green;blue;black", "type": "car;van;truck;bus"}


def configure(folder: Path, models: Path, more: str) -> None:
    """Write the files that a user of DeepStream has."""
    (folder / "labels.txt").write_text("person\ntwo-wheeler\nvehicle\n")
    (folder / "primary.txt").write_text(PRIMARY.format(models=models))
    for number, (head, names) in enumerate(NAMES.items(), 2):
        (folder / f"{head}.txt").write_text(names + "\n")
        text = SECONDARY.format(models=models, head=head, number=number, more=more)
        (folder / f"secondary_{head}.txt").write_text(text)


class Calls:
    """Counts the pictures that each network is asked for, by the tensor that it takes."""

    def __init__(self) -> None:
        self.pictures: Counter[str] = Counter()
        self.submit = OnnxRuntime.submit

    def __enter__(self) -> Counter[str]:
        counted, submit = self.pictures, self.submit

        def counting(runtime, inputs, done=None):  # type: ignore[no-untyped-def]
            def made():  # type: ignore[no-untyped-def]
                tensors = inputs() if callable(inputs) else inputs
                counted[next(iter(tensors))] += len(next(iter(tensors.values())))
                return tensors

            return submit(runtime, made, done)

        OnnxRuntime.submit = counting  # type: ignore[method-assign]
        return counted

    def __exit__(self, *_: object) -> None:
        OnnxRuntime.submit = self.submit  # type: ignore[method-assign]


def run(clip: Path, folder: Path, picture: str | None) -> tuple[int, int, Counter[str], dict[int, Counter[str]]]:
    """(frames, vehicles that a classifier may look at, calls, labels by identity)"""
    frames = vehicles = 0
    seen: dict[int, Counter[str]] = defaultdict(Counter)
    flow = millrace.open(str(clip)).infer(str(folder / "primary.txt")).track()
    for head in NAMES:
        flow = flow.infer(str(folder / f"secondary_{head}.txt"))
    with Calls() as calls:
        for frame in flow.draw() if picture else flow:
            frames += 1
            for found in frame.objects:
                if found.label == "vehicle" and found.id is not None:
                    vehicles += 1
                    for label in found.labels:
                        seen[found.id][f"{label.name} {label.value}"] += 1
            if picture and frames == 60:
                import cv2

                cv2.imwrite(picture, frame.image.to_rgb()[..., ::-1])
    return frames, vehicles, calls, seen


def main() -> None:
    data = Path(os.environ["MILLRACE_TEST_DATA"])
    clip = Path(sys.argv[1]) if len(sys.argv) > 1 else data / "videos" / "road_640x352_vfr.mp4"
    print(f"{clip.name}\n\n| | frames | tracked vehicles | classifier calls | per frame | stable |")
    print("| --- | ---: | ---: | ---: | ---: | ---: |")
    rows = {"every frame": "secondary-reinfer-interval=0", "kept by identity": ""}
    for name, more in rows.items():
        with tempfile.TemporaryDirectory() as folder:
            configure(Path(folder), data / "models", more)
            shown = sys.argv[2] if len(sys.argv) > 2 and not more else None
            frames, vehicles, calls, seen = run(clip, Path(folder), shown)
        asked = calls["image"]
        print(f"| {name} | {frames} | {vehicles} | {asked} | {asked / frames:.2f} | {stable(seen):.1%} |")
    print()
    for number, labels in sorted(seen.items()):
        print(f"identity {number}: " + ", ".join(f"{label} in {count}" for label, count in labels.most_common()))


def stable(seen: dict[int, Counter[str]]) -> float:
    """The share of labels that are the most frequent of their identity and head."""
    best = total = 0
    for labels in seen.values():
        for head in NAMES:
            counts = [count for label, count in labels.items() if label.startswith(f"{head} ")]
            best, total = best + max(counts, default=0), total + sum(counts)
    return best / total if total else 0.0


if __name__ == "__main__":
    main()
