"""YOLOv3 and v4 heads as the network gives them: anchors on grids (Redmon and Farhadi, arXiv 1804.02767)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..media import Detections
from .base import Guess, Model, Outputs, ParserSettings
from .common import Floats, corners, finish, input_size, sigmoid

ANCHORS = (10, 13, 16, 30, 33, 23, 30, 61, 62, 45, 59, 119, 116, 90, 156, 198, 373, 326)  # COCO's, by their size
_EACH = 3  # anchors of a grid


def parse(outputs: Outputs, count: int, settings: ParserSettings) -> Sequence[Detections]:
    """For each grid [N, 3 (5 + C), h, w]: x, y, width, height, objectness and classes of three anchors.

    x = (column + sigmoid(o0)) * stride, width = anchor * exp(o2), score = sigmoid(o4) * sigmoid(class). Extras:
    `anchors`, widths and heights in input pixels, smallest first; `activated` (true: sigmoid and exp are in the graph,
    as in DeepStream's plugin).
    """
    anchors = np.array(settings.extras.get("anchors", ANCHORS), np.float32).reshape(-1, _EACH, 2)
    grids = sorted((v for v in outputs.values() if v.ndim == 4), key=lambda v: -v.shape[2] * v.shape[3])
    if len(grids) > len(anchors):
        raise ValueError(f"{len(grids)} grids want {len(grids) * _EACH} anchors, there are {len(anchors) * _EACH}")
    sizes = anchors[len(anchors) - len(grids) :]
    found = []
    for n in range(count):
        parts = [_grid(grid[n], size, settings) for grid, size in zip(grids, sizes, strict=True)]
        boxes, scores, classes = (np.concatenate(column) for column in zip(*parts, strict=True))
        found.append(finish(boxes, scores, classes, settings))
    return found


def _grid(head: Any, anchors: Floats, settings: ParserSettings) -> tuple[Any, Any, Any]:
    numbers, high, wide = head.shape
    cells = np.asarray(head, np.float32).reshape(_EACH, numbers // _EACH, high, wide)
    ready = bool(settings.extras.get("activated"))
    sure = cells[:, 4] if ready else sigmoid(cells[:, 4])
    which, rows, columns = np.nonzero(sure >= settings.floor)
    picked = cells[which, :, rows, columns]
    scores = picked[:, 5:] if ready else sigmoid(picked[:, 5:])
    classes = scores.argmax(axis=1)
    best = sure[which, rows, columns] * scores[np.arange(len(scores)), classes]
    offsets, growth = (picked[:, :2], picked[:, 2:4]) if ready else (sigmoid(picked[:, :2]), np.exp(picked[:, 2:4]))
    stride = np.array([settings.width / wide, settings.height / high], np.float32)
    centres = (np.stack([columns, rows], axis=1) + offsets) * stride
    return corners(np.concatenate([centres, growth * anchors[which]], axis=1)), best, classes


def guess(model: Model) -> Guess | None:
    size = input_size(model)
    shapes = [output.shape for output in model.outputs]
    if size is None or len(shapes) not in (2, 3) or any(len(s) != 4 or s[1] != shapes[0][1] for s in shapes):
        return None
    numbers = shapes[0][1]
    if numbers is None or numbers % _EACH or numbers // _EACH < 6:
        return None
    strides = sorted((size[0] // (s[3] or 1), size[1] // (s[2] or 1)) for s in shapes)
    if strides not in ([(8, 8), (16, 16), (32, 32)], [(16, 16), (32, 32)]):
        return None
    wants = {"colour": "RGB", "scale": 1 / 255, "fit": "stretch"}
    why = f"grids of {numbers // _EACH - 5} classes with three anchors a cell"
    return Guess("yolov3", 0.7, why, wants, iou=0.45, class_count=numbers // _EACH - 5)
