"""Parsers of everything that is no plain detector, on tensors made here whose answer is known."""

from __future__ import annotations

import math

import cv2
import numpy as np
import pytest

from millrace import parsers
from millrace.media import TensorInfo
from millrace.parsers.base import Head, Model, ParserSettings
from millrace.parsers.masks import in_box
from millrace.parsers.oriented import rotated_iou, rotated_nms

SIZE = (128, 96)
LETTERS = dict(enumerate("abc"))


def read(name, outputs, count=1, size=SIZE, **settings):
    return parsers.get(name)(outputs, count, ParserSettings(*size, **settings))


def guess(outputs, shape=(1, 3, 96, 128), metadata=None, kind=None):
    infos = [TensorInfo(name, v.shape, v.dtype.name) for name, v in outputs.items()]
    return parsers.recognise(Model([TensorInfo("images", shape, "float32")], infos, metadata or {}), kind)


# classifiers


def test_a_classifier_takes_the_best_class_that_is_sure_enough():
    scores = np.array([[0.1, 0.7, 0.2], [0.4, 0.3, 0.3]], np.float32)
    heads = [Head("out", "colour", {0: "red", 1: "green", 2: "blue"})]
    first, second = read("classifier", {"out": scores}, 2, heads=heads, confidence=0.5)
    assert [(x.name, x.value, x.class_id) for x in first.labels] == [("colour", "green", 1)] and not second.labels
    assert first.labels[0].confidence == pytest.approx(0.7)


def test_logits_go_through_a_softmax_and_probabilities_do_not():
    logits = np.array([[1.0, 3.0]], np.float32)
    (found,) = read("classifier", {"out": logits}, confidence=0.0)
    assert found.labels[0].confidence == pytest.approx(math.exp(3) / (math.exp(1) + math.exp(3)), abs=1e-6)
    (found,) = read("classifier", {"out": logits}, confidence=0.0, extras={"activation": "none"})
    assert found.labels[0].confidence == 3.0


@pytest.mark.parametrize("extras", [{}, {"multilabel": True}, {"activation": "sigmoid"}, {"activation": "none"}])
def test_pictures_of_a_batch_are_read_as_each_alone(extras):
    random = np.random.default_rng(5)
    scores = random.normal(0, 3, (24, 10)).astype(np.float32)
    powers = np.exp(scores[::3])
    scores[::3] = powers / powers.sum(axis=1, keepdims=True)  # some pictures have probabilities already
    settings = {"confidence": 0.3, "thresholds": {1: 0.6}, "classes": frozenset(range(8)), "extras": extras}
    together = read("classifier", {"a": scores}, 24, **settings)
    alone = [read("classifier", {"a": row[None]}, 1, **settings)[0] for row in scores]
    assert [found.labels for found in together] == [found.labels for found in alone]
    assert any(found.labels for found in together) and any(not found.labels for found in together)


def test_nvinfers_threshold_is_strict():
    scores = {"out": np.array([[0.5, 0.5]], np.float32)}
    assert not read("classifier", scores, confidence=0.5)[0].labels


def test_a_multilabel_head_tells_all_that_are_sure():
    outputs = {"a": np.array([[[[2.0]], [[-2.0]], [[1.0]]]], np.float32), "p": np.array([[0.5, 0.25]], np.float32)}
    heads = [Head("a", "has", {0: "hat", 1: "bag", 2: "coat"})]
    extras = {"multilabel": True, "points": ["p"]}
    (found,) = read("classifier", outputs, heads=heads, confidence=0.5, extras=extras)
    assert [label.value for label in found.labels] == ["hat", "coat"]
    np.testing.assert_allclose(found.keypoints, [[64, 24, 1]])


def test_a_classifier_and_a_vector_are_told_apart():
    assert guess({"probabilities": np.zeros((1, 512), np.float32)}).parser == "classifier"
    assert guess({"features": np.zeros((1, 512), np.float32)}).parser == "embedding"
    assert guess({"features": np.zeros((1, 512), np.float32)}, kind="classifier").parser == "classifier"
    assert guess({"out": np.zeros((1, 7), np.float32)}).parser == "classifier"


