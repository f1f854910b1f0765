"""Models with suppression (or none needed) inside: rows of x1 y1 x2 y2 score class (YOLOv10, YOLO26, and others)."""

from __future__ import annotations

import numpy as np

from ..media import FRACTIONS, Detections
from .base import Guess, Model, Outputs, ParserSettings
from .common import finish_all, image_input, is_nhwc, split, to_input

try:
    from . import _rows as native
except ImportError:  # no compiler when the package was installed
    native = None  # type: ignore[assignment]


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
    columns = tuple(names.index(name) for name in ("x1", "y1", "x2", "y2", "score", "class"))
    rows = np.asarray(rows[:count], np.float32, order="C")
    given = None
    if native is not None and settings.takes_all:
        given = native.sure(rows, columns, settings.floor, settings.top_k, FRACTIONS)
    if given is not None:
        ends, found, sure, kinds, small = given
        boxes = to_input(np.frombuffer(found, np.float32).reshape(-1, 4), settings, small)
        return split(ends, boxes, np.frombuffer(sure, np.float32), np.frombuffer(kinds, np.int64))
    flat = rows.reshape(-1, rows.shape[2])
    chosen = np.flatnonzero(flat[:, columns[4]] >= settings.floor)  # most are not
    pictures, boxes = chosen // max(1, rows.shape[1]), to_input(flat[:, columns[:4]], settings)[chosen]
    scores, classes = flat[chosen, columns[4]], flat[chosen, columns[5]].astype(np.int64)
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
