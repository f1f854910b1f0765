"""Every family: what a model of it would give for known boxes is recognised and read back."""

from __future__ import annotations

import numpy as np
import pytest

from millrace import parsers
from millrace.media import TensorInfo
from millrace.parsers.base import Guess, Model, ParserSettings
from millrace.testing.models import FAMILIES, encode

BOXES = [(10.0, 12.0, 30.0, 44.0, 0.9, 2), (60.0, 20.0, 90.0, 70.0, 0.7, 0), (100.0, 60.0, 120.0, 90.0, 0.25, 1)]
SIZE = (128, 96)


def model_of(outputs, inputs=("images",), shape=(1, 3, 96, 128), metadata=None):
    infos = [TensorInfo("images", shape, "float32")]
    infos += [TensorInfo(name, (1, 2), "int64") for name in inputs[1:]]
    return Model(infos, [TensorInfo(k, v.shape, v.dtype.name) for k, v in outputs.items()], metadata or {})


def recognised(family, outputs, **kwargs) -> Guess:
    inputs = ("images", "orig_target_sizes") if family == "detr" else ("images",)
    return parsers.recognise(model_of(outputs, inputs, **kwargs))


def settings_for(guess: Guess, **kwargs) -> ParserSettings:
    return ParserSettings(*SIZE, background=guess.background, extras=guess.extras, **kwargs)


@pytest.mark.parametrize("family", FAMILIES)
def test_known_boxes_come_back(family):
    outputs = encode(family, BOXES, *SIZE, classes=5)
    guess = recognised(family, outputs)
    assert guess.parser == family
    (found,) = parsers.get(family)(outputs, 1, settings_for(guess))
    np.testing.assert_allclose(found.boxes, [b[:4] for b in BOXES[:2]], atol=1e-3)
    np.testing.assert_allclose(found.scores, [0.9, 0.7], atol=1e-5)
    assert found.classes.tolist() == [2, 0]
    assert (found.boxes.dtype, found.scores.dtype, found.classes.dtype) == (np.float32, np.float32, np.int64)


@pytest.mark.parametrize("family", FAMILIES)
def test_an_empty_picture_has_no_detections(family):
    outputs = encode(family, [], *SIZE, classes=5)
    (found,) = parsers.get(family)(outputs, 1, settings_for(recognised(family, outputs)))
    assert len(found) == 0 and found.boxes.shape == (0, 4)


@pytest.mark.parametrize("family", [f for f in FAMILIES if f != "ssd_rows"])
def test_each_picture_of_a_batch_has_its_own(family):
    first, second = (encode(family, [box], *SIZE, classes=5) for box in BOXES[:2])
    guess = recognised(family, first)
    both = {name: np.concatenate([first[name], second[name]]) for name in first}
    one, two = parsers.get(family)(both, 2, settings_for(guess))
    assert one.classes.tolist() == [2] and two.classes.tolist() == [0]


@pytest.mark.parametrize("family", FAMILIES)
def test_class_filter_and_class_thresholds(family):
    outputs = encode(family, BOXES, *SIZE, classes=5)
    guess = recognised(family, outputs)
    parse = parsers.get(family)
    (only,) = parse(outputs, 1, settings_for(guess, classes=frozenset([0]), confidence=0.2))
    assert only.classes.tolist() == [0]
    (strict,) = parse(outputs, 1, settings_for(guess, thresholds={2: 0.95}))
    assert strict.classes.tolist() == [0]
    (best,) = parse(outputs, 1, settings_for(guess, top_k=1))
    assert best.classes.tolist() == [2]


@pytest.mark.parametrize("family", ["yolox", "yolov5", "yolov8", "ssd"])
def test_overlapping_boxes_are_suppressed_within_a_class(family):
    boxes = [(10, 10, 50, 50, 0.9, 1), (18, 10, 58, 50, 0.8, 1), (26, 10, 66, 50, 0.7, 3)]
    outputs = encode(family, boxes, *SIZE, classes=5)
    parse, guess = parsers.get(family), recognised(family, outputs)
    (found,) = parse(outputs, 1, settings_for(guess))
    assert found.classes.tolist() == [1, 3]
    (strict,) = parse(outputs, 1, settings_for(guess, iou=0.4))
    assert strict.classes.tolist() == [1, 3]
    (agnostic,) = parse(outputs, 1, settings_for(guess, iou=0.4, class_agnostic=True))  # the two overlap by 0.43
    assert agnostic.classes.tolist() == [1]


def test_yolov8_rows_and_columns_are_told_apart():
    columns = encode("yolov8", BOXES, *SIZE, classes=80)["output0"]
    rows = {"output0": columns.transpose(0, 2, 1)}
    guess = recognised("yolov8", rows)
    assert guess.parser == "yolov8" and guess.extras["transposed"]
    (found,) = parsers.get("yolov8")(rows, 1, settings_for(guess))
    np.testing.assert_allclose(found.boxes, [b[:4] for b in BOXES[:2]], atol=1e-3)


def test_rows_of_fractions_from_a_model_with_channels_last():
    rows = encode("yolov5", BOXES, *SIZE)["output0"]
    rows[..., :4] /= (*SIZE, *SIZE)
    guess = recognised("yolov5", {"output0": rows}, shape=(1, 96, 128, 3))
    assert guess.extras["normalised"] is True
    (found,) = parsers.get("yolov5")({"output0": rows}, 1, settings_for(guess))
    np.testing.assert_allclose(found.boxes, [b[:4] for b in BOXES[:2]], atol=1e-3)