# maps


def test_segmentation_takes_the_best_class_of_each_pixel():
    scores = np.zeros((1, 3, 4, 6), np.float32)
    scores[0, 1, :, :3], scores[0, 2, :, 3:] = 0.9, 0.4
    scores[0, 0] = 1 - scores[0].sum(axis=0)
    (found,) = read("segmentation", {"o": scores}, confidence=0.0)
    assert (found.class_map[:, :3] == 1).all() and (found.class_map[:, 3:] == 0).all()
    (found,) = read("segmentation", {"o": scores}, confidence=0.7)
    assert (found.class_map[:, :3] == 1).all() and (found.class_map[:, 3:] == -1).all()
    (found,) = read("segmentation", {"o": scores.transpose(0, 2, 3, 1)}, confidence=0.0)
    assert found.class_map.shape == (4, 6) and found.class_map[0, 0] == 1
    assert found.shares() == {"0": 0.5, "1": 0.5}


@pytest.mark.parametrize("shape", [(1, 4, 6), (1, 4, 6, 1), (1, 1, 4, 6)])
def test_class_maps_that_are_ready(shape):
    (found,) = read("segmentation", {"o": np.full(shape, 5, np.int64)})
    assert found.class_map.shape == (4, 6) and (found.class_map == 5).all()


def test_one_channel_is_a_probability():
    (found,) = read("segmentation", {"o": np.array([[[[0.4, 0.6]]]], np.float32)}, confidence=0.0)
    assert found.class_map.tolist() == [[0, 1]]


def test_depth():
    (found,) = read("depth", {"depth": np.arange(6, dtype=np.float32).reshape(1, 1, 2, 3)})
    assert found.depth.tolist() == [[0, 1, 2], [3, 4, 5]]
    assert guess({"predicted_depth": np.zeros((1, 96, 128), np.float32)}).parser == "depth"


# instances


def disc(head, protos, n, centre, radius, kind, score=0.9):
    """Box n of a YOLOv8-seg head whose mask is a disc: prototype n is high inside it."""
    rows, columns = np.mgrid[0:24, 0:32] * 4 + 2
    protos[0, n] = np.where((columns - centre[0]) ** 2 + (rows - centre[1]) ** 2 <= radius**2, 8.0, -8.0)
    head[0, :4, n] = *centre, 2 * radius, 2 * radius
    head[0, 4 + kind, n] = score
    head[0, 7 + n, n] = 1.0


def seg_outputs():
    head, protos = np.zeros((1, 4 + 3 + 8, 252), np.float32), np.full((1, 8, 24, 32), -8, np.float32)
    disc(head, protos, 0, (40, 40), 24, 1)
    disc(head, protos, 1, (96, 56), 20, 2, 0.8)
    return {"output0": head, "output1": protos}


def test_masks_from_prototypes():
    outputs = seg_outputs()
    assert guess(outputs).parser == "yolo_seg" and guess(outputs).class_count == 3
    (found,) = read("yolo_seg", outputs, extras=guess(outputs).extras)
    assert found.classes.tolist() == [1, 2]
    for mask, box in zip(found.masks, found.boxes, strict=True):
        radius = (box[2] - box[0]) / 2
        pixels = in_box(mask, box, box, 0.5)
        assert pixels.shape == (round(2 * radius),) * 2
        assert pixels.mean() == pytest.approx(math.pi / 4, abs=0.05)
        assert pixels[round(radius), round(radius)] and not pixels[0, 0] and not pixels[-1, -1]


def test_a_mask_cut_at_the_edge_keeps_its_place():
    mask = np.zeros((10, 10), np.float32)
    mask[:, 5:] = 1
    pixels = in_box(mask, (-10, 0, 10, 20), (0, 0, 10, 20), 0.5)
    assert pixels.shape == (20, 10) and pixels.all()  # the right half is what is left


