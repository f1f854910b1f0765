"""Who is it: people of a real clip from a gallery of their photos, with the re-identification models of the test data.

    python benchmarks/identify_check.py [--data DIR] [--model reid/omz_person_reid_0287_nhwc.onnx] [--threshold 0.6]

one-by-one-person-detection.mp4 shows six people one after the other (mot/one-by-one/facts.json says when). Three photos
of each are cut from the first third of their time and put into a folder, all but those of the last person, who stays a
stranger. Then the clip is run from its start: detector, tracker, embedding, identify; every sighting in the last two
thirds of each person's time counts.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "reference"))
import cases
import cv2
import kinds

import millrace

CLIP = "videos/one-by-one-person-detection.mp4"
STEP = 5  # frames between those that are looked at


def presences(data: Path) -> list[tuple[int, int]]:
    """The first and the last frame of each person."""
    facts = json.loads((data / "mot/one-by-one/facts.json").read_text())
    return [(int(a), int(b)) for a, b in facts["presence_intervals_0based"]]


def people(data: Path, folder: Path, model: str) -> millrace.flow.Flow:
    """Frames with people, tracked, with their vectors."""
    (folder / "detector.yaml").write_text(f"model: {data / 'models' / cases.PRIMARY}\n{cases.PVB}confidence: 0.5\n")
    own = cases.OSNET if "osnet" in model else f"kind: embedding\n{cases.PLAIN}"
    (folder / "reid.yaml").write_text(f"model: {data / 'models' / model}\n{own}")
    flow = millrace.open(str(data / CLIP)).map(lambda frame: frame.index % STEP == 0)
    flow = flow.infer(str(folder / "detector.yaml"), classes=["person"]).track(max_age=5)
    return flow.infer(str(folder / "reid.yaml"), on={"refresh": 1, "min_height": 80})


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("MILLRACE_TEST_DATA", ".")))
    parser.add_argument("--model", default="reid/omz_person_reid_0287_nhwc.onnx")
    parser.add_argument("--threshold", type=float, default=0.6)
    options = parser.parse_args()
    times = presences(options.data)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        gallery = folder / "people"
        gallery.mkdir()
        wanted: dict[int, str] = {}
        for number, (first, last) in enumerate(times[:-1]):
            third = (last - first) // 3
            wanted |= {(first + third * n // 4) // STEP * STEP: f"person{number}-{n}.png" for n in (1, 2, 3)}
        for frame in people(options.data, folder, options.model):
            if frame.index in wanted and frame.objects:
                tallest = max(frame.objects, key=lambda o: o.box[3] - o.box[1])
                bgr = frame.image.to_rgb()[..., ::-1]
                cv2.imwrite(str(gallery / wanted[frame.index]), kinds.crop(bgr, tallest.box))
        print(f"{len(list(gallery.iterdir()))} photos of {len(times) - 1} people, one stranger; {options.model}")
        told = [Counter[str]() for _ in times]
        flow = people(options.data, folder, options.model)
        flow = flow.identify(str(gallery), model=str(folder / "reid.yaml"), threshold=options.threshold)
        for frame in flow:
            for number, (first, last) in enumerate(times):
                if first + (last - first) // 3 <= frame.index <= last and frame.objects:
                    tallest = max(frame.objects, key=lambda o: o.box[3] - o.box[1])
                    told[number].update(label.value for label in tallest.labels if label.name == "name")
    right = 0
    for number, names in enumerate(told):
        expected = f"person{number}" if number < len(times) - 1 else "unknown"
        right += names[expected]
        print(f"  {expected}: {dict(names)}")
    total = sum(sum(names.values()) for names in told)
    print(f"{right} of {total} sightings right ({right / max(1, total):.1%})")
    return 0


if __name__ == "__main__":
    sys.exit(main())
