"""DetectNet_v2: coverage and boxes on one coarse grid (NVIDIA TAO; the models of the DeepStream samples)."""

from __future__ import annotations

import numpy as np

from ..media import Detections
from .base import Guess, Model, Outputs, ParserSettings, empty
from .common import find, finish, input_size

SCALE = 35.0  # what the network's distances are divided by
OFFSET = 0.5  # of a cell's centre


def parse(outputs: Outputs, count: int, settings: ParserSettings) -> list[Detections]:
    """Coverage [N, C, h, w] and boxes [N, 4 C, h, w]: distances from a cell's centre to the sides, over 35.

    Each class has a box of its own in each cell. Neighbouring cells find the same thing: NMS keeps the best.
    """
    names = sorted(outputs, key=lambda name: outputs[name].shape[1])
    coverage, boxes = outputs[names[0]], outputs[names[1]]
    return [_one(coverage[picture], boxes[picture], settings) for picture in range(count)]


def _one(coverage: np.ndarray, boxes: np.ndarray, settings: ParserSettings) -> Detections:
    classes, rows, columns = np.nonzero(coverage >= settings.floor)
    if not len(classes):
        return empty()
    high, wide = coverage.shape[1:]
    centre_x = (columns * -(-settings.width // wide) + OFFSET) / SCALE
    centre_y = (rows * -(-settings.height // high) + OFFSET) / SCALE
    left, top, right, bottom = boxes.reshape(len(coverage), 4, high, wide)[classes, :, rows, columns].T
    sides = (centre_x - left, centre_y - top, centre_x + right, centre_y + bottom)
    pixels = np.stack(sides, axis=1).astype(np.float32) * np.float32(SCALE)
    return finish(pixels, coverage[classes, rows, columns], classes, settings)


def guess(model: Model) -> Guess | None:
    coverage, boxes = find(model, "cov"), find(model, "bbox")
    if input_size(model) is None or coverage is None or boxes is None or len(model.outputs) != 2:
        return None
    if not (len(coverage.shape) == len(boxes.shape) == 4 and boxes.shape[1] and coverage.shape[1]):
        return None
    if boxes.shape[1] != 4 * coverage.shape[1] or boxes.shape[2:] != coverage.shape[2:]:
        return None
    return Guess(
        parser="detectnet_v2",
        sure=0.95,
        why=f"{coverage.name} and {boxes.name} are a grid of coverage and boxes",
        input={"colour": "RGB", "scale": 1 / 255, "fit": "letterbox-top-left", "pad": 0},
        iou=0.5,
        class_count=coverage.shape[1],
    )
