"""Models with suppression (or none needed) inside: rows of x1 y1 x2 y2 score class (YOLOv10, YOLO26, and others)."""

from __future__ import annotations

import numpy as np

from ..media import Detections
from .base import Guess, Model, Outputs, ParserSettings
from .common import finish_all, image_input, is_nhwc, to_input


def parse(outputs: Outputs, count: int, settings: ParserSettings) -> list[Detections]:
    """[N, M, 6], or [M, 6] of a single picture: x1 y1 x2 y2 (input pixels or fractions), score, class.

    Rows past the last detection are zeros, or there are fewer rows. Extra: `order`, the columns' names when
    they are others ("x1 y1 x2 y2 class score").
    """
    rows = next(iter(outputs.values()))
    if rows.ndim == 2:
        if count != 1:
            raise ValueError(f"rows {rows.shape} of {count} pictures do not say which picture each belongs to")
        rows = rows[None]
    names = str(settings.extras.get("order", "x1 y1 x2 y2 score class")).split()
    columns = [names.index(name) for name in ("x1", "y1", "x2", "y2")]
    flat = np.asarray(rows[:count], np.float32).reshape(-1, rows.shape[2])
    sure = np.flatnonzero(flat[:, names.index("score")] >= settings.floor)  # most rows are not
    pictures, found = sure // max(1, rows.shape[1]), flat[sure]
    boxes = to_input(found[:, columns], settings, lambda: flat[:, columns])
    scores, classes = found[:, names.index("score")], found[:, names.index("class")].astype(np.int64)
    return finish_all(pictures, count, boxes, scores, classes, settings, suppress=False)


def guess(model: Model) -> Guess | None:
    image = image_input(model)
    if len(model.outputs) != 1 or image is None:
        return None
    (output,) = model.outputs
    if len(output.shape) not in (2, 3) or output.shape[-1] != 6:
        return None
    rows = output.shape[-2]
    why = f"{output.name} has rows of six: x1 y1 x2 y2 score class"
    if len(output.shape) == 2:  # as SSDs with suppression in the graph give them
        plain = {"colour": "BGR", "scale": 1.0, "fit": "stretch"}
        return Guess("end2end", 0.6, why, input=plain)
    if rows is not None and rows > 1000:
        return None  # raw rows of a model with one or two classes
    yolo = {"colour": "RGB", "scale": 1 / 255, "fit": "letterbox", "pad": 114}
    return Guess("end2end", 0.9, why, input=yolo, extras={"normalised": True} if is_nhwc(image) else {})
