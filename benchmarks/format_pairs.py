"""The same network in two formats, on real pictures: the largest differences, as rows of a Markdown table.

    MILLRACE_TEST_DATA=… python benchmarks/format_pairs.py [folder of street_formats.py]

Networks: UltraFace as ONNX and Caffe, person-vehicle-bike-2002 as ONNX and OpenVINO IR, vehicle-attributes-0039 as
ONNX and OpenVINO IR, MoveNet as ONNX and TFLite, and the demonstration detector in each format that is there.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from millrace import devices  # noqa: E402

Picture = np.ndarray


def read(path: Path) -> Picture:
    picture = cv2.imread(str(path))
    if picture is None:
        raise SystemExit(f"{path} is no picture")
    return np.asarray(picture)


DATA = Path(os.environ["MILLRACE_TEST_DATA"])
_PATHS = [path for path in sorted((DATA / "golden").glob("*.*")) if path.suffix in (".png", ".jpg")]
PICTURES = [read(path) for path in _PATHS]
ONE = next(picture for picture, path in zip(PICTURES, _PATHS, strict=True) if path.stem == "one_f300")
STREET_NET = f"{ROOT}/benchmarks/street_net.py:Exported"


def run(path: Path | str, feed: Picture, **options: Any) -> dict[str, Any]:
    runtime = devices.load_runtime(path, "cpu", **options)
    try:
        found: dict[str, Any] = runtime.run({runtime.inputs[0].name: feed})
        return found
    finally:
        runtime.close()


def planes(picture: Picture, width: int, height: int) -> Picture:
    return np.ascontiguousarray(cv2.resize(picture, (width, height)).astype(np.float32).transpose(2, 0, 1)[None])


def largest(a: Any, b: Any) -> float:
    return float(np.abs(np.asarray(a, np.float64) - np.asarray(b, np.float64)).max(initial=0))


def ultraface() -> Iterator[tuple[str, str]]:
    """Caffe gives the raw offsets; decoded as the authors do (variances 0.1 and 0.2, four maps)."""
    priors = []
    for step, sizes in ((8, (10, 16, 24)), (16, (32, 48)), (32, (64, 96)), (64, (128, 192, 256))):
        columns, rows = -(-320 // step), -(-240 // step)
        for row in range(rows):
            for column in range(columns):
                x, y = (column + 0.5) / columns, (row + 0.5) / rows
                priors += [(min(x, 1), min(y, 1), min(s / 320, 1), min(s / 240, 1)) for s in sizes]
    p = np.array(priors, np.float32)
    apart = {"boxes": 0.0, "scores": 0.0}
    for picture in PICTURES:
        feed = (planes(picture[:, :, ::-1], 320, 240) - 127) / 128
        ours = run(DATA / "models/face/ultraface_rfb_320.onnx", feed)
        raw = run(DATA / "models/caffe/ultraface_RFB-320.caffemodel", feed)
        offsets = raw["boxes"][0]
        centre, size = p[:, :2] + offsets[:, :2] * 0.1 * p[:, 2:], p[:, 2:] * np.exp(offsets[:, 2:] * 0.2)
        boxes = np.concatenate([centre - size / 2, centre + size / 2], 1)[None]
        apart["boxes"] = max(apart["boxes"], largest(ours["boxes"], boxes))
        apart["scores"] = max(apart["scores"], largest(ours["scores"], raw["scores"]))
    yield "UltraFace RFB-320: ONNX, Caffe", f"boxes {apart['boxes']:.1e} of the picture, scores {apart['scores']:.1e}"


def person_vehicle_bike() -> Iterator[tuple[str, str]]:
    """ONNX with its suppression inside (score > 0.3), IR with DetectionOutput: boxes above 0.35 matched by overlap."""
    matched = total = 0
    apart_box = apart_score = 0.0
    for picture in PICTURES:
        feed = planes(picture, 512, 512)
        ours = run(DATA / "models/detect/omz_person_vehicle_bike_2002_512_nms.onnx", feed)["dets"]
        theirs = run(DATA / "models/openvino_ir/pvb-2002.xml", feed)["detection_out"].reshape(-1, 7)
        a = [(row[:4], row[4], int(row[5])) for row in ours if row[4] > 0.35]
        b = [(row[3:7], row[2], int(row[1])) for row in theirs if row[2] > 0.35]
        total += max(len(a), len(b))
        for box, score, label in a:
            same = [other for other in b if other[2] == label]
            best = min(same, key=lambda other: largest(other[0], box), default=None)
            if best is not None and largest(best[0], box) < 0.01:
                matched += 1
                apart_box, apart_score = max(apart_box, largest(best[0], box)), max(apart_score, abs(best[1] - score))
    text = f"{matched} of {total} detections matched; boxes {apart_box:.1e} of the picture, scores {apart_score:.1e}"
    yield "person-vehicle-bike-2002: ONNX (ONNX Runtime), OpenVINO IR of FP16 weights (OpenVINO)", text


def vehicle_attributes() -> Iterator[tuple[str, str]]:
    worst = 0.0
    for picture in PICTURES:
        feed = planes(picture, 72, 72)
        ours = run(DATA / "models/classify/omz_vehicle_attributes_0039_72.onnx", feed)
        theirs = run(DATA / "models/openvino_ir/vehicle-attributes-0039.xml", feed)
        worst = max(worst, *(largest(ours[name], theirs[name]) for name in ("color", "type")))
    yield "vehicle-attributes-0039: ONNX, OpenVINO IR", f"probabilities {worst:.1e}"


def movenet() -> Iterator[tuple[str, str]]:
    paths = DATA / "models/pose/movenet_singlepose_lightning_192.onnx", DATA / "models/tf_tflite"
    lite = paths[1] / "movenet_singlepose_lightning_int8.tflite"
    worst = {"keypoints": 0.0, "scores": 0.0}
    points, person = 0, ""
    for picture in PICTURES:
        side = max(picture.shape[:2])
        square = np.zeros((side, side, 3), np.uint8)
        square[: picture.shape[0], : picture.shape[1]] = picture[:, :, ::-1]
        feed = cv2.resize(square, (192, 192), interpolation=cv2.INTER_AREA)[None]
        (ours,), (theirs,) = run(paths[0], feed).values(), run(lite, feed).values()
        sure = ours[0, 0, :, 2] > 0.4
        if picture is ONE:
            here = largest(ours[0, 0, sure, :2], theirs[0, 0, sure, :2])
            person = f"{int(sure.sum())} keypoints above 0.4: {192 * here:.2f} px of 192"
        points += int(sure.sum())
        worst["keypoints"] = max(worst["keypoints"], 192 * largest(ours[0, 0, sure, :2], theirs[0, 0, sure, :2]))
        worst["scores"] = max(worst["scores"], largest(ours[0, 0, sure, 2], theirs[0, 0, sure, 2]))
    text = f"{points} keypoints above 0.4: {worst['keypoints']:.2f} px of 192, scores {worst['scores']:.2f}"
    yield "MoveNet Lightning: ONNX of float activations, TFLite of int8 (LiteRT), all pictures", text
    yield "the same, the picture of one person (golden/one_f300.png)", person


def movenet_weights() -> Iterator[tuple[str, str]]:
    """Whether the two are one network: each int8 weight of the TFLite file, in real numbers, against ONNX's."""
    import onnx
    from ai_edge_litert.interpreter import Interpreter
    from onnx import numpy_helper

    lite = Interpreter(str(DATA / "models/tf_tflite/movenet_singlepose_lightning_int8.tflite"))
    lite.allocate_tensors()
    graph = onnx.load(str(DATA / "models/pose/movenet_singlepose_lightning_192.onnx")).graph
    theirs = [numpy_helper.to_array(each) for each in graph.initializer if len(each.dims) == 4]
    apart = []
    for tensor in lite.get_tensor_details():
        scales = tensor["quantization_parameters"]["scales"]
        if np.dtype(tensor["dtype"]) != np.int8 or len(tensor["shape"]) != 4 or len(scales) < 2:
            continue  # an activation
        along = [-1 if axis == tensor["quantization_parameters"]["quantized_dimension"] else 1 for axis in range(4)]
        real = lite.get_tensor(tensor["index"]).astype(np.float64) * scales.reshape(along)
        turned = [real.transpose(order) for order in ((0, 3, 1, 2), (3, 0, 1, 2))]  # plain and depthwise
        apart.append(min(largest(a, b) / np.abs(b).max() for a in turned for b in theirs if a.shape == b.shape))
    yield (
        "MoveNet: weights of int8 in real numbers, ONNX's",
        f"{len(apart)} of {len(apart)} tensors within {max(apart):.0e}",
    )


