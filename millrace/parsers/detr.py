"""Detection transformers: a fixed set of queries, no suppression (Carion et al., DETR, arXiv 2005.12872)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ..media import Detections
from .base import Guess, Model, Outputs, ParserSettings, empty
from .common import corners, find, finish, image_input, sigmoid, softmax, to_input

_INPUT: Mapping[str, Any] = {"colour": "RGB", "scale": 1 / 255, "fit": "stretch"}
_IMAGENET: Mapping[str, Any] = {**_INPUT, "mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}


def parse(outputs: Outputs, count: int, settings: ParserSettings) -> list[Detections]:
    """labels [N, Q] int64, boxes [N, Q, 4] x1 y1 x2 y2, scores [N, Q]: RT-DETR, D-FINE and DEIM exports.

    Their boxes are in pixels of the size given as `orig_target_sizes`; give the input's own size.
    """
    labels, boxes, scores = outputs["labels"], outputs["boxes"], outputs["scores"]
    found = []
    for picture in range(count):
        values = np.asarray(scores[picture], np.float32)
        pixels = to_input(boxes[picture], settings)
        found.append(finish(pixels, values, labels[picture].astype(np.int64), settings, suppress=False))
    return found


def parse_raw(outputs: Outputs, count: int, settings: ParserSettings) -> list[Detections]:
    """Logits [N, Q, C] and boxes [N, Q, 4] cx cy w h as fractions of the input.

    Extras: `activation`: "sigmoid" (each class by itself) or "softmax" (the last class means "nothing", as in DETR);
    `every_class`: a query may count for several classes (RT-DETR), not for its best alone.
    """
    named = {("boxes" if v.shape[-1] == 4 and "logit" not in k.lower() else "logits"): v for k, v in outputs.items()}
    if len(named) != 2:
        raise ValueError(f"outputs {', '.join(outputs)} are not one of boxes [N, Q, 4] and one of logits [N, Q, C]")
    return [_queries(named["logits"][i], named["boxes"][i], settings) for i in range(count)]


def _queries(logits: np.ndarray, boxes: np.ndarray, settings: ParserSettings) -> Detections:
    if settings.extras.get("activation", "sigmoid") == "softmax":
        probabilities = softmax(logits)[:, :-1]
    else:
        probabilities = sigmoid(logits)
    if settings.extras.get("every_class"):
        queries, classes = np.nonzero(probabilities >= settings.floor)
    else:
        classes = probabilities.argmax(axis=1)
        queries = np.flatnonzero(probabilities[np.arange(len(classes)), classes] >= settings.floor)
        classes = classes[queries]
    if settings.background is not None:
        queries, classes = queries[classes != settings.background], classes[classes != settings.background]
    if not len(queries):
        return empty()
    pixels = corners(boxes[queries]) * np.array([settings.width, settings.height] * 2, np.float32)
    return finish(pixels, probabilities[queries, classes], classes, settings, suppress=False)


def guess(model: Model) -> Guess | None:
    if image_input(model) is None:
        return None
    names = {output.name: output for output in model.outputs}
    if {"labels", "boxes", "scores"} <= set(names) and names["labels"].dtype.startswith("int"):
        sizes = next((i.name for i in model.inputs if len(i.shape) == 2 and i.shape[1] == 2), None)
        if sizes is None and len(model.inputs) > 1:
            return None
        why = "labels, boxes and scores of queries" + (f", and {sizes} asks for the picture's size" if sizes else "")
        return Guess("detr", 0.95 if sizes else 0.7, why, input=_INPUT, orig_size_input=sizes)
    return _guess_raw(model)


def _guess_raw(model: Model) -> Guess | None:
    logits = find(model, "logits")
    boxes = find(model, "box")
    if set(o.name for o in model.outputs) == {"dets", "labels"}:  # RF-DETR
        boxes, logits = find(model, "dets"), find(model, "labels")
    if logits is None or boxes is None or boxes.shape[-1] != 4 or len(logits.shape) != 3 or len(model.outputs) != 2:
        return None
    classes = logits.shape[-1]
    softmax = logits.name == "pred_logits" and classes == 92  # DETR on COCO: 91 classes and "nothing"
    plain = logits.name == "logits"  # RT-DETR as transformers exports it
    return Guess(
        parser="detr_raw",
        sure=0.8,
        why=f"{logits.name} and {boxes.name} are the class scores and boxes of queries",
        input=_INPUT if plain else _IMAGENET,
        extras={"activation": "softmax" if softmax else "sigmoid"},
        class_count=classes,
    )
