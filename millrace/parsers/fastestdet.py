"""FastestDet: one grid of stride 16, objectness and class score weighed (github.com/dog-qiuqiu/FastestDet)."""

from __future__ import annotations

import numpy as np

from ..media import Detections
from .base import Guess, Model, Outputs, ParserSettings, empty
from .common import corners, finish, input_size

STRIDE = 16


def parse(outputs: Outputs, count: int, settings: ParserSettings) -> list[Detections]:
    """[N, 5 + C, h, w]: objectness, x and y off the cell, width and height as fractions of the input, classes.

    score = objectness ** 0.6 * class ** 0.4; cx = (column + tanh(o1)) / w, width = sigmoid(o3).
    """
    heads = next(iter(outputs.values()))
    return [_one(heads[picture], settings) for picture in range(count)]


def _one(head: np.ndarray, settings: ParserSettings) -> Detections:
    high, wide = head.shape[1:]
    scores = head[0] ** 0.6 * head[5:].max(axis=0) ** 0.4
    rows, columns = np.nonzero(scores >= settings.floor)
    if not len(rows):
        return empty()
    picked = head[:, rows, columns]
    centres = (np.stack([columns, rows]) + np.tanh(picked[1:3])) * [[settings.width / wide], [settings.height / high]]
    sizes = 1 / (1 + np.exp(-picked[3:5])) * [[settings.width], [settings.height]]
    boxes = corners(np.concatenate([centres, sizes]).T)
    return finish(boxes, scores[rows, columns], picked[5:].argmax(axis=0), settings)


def guess(model: Model) -> Guess | None:
    size = input_size(model)
    if size is None or len(model.outputs) != 1:
        return None
    (output,) = model.outputs
    if len(output.shape) != 4 or output.shape[2:] != (size[1] // STRIDE, size[0] // STRIDE):
        return None
    if output.shape[1] is None or output.shape[1] < 6:
        return None
    return Guess(
        parser="fastestdet",
        sure=0.6,
        why=f"{output.name} is one grid of stride {STRIDE} with 5 + {output.shape[1] - 5} numbers a cell",
        input={"colour": "BGR", "scale": 1 / 255, "fit": "stretch", "antialias": True},
        iou=0.45,
        class_count=output.shape[1] - 5,
    )
