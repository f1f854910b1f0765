"""YOLOv5 to v11 heads whose boxes are decoded in the graph, before suppression.

v5, v6, v7: rows of cx cy w h objectness and class scores. v8 to v12: no objectness, and boxes stand in columns.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ..media import Detections, TensorInfo
from .base import Guess, Model, Outputs, ParserSettings, empty
from .common import classes_of, corners, finish_all, image_input, input_size, is_nhwc, strides_for, to_input

INPUT: Mapping[str, Any] = {"colour": "RGB", "scale": 1 / 255, "fit": "letterbox", "pad": 114}


def parse_v5(outputs: Outputs, count: int, settings: ParserSettings) -> list[Detections]:
    """[N, boxes, 5 + C]: cx cy w h (input pixels or fractions), objectness, class scores, all decoded."""
    cells = next(iter(outputs.values()))[:count]
    pictures, chosen = np.nonzero(cells[..., 4] >= settings.floor)  # no score is above its objectness
    if not len(chosen):
        return [empty() for _ in range(count)]
    rows = np.asarray(cells[pictures, chosen], np.float32)
    columns, classes = classes_of(rows[:, 5:], outputs, pictures, chosen)
    scores = rows[:, 4] * rows[np.arange(len(rows)), 5 + columns]
    boxes = to_input(corners(rows[:, :4]), settings)
    return finish_all(pictures, count, boxes, scores, classes, settings)


def parse_v8(outputs: Outputs, count: int, settings: ParserSettings) -> list[Detections]:
    """[N, 4 + C, boxes] or [N, boxes, 4 + C]: cx cy w h (input pixels or fractions) and class scores.

    Extras: `transposed` (boxes stand in rows), `coefficients` (numbers after the scores that are not classes).
    """
    heads = next(iter(outputs.values()))[:count]
    if settings.extras.get("transposed", heads.shape[1] > heads.shape[2]):
        heads = heads.swapaxes(1, 2)
    scores = heads[:, 4 : heads.shape[1] - int(settings.extras.get("coefficients", 0))]
    pictures, chosen = np.nonzero(scores.max(axis=1) >= settings.floor)
    if not len(chosen):
        return [empty() for _ in range(count)]
    candidates = scores[pictures, :, chosen]
    columns, classes = classes_of(candidates, outputs, pictures, chosen)
    best = candidates[np.arange(len(chosen)), columns]
    boxes = to_input(corners(heads[pictures, :4, chosen]), settings)
    return finish_all(pictures, count, boxes, best, classes, settings)


def guess(model: Model) -> Guess | None:
    size, image = input_size(model), image_input(model)
    if size is None or image is None or model.metadata.get("task", "detect") not in ("detect", "segment"):
        return None
    output = next((o for o in model.outputs if len(o.shape) == 3), None)
    others = [o for o in model.outputs if o is not output]
    if output is None or None in output.shape[1:] or any(len(o.shape) != 4 for o in others):
        return None
    extras: dict[str, Any] = {"normalised": True} if is_nhwc(image) else {}
    if others:  # prototypes of masks: each box carries one coefficient for each of them
        extras["coefficients"] = min(n for n in others[0].shape[1:] if n)
    return (None if others else _guess_v5(output, size, extras)) or _guess_v8(output, size, extras, model)


def _guess_v5(output: TensorInfo, size: tuple[int, int], extras: dict[str, Any]) -> Guess | None:
    _, rows, columns = output.shape
    if not rows or not columns or columns < 6:
        return None
    if strides_for(*size, rows, per_cell=3):
        sure, why = 0.9, "three rows"
    elif strides_for(*size, rows) and output.name == "outputs":
        sure, why = 0.7, "one decoded row"
    else:
        return None
    return Guess(
        parser="yolov5",
        sure=sure,
        why=f"{output.name} has {why} of 5 + {columns - 5} numbers for each grid cell of a {size[0]}x{size[1]} input",
        input=INPUT,
        extras=extras,
        iou=0.45,
        class_count=columns - 5,
    )


def _guess_v8(output: TensorInfo, size: tuple[int, int], extras: dict[str, Any], model: Model) -> Guess | None:
    _, numbers, boxes = output.shape
    transposed = bool(numbers and strides_for(*size, numbers))
    if transposed:
        numbers, boxes = boxes, numbers
    classes = (numbers or 0) - 4 - extras.get("coefficients", 0)
    if classes < 1 or not boxes or strides_for(*size, boxes) is None:
        return None
    sure = 0.9
    if transposed and "Ultralytics" not in model.metadata.get("author", "") and classes != 80:
        sure = 0.6  # rows of 5 + C of YOLOX look the same
    return Guess(
        parser="yolov8",
        sure=sure,
        why=f"{output.name} has 4 + {classes} numbers for each grid cell of a {size[0]}x{size[1]} input",
        input=INPUT,
        extras={**extras, "transposed": transposed},
        iou=0.45,
        class_count=classes,
    )