def test_rows_without_a_batch_belong_to_one_picture():
    rows = encode("end2end", BOXES, *SIZE)["output0"][0]
    rows[:, :4] /= (*SIZE, *SIZE)
    info = [TensorInfo("dets", (None, 6), "float32")]
    guess = parsers.recognise(Model([TensorInfo("image", (1, 3, 96, 128), "float32")], info))
    (found,) = parsers.get("end2end")({"dets": rows}, 1, settings_for(guess))
    np.testing.assert_allclose(found.boxes, [b[:4] for b in BOXES[:2]], atol=1e-3)
    with pytest.raises(ValueError, match="which picture"):
        parsers.get("end2end")({"dets": rows}, 2, settings_for(guess))


def test_rows_that_are_not_sure_tell_pixels_from_fractions_too():
    rows = np.zeros((1, 3, 6), np.float32)
    rows[0, 0] = (0.25, 0.5, 0.75, 1.0, 0.9, 1)
    settings = ParserSettings(width=64, height=32)
    (found,) = parsers.get("end2end")({"rows": rows}, 1, settings)
    np.testing.assert_array_equal(found.boxes, [[16, 16, 48, 32]])
    rows[0, 1] = (0, 0, 40, 20, 0.01, 0)  # so the other is a box of half a pixel
    (found,) = parsers.get("end2end")({"rows": rows}, 1, settings)
    np.testing.assert_array_equal(found.boxes, [[0.25, 0.5, 0.75, 1.0]])
    rows[0, 0, :4] = (3, 4, 5, 6)  # pixels by itself
    (found,) = parsers.get("end2end")({"rows": rows}, 1, settings)
    np.testing.assert_array_equal(found.boxes, [[3, 4, 5, 6]])


def test_sixty_four_pixel_strides_are_recognised():
    rows = sum((256 // s) ** 2 for s in (8, 16, 32, 64))
    output = {"output": np.zeros((1, rows, 85), np.float32)}
    assert recognised("yolox", output, shape=(1, 3, 256, 256)).parser == "yolox"


def test_softmax_queries_leave_out_the_last_class():
    outputs = encode("detr_raw", BOXES[:1], *SIZE, classes=92)
    guess = recognised("detr_raw", outputs)
    assert guess.extras["activation"] == "softmax"
    outputs["pred_logits"][:] = -9
    outputs["pred_logits"][0, :, 91] = 9  # nothing everywhere
    (found,) = parsers.get("detr_raw")(outputs, 1, settings_for(guess))
    assert len(found) == 0


def test_ultraface_is_known_by_its_anchors():
    outputs = {"scores": np.zeros((1, 4420, 2), np.float32), "boxes": np.zeros((1, 4420, 4), np.float32)}
    guess = recognised("ssd", outputs, shape=(1, 3, 240, 320))
    assert (guess.background, guess.input["colour"], guess.input["mean"]) == (0, "RGB", (127.0,) * 3)


def test_outputs_that_nobody_knows_are_an_error_that_shows_them():
    outputs = {"weird": np.zeros((1, 3, 7, 7), np.float32)}
    with pytest.raises(ValueError, match=r"(?s)weird float32\[1, 3, 7, 7\].*end2end.*yolox"):
        parsers.recognise(model_of(outputs))


def test_a_pose_model_is_not_taken_for_a_detector():
    outputs = {"output0": np.zeros((1, 56, 252), np.float32)}
    assert parsers.recognise(model_of(outputs, metadata={"task": "pose"})).parser == "yolo_pose"
    with pytest.raises(ValueError, match="no parser knows"):
        parsers.recognise(model_of(outputs, metadata={"task": "something new"}))


def test_a_wrong_parser_name_gets_a_hint():
    with pytest.raises(ValueError, match="Did you mean 'yolox'"):
        parsers.get("yolo_x")


def test_scores_that_are_no_softmax_have_no_background_unless_told():
    boxes = np.tile(np.array([[0.1, 0.1, 0.4, 0.5]], np.float32), (1, 100, 1))
    scores = np.full((1, 100, 3), 0.05, np.float32)
    scores[0, 7] = (0.6, 0.2, 0.9)
    outputs = {"boxes": boxes, "scores": scores}
    (found,) = parsers.get("ssd")(outputs, 1, ParserSettings(*SIZE))
    assert found.classes.tolist() == [2]
    (found,) = parsers.get("ssd")(outputs, 1, ParserSettings(*SIZE, background=2))
    assert found.classes.tolist() == [0] and found.scores[0] == pytest.approx(0.6)


@pytest.mark.parametrize("family", ["yolox", "yolov5", "yolov8"])
@pytest.mark.parametrize("rules", [{}, {"class_agnostic": True}, {"rules": {1: {"iou": 0.2}}}, {"top_k": 2}])
def test_a_batch_gives_what_its_pictures_give_alone(family, rules):
    random = np.random.default_rng(2)
    pictures = []
    for n in range(5):
        corners = random.uniform(0, 60, (0 if n == 2 else 6, 2))
        sides = np.concatenate([corners, corners + random.uniform(12, 30, corners.shape)], axis=1)
        boxes = [
            (*b, s, k) for b, s, k in zip(sides, random.uniform(0.2, 1, 6), random.integers(0, 3, 6), strict=False)
        ]
        pictures.append(encode(family, boxes, *SIZE, classes=5))
    together = {name: np.concatenate([each[name] for each in pictures]) for name in pictures[0]}
    settings = settings_for(recognised(family, pictures[0]), **rules)
    parse = parsers.get(family)
    for whole, alone in zip(parse(together, 5, settings), pictures, strict=True):
        (single,) = parse(alone, 1, settings)
        np.testing.assert_array_equal(whole.boxes, single.boxes)
        np.testing.assert_array_equal(whole.scores, single.scores)
        np.testing.assert_array_equal(whole.classes, single.classes)
