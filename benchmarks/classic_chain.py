"""DeepStream's classic chain, as its own configuration files: a detector, a tracker, two classifiers of what it finds.

    python benchmarks/classic_chain.py [--data DIR] [--clip videos/road_640x352_vfr.mp4] [--frames 300]

Writes nvinfer files for the DetectNet_v2 style detector and for the colour and the type of vehicles, runs them, and
prints how many classifier calls a frame took as identities persisted, against one call for each object and frame; and
how often an identity's labels changed.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections import defaultdict
from dataclasses import dataclass, field
from itertools import islice, pairwise
from pathlib import Path
from typing import Any

import millrace
from millrace.core import state
from millrace.elements.infer import Infer
from millrace.media import Frame

PRIMARY = """[property]
gie-unique-id=1
onnx-file={models}/detect/detectnet_v2_style_yoloxnano_384x640.onnx
labelfile-path=primary.txt
net-scale-factor=0.0039215697906911373
model-color-format=0
maintain-aspect-ratio=1
num-detected-classes=3
network-type=0
cluster-mode=2
batch-size=1

[class-attrs-all]
pre-cluster-threshold=0.35
nms-iou-threshold=0.5
detected-min-w=16
"""
SECONDARY = """[property]
gie-unique-id={number}
process-mode=2
network-type=1
onnx-file={models}/classify/omz_vehicle_attributes_0039_72.onnx
output-blob-names={head}
labelfile-path={head}.txt
classifier-type={head}
classifier-threshold=0.5
model-color-format=1
operate-on-gie-id=1
operate-on-class-ids=2
input-object-min-width=24
input-object-min-height=24
secondary-reinfer-interval=60
batch-size=16
"""
LABELS = {
    "primary": "person\ntwo-wheeler\nvehicle\n",
    "color": "white;gray;yellow;red;green;blue;black\n",
    "type": "car;van;truck;bus\n",
}


def write_files(folder: Path, data: Path) -> tuple[str, str, str]:
    """The three nvinfer files and their labels; returns the paths."""
    models = data / "models"
    for name, text in LABELS.items():
        (folder / f"{name}.txt").write_text(text)
    (folder / "pgie.txt").write_text(PRIMARY.format(models=models))
    for number, head in ((2, "color"), (3, "type")):
        (folder / f"sgie_{head}.txt").write_text(SECONDARY.format(models=models, number=number, head=head))
    return str(folder / "pgie.txt"), str(folder / "sgie_color.txt"), str(folder / "sgie_type.txt")


class Counting(Infer):
    """An infer that notes how many pictures it asks its model for, by frame."""

    asked: dict[int, int] = state(dict)

    def ask(self, frame: Frame, at_once: bool = True) -> list[Any]:
        units = super().ask(frame, at_once)
        self.asked[frame.index] = sum(unit.fresh for unit in units)
        return units


@dataclass
class Result:
    """What a run showed: for each frame the vehicles that could be asked for, and the calls; label changes."""

    vehicles: list[int] = field(default_factory=list)
    calls: list[int] = field(default_factory=list)
    told: dict[int, list[tuple[str, ...]]] = field(default_factory=lambda: defaultdict(list))
    last: Frame | None = None

    @property
    def changes(self) -> int:
        """How often the labels of an identity became others."""
        return sum(a != b for own in self.told.values() for a, b in pairwise(own))


def run(data: Path, clip: str, frames: int, wait: bool = True) -> Result:
    """Run the chain over the first frames of a clip."""
    result = Result()
    with tempfile.TemporaryDirectory() as folder:
        first, colour, kind = write_files(Path(folder), data)
        more: dict[str, Any] = {} if wait else {"on": {"wait": False}}
        counters = [Counting(model=path, **more) for path in (colour, kind)]
        flow = millrace.open(str(data / clip)).infer(first).track()
        flow = flow.add(counters[0], "colours").add(counters[1], "types")
        for frame in islice(flow, frames):
            vehicles = [o for o in frame.objects if o.label == "vehicle"]
            able = [o for o in vehicles if min(o.box[2] - o.box[0], o.box[3] - o.box[1]) >= 24]
            result.vehicles.append(len(able))
            result.calls.append(sum(counter.asked.get(frame.index, 0) for counter in counters))
            for found in able:
                if found.id is not None and found.labels:
                    result.told[found.id].append(tuple(label.value for label in found.labels))
            result.last = frame
    return result


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("MILLRACE_TEST_DATA", ".")))
    parser.add_argument("--clip", default="videos/road_640x352_vfr.mp4")
    parser.add_argument("--frames", type=int, default=300)
    options = parser.parse_args()
    for wait in (True, False):
        result = run(options.data, options.clip, options.frames, wait)
        how = "frames wait for labels" if wait else "frames go on at once"
        print(f"\n{Path(options.clip).name}, {how}:\n")
        print("| frames | vehicles a frame | classifier calls a frame | without memory | ratio |")
        print("| --- | --- | --- | --- | --- |")
        step = max(1, options.frames // 6)
        for at in range(0, len(result.calls), step):
            vehicles, calls = result.vehicles[at : at + step], result.calls[at : at + step]
            most, each = 2 * sum(vehicles) / len(vehicles), sum(calls) / len(calls)
            ratio = each / most if most else 0.0
            print(f"| {at}-{at + len(calls) - 1} | {most / 2:.2f} | {each:.2f} | {most:.2f} | {ratio:.2f} |")
        seen = sum(len(own) for own in result.told.values())
        print(f"\n{len(result.told)} identities, labelled {seen} times; labels changed {result.changes} times.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
