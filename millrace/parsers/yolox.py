"""YOLOX: one row of raw numbers per grid cell (Ge et al., YOLOX, arXiv 2107.08430)."""

from __future__ import annotations

import numpy as np

from ..media import CELL_NUMBERS, Detections
from .base import Guess, Model, Outputs, ParserSettings, empty
from .common import classes_of, corners, finish_all, grid, image_input, input_size, is_nhwc, strides_for


def parse(outputs: Outputs, count: int, settings: ParserSettings) -> list[Detections]:
    """[N, cells, 5 + C]: x and y off the cell, log width and height in strides, objectness, class scores.

    cx = (o0 + column) * stride, w = exp(o2) * stride; the score is objectness * best class score. Where some cells were
    left out, CELL_NUMBERS says which these are, and the extra `cells` how many there were.
    """
    cells = next(iter(outputs.values()))[:count]
    numbers = outputs.get(CELL_NUMBERS)
    count_of_all = cells.shape[1] if numbers is None else int(settings.extras["cells"])
    strides = strides_for(settings.width, settings.height, count_of_all)
    if strides is None:
        raise ValueError(f"{count_of_all} rows do not fit the grids of a {settings.width}x{settings.height} input")
    pictures, chosen = np.nonzero(cells[..., 4] >= settings.floor)  # the score cannot be above the objectness
    if not len(chosen):
        return [empty() for _ in range(count)]
    rows = np.asarray(cells[pictures, chosen], np.float32)
    columns, classes = classes_of(rows[:, 5:], outputs, pictures, chosen)
    scores = rows[:, 4] * rows[np.arange(len(rows)), 5 + columns]
    points, steps = grid(settings.width, settings.height, strides)
    where = chosen if numbers is None else numbers[pictures, chosen]
    centres = (rows[:, :2] + points[where]) * steps[where]
    sizes = np.exp(rows[:, 2:4]) * steps[where]
    boxes = corners(np.concatenate([centres, sizes], axis=1))
    return finish_all(pictures, count, boxes, scores, classes, settings)


def guess(model: Model) -> Guess | None:
    size, image = input_size(model), image_input(model)
    if len(model.outputs) != 1 or size is None or image is None:
        return None
    (output,) = model.outputs
    if len(output.shape) != 3:
        return None
    _, rows, columns = output.shape
    if rows is None or columns is None or columns < 6 or strides_for(*size, rows) is None:
        return None
    sure = 0.9 if columns == 85 else 0.7
    if output.name == "outputs" or is_nhwc(image):
        sure = 0.5  # YOLOv6 names its one output so: rows of the same shape, already decoded
    return Guess(
        parser="yolox",
        sure=sure,
        why=f"{output.name} has one row of 5 + {columns - 5} numbers for each grid cell of a {size[0]}x{size[1]} input",
        input={"colour": "BGR", "scale": 1.0, "fit": "letterbox-top-left", "pad": 114},
        extras={"cells": rows},
        iou=0.45,
        class_count=columns - 5,
    )
