"""Given only its best cells, in their order, a parser says what it says of all."""

from __future__ import annotations

import numpy as np
import pytest

from millrace import parsers
from millrace.core.element import Context
from millrace.elements._model import LoadedModel
from millrace.elements.infer import Infer
from millrace.media import CELL_CLASSES, CELL_NUMBERS, MASK_WINDOWS, MASKS, Frame, Image, TensorInfo
from millrace.parsers.base import ParserSettings
from millrace.parsers.cells import asked_of_cells, cells_of

CELLS = 1344  # of a 256x256 input
PROTOTYPES = {"prototypes": (6, 64, 64)}
CASES = {
    "yolov5": (3 * CELLS, 11, {}, {}),
    "yolox": (CELLS, 11, {"cells": CELLS}, {}),
    "yolov8": (CELLS, 9, {}, {}),
    "yolov8 in rows": (CELLS, 9, {"transposed": True}, {}),
    "yolov8 in rows, untold": (CELLS, 9, {"rows": True}, {}),
    "yolov8 with coefficients": (CELLS, 15, {"coefficients": 6}, PROTOTYPES),
    "yolo_seg": (CELLS, 15, {}, PROTOTYPES),
    "yolo_seg, prototypes first": (CELLS, 15, {"last": True}, PROTOTYPES),
    "yolo_pose": (CELLS, 5 + 9, {}, {}),
    "yolo_pose in rows, corners": (CELLS, 5 + 6, {"rows": True, "corners": True, "points": 3, "point_size": 2}, {}),
    "yolo_face": (CELLS, 5 + 15, {}, {}),
    "yolo_obb": (CELLS, 4 + 5 + 1, {}, {}),
}


def made(name, sure, seed=0, dtype=np.float32, pictures=3):
    """Outputs, of which `sure` cells of each picture are at least 0.3 sure, and the parser's name and extras."""
    cells, numbers, extras, others = CASES[name]
    parser, random = name.split()[0].rstrip(","), np.random.default_rng(seed)
    rows = np.zeros((pictures, cells, numbers), np.float32)
    rows[..., :4] = random.uniform(0, 256, (pictures, cells, 4))
    first = 5 if parser in ("yolov5", "yolox") else 4
    places = {"yolo_pose": 5, "yolo_face": 5, "yolo_obb": 9, "yolo_seg": 9}
    end = places.get(parser, numbers - extras.get("coefficients", 0))
    rows[..., first:end] = random.choice([0, 0.01, 0.25, np.float16(0.2998)], (pictures, cells, end - first))
    for picture in rows:
        chosen = random.permutation(cells)[:sure]
        picture[chosen, random.integers(first, end, sure)] = random.choice([0.6, 0.75, 0.75, 1.0], sure)
    if first == 5:
        rows[..., :4] = random.normal(0, 1, (pictures, cells, 4))
        rows[..., 4] = random.choice([0.5, 0.75, 1.0], (pictures, cells))  # times the lesser classes: under 0.3
    rows[..., end:] = random.normal(0, 1, (pictures, cells, numbers - end))
    upright = first == 5 or extras.get("transposed") or extras.get("rows")
    outputs = {"head": np.ascontiguousarray(rows if upright else rows.swapaxes(1, 2)).astype(dtype)}
    more = {each: random.normal(0, 1, (pictures, *shape)).astype(dtype) for each, shape in others.items()}
    outputs = {**more, **outputs} if extras.get("last") else {**outputs, **more}
    return outputs, parser, {key: value for key, value in extras.items() if key not in ("rows", "last")}


def read_of(outputs, parser, extras):
    infos = [TensorInfo(name, (None, *value.shape[1:]), str(value.dtype)) for name, value in outputs.items()]
    return cells_of(parser, infos, extras)


def best(outputs, cells, count):
    """Only so many cells of each picture, and of their class scores the best."""
    head = np.moveaxis(outputs[cells.output], cells.axis, 1)
    sure = head[..., cells.first : cells.end].max(axis=2).astype(np.float32)
    if cells.objectness is not None:
        objectness = head[..., cells.objectness].astype(np.float32)
        sure = np.minimum(objectness, objectness * sure)
    numbers = np.sort(np.argsort(-sure, axis=1, kind="stable")[:, :count], axis=1)
    rows = np.take_along_axis(head, numbers[..., None], axis=1)
    scores = rows[..., cells.first : cells.end]
    rows = np.concatenate([rows[..., : cells.first], scores.max(2, keepdims=True), rows[..., cells.end :]], axis=2)
    classes = {CELL_CLASSES: scores.argmax(axis=2).astype(np.int32)} if scores.shape[2] > 1 else {}
    told = classes | ({CELL_NUMBERS: numbers.astype(np.int32)} if cells.numbered else {})
    return {**outputs, cells.output: np.moveaxis(rows, 1, cells.axis), **told}