def test_mask_rcnn_of_tao():
    rows = np.array([[[10, 20, 50, 60, 1, 0.9], [0, 0, 9, 9, 0, 0.1]]], np.float32)
    masks = np.full((1, 2, 2, 28, 28), -5.0, np.float32)
    masks[0, 0, 1, :14] = 5.0
    outputs = {"generate_detections": rows, "mask_fcn_logits/BiasAdd": masks}
    assert guess(outputs).parser == "mrcnn_tlt"
    (found,) = read("mrcnn_tlt", outputs)
    np.testing.assert_allclose(found.boxes, [[20, 10, 60, 50]])
    assert found.classes.tolist() == [1]
    pixels = in_box(found.masks[0], found.boxes[0], found.boxes[0], 0.5)
    assert pixels[:18].all() and not pixels[22:].any()


@pytest.mark.parametrize("whole", [False, True])
def test_mask_rcnn_of_torchvision(whole):
    outputs = {
        "boxes": np.array([[20, 10, 60, 50], [0, 0, 5, 5]], np.float32),
        "labels": np.array([3, 1]),
        "scores": np.array([0.9, 0.1], np.float32),
        "masks": np.zeros((2, 1, 96, 128) if whole else (2, 1, 28, 28), np.float32),
    }
    if whole:
        outputs["masks"][0, 0, 10:30, 20:60] = 1
    else:
        outputs["masks"][0, 0, :14] = 1
    (found,) = read("mrcnn", outputs)
    assert found.classes.tolist() == [3]
    pixels = in_box(found.masks[0], found.boxes[0], found.boxes[0], 0.5)
    assert pixels.shape == (40, 40) and pixels[:18].all() and not pixels[22:].any()


def test_mask2former_takes_boxes_from_masks():
    masks = np.zeros((1, 2, 24, 32), np.float32)
    masks[0, 1, 6:12, 8:16] = 1
    outputs = {
        "pred_classes": np.array([[4, 7]]), "pred_scores": np.array([[0.9, 0.8]], np.float32), "pred_masks": masks
    }  # fmt: skip
    (found,) = read("mask2former", outputs)
    np.testing.assert_allclose(found.boxes, [[32, 24, 64, 48]])  # the first mask is empty
    assert found.classes.tolist() == [7] and found.masks[0].all()


# keypoints


def test_yolo_pose():
    head = np.zeros((1, 56, 252), np.float32)
    head[0, :5, 3] = 60, 40, 20, 30, 0.9
    head[0, 5:, 3] = np.arange(51)
    assert guess({"output0": head}).parser == "yolo_pose"
    (found,) = read("yolo_pose", {"output0": head}, extras=guess({"output0": head}).extras)
    np.testing.assert_allclose(found.boxes, [[50, 25, 70, 55]])
    np.testing.assert_allclose(found.keypoints[0], np.arange(51).reshape(17, 3))
    rows = head.transpose(0, 2, 1).copy()
    rows[0, 3, :4] = 50, 25, 70, 55
    (again,) = read("yolo_pose", {"output0": rows}, extras={"corners": True})
    np.testing.assert_allclose(again.boxes, found.boxes)


@pytest.mark.parametrize("size", [2, 3])
def test_faces_with_landmarks_in_outputs_of_their_own(size):
    landmarks = np.zeros((1, 9, 5 * size), np.float32)
    landmarks[0, 4] = np.arange(5 * size)
    outputs = {
        "boxes": np.tile(np.array([60, 40, 20, 30], np.float32), (1, 9, 1)),
        "scores": np.zeros((1, 9, 1), np.float32),
        "landmarks": landmarks,
    }
    outputs["scores"][0, 4] = 0.9
    (found,) = read("yolo_face", outputs)
    np.testing.assert_allclose(found.boxes, [[50, 25, 70, 55]])
    np.testing.assert_allclose(found.keypoints[0, :, :size], np.arange(5 * size).reshape(5, size))


def test_points_without_confidence_by_the_exporters_word():
    head = np.zeros((1, 4 + 2 + 8, 252), np.float32)
    head[0, :6, 3] = 60, 40, 20, 30, 0.1, 0.9
    head[0, 6:, 3] = np.arange(8)
    known = guess({"output0": head}, metadata={"task": "pose", "kpt_shape": "[4, 2]"})
    (found,) = read("yolo_pose", {"output0": head}, extras=known.extras)
    assert found.keypoints.shape == (1, 4, 3) and (found.keypoints[..., 2] == 1).all() and found.classes.tolist() == [1]


