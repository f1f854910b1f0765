"""YOLOv8 and later with more than boxes: masks from prototypes, keypoints, boxes at an angle."""

from __future__ import annotations

import ast
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..media import CELL_CLASSES, MASK_WINDOWS, MASKS, Detections, TensorInfo
from .base import Guess, Model, Outputs, ParserSettings, empty
from .common import (
    Floats,
    choose,
    classes_of,
    corners,
    finish,
    image_input,
    input_size,
    is_nhwc,
    strides_for,
    to_input,
    wanted,
)  # fmt: skip
from .masks import from_prototypes, from_windows
from .oriented import rotated_nms
from .yolo import INPUT

PERSON_POINTS = 17


def parse_seg(outputs: Outputs, count: int, settings: ParserSettings) -> Sequence[Detections]:
    """[N, 4 + C + k, boxes] (cx cy w h, class scores, coefficients) and prototypes [N, k, h, w]."""
    heads = next(value for value in outputs.values() if value.ndim == 3)
    if MASKS in outputs:
        return [_masked(outputs, heads, n, None, settings) for n in range(count)]
    prototypes = next(value for value in outputs.values() if value.ndim == 4)
    if prototypes.shape[-1] < prototypes.shape[1]:
        prototypes = prototypes.transpose(0, 3, 1, 2)
    return [_masked(outputs, heads, n, np.asarray(prototypes[n], np.float32), settings) for n in range(count)]


def _masked(
    outputs: Outputs, heads: NDArray[Any], picture: int, prototypes: Floats | None, settings: ParserSettings
) -> Detections:
    """Without prototypes: a runtime has worked out MASKS, and left one class score to each cell."""
    behind = min(heads.shape[1:]) - 5 if prototypes is None else len(prototypes)
    boxes, scores, classes, rest, cells = _candidates(outputs, heads, picture, behind, settings)
    rows, merged = choose(boxes, scores, classes, settings)
    size = (settings.width, settings.height)
    if prototypes is None:
        masks = from_windows(outputs[MASKS][picture], outputs[MASK_WINDOWS][picture], cells[rows], merged, size)
    else:
        masks = [from_prototypes(prototypes, rest[row], box, size) for row, box in zip(rows, merged, strict=True)]
    return Detections(merged, scores[rows], classes[rows], masks)


def parse_pose(outputs: Outputs, count: int, settings: ParserSettings) -> Sequence[Detections]:
    """[N, 4 + C + 3 k, boxes]: cx cy w h, class scores, then x, y, confidence of each of k keypoints.

    Rows [N, boxes, 5 + 3 k] with x1 y1 x2 y2 (DeepStream-Yolo's exports; `corners: true` says so). Extras: `points`,
    how many there are where a card must tell; `point_size` 2 where they have no confidence.
    """
    heads = next(iter(outputs.values()))
    return [_posed(outputs, heads, picture, settings) for picture in range(count)]


