"""What all parsers share: choosing candidates, scaling boxes, the last steps before detections leave."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..media import CELL_CLASSES, FRACTIONS, Detections, TensorInfo
from .base import Model, Outputs, ParserSettings, empty
from .cluster import cluster

Floats = NDArray[np.float32]


def finish(
    boxes: Any, scores: Any, classes: Any, settings: ParserSettings, suppress: bool = True, **columns: Any
) -> Detections:
    """Candidates (boxes in input pixels) → detections, by `choose`; `columns` are further columns of Detections."""
    rows, merged = choose(boxes, scores, classes, settings, suppress)
    if not len(rows):
        return empty()
    rest = {name: column[rows] for name, column in columns.items()}
    return Detections(merged, np.asarray(scores[rows], np.float32), np.asarray(classes[rows], np.int64), **rest)


def finish_all(
    pictures: Any, count: int, boxes: Any, scores: Any, classes: Any, settings: ParserSettings, suppress: bool = True
) -> list[Detections]:
    """The candidates of all pictures of a batch → the detections of each; `pictures` says whose each is, in order.

    What `finish` gives for each picture; only clustering is done picture by picture, for it compares all with all.
    """
    rows = np.flatnonzero(wanted(scores, classes, settings))
    mode = settings.cluster or ("nms" if suppress else "none")
    as_they_are = mode == "none" and not settings.limits
    if as_they_are:
        rows = rows[np.lexsort((-scores[rows], pictures[rows]))]
    boxes, scores = np.asarray(boxes[rows], np.float32), np.asarray(scores[rows], np.float32)
    classes = np.asarray(classes[rows], np.int64)
    ends = np.searchsorted(pictures[rows], np.arange(count), side="right").tolist()
    found = split(ends, boxes, scores, classes)
    if not as_they_are:
        return [_clustered(each, mode, settings) for each in found]
    return [each if len(each) <= settings.top_k else each.take(np.arange(settings.top_k)) for each in found]


def split(ends: Iterable[int], boxes: Any, scores: Any, classes: Any) -> list[Detections]:
    """The detections of each picture of a batch, from those of all and where each picture's end."""
    found, start = [], 0
    for end in ends:
        found.append(Detections(boxes[start:end], scores[start:end], classes[start:end]))
        start = end
    return found


def _clustered(found: Detections, mode: str, settings: ParserSettings) -> Detections:
    if not len(found):
        return found
    kept, merged = cluster(mode, found.boxes, found.scores, found.classes, settings)
    kept = kept[: settings.top_k]
    return Detections(merged[: settings.top_k], found.scores[kept], found.classes[kept])


def choose(
    boxes: Any, scores: Any, classes: Any, settings: ParserSettings, suppress: bool = True
) -> tuple[NDArray[np.int64], Floats]:
    """Which candidates stay, best first, and their boxes: class filter, class thresholds, clustering, top_k.

    `suppress`: such models find one thing several times, so NMS is what they get where no other way of clustering is
    asked for.
    """
    kept = np.flatnonzero(wanted(scores, classes, settings))
    if not len(kept):
        return kept, np.zeros((0, 4), np.float32)
    mode = settings.cluster or ("nms" if suppress else "none")
    columns = np.asarray(boxes[kept], np.float32), np.asarray(scores[kept], np.float32)
    rows, merged = cluster(mode, *columns, np.asarray(classes[kept], np.int64), settings)
    return kept[rows[: settings.top_k]], merged[: settings.top_k]


def wanted(scores: Any, classes: Any, settings: ParserSettings) -> NDArray[np.bool_]:
    """Which candidates are of a class that is asked for, and sure enough for it."""
    keep = scores >= settings.floor
    if settings.classes is not None:
        keep &= np.isin(classes, list(settings.classes))
    if settings.drop:
        keep &= ~np.isin(classes, list(settings.drop))
    if settings.thresholds or settings.rules:
        for class_id in np.unique(classes[keep]).tolist():
            keep &= (classes != class_id) | (scores >= settings.rule(class_id, "confidence"))
    return np.asarray(keep)


