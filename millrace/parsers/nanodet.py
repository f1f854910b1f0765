"""NanoDet: class scores and distributions of the sides' distances (Li et al., arXiv 2006.04388), a pair a stride."""

from __future__ import annotations

import numpy as np

from ..media import Detections
from .base import Guess, Model, Outputs, ParserSettings, empty
from .common import cells, finish, grid, input_size

_STRIDES = (8, 16, 32)


def parse(outputs: Outputs, count: int, settings: ParserSettings) -> list[Detections]:
    """For each stride: scores [N, cells, C] after the sigmoid, and [N, cells, 4 * bins] of left, top, right, bottom.

    A distance is the mean of the bins 0, 1, … under their softmax, times the stride, from the cell's centre.
    """
    scores = _joined(outputs, "cls", settings)
    bins = _joined(outputs, "dis", settings)
    return [_one(scores[picture], bins[picture], settings) for picture in range(count)]


def _joined(outputs: Outputs, part: str, settings: ParserSettings) -> np.ndarray:
    """The outputs of one kind, one after the other in the order of the strides."""
    heads = {value.shape[1]: value for name, value in outputs.items() if part in name}
    sizes = [cells(settings.width, settings.height, (stride,)) for stride in _STRIDES]
    if set(sizes) - set(heads):
        raise ValueError(f"outputs {', '.join(outputs)} have no {part!r} of {sizes} cells")
    return np.concatenate([heads[size] for size in sizes], axis=1)


def _one(scores: np.ndarray, bins: np.ndarray, settings: ParserSettings) -> Detections:
    chosen = np.flatnonzero(scores.max(axis=1) >= settings.floor)
    if not len(chosen):
        return empty()
    classes = scores[chosen].argmax(axis=1)
    points, steps = (table[chosen] for table in grid(settings.width, settings.height, _STRIDES))
    levels = bins[chosen].reshape(len(chosen), 4, -1)
    powers = np.exp(levels - levels.max(axis=2, keepdims=True))
    sides = (powers @ np.arange(levels.shape[2], dtype=np.float32)) / powers.sum(axis=2) * steps
    centres = points * steps + 0.5 * (steps - 1)
    boxes = np.concatenate([centres - sides[:, :2], centres + sides[:, 2:]], axis=1)
    return finish(boxes, scores[chosen, classes], classes, settings)


def guess(model: Model) -> Guess | None:
    size = input_size(model)
    if size is None or len(model.outputs) != 2 * len(_STRIDES) or any(len(o.shape) != 3 for o in model.outputs):
        return None
    wanted = {cells(*size, (stride,)) for stride in _STRIDES}
    scores = [o for o in model.outputs if "cls" in o.name]
    if {o.shape[1] for o in scores} != wanted or {o.shape[1] for o in model.outputs if "dis" in o.name} != wanted:
        return None
    mean, std = (103.53, 116.28, 123.675), (57.375, 57.12, 58.395)
    return Guess(
        parser="nanodet",
        sure=0.95,
        why="class scores and distances, a pair for each of the strides 8, 16, 32",
        input={"colour": "BGR", "scale": 1.0, "mean": mean, "std": std, "fit": "letterbox", "pad": 0},
        iou=0.6,
        class_count=scores[0].shape[2],
    )