def test_movenet_of_one_and_of_several():
    points = np.full((1, 1, 17, 3), 0.5, np.float32)
    assert guess({"o": points}, (1, 192, 192, 3)).parser == "movenet"
    (found,) = read("movenet", {"o": points}, confidence=0.3)
    np.testing.assert_allclose(found.keypoints[0], [64, 48, 0.5])
    assert read("movenet", {"o": points}, confidence=0.6)[0].keypoints is None
    rows = np.zeros((1, 6, 56), np.float32)
    rows[0, 2, :51] = np.tile([0.25, 0.5, 0.9], 17)
    rows[0, 2, 51:] = 0.1, 0.2, 0.6, 0.7, 0.8
    (people,) = read("movenet_multi", {"o": rows})
    np.testing.assert_allclose(people.boxes, [[25.6, 9.6, 89.6, 57.6]], rtol=1e-5)
    np.testing.assert_allclose(people.keypoints[0, 0], [64, 24, 0.9])


def test_heatmaps_and_simcc():
    maps = np.zeros((1, 2, 24, 32), np.float32)
    maps[0, 0, 5, 7], maps[0, 0, 5, 8] = 1.0, 0.5
    maps[0, 1, 20, 30] = 0.8
    (found,) = read("heatmaps", {"heatmap": maps}, confidence=0.2)
    np.testing.assert_allclose(found.keypoints[0], [(7.75) * 4, 5.5 * 4, 1.0])
    across, down = np.zeros((1, 2, 256), np.float32), np.zeros((1, 2, 192), np.float32)
    across[0, 0, 100], down[0, 0, 60], across[0, 1, 9], down[0, 1, 8] = 0.9, 0.7, 0.5, 0.5
    (found,) = read("simcc", {"simcc_x": across, "simcc_y": down}, confidence=0.2)
    np.testing.assert_allclose(found.keypoints, [[50, 30, 0.7], [4.5, 4, 0.5]])


# boxes at an angle


def test_turned_boxes_overlap_as_polygons_do():
    assert rotated_iou((0, 0, 40, 20), 0.0, (0, 0, 40, 20), 0.0) == pytest.approx(1, abs=1e-3)
    assert rotated_iou((0, 0, 40, 20), 0.0, (0, 0, 40, 20), math.pi / 2) == pytest.approx(400 / 1200, abs=1e-3)
    assert rotated_iou((0, 0, 10, 10), 0.3, (50, 50, 60, 60), 0.1) == 0
    random = np.random.default_rng(5)
    for _ in range(20):
        (x, y, u, v), angles = random.uniform(0, 20, 4), random.uniform(-3, 3, 2)
        boxes = [(x, y, x + 30, y + 15), (u, v, u + 25, v + 20)]
        drawn = [np.zeros((800, 800), np.uint8) for _ in boxes]
        for canvas, box, angle in zip(drawn, boxes, angles, strict=True):
            centre = ((box[0] + box[2]) * 4 + 250, (box[1] + box[3]) * 4 + 250)
            corners = cv2.boxPoints((centre, ((box[2] - box[0]) * 8, (box[3] - box[1]) * 8), math.degrees(angle)))
            cv2.fillPoly(canvas, [np.round(corners).astype(np.int32)], 1)
        expected = (drawn[0] & drawn[1]).sum() / (drawn[0] | drawn[1]).sum()
        assert rotated_iou(boxes[0], angles[0], boxes[1], angles[1]) == pytest.approx(expected, abs=0.03)


def test_yolo_obb_suppresses_by_the_turned_boxes():
    head = np.zeros((1, 4 + 2 + 1, 252), np.float32)
    for n, (angle, score) in enumerate([(0.0, 0.9), (0.05, 0.8), (math.pi / 2, 0.7)]):
        head[0, :4, n] = 60, 40, 40, 10
        head[0, 5, n], head[0, 6, n] = score, angle
    known = guess({"o": head}, metadata={"task": "obb"})
    assert (known.parser, known.class_count) == ("yolo_obb", 2)
    (found,) = read("yolo_obb", {"o": head}, extras=known.extras)
    np.testing.assert_allclose(found.angles, [0, math.pi / 2])
    assert found.classes.tolist() == [1, 1]
    assert rotated_nms(np.zeros((0, 4)), np.zeros(0), np.zeros(0), None, 0.5).tolist() == []