def parsed(outputs, parser, extras, **settings):
    settings = ParserSettings(256, 256, **{"confidence": 0.3, "extras": extras, **settings})
    return parsers.get(parser)(outputs, 3, settings)


def same(one, other):
    assert [len(each) for each in one] == [len(each) for each in other]
    for mine, theirs in zip(one, other, strict=True):
        for column in ("boxes", "scores", "classes", "keypoints", "angles"):
            a, b = getattr(mine, column), getattr(theirs, column)
            assert (a is None) == (b is None)
            assert a is None or (a.dtype, a.tobytes()) == (b.dtype, b.tobytes()), column
        assert [mask.tobytes() for mask in mine.masks or ()] == [mask.tobytes() for mask in theirs.masks or ()]


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
@pytest.mark.parametrize("name", CASES)
def test_the_same_to_the_bit_where_no_more_are_sure(name, dtype):
    for sure, top_k in ((0, 300), (1, 300), (40, 300), (100, 20)):
        outputs, parser, extras = made(name, sure, seed=sure, dtype=dtype)
        fewer = best(outputs, read_of(outputs, parser, extras), 100)
        whole = parsed(outputs, parser, extras, top_k=top_k)
        assert any(map(len, whole)) == (sure > 0)
        same(whole, parsed(fewer, parser, extras, top_k=top_k))


def test_masks_that_were_worked_out_before_are_those_of_the_prototypes():
    """Each in a window of its box, or a larger one; of a cell that has none: nothing."""
    outputs, parser, extras = made("yolo_seg", 20, seed=7)
    given = best(outputs, read_of(outputs, parser, extras), 30)
    prototypes, head = given.pop("prototypes"), given["head"]
    windows, products = np.zeros((3, 31, 4), np.int32), np.zeros((3, 90_000), np.float32)
    windows[:, 30, 2:] = 64
    for n in range(3):
        at = 0
        for cell in np.flatnonzero(head[n, 4] >= 0.3):
            x, y, wide, high = head[n, :4, cell] / 4
            sides = [x - wide / 2 - 2, y - high / 2 - 2, x + wide / 2 + 3, y + high / 2 + 3]
            x1, y1, x2, y2 = windows[n, cell] = np.clip(sides, 0, 64).astype(int)
            part = head[n, 5:, cell] @ prototypes[n, :, y1:y2, x1:x2].reshape(6, -1)
            products[n, at : at + part.size], at = part, at + part.size
    given |= {MASKS: products, MASK_WINDOWS: windows}
    for mine, theirs in zip(parsed(given, parser, extras), parsed(outputs, parser, extras), strict=True):
        assert len(theirs) > 3
        assert np.array_equal(mine.boxes, theirs.boxes)
        for a, b in zip(mine.masks, theirs.masks, strict=True):
            assert a.shape == b.shape
            assert np.abs(a - b).max() < 1e-5


@pytest.mark.parametrize("name", CASES)
def test_of_too_many_the_best_stay(name):
    outputs, parser, extras = made(name, 90)
    found = parsed(best(outputs, read_of(outputs, parser, extras), 30), parser, extras, cluster="none")
    whole = parsed(outputs, parser, extras, cluster="none")
    for few, all_of_them in zip(found, whole, strict=True):
        assert len(all_of_them) > 30
        assert few.scores.tolist() == all_of_them.scores[:30].tolist()


def test_a_cell_is_as_sure_as_the_parser_takes_it():
    """Neither objectness without a class nor a class without objectness is enough, also beyond the usual range."""
    for parser in ("yolov5", "yolox"):
        outputs, _, extras = made(parser, 20, pictures=1)
        rows = outputs["head"]
        rows[0, 100:200, 4], rows[0, 100:200, 5:] = -50.0, -50.0  # their product is large
        rows[0, 200:300, 4], rows[0, 200:300, 5:] = 0.1, 40.0
        rows[0, 300:400, 4], rows[0, 300:400, 5:] = 1e30, 0.0
        rows[0, 400:410, 4], rows[0, 400:410, 5:] = np.inf, 1.0
        settings = ParserSettings(256, 256, confidence=0.3, cluster="none", extras=extras)
        whole = parsers.get(parser)(outputs, 1, settings)
        assert 10 < len(whole[0]) <= 30
        same(whole, parsers.get(parser)(best(outputs, read_of(outputs, parser, extras), 30), 1, settings))


