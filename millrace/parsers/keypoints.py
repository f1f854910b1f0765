"""Keypoints of one or several people: MoveNet, heatmaps (HRNet, ViTPose), SimCC (RTMPose)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..media import Detections, Reading
from .base import Guess, Model, Outputs, ParserSettings
from .common import Floats, finish, image_input, input_size, is_nhwc

PERSON = {0: "person"}
_MULTIPOSE = 56  # 17 points of three numbers, four of a box, a score


def parse_movenet(outputs: Outputs, count: int, settings: ParserSettings) -> Sequence[Reading]:
    """[N, 1, k, 3]: y, x (fractions of the input), confidence of each point of one person.

    A pose whose mean confidence is less than `confidence` is none.
    """
    rows = np.asarray(next(iter(outputs.values())), np.float32).reshape(count, -1, 3)
    scale = np.array([settings.width, settings.height, 1], np.float32)
    return [_pose(rows[picture][:, [1, 0, 2]] * scale, settings) for picture in range(count)]


def parse_movenet_multi(outputs: Outputs, count: int, settings: ParserSettings) -> Sequence[Detections]:
    """[N, 6, 56]: for each person 17 times y, x, confidence, then a box y1 x1 y2 x2 (all fractions) and a score."""
    rows = np.asarray(next(iter(outputs.values())), np.float32).reshape(count, -1, _MULTIPOSE)
    return [_people(rows[picture], settings) for picture in range(count)]


def _people(rows: Floats, settings: ParserSettings) -> Detections:
    size = np.array([settings.width, settings.height, 1], np.float32)
    points = rows[:, :51].reshape(len(rows), 17, 3)[..., [1, 0, 2]] * size
    boxes = rows[:, [52, 51, 54, 53]] * size[[0, 1, 0, 1]]
    return finish(boxes, rows[:, 55], np.zeros(len(rows), np.int64), settings, suppress=False, keypoints=points)


def parse_heatmaps(outputs: Outputs, count: int, settings: ParserSettings) -> Sequence[Reading]:
    """[N, k, h, w]: where each map is highest, moved a quarter cell towards the higher neighbour (Newell et al.)."""
    maps = np.asarray(next(iter(outputs.values())), np.float32)
    return [_pose(_peaks(maps[picture], settings), settings) for picture in range(count)]


def _peaks(maps: Floats, settings: ParserSettings) -> Floats:
    points, high, wide = maps.shape
    best = maps.reshape(points, -1).argmax(axis=1)
    rows, columns = np.divmod(best, wide)
    which = np.arange(points)
    padded = np.pad(maps, ((0, 0), (1, 1), (1, 1)), mode="edge")
    right = padded[which, rows + 1, columns + 2] - padded[which, rows + 1, columns]
    below = padded[which, rows + 2, columns + 1] - padded[which, rows, columns + 1]
    x = (columns + 0.25 * np.sign(right) + 0.5) * settings.width / wide
    y = (rows + 0.25 * np.sign(below) + 0.5) * settings.height / high
    return np.stack([x, y, maps[which, rows, columns]], axis=1).astype(np.float32)


def parse_simcc(outputs: Outputs, count: int, settings: ParserSettings) -> Sequence[Reading]:
    """simcc_x [N, k, W] and simcc_y [N, k, H]: each axis as a row of scores (Li et al., arXiv 2107.03332)."""
    across, down = (np.asarray(outputs[name], np.float32) for name in _axes(outputs))
    found = []
    for x, y in zip(across, down, strict=True):
        score = np.minimum(x.max(axis=1), y.max(axis=1))
        scale = settings.width / x.shape[1], settings.height / y.shape[1]
        points = np.stack([x.argmax(axis=1) * scale[0], y.argmax(axis=1) * scale[1], score], axis=1)
        found.append(_pose(points.astype(np.float32), settings))
    return found


def _axes(outputs: Any) -> tuple[str, str]:
    names = {name.lower()[-1:]: name for name in outputs if name.lower()[-1:] in "xy"}
    if len(names) != 2:
        raise ValueError(f"outputs {', '.join(outputs)} are not one that ends with x and one that ends with y")
    return names["x"], names["y"]


def _pose(points: NDArray[np.float32], settings: ParserSettings) -> Reading:
    if not len(points) or float(points[:, 2].mean()) < settings.confidence:
        return Reading()
    return Reading(keypoints=points)


def guess(model: Model) -> Guess | None:
    image, size = image_input(model), input_size(model)
    if image is None or not model.outputs:
        return None
    shape, name = model.outputs[0].shape, model.outputs[0].name
    pose = {"colour": "RGB", "scale": 1.0, "fit": "letterbox", "pad": 0}
    if len(model.outputs) == 1 and shape[1:] == (1, 17, 3) and is_nhwc(image):
        return Guess("movenet", 0.95, f"{name} has 17 points of one person", pose, confidence=0.2, names=PERSON)
    if len(model.outputs) == 1 and shape[2:] == (_MULTIPOSE,) and is_nhwc(image):
        return Guess("movenet_multi", 0.95, f"{name} has people of 17 points and a box", pose, names=PERSON)
    names = {output.name.lower() for output in model.outputs}
    imagenet = {"colour": "RGB", "scale": 1 / 255, "fit": "stretch"}
    imagenet |= {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}
    if names == {"simcc_x", "simcc_y"}:
        return Guess(
            "simcc", 0.95, "simcc_x and simcc_y hold the axes of keypoints", imagenet, confidence=0.2, names=PERSON
        )
    if "heatmap" in name.lower() and len(model.outputs) == 1 and len(shape) == 4 and size is not None:
        return Guess("heatmaps", 0.6, f"{name} has a map for each keypoint", imagenet, confidence=0.2, names=PERSON)
    return None