# text


def steps(text, blank, classes, repeat=2):
    """One-hot scores that spell a text, each step repeated, with a blank between equal letters."""
    numbers = []
    for n, letter in enumerate(text):
        numbers += ([blank] if n and text[n - 1] == letter else []) + ["abc".index(letter) + (blank == 0)] * repeat
    return np.eye(classes, dtype=np.float32)[numbers][None]


@pytest.mark.parametrize("blank", [0, 3])
@pytest.mark.parametrize("first", [False, True])
def test_ctc(blank, first):
    scores = steps("abbca", blank, 4)
    scores = scores.swapaxes(1, 2) if first else scores
    (found,) = read("ctc", {"o": scores}, names=LETTERS, confidence=0.0, extras={"blank": blank})
    assert found.text == "abbca" and found.text_confidence == pytest.approx(1)


def test_ctc_with_a_space_and_without_text():
    scores = np.eye(5, dtype=np.float32)[[1, 4, 2, 0]][None]
    (found,) = read("ctc", {"o": scores}, names=LETTERS, confidence=0.0, extras={"blank": 0, "space": True})
    assert found.text == "a b"
    nothing = np.eye(4, dtype=np.float32)[[3, 3]][None]
    assert read("ctc", {"o": nothing}, names=LETTERS, confidence=0.0)[0].text is None
    with pytest.raises(ValueError, match="7 classes are not 3 characters"):
        read("ctc", {"o": np.zeros((1, 9, 7), np.float32)}, names=LETTERS)


def test_lprnet():
    outputs = {"tf_op_layer_ArgMax": np.array([[0, 0, 3, 1, 3, 1]], np.int32)}
    outputs["tf_op_layer_Max"] = np.full((1, 6), 0.5, np.float32)
    assert guess(outputs).parser == "lprnet"
    (found,) = read("lprnet", outputs, names=LETTERS, confidence=0.0)
    assert (found.text, found.text_confidence) == ("abb", 0.5)


def test_text_lines_come_from_top_to_bottom_at_their_angle():
    likely = np.zeros((1, 1, 96, 128), np.float32)
    lines = (((60, 60), (60, 10), 20.0), ((60, 20), (80, 12), 0.0))
    for line in lines:
        cv2.fillPoly(likely[0, 0], [np.round(cv2.boxPoints(line)).astype(np.int32)], 0.9)
    (found,) = read("dbnet", {"o": likely}, confidence=0.6)
    assert len(found) == 2
    for (centre, (w, h), angle), box, turn in zip(lines[::-1], found.boxes, found.angles, strict=True):
        grown = w * h * 1.5 / (w + h)
        middle = (box[:2] + box[2:]) / 2
        np.testing.assert_allclose(middle, centre, atol=1.0)
        np.testing.assert_allclose(box[2:] - box[:2], (w + grown, h + grown), atol=2.5)
        assert math.degrees(turn) == pytest.approx(angle, abs=3)
    assert len(read("dbnet", {"o": likely}, confidence=0.95)[0]) == 0


# suppression plugins and TAO


def test_batched_nms_by_names_or_by_order():
    boxes = np.array([[[0.1, 0.2, 0.5, 0.6], [0, 0, 1, 1]]], np.float32)
    scores, classes = np.array([[0.9, 0.8]], np.float32), np.array([[2, 1]], np.float32)
    number = np.array([[1]], np.int32)
    outputs = {"BatchedNMS": number, "BatchedNMS_1": boxes, "BatchedNMS_2": scores, "BatchedNMS_3": classes}
    assert guess(outputs).parser == "batched_nms_tlt"
    (found,) = read("batched_nms_tlt", outputs)
    np.testing.assert_allclose(found.boxes, [[12.8, 19.2, 64, 57.6]], rtol=1e-5)
    assert found.classes.tolist() == [2]
    named = {
        "num_dets": number,
        "det_boxes": boxes * 100,
        "det_classes": classes.astype(np.int32),
        "det_scores": scores,
    }
    assert guess(named).parser == "batched_nms_tlt"
    (found,) = read("batched_nms_tlt", named, extras={"pixels": True})
    np.testing.assert_allclose(found.boxes, [[10, 20, 50, 60]], rtol=1e-5)