def test_how_a_cell_tells_its_box():
    boxes = {name: read_of(*made(name, 1)).boxes for name in CASES}
    assert boxes.pop("yolo_pose in rows, corners") == "corners"
    assert boxes.pop("yolo_obb") is None  # turned boxes overlap otherwise
    assert boxes.pop("yolox") is None  # nobody said how large the input is
    assert set(boxes.values()) == {"centres"}
    rows = [TensorInfo("head", (None, CELLS, 11), "float32")]
    cells = cells_of("yolox", rows, {"cells": CELLS}, size=(256, 256))
    assert (cells.boxes, cells.grids) == ("grid", ((8, 32, 32), (16, 16, 16), (32, 8, 8)))
    assert cells_of("yolox", rows, {"cells": CELLS}, size=(320, 256)).boxes is None


@pytest.mark.parametrize(
    ("settings", "overlap"),
    [
        ({}, 0.45), ({"iou": 0.6, "cluster": "nms"}, 0.6), ({"cluster": "none"}, np.inf), ({"top_k": 3}, 0.45),
        ({"classes": frozenset([1]), "drop": frozenset([2]), "thresholds": {1: 0.2}}, 0.45),
        ({"rules": {1: {"confidence": 0.5, "class_top_k": 3}}}, 0.45), ({"rules": {1: {"iou": 0.5}}}, np.inf),
        ({"class_agnostic": True, "rules": {1: {"class_top_k": 3}}}, 0.45),
        ({"class_agnostic": True, "classes": frozenset([1])}, np.inf),
        ({"class_agnostic": True, "drop": frozenset([1])}, np.inf),
        ({"class_agnostic": True, "thresholds": {1: 0.5}}, np.inf),
        ({"class_agnostic": True, "rules": {1: {"confidence": 0.5}}}, np.inf),
    ],
)  # fmt: skip
def test_when_what_nms_removes_may_be_left_out(settings, overlap):
    settings = ParserSettings(256, 256, confidence=0.3, **settings)
    assert asked_of_cells(settings) == (min([0.3, *settings.thresholds.values()]), overlap, settings.class_agnostic)


def test_others_are_given_everything():
    infos = [TensorInfo("head", (None, 9, CELLS), "float32")]
    for parser in ("raw", "detr", "yolov3", "mine.py:parse", "end2end"):
        assert cells_of(parser, infos, {}) is None
    assert cells_of("yolox", [TensorInfo("head", (None, CELLS, 9), "float32")], {}) is None  # how many there were?
    assert cells_of("yolov8", [TensorInfo("head", (None, 9, None), "float32")], {}) is None
    assert cells_of("yolov8", [TensorInfo("other", (None, 3), "float32"), *infos], {}) is None
    assert cells_of("yolo_face", [*infos, TensorInfo("scores", (None, 9, 1), "float32")], {}) is None
    assert cells_of("yolov8", infos, {"coefficients": 5}) is None
    for cluster in ("dbscan", "groups", "hybrid"):  # the least sure move the boxes of others
        assert cells_of("yolov8", infos, {}, cluster) is None
    assert cells_of("yolov8", infos, {}, "none") == cells_of("yolov8", infos, {}) is not None


MODELS = [
    "detect/yolox_nano_416.onnx", "detect/yolox_nano_384x640_dynbatch.onnx", "agpl_interop_only/yolov8n_int8.onnx",
    "agpl_interop_only/yolov5n_nhwc_from_tflite.onnx", "segment/instseg_yolov8seg_layout_640.onnx",
]  # fmt: skip


@pytest.mark.parametrize("model", MODELS)
def test_the_objects_of_real_models(data, model, monkeypatch):
    import cv2

    element = Infer(model=str(data / "models" / model), confidence=0.1)
    element.open(Context("infer"))
    loaded, whole_read, condensed = element.loaded, LoadedModel.read, []
    guess, outputs = loaded.reader.guess, loaded.runtime.outputs
    cells = cells_of(guess.parser, outputs, {**guess.extras, **loaded.card.extras})
    assert cells is not None

    def read(self, outputs, count):
        fewer = best(outputs, cells, 256)
        condensed.append(fewer[cells.output].shape[cells.axis])
        return whole_read(self, fewer, count)

    def objects(name):
        picture = cv2.imread(str(data / "golden" / name))
        frame = Frame("s", 0, 0, Image("BGR", [picture], picture.shape[1], picture.shape[0]))
        assert [*element.process(frame), *element.flush("s")] == [frame]
        return [(each.box.tolist(), each.confidence, each.class_id, each.mask is None) for each in frame.objects]

    names = ["car_f204.png", "people_f205.png", "retail_f120.jpg"]
    try:
        whole = [objects(name) for name in names]
        monkeypatch.setattr(LoadedModel, "read", read)
        assert [objects(name) for name in names] == whole
        assert any(whole)
        assert set(condensed) == {256}
    finally:
        element.close()
