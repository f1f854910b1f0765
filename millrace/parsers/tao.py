"""Outputs of TAO's networks: those of TensorRT's suppression plugins, SSD, EfficientDet, DETR and YOLOv4.

What each reads is what DeepStream's parsers of these names read (nvdsinfer_customparser, deepstream_tao_apps).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..media import Detections
from .base import Guess, Model, Outputs, ParserSettings
from .common import find, finish, image_input, to_input
from .detr import parse_raw
from .ssd import parse_final


def parse_nms(outputs: Outputs, count: int, settings: ParserSettings) -> Sequence[Detections]:
    """NMS_TRT: rows [N, 1, M, 7] of picture, class, score, x1 y1 x2 y2 (fractions), and how many count [N, 1, 1, 1]."""
    rows = next(value for value in outputs.values() if value.shape[-1] == 7).reshape(count, -1, 7)
    numbers = next((v.reshape(count, -1)[:, 0] for v in outputs.values() if v.shape[-1] != 7), [rows.shape[1]] * count)
    found = []
    for table, number in zip(rows, numbers, strict=True):
        mine = np.asarray(table[: int(number)], np.float32)
        mine = mine[(mine[:, 5] >= mine[:, 3]) & (mine[:, 6] >= mine[:, 4])]
        boxes = to_input(mine[:, 3:7], settings)
        found.append(finish(boxes, mine[:, 2], mine[:, 1].astype(np.int64), settings, suppress=False))
    return found


def parse_batched_nms(outputs: Outputs, count: int, settings: ParserSettings) -> Sequence[Detections]:
    """BatchedNMS_TRT and EfficientNMS_TRT: how many [N, 1] (whole numbers), boxes [N, M, 4], scores, classes [N, M].

    Scores come before classes where names do not tell. Extras: `pixels` (boxes are in input pixels; by default it is
    seen from the numbers), `box_order` "yxyx".
    """
    if "pixels" in settings.extras:
        settings = _with(settings, normalised=not settings.extras["pixels"])
    number, boxes, scores, classes = _four(outputs, count)
    if settings.extras.get("box_order") == "yxyx":
        boxes = boxes[..., [1, 0, 3, 2]]
    found = []
    for n in range(count):
        rows = slice(0, int(number[n]))
        places = to_input(np.asarray(boxes[n, rows], np.float32), settings)
        kinds = classes[n, rows].astype(np.int64)
        found.append(finish(places, np.asarray(scores[n, rows], np.float32), kinds, settings, suppress=False))
    return found


def parse_tf_ssd(outputs: Outputs, count: int, settings: ParserSettings) -> Sequence[Detections]:
    """TensorFlow's detection_boxes (y1 x1 y2 x2, fractions), detection_scores, detection_classes, num_detections."""
    return parse_final(outputs, count, _with(settings, box_order="yxyx", normalised=True))


def parse_efficientdet(outputs: Outputs, count: int, settings: ParserSettings) -> Sequence[Detections]:
    """TAO's EfficientDet: as `tf_ssd`, boxes in input pixels."""
    return parse_final(outputs, count, _with(settings, box_order="yxyx", normalised=False))


def parse_ddetr(outputs: Outputs, count: int, settings: ParserSettings) -> Sequence[Detections]:
    """TAO's (Deformable) DETR and DINO: pred_logits and pred_boxes; queries whose best class is 0 say nothing."""
    background = 0 if settings.background is None else settings.background
    return parse_raw(outputs, count, replace(_with(settings, activation="sigmoid"), background=background))


def parse_rtdetr(outputs: Outputs, count: int, settings: ParserSettings) -> Sequence[Detections]:
    """TAO's RT-DETR: pred_logits and pred_boxes; a query counts for every class that is sure enough."""
    return parse_raw(outputs, count, _with(settings, activation="sigmoid", every_class=True))


def _with(settings: ParserSettings, **extras: Any) -> ParserSettings:
    """The same settings; extras that the card does not give."""
    return replace(settings, extras={**extras, **settings.extras})


def _four(outputs: Outputs, count: int) -> tuple[NDArray[Any], ...]:
    boxes = next((v for v in outputs.values() if v.shape[-1] == 4 and v.ndim >= 3), None)
    if boxes is None:
        raise ValueError(f"none of the outputs {', '.join(outputs)} holds boxes [N, M, 4]")
    boxes = boxes.reshape(count, -1, 4)
    flat = {k: v.reshape(count, -1) for k, v in outputs.items() if v is not boxes and v.size != boxes.size}
    number = next((v for v in flat.values() if v.shape[1] == 1 and v.dtype.kind in "iu"), None)
    rows = {k: v for k, v in flat.items() if v.shape[1] == boxes.shape[1]}
    classes = next((v for k, v in rows.items() if "class" in k.lower() or "label" in k.lower()), None)
    scores = next((v for k, v in rows.items() if "score" in k.lower() or "conf" in k.lower()), None)
    plain = [v for v in rows.values() if v is not classes and v is not scores and v is not number]
    scores = scores if scores is not None else plain.pop(0) if plain else None
    classes = classes if classes is not None else plain.pop(0) if plain else None
    if scores is None or classes is None:
        raise ValueError(f"outputs {', '.join(outputs)} are not a number, boxes, scores and classes")
    return np.full(count, boxes.shape[1]) if number is None else number[:, 0], boxes, scores, classes


def parse_yolov4(outputs: Outputs, count: int, settings: ParserSettings) -> Sequence[Detections]:
    """boxes [N, B, 1, 4] x1 y1 x2 y2 (fractions) and confs [N, B, C], before suppression."""
    boxes = next(v for v in outputs.values() if v.shape[-1] == 4 and v.ndim == 4).reshape(count, -1, 4)
    scores = next(v for v in outputs.values() if v.ndim == 3)
    found = []
    for places, values in zip(boxes, scores, strict=True):
        classes = values.argmax(axis=1)
        best = np.asarray(values[np.arange(len(values)), classes], np.float32)
        chosen = np.flatnonzero(best >= settings.floor)
        found.append(finish(to_input(places[chosen], settings), best[chosen], classes[chosen], settings))
    return found


def guess(model: Model) -> Guess | None:
    if image_input(model) is None:
        return None
    names = [output.name for output in model.outputs]
    shapes = {output.name: output.shape for output in model.outputs}
    caffe = {"colour": "BGR", "scale": 1.0, "mean": (103.939, 116.779, 123.68), "fit": "stretch"}
    if "NMS" in names and shapes["NMS"][-1] == 7:
        return Guess("nms_tlt", 0.95, "NMS has rows of picture class score x1 y1 x2 y2", caffe)
    if "BatchedNMS" in names and len(names) == 4:
        return Guess("batched_nms_tlt", 0.95, "the four outputs of BatchedNMS", caffe, {"pixels": False})
    plain = {"colour": "RGB", "scale": 1 / 255, "fit": "letterbox", "pad": 114}
    if find(model, "num_det", "num_dets") is not None and find(model, "det_boxes", "nmsed_boxes") is not None:
        return Guess("batched_nms_tlt", 0.9, f"{', '.join(names)} are boxes after suppression", plain)
    boxes, scores = find(model, "boxes"), find(model, "confs")
    if boxes is not None and scores is not None and len(boxes.shape) == 4 and boxes.shape[2:] == (1, 4):
        wants = {"colour": "RGB", "scale": 1 / 255, "fit": "stretch"}
        return Guess("yolov4", 0.9, f"{boxes.name} and {scores.name} of YOLOv4", wants, class_count=scores.shape[-1])
    return None