def _posed(outputs: Outputs, heads: NDArray[Any], picture: int, settings: ParserSettings) -> Detections:
    size = int(settings.extras.get("point_size", 3))
    points = int(settings.extras.get("points", (min(heads.shape[1:]) - 5) // size))
    boxes, scores, classes, rest, _ = _candidates(outputs, heads, picture, points * size, settings)
    places = rest.reshape(len(rest), points, size)
    if size == 2:
        places = np.concatenate([places, np.ones((*places.shape[:2], 1), np.float32)], axis=2)
    if settings.extras.get("normalised"):
        places = places * np.array([settings.width, settings.height, 1], np.float32)
    return finish(boxes, scores, classes, settings, keypoints=places)


def parse_face(outputs: Outputs, count: int, settings: ParserSettings) -> Sequence[Detections]:
    """Faces with five points: boxes [N, B, 4], scores [N, B, 1] and landmarks [N, B, 10 or 15], as DeepStream-Yolo-Face
    exports them; a single output is read as `yolo_pose`.

    Boxes are cx cy w h; `corners: true` where they are x1 y1 x2 y2.
    """
    if len(outputs) == 1 or CELL_CLASSES in outputs:
        return parse_pose(outputs, count, settings)
    boxes = next(v for v in outputs.values() if v.shape[-1] == 4)
    scores = next(v for v in outputs.values() if v.shape[-1] == 1 or v.ndim == 2)
    points = next(v for v in outputs.values() if v.shape[-1] in (10, 15))
    rows = (boxes.reshape(count, -1, 4), scores.reshape(count, -1, 1), points.reshape(count, -1, points.shape[-1]))
    heads = np.concatenate(rows, axis=2)
    told = {"transposed": True, "points": 5, "point_size": points.shape[-1] // 5, **settings.extras}
    return parse_pose({"faces": heads}, count, replace(settings, extras=told))


def parse_obb(outputs: Outputs, count: int, settings: ParserSettings) -> Sequence[Detections]:
    """[N, 4 + C + 1, boxes]: cx cy w h of the box before it is turned, class scores, the angle in radians."""
    heads = next(iter(outputs.values()))
    return [_turned(outputs, heads, picture, settings) for picture in range(count)]


def _turned(outputs: Outputs, heads: NDArray[Any], picture: int, settings: ParserSettings) -> Detections:
    boxes, scores, classes, rest, _ = _candidates(outputs, heads, picture, 1, settings)
    keep = wanted(scores, classes, settings)
    if not keep.any():
        return empty()
    boxes, scores, classes, angles = boxes[keep], scores[keep], classes[keep], rest[keep, 0]
    if settings.cluster == "none":
        rows = np.argsort(-scores, kind="stable")
    else:
        rows = rotated_nms(boxes, angles, scores, None if settings.class_agnostic else classes, settings.iou)
    rows = rows[: settings.top_k]
    return Detections(boxes[rows], scores[rows], classes[rows], angles=angles[rows])


def _candidates(
    outputs: Outputs, heads: NDArray[Any], picture: int, behind: int, settings: ParserSettings
) -> tuple[Floats, Floats, NDArray[np.int64], Floats, NDArray[np.int64]]:
    """Of a picture's cells that are sure enough: boxes, scores, classes, what is behind those scores, their places."""
    head = heads[picture]
    if settings.extras.get("transposed", head.shape[0] > head.shape[1]):
        head = head.T
    scores = head[4 : head.shape[0] - behind]
    if len(scores) < 1:
        raise ValueError(f"{head.shape[0]} numbers of a cell are not 4 of a box, class scores, and {behind} more")
    chosen = np.flatnonzero(scores.max(axis=0) >= settings.floor)
    columns, classes = classes_of(scores[:, chosen].T, outputs, picture, chosen)
    best = np.asarray(scores[columns, chosen], np.float32)
    rest = np.asarray(head[head.shape[0] - behind :, chosen].T, np.float32)
    sides = head[:4, chosen].T
    boxes = np.asarray(sides, np.float32) if settings.extras.get("corners") else corners(sides)
    return to_input(boxes, settings), best, classes, rest, chosen


def guess(model: Model) -> Guess | None:
    size, image = input_size(model), image_input(model)
    task = model.metadata.get("task")
    if size is None or image is None or task not in (None, "segment", "pose", "obb"):
        return None
    heads = [o for o in model.outputs if len(o.shape) == 3]
    if len(heads) != 1 or None in heads[0].shape[1:]:
        return None
    sides = [n for n in heads[0].shape[1:] if n is not None]
    rows = next((n for n in sides if strides_for(*size, n)), None)
    if rows is None:
        return None
    numbers = sides[1 - sides.index(rows)]
    extras: dict[str, Any] = {"normalised": True} if is_nhwc(image) else {}
    extras["transposed"] = sides[0] == rows
    others = [o for o in model.outputs if o is not heads[0]]
    if len(others) == 1 and len(others[0].shape) == 4 and task in (None, "segment"):
        return _guess_seg(heads[0], others[0], numbers, extras)
    if others:
        return None
    if task == "obb":
        why = f"{heads[0].name} has boxes, {numbers - 5} class scores and an angle for each cell"
        return Guess("yolo_obb", 0.95, why, INPUT, extras, iou=0.45, class_count=numbers - 5)
    if task == "pose" or (task is None and numbers == 5 + 3 * PERSON_POINTS):
        return _guess_pose(heads[0], numbers, extras, model)
    return None


def _guess_seg(head: TensorInfo, prototypes: TensorInfo, numbers: int, extras: dict[str, Any]) -> Guess | None:
    known = [n for n in prototypes.shape[1:] if n]
    classes = numbers - 4 - min(known, default=0)
    if not known or classes < 1:
        return None
    why = f"{head.name} has boxes, {classes} class scores and coefficients for the prototypes in {prototypes.name}"
    return Guess("yolo_seg", 0.95, why, INPUT, extras, iou=0.45, class_count=classes)


def _guess_pose(head: TensorInfo, numbers: int, extras: dict[str, Any], model: Model) -> Guess | None:
    try:
        points, size = ast.literal_eval(model.metadata.get("kpt_shape", f"[{PERSON_POINTS}, 3]"))
    except (SyntaxError, TypeError, ValueError):
        return None
    classes = numbers - 4 - points * size
    if classes < 1:
        return None
    why = f"{head.name} has boxes, {classes} class scores and {points} keypoints for each cell"
    extras = {**extras, "points": points, "point_size": size}
    names = {0: "person"} if classes == 1 and points == PERSON_POINTS else {}
    return Guess("yolo_pose", 0.95, why, INPUT, extras, iou=0.45, class_count=classes, names=names)
