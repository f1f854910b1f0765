"""Every ONNX model of the test data: its card, a clip, and how its results are compared with the published steps."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import detectors
import kinds
import numpy as np
import onnxruntime as ort

import millrace

PEOPLE, CARS, ONE = "videos/people-detection.264", "videos/car-detection.mp4", "videos/one-by-one-person-detection.mp4"
SIGN, SHOP, DASH = "images/sign_text.jpg", "videos/Retail02_short.mp4", "videos/udacity_dashcam_720p.mp4"
PRIMARY = "detect/omz_person_vehicle_bike_2000_256.onnx"
RULES = {  # what "agrees" means, by what is counted
    "box": "boxes matched at IoU 0.9", "score": "class scores within 1e-3", "mask": "masks of IoU 0.98",
    "map": "class maps of IoU 0.98", "points": "keypoints within 1 px", "vector": "vectors of cosine 0.999",
    "text": "texts", "label": "labels",
}  # fmt: skip


@dataclass
class Tally:
    """How much was compared of each kind, how much agreed, and the worst of each."""

    wanted: dict[str, int] = field(default_factory=dict)
    agreed: dict[str, int] = field(default_factory=dict)
    worst: dict[str, float] = field(default_factory=dict)

    def add(self, what: str, good: bool, value: float | None = None, low_is_bad: bool = True) -> None:
        self.wanted[what] = self.wanted.get(what, 0) + 1
        self.agreed[what] = self.agreed.get(what, 0) + bool(good)
        if value is not None:
            before = self.worst.get(what, value)
            self.worst[what] = min(before, value) if low_is_bad else max(before, value)

    def share(self, what: str) -> float:
        return self.agreed[what] / self.wanted[what]

    def __str__(self) -> str:
        parts = []
        for what, count in self.wanted.items():
            worst = f", worst {self.worst[what]:.4g}" if what in self.worst else ""
            parts.append(f"{RULES[what]}: {self.agreed[what]} of {count}{worst}")
        return "; ".join(parts)


Compare = Callable[[Any, Any, np.ndarray, Tally], None]  # session, frame, BGR picture, tally


@dataclass(frozen=True)
class Case:
    """A model, its card (`model:` is added), the clip, which frames, the comparison; `primary` finds objects for it."""

    model: str
    card: str
    clip: str
    compare: Compare
    start: int = 0
    every: int = 5
    frames: int = 3
    primary: str | None = None
    classes: tuple[str, ...] = ()
    needs: str = ""  # a library that the format needs

    @property
    def name(self) -> str:
        return re.sub(r"\W+", "_", Path(self.model).stem)


class Asked:
    """Something that answers a feed by name, with the face of an ONNX Runtime session."""

    def __init__(self, answer: Callable[[dict[str, Any]], Any]) -> None:
        self.answer = answer

    def run(self, names: list[str] | None, feed: dict[str, Any]) -> list[Any]:
        out = self.answer(feed)
        return [np.asarray(out[name]) for name in names or out]


def session_of(path: Path, slowly: bool = False) -> Any:
    """What runs the model for the reference: its own framework, straight.

    For Caffe it is plain NumPy, layer by layer, if `slowly`; else the converted model, whose layers have tests of their
    own (tests/converters).
    """
    if path.suffix == ".caffemodel":
        from millrace.converters.caffe import convert

        converted = convert(path)
        if slowly:
            return Asked(converted.reference)
        return ort.InferenceSession(converted.model.SerializeToString(), providers=["CPUExecutionProvider"])
    if path.suffix == ".xml":
        from millrace.runtimes.openvino import core

        model = core().compile_model(str(path), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
        return Asked(lambda feed: {out.any_name: value for out, value in model(list(feed.values())).items()})
    if path.suffix == ".tflite":
        return Asked(_tflite(path))
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 4
    return ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def _tflite(path: Path) -> Callable[[dict[str, Any]], Any]:
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_path=str(path), num_threads=1)
    interpreter.allocate_tensors()
    (taken,), (given,) = interpreter.get_input_details(), interpreter.get_output_details()

    def answer(feed: dict[str, Any]) -> dict[str, Any]:
        (value,) = feed.values()
        interpreter.set_tensor(taken["index"], value.astype(taken["dtype"]))
        interpreter.invoke()
        return {given["name"]: interpreter.get_tensor(given["index"])}

    return answer


def model_file(case: Case, data: Path, folder: Path) -> Path:
    """The file that millrace runs: the model itself, or for Caffe what the converter makes of it, in `folder`."""
    path = data / "models" / case.model
    if path.suffix != ".caffemodel":
        return path
    import onnx

    from millrace.converters.caffe import convert

    out = folder / f"{path.stem}.onnx"
    onnx.save(convert(path).model, str(out))
    return out


def flow(data: Path, case: Case, folder: Path, pixels: str = "BGR") -> Any:
    """The pipeline of a case; cards are written to `folder`."""
    first = "plates_ocr/ppocr_v3_det.onnx" if case.classes == ("text",) else PRIMARY
    model = model_file(case, data, folder)
    (folder / "second.yaml").write_text(f"model: {model}\n{case.card}", encoding="utf-8")
    out = millrace.open(str(data / case.clip)).convert(format=pixels)
    wanted = range(case.start, case.start + case.every * case.frames, case.every)
    out = out.map(lambda frame: frame.index in wanted)
    if case.primary is not None:
        (folder / "first.yaml").write_text(f"model: {data / 'models' / first}\n{case.primary}")
        out = out.infer(str(folder / "first.yaml"))
        return out.infer(str(folder / "second.yaml"), on={"classes": list(case.classes), "min_width": 8})
    return out.infer(str(folder / "second.yaml"))


def qr_codes(folder: Path) -> Path:
    """Pictures with a QR code in them: there is none in the test data."""
    import cv2

    for n in range(5):
        code = cv2.QRCodeEncoder.create().encode(f"millrace {n}")
        code = cv2.resize(code, None, fx=5, fy=5, interpolation=cv2.INTER_NEAREST)
        picture = np.full((384, 500, 3), 200, np.uint8)
        picture[80 : 80 + code.shape[0], 60 + 30 * n : 60 + 30 * n + code.shape[1]] = code[..., None]
        cv2.imwrite(str(folder / f"code{n}.png"), picture)
    return folder


def boxes(model: str, steps: Any = None) -> Compare:
    """A detector: sure boxes of each side must be on the other, with the same class and nearly the same score."""
    steps = steps or detectors.STEPS[model]

    def compare(session: Any, frame: Any, picture: np.ndarray, tally: Tally) -> None:
        theirs = steps(session, picture, 0.3)
        ours = [(*o.box.tolist(), o.confidence, o.class_id) for o in frame.objects]
        match_rows(theirs, ours, tally)

    return compare


def match_rows(theirs: list[Any], ours: list[Any], tally: Tally) -> None:
    for wanted, among in ((theirs, ours), (ours, theirs)):
        for row in (r for r in wanted if r[4] >= 0.35):
            alike = [o for o in among if o[5] == row[5]]
            best = max(alike, key=lambda o: detectors.overlap(row, o), default=None)
            close = 0.0 if best is None else detectors.overlap(row, best)
            tally.add("box", close >= 0.9, close)
            if best is not None and close >= 0.9:
                far = abs(best[4] - row[4])
                tally.add("score", far <= 1e-3, far, low_is_bad=False)


def of_objects(compare: Callable[[Any, Any, np.ndarray, Tally], None], *labels: str) -> Compare:
    """A comparison of each object of these labels with the crop that it is."""

    def each(session: Any, frame: Any, picture: np.ndarray, tally: Tally) -> None:
        for found in frame.objects:
            if found.label in labels:
                compare(session, found, kinds.crop(picture, found.box), tally)

    return each


def vehicle(session: Any, found: Any, crop: np.ndarray, tally: Tally) -> None:
    theirs = kinds.vehicle_attributes(session, crop)
    for label, names in zip(found.labels, (kinds.COLOURS, kinds.TYPES), strict=True):
        scores = theirs[{"colour": "color", "type": "type"}[label.name]]
        tally.add("label", label.value == names[int(np.argmax(scores))])
        far = abs(label.confidence - max(scores))
        tally.add("score", far <= 1e-3, far, low_is_bad=False)


def person(session: Any, found: Any, crop: np.ndarray, tally: Tally) -> None:
    scores, points = kinds.person_attributes(session, crop)
    told = {label.value: label.confidence for label in found.labels}
    for name, score in zip(kinds.ATTRIBUTES, scores, strict=True):
        if abs(score - 0.5) > 1e-3:
            tally.add("label", (name in told) == (score > 0.5))
        if name in told:
            tally.add("score", abs(told[name] - score) <= 1e-3, abs(told[name] - score), low_is_bad=False)
    x1, y1 = (round(max(0.0, float(v))) for v in found.box[:2])
    for (x, y), ours in zip(points, found.keypoints, strict=True):
        far = float(np.hypot(x + x1 - ours[0], y + y1 - ours[1]))
        tally.add("points", far <= 1, far, low_is_bad=False)


def vector(steps: Callable[[Any, np.ndarray], np.ndarray]) -> Callable[..., None]:
    def compare(session: Any, found: Any, crop: np.ndarray, tally: Tally) -> None:
        cosine = float(steps(session, crop) @ found.embedding)
        tally.add("vector", cosine >= 0.999, cosine)

    return compare


def class_map(steps: Callable[[Any, np.ndarray], np.ndarray]) -> Compare:
    def compare(session: Any, frame: Any, picture: np.ndarray, tally: Tally) -> None:
        theirs, (reading,) = steps(session, picture), frame.readings
        for number in np.unique(theirs):
            if (theirs == number).mean() < 0.002:
                continue  # a handful of pixels at an edge says nothing
            both = ((theirs == number) & (reading.class_map == number)).sum()
            close = float(both / ((theirs == number) | (reading.class_map == number)).sum())
            tally.add("map", close >= 0.98, close)

    return compare


def instances(session: Any, frame: Any, picture: np.ndarray, tally: Tally) -> None:
    theirs = kinds.instances(session, picture, 0.3)
    match_rows([row for row, _ in theirs], [(*o.box.tolist(), o.confidence, o.class_id) for o in frame.objects], tally)
    for row, mask in theirs:
        alike = [o for o in frame.objects if o.class_id == row[5]]
        found = max(alike, key=lambda o: detectors.overlap(row, (*o.box.tolist(), 0, 0)), default=None)
        if found is None or row[4] < 0.35 or mask.sum() < 200:
            continue
        ours = stretched(found.mask, found.box.tolist(), mask.shape)
        close = float((ours & mask).sum() / (ours | mask).sum())
        tally.add("mask", close >= 0.98, close)


def stretched(mask: np.ndarray, box: list[float], shape: tuple[int, ...]) -> np.ndarray:
    """A mask stretched over its box, as the pixels of the picture whose centres it covers."""
    rows, columns = (
        np.floor((np.arange(size) + 0.5 - low) / (high - low) * cells).astype(int)
        for size, low, high, cells in (
            (shape[0], box[1], box[3], mask.shape[0]),
            (shape[1], box[0], box[2], mask.shape[1]),
        )
    )
    inside = np.outer((rows >= 0) & (rows < mask.shape[0]), (columns >= 0) & (columns < mask.shape[1]))
    return inside & mask[np.ix_(rows.clip(0, mask.shape[0] - 1), columns.clip(0, mask.shape[1] - 1))]


def pose(session: Any, frame: Any, picture: np.ndarray, tally: Tally) -> None:
    theirs = kinds.movenet(session, picture)
    for found in frame.objects:
        for a, b in zip(theirs, found.keypoints, strict=True):
            if a[2] >= 0.3:
                far = float(np.hypot(a[0] - b[0], a[1] - b[1]))
                tally.add("points", far <= 1, far, low_is_bad=False)


def text_boxes(session: Any, frame: Any, picture: np.ndarray, tally: Tally) -> None:
    theirs = [corners for corners, _ in kinds.text_boxes(session, picture, 800, 544)]
    ours = [kinds.turned(o.box, o.angle) for o in frame.objects]
    for wanted, among in ((theirs, ours), (ours, theirs)):
        for corners in wanted:
            close = max((kinds.polygon_overlap(corners, other) for other in among), default=0.0)
            tally.add("box", close >= 0.9, close)


def letters(folder: Path) -> list[str]:
    return (folder / "models/plates_ocr/en_dict.txt").read_text(encoding="utf-8").splitlines()


def line_of(folder: Path) -> Callable[..., None]:
    def compare(session: Any, found: Any, crop: np.ndarray, tally: Tally) -> None:
        text, _ = kinds.text_line(session, crop, letters(folder))
        tally.add("text", (found.text or "") == text)

    return compare


def direction(session: Any, found: Any, crop: np.ndarray, tally: Tally) -> None:
    scores = kinds.text_direction(session, crop)
    (label,) = found.labels
    tally.add("label", label.class_id == int(np.argmax(scores)))
    tally.add("score", abs(label.confidence - max(scores)) <= 1e-3, abs(label.confidence - max(scores)), False)


def plate(session: Any, frame: Any, picture: np.ndarray, tally: Tally) -> None:
    tally.add("text", frame.readings[0].text == kinds.plate(session, picture))


COCO = "confidence: 0.3\n"
PVB = "parser: ssd\nlabels: [vehicle, person, bike]\nbackground: 3\nconfidence: 0.3\n"
PLAIN = "input: {colour: BGR, scale: 1, mean: 0, std: 1, fit: stretch}\n"
HALF = "input: {width: 640, height: 32, colour: BGR, scale: 0.00392156862745098, mean: 0.5, std: 0.5, pad: 127, fit: letterbox-top-left}\n"
PLATE = f"parser: ctc\nextras: {{blank: 70}}\n{PLAIN}labels: [{', '.join(repr(c) for c in kinds.plate_letters())}]\n"
VEHICLE = (
    f"parser: classifier\nattribute: [colour, type]\n{PLAIN}"
    f"labels: [[{', '.join(kinds.COLOURS)}], [{', '.join(kinds.TYPES)}]]\n"
)
PERSON = (
    f"parser: classifier\nattribute: person\nconfidence: 0.5\n{PLAIN}"
    f"labels: [[{', '.join(kinds.ATTRIBUTES)}]]\nextras: {{multilabel: true, points: ['456', '459']}}\n"
)
OSNET = (
    "kind: embedding\ninput: {colour: RGB, scale: 0.00392156862745098, fit: stretch, "
    "mean: [0.485, 0.456, 0.406], std: [0.229, 0.224, 0.225]}\n"
)
TEXT = (
    "parser: dbnet\nlabels: [text]\ninput: {width: 800, height: 544, colour: BGR, scale: 0.00392156862745098, "
    "fit: stretch, mean: [0.485, 0.456, 0.406], std: [0.229, 0.224, 0.225]}\n"
)


def other_formats(folder: Path, codes: Path) -> list[Case]:
    """OpenVINO's IR, TFLite, Caffe. `codes` is a folder of pictures with QR codes."""
    cars, tflite = ("vehicle",), "tf_tflite/movenet_singlepose_lightning_int8.tflite"
    of_car: Any = {"primary": PVB, "classes": cars, "start": 180, "needs": "openvino"}
    pvb = COCO + "labels: [vehicle, person, bike]\n"
    attributes = VEHICLE.replace("attribute: [colour, type]", "attribute: [colour, type]\noutputs: [color, type]")
    qr = "labels: [nothing, code]\nconfidence: 0.2\ninput: {colour: GRAY, scale: 0.00392156862745098, fit: stretch}\n"
    return [
        Case("openvino_ir/pvb-2002.xml", pvb, CARS, boxes("", kinds.omz_2002), 180, needs="openvino"),
        Case("openvino_ir/vehicle-attributes-0039.xml", attributes, CARS, of_objects(vehicle, *cars), **of_car),
        Case(tflite, "kind: keypoints\n", ONE, pose, 300, needs="ai_edge_litert"),
        Case("caffe/face-detection-retail-0044.caffemodel", COCO, ONE, boxes("", kinds.face_0044), 300, frames=1),
        Case(
            "caffe/ultraface_RFB-320.caffemodel", COCO, ONE, boxes("", kinds.ultraface_caffe), 330, every=10, frames=3
        ),
        Case("caffe/wechat_detect.caffemodel", qr, str(codes), boxes("", kinds.wechat), every=1, frames=2),
    ]