def test_nms_rows_of_seven():
    rows = np.array([[[[0, 1, 0.9, 0.1, 0.2, 0.5, 0.6], [0, 2, 0.8, 0, 0, 1, 1]]]], np.float32)
    outputs = {"NMS": rows, "NMS_1": np.array([[[[1]]]], np.int32)}
    assert guess(outputs).parser == "nms_tlt"
    (found,) = read("nms_tlt", outputs)
    np.testing.assert_allclose(found.boxes, [[12.8, 19.2, 64, 57.6]], rtol=1e-5)


def test_detr_of_tao_and_rtdetr():
    logits = np.full((1, 3, 4), -9, np.float32)
    logits[0, 0, 0], logits[0, 1, 2], logits[0, 1, 3], logits[0, 2, 1] = 5, 3, 2, -1
    outputs = {"pred_logits": logits, "pred_boxes": np.tile(np.array([0.5, 0.5, 0.2, 0.4], np.float32), (1, 3, 1))}
    (found,) = read("ddetr_tao", outputs)
    assert found.classes.tolist() == [2]  # query 0 says class 0: nothing
    np.testing.assert_allclose(found.boxes, [[51.2, 28.8, 76.8, 67.2]], rtol=1e-5)
    assert read("rtdetr_tao", outputs)[0].classes.tolist() == [0, 2, 3]


def test_tensorflows_ssd_and_efficientdet():
    boxes = np.array([[[0.1, 0.2, 0.5, 0.6]]], np.float32)
    rest = {"detection_scores": np.array([[0.9]], np.float32), "detection_classes": np.array([[1]], np.float32)}
    rest["num_detections"] = np.array([1], np.float32)
    (found,) = read("tf_ssd", {"detection_boxes": boxes, **rest})
    np.testing.assert_allclose(found.boxes, [[25.6, 9.6, 76.8, 48]], rtol=1e-5)
    (found,) = read("efficientdet_tao", {"detection_boxes": boxes * 100, **rest})
    np.testing.assert_allclose(found.boxes, [[20, 10, 60, 50]], rtol=1e-5)


def test_yolov4_and_yolov3():
    boxes, scores = np.zeros((1, 9, 1, 4), np.float32), np.zeros((1, 9, 3), np.float32)
    boxes[0, 4, 0], scores[0, 4, 2] = (0.25, 0.25, 0.5, 0.75), 0.8
    outputs = {"boxes": boxes, "confs": scores}
    assert guess(outputs).parser == "yolov4"
    (found,) = read("yolov4", outputs)
    np.testing.assert_allclose(found.boxes, [[32, 24, 64, 72]])
    grids = {f"g{s}": np.full((1, 3 * 7, 96 // s, 128 // s), -9, np.float32) for s in (32, 16, 8)}
    assert guess(grids).parser == "yolov3"
    cell = grids["g16"][0, 7:14, 2, 3]  # the second anchor of the middle grid: 62 x 45
    grids["g16"][0, 7:14, 2, 3] = 0, 0, 0, math.log(2), 9, -9, 9
    (found,) = read("yolov3", grids)
    np.testing.assert_allclose(found.boxes, [[56 - 31, 40 - 45, 56 + 31, 40 + 45]], rtol=1e-4)
    assert found.classes.tolist() == [1] and cell.shape == (7,)


# raw


def test_raw_gives_each_picture_its_part():
    outputs = {"a": np.arange(6).reshape(2, 3), "dets": np.zeros((5, 6))}
    first, second = read("raw", outputs, 2)
    assert second.tensors["a"].tolist() == [3, 4, 5] and first.tensors["dets"].shape == (5, 6)
