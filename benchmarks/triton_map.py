"""A detector on a real Triton against the same model here: frames, detections and average precision of both.

    MILLRACE_TEST_DATA=… MILLRACE_TRITON_PYTHON=… python benchmarks/triton_map.py

126 labelled photos (COCO truth) and a video go through the model here, and on Triton over gRPC, HTTP and system shared
memory; and once more with the server killed in mid-run and started again two seconds later. pycocotools reckons.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from servers.triton import Triton, add_model  # noqa: E402

import millrace  # noqa: E402
from millrace.media import Frame  # noqa: E402
from millrace.metrics.detection import coco_figures  # noqa: E402

DATA = Path(os.environ["MILLRACE_TEST_DATA"])
MODEL = DATA / "models/detect/yolox_nano_384x640_dynbatch.onnx"
TRUTH = DATA / "detgt/vehicles_openimages/gt_coco.json"
CLIP = DATA / "videos/people-detection.264"


def photos(model: str, then: Callable[[int], None], **options: object) -> tuple[int, list[dict[str, object]]]:
    """Frames, and what was found in the labelled photos, as COCO wants it."""
    truth = json.loads(TRUTH.read_text())
    numbers = {each["file_name"]: each["id"] for each in truth["images"]}
    kinds = {each["name"]: each["id"] for each in truth["categories"]}
    folder = TRUTH.parent / "images"
    names = sorted(path.name for path in folder.iterdir())
    rows: list[dict[str, object]] = []
    count = 0
    for frame in millrace.open(str(folder)).infer(model, confidence=0.01, **options):
        then(count)
        count += 1
        rows += [
            {"image_id": numbers[names[frame.index]], "category_id": kinds[found.label], "score": found.confidence,
             "bbox": [float(v) for v in (*found.box[:2], *(found.box[2:] - found.box[:2]))]}
            for found in frame.objects if found.label in kinds
        ]  # fmt: skip
    return count, rows


def video(model: str, then: Callable[[int], None], **options: object) -> list[list[tuple[object, ...]]]:
    found = []
    for frame in millrace.open(str(CLIP)).infer(model, confidence=0.3, **options).limit(count=200):
        then(frame.index)
        found.append(_rows(frame))
    return found


def _rows(frame: Frame) -> list[tuple[object, ...]]:
    return [(each.label, each.confidence, *each.box.tolist()) for each in frame.objects]


def main() -> None:
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        server = Triton(folder)
        add_model(server, "yolox", MODEL)
        server.start()
        grpc, http = f"triton://127.0.0.1:{server.grpc}/yolox", f"http://127.0.0.1:{server.http}/v2/models/yolox"

        def come_back() -> None:
            time.sleep(2)
            server.start()

        def killed(index: int) -> None:
            if index == 40:
                server.kill()
                threading.Thread(target=come_back).start()

        ways = [
            ("here", str(MODEL), {}, False), ("gRPC", grpc, {"shared_memory": "off"}, False),
            ("HTTP", http, {"shared_memory": "off"}, False),
            ("gRPC, shared memory", grpc, {"shared_memory": "on"}, False),
            ("gRPC, killed at frame 40", grpc, {"retry": 40.0, "timeout": 3.0}, True),
            ("HTTP, killed at frame 40", http, {"retry": 40.0, "timeout": 3.0}, True),
        ]  # fmt: skip
        try:
            first = None
            print("| | photos | AP | AP50 | frames of the video | detections | as here |")
            print("| --- | ---: | ---: | ---: | ---: | ---: | --- |")
            for name, model, options, dies in ways:
                then = killed if dies else lambda index: None
                given = {"options": options} if options else {}
                count, rows = photos(model, then, **given)
                file = folder / "rows.json"
                file.write_text(json.dumps(rows))
                figures = coco_figures(TRUTH, file)
                frames = video(model, then, **given)
                first = first or (rows, frames)
                same = "to the bit" if (rows, frames) == first else "no"
                print(f"| {name} | {count} | {figures['AP']} | {figures['AP50']} | {len(frames)} | "
                      f"{sum(map(len, frames))} | {same} |", flush=True)  # fmt: skip
        finally:
            server.kill()


if __name__ == "__main__":
    main()