def cases(folder: Path) -> list[Case]:
    """All ONNX models; `folder` is the test data's."""
    line = f"parser: ctc\nextras: {{blank: 0, space: true}}\nlabels: {folder / 'models/plates_ocr/en_dict.txt'}\n{HALF}"
    cls = HALF.replace("width: 640, height: 32", "width: 192, height: 48")
    cls = f"parser: classifier\nattribute: direction\nlabels: [upright, turned]\n{cls}"
    people, cars = ("person",), ("vehicle",)
    road = f"kind: segmentation\nlabels: [background, road, curb, mark]\n{PLAIN}"
    reid = "kind: embedding\n" + PLAIN
    detnet = COCO + "labels: [person, two-wheeler, vehicle]\n"
    pvb_nms = COCO + "labels: [vehicle, person, bike]\n"
    of_car: Any = {"primary": PVB, "classes": cars, "start": 180}
    of_person: Any = {"primary": PVB, "classes": people, "start": 180}
    of_text: Any = {"primary": TEXT, "classes": ("text",), "frames": 1}
    return [
        *(Case(f"detect/{name}.onnx", card, PEOPLE, boxes(name), 180) for name, card in (
            ("yolox_nano_416", COCO), ("yolox_nano_384x640_dynbatch", COCO), ("nanodet_m_416", COCO),
            ("FastestDet", COCO), ("deimv2_atto_coco_320", COCO), ("detectnet_v2_style_yoloxnano_384x640", detnet),
        )),
        Case(PRIMARY, PVB, CARS, boxes("omz_person_vehicle_bike_2000_256"), 180),
        *(Case(f"detect/{name}.onnx", pvb_nms, CARS, boxes(name), 180) for name in (
            "omz_person_vehicle_bike_2002_512_nms",
        )),
        *(Case(f"face/{name}.onnx", COCO, ONE, boxes(name), 300) for name in (
            "omz_face_detection_retail_0004_300", "ultraface_rfb_320",
        )),
        *(Case(f"agpl_interop_only/{name}.onnx", COCO + iou, PEOPLE, boxes(name), 180, frames=2) for name, iou in (
            ("yolov8n_int8", "iou: 0.5\n"), ("yolov5n_nhwc_from_tflite", ""),
        )),
        Case("classify/omz_vehicle_attributes_0039_72.onnx", VEHICLE, CARS, of_objects(vehicle, *cars), **of_car),
        Case("classify/omz_person_attributes_0230_80x160.onnx", PERSON, PEOPLE, of_objects(person, *people), **of_person),
        Case("reid/osnet_x0_25_msmt17.onnx", OSNET, PEOPLE, of_objects(vector(kinds.osnet), *people), **of_person),
        Case("reid/omz_person_reid_0287_nhwc.onnx", reid, PEOPLE, of_objects(vector(kinds.person_reid), *people), **of_person),
        Case("segment/deeplabv3_mnv2_voc_257_nhwc.onnx", "kind: segmentation\n", ONE, class_map(kinds.deeplab), 300, frames=2),
        Case("segment/omz_road_segmentation_adas_0001_nhwc.onnx", road, DASH, class_map(kinds.road), frames=3),
        Case("segment/instseg_yolov8seg_layout_640.onnx", COCO, ONE, instances, 300, every=20, frames=3),
        Case("pose/movenet_singlepose_lightning_192.onnx", "kind: keypoints\n", ONE, pose, 300),
        Case("plates_ocr/ppocr_v3_det.onnx", TEXT, SIGN, text_boxes, frames=1),
        Case("plates_ocr/ppocr_en_number_rec.onnx", line, SIGN, of_objects(line_of(folder), "text"), **of_text),
        Case("plates_ocr/ppocr_cls.onnx", cls, SIGN, of_objects(direction, "text"), **of_text),
        Case("plates_ocr/omz_license_plate_recognition_barrier_0007.onnx", PLATE, "plates/images", plate, every=1, frames=20),
    ]  # fmt: skip