def street(folder: Path) -> Iterator[tuple[str, str]]:
    reference = ROOT / "millrace" / "models" / "street.onnx"
    options = {"street.pth": {"model": STREET_NET, "size": (384, 640)}}
    others: list[tuple[str, dict[str, Any]]] = [
        (name, options.get(name, {}))
        for name in ("street.pt", "street.pt2", "street.pth", "street_savedmodel", "street.tflite")
    ]
    others += [("street.tflite", {"runtime": "openvino"})]
    for name, more in [*others, (str(reference), {"runtime": "openvino"}), (str(reference), {"runtime": "torch"})]:
        path = folder / name
        if not path.exists():
            continue
        boxes = scores = 0.0
        try:
            for picture in PICTURES:
                feed = planes(picture[:, :, ::-1], 640, 384) / 255
                want = run(reference, feed)["output0"]
                got = next(iter(run(path, feed, **more).values()))
                boxes, scores = (
                    max(boxes, largest(got[:, :4], want[:, :4])),
                    max(scores, largest(got[:, 4:], want[:, 4:])),
                )
        except ValueError as error:
            yield f"street: ONNX, {path.name}", str(error)
            continue
        how = f" on {more['runtime']}" if "runtime" in more else ""
        yield f"street: ONNX, {path.name}{how}", f"boxes {boxes:.1e} px, scores {scores:.1e}"


def main() -> None:
    parts: list[Callable[[], Iterator[tuple[str, str]]]] = [ultraface, person_vehicle_bike, vehicle_attributes, movenet]
    parts.append(movenet_weights)
    print(f"{len(PICTURES)} pictures\n\n| network and formats | largest difference |\n| --- | --- |")
    for part in parts:
        for name, text in part():
            print(f"| {name} | {text} |", flush=True)
    if len(sys.argv) > 1:
        for name, text in street(Path(sys.argv[1])):
            print(f"| {name} | {text} |", flush=True)


if __name__ == "__main__":
    main()