def classes_of(scores: Any, outputs: Outputs, *where: Any) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """In which column of its scores [n, C] each candidate is surest, and of which class: the same, but where a runtime
    left the best score alone, which tells (CELL_CLASSES) the class `where` the candidate stands."""
    columns = scores.argmax(axis=1)
    told = outputs.get(CELL_CLASSES)
    return columns, columns if told is None else np.asarray(told[where], np.int64)


def sigmoid(values: Any) -> Floats:
    """1 / (1 + exp(-x)), without overflow."""
    clipped = np.clip(np.asarray(values, np.float32), -60, 60)
    return np.asarray(1 / (1 + np.exp(-clipped)), np.float32)


def softmax(values: Any, axis: int = -1) -> Floats:
    """exp(x) over its sum along an axis."""
    values = np.asarray(values, np.float32)
    powers = np.exp(values - values.max(axis=axis, keepdims=True))
    out: Floats = powers / powers.sum(axis=axis, keepdims=True)
    return out


def corners(centres: Any) -> Floats:
    """Boxes [n, 4] cx cy w h → x1 y1 x2 y2."""
    centres = np.asarray(centres, np.float32)
    half = centres[:, 2:4] / 2
    return np.concatenate([centres[:, :2] - half, centres[:, :2] + half], axis=1)


def to_input(boxes: NDArray[Any], settings: ParserSettings, small: bool | None = None) -> Floats:
    """Boxes [n, 4] in input pixels, whether the model gives pixels or fractions of the input.

    The card's `normalised` says which. Else values tell: a picture none of whose boxes reaches past pixel 2 has
    fractions (exporters go a little beyond 1 at the border). `small` says that none does, where it is known.
    """
    pixels: Floats = np.asarray(boxes, np.float32)
    fractions = settings.extras.get("normalised")
    if fractions is None:
        fractions = small if small is not None else pixels.size > 0 and float(pixels.max()) <= FRACTIONS
    if not fractions:
        return pixels
    size = (settings.width, settings.height)
    return pixels * np.array(size * 2, np.float32)


def cells(width: int, height: int, strides: tuple[int, ...]) -> int:
    """The cells of the grids of all strides over an input."""
    return sum((width // s) * (height // s) for s in strides)


STRIDES = ((8, 16, 32), (8, 16, 32, 64))


def strides_for(width: int, height: int, rows: int, per_cell: int = 1) -> tuple[int, ...] | None:
    """Which set of strides gives that many rows, if any."""
    return next((s for s in STRIDES if cells(width, height, s) * per_cell == rows), None)


@lru_cache(maxsize=16)
def grid(width: int, height: int, strides: tuple[int, ...]) -> tuple[Floats, Floats]:
    """Every cell's column and row [n, 2], and its stride [n, 1], strides one after the other, row by row."""
    points, steps = [], []
    for stride in strides:
        rows, columns = np.mgrid[0 : height // stride, 0 : width // stride]
        points.append(np.stack([columns.ravel(), rows.ravel()], axis=1).astype(np.float32))
        steps.append(np.full((rows.size, 1), stride, np.float32))
    return np.concatenate(points), np.concatenate(steps)


def image_input(model: Model) -> TensorInfo | None:
    """The input that takes pictures: the first of four dimensions."""
    return next((info for info in model.inputs if len(info.shape) == 4), None)


def is_nhwc(info: TensorInfo) -> bool:
    """Whether channels come last."""
    return info.shape[3] in (1, 3) and info.shape[1] not in (1, 3)


def input_size(model: Model) -> tuple[int, int] | None:
    """Width and height of the picture input; None where they are free."""
    info = image_input(model)
    if info is None:
        return None
    height, width = info.shape[1:3] if is_nhwc(info) else info.shape[2:4]
    return (width, height) if width and height else None


def find(model: Model, *parts: str) -> TensorInfo | None:
    """The first output whose name holds one of `parts`."""
    return next((o for part in parts for o in model.outputs if part in o.name.lower()), None)
