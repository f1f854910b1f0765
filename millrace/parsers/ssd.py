"""SSD-style models: decoded boxes in one output, scores in another (Liu et al., SSD, arXiv 1512.02325)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import numpy as np

from ..media import Detections, TensorInfo
from .base import Guess, Model, Outputs, ParserSettings, empty
from .common import Floats, find, finish, image_input, to_input

_PLAIN: Mapping[str, Any] = {"colour": "BGR", "scale": 1.0, "fit": "stretch"}


def parse(outputs: Outputs, count: int, settings: ParserSettings) -> list[Detections]:
    """boxes [N, A, 4] x1 y1 x2 y2 and scores [N, A, C] of all anchors, before suppression.

    Extra: `priors: ultraface`: where boxes are turned inside out they are no boxes yet, but offsets from that model's
    priors (its Caffe file gives them so). `background` is the class that means "nothing"; when it is not told and the
    scores of an anchor sum to one (softmax), it is the class that most anchors of the picture choose. Class ids keep
    the model's numbering.
    """
    boxes, scores = _named(outputs, "box"), _named(outputs, "score", "conf", "prob")
    if settings.extras.get("priors") == "ultraface" and bool((boxes[..., 2] < boxes[..., 0]).any()):
        boxes = _from_priors(np.asarray(boxes, np.float32), settings)
    return [_anchors(boxes[picture], scores[picture], settings) for picture in range(count)]


def _from_priors(offsets: Floats, settings: ParserSettings) -> Floats:
    """Offsets [N, A, 4] from priors as boxes in fractions of the input (variances 0.1 and 0.2)."""
    priors = _ultraface_priors(settings.width, settings.height)
    centres = offsets[..., :2] * 0.1 * priors[:, 2:] + priors[:, :2]
    half = np.exp(offsets[..., 2:] * 0.2) * priors[:, 2:] / 2
    return np.asarray(np.concatenate([centres - half, centres + half], axis=-1), np.float32)


@lru_cache(maxsize=4)
def _ultraface_priors(width: int, height: int) -> Floats:
    """cx cy w h of each prior, fractions: Ultra-Light-Fast-Generic-Face-Detector-1MB, vision/ssd/config."""
    priors = []
    for stride, sizes in ((8, (10, 16, 24)), (16, (32, 48)), (32, (64, 96)), (64, (128, 192, 256))):
        columns, rows = math.ceil(width / stride), math.ceil(height / stride)
        for row in range(rows):
            for column in range(columns):
                centre = (column + 0.5) / columns, (row + 0.5) / rows  # the maps cover the picture, rounded up or not
                priors += [(*centre, size / width, size / height) for size in sizes]
    return np.clip(np.array(priors, np.float32), 0, 1)


def _anchors(boxes: np.ndarray, scores: np.ndarray, settings: ParserSettings) -> Detections:
    nothing = settings.background
    if nothing is None and np.allclose(scores[:64].sum(axis=1), 1.0, atol=1e-2):
        nothing = int(scores.mean(axis=0).argmax())
    likely = scores >= settings.floor
    if nothing is not None:
        likely[:, nothing] = False
    chosen = np.flatnonzero(likely.any(axis=1))
    if not len(chosen):
        return empty()
    candidates = np.array(scores[chosen], np.float32)
    if nothing is not None:
        candidates[:, nothing] = -1.0
    classes = candidates.argmax(axis=1)
    best = candidates[np.arange(len(chosen)), classes]
    return finish(to_input(boxes[chosen], settings), best, classes, settings)


def parse_final(outputs: Outputs, count: int, settings: ParserSettings) -> list[Detections]:
    """Boxes [N, M, 4], scores [N, M] and classes [N, M] after suppression, and perhaps how many rows count [N].

    Extra: `box_order`: "yxyx" (y1 x1 y2 x2, TensorFlow's detection_boxes) or "xyxy".
    """
    boxes, scores = _named(outputs, "box"), _named(outputs, "score", "conf")
    classes = _named(outputs, "class", "label")
    numbers = next((v for k, v in outputs.items() if "num" in k.lower()), None)
    swapped = settings.extras.get("box_order", "yxyx") == "yxyx"
    found = []
    for picture in range(count):
        rows = slice(0, None if numbers is None else int(np.ravel(numbers)[picture]))
        these: Floats = np.asarray(boxes[picture][rows], np.float32)
        these = to_input(these[:, [1, 0, 3, 2]] if swapped else these, settings)
        kinds = np.asarray(classes[picture][rows]).astype(np.int64)
        found.append(finish(these, np.asarray(scores[picture][rows], np.float32), kinds, settings, suppress=False))
    return found


def parse_rows(outputs: Outputs, count: int, settings: ParserSettings) -> list[Detections]:
    """[1, 1, M, 7] of Caffe's and OpenVINO's DetectionOutput: picture, class, score, x1 y1 x2 y2; -1 ends the list."""
    rows = np.asarray(next(iter(outputs.values())), np.float32).reshape(-1, 7)
    ends = np.flatnonzero(rows[:, 0] < 0)
    rows = rows[: ends[0]] if len(ends) else rows
    found = []
    for picture in range(count):
        mine = rows[rows[:, 0] == picture]
        boxes, classes = to_input(mine[:, 3:7], settings), mine[:, 1].astype(np.int64)
        found.append(finish(boxes, mine[:, 2], classes, settings, suppress=False))
    return found


def _named(outputs: Outputs, *parts: str) -> np.ndarray:
    for part in parts:
        for name, value in outputs.items():
            if part in name.lower():
                return value
    raise ValueError(f"none of the outputs {', '.join(outputs)} has {' or '.join(map(repr, parts))} in its name")


def guess(model: Model) -> Guess | None:
    if len(model.inputs) != 1 or image_input(model) is None:
        return None
    if len(model.outputs) == 1:
        return _guess_rows(model.outputs[0])
    boxes, scores = find(model, "box"), find(model, "score", "conf", "prob")
    classes = find(model, "class", "label")
    if boxes is None or scores is None or boxes.shape[-1:] != (4,):
        return None
    if len(boxes.shape) == 3 and len(scores.shape) == 3 and classes is None and len(model.outputs) == 2:
        return _guess_anchors(boxes, scores)
    if classes is not None and len(scores.shape) == 2:
        return _guess_final(boxes, model)
    return None


def _guess_rows(output: TensorInfo) -> Guess | None:
    if len(output.shape) != 4 or output.shape[-1] != 7 or output.shape[1] != 1:
        return None
    return Guess("ssd_rows", 0.9, f"{output.name} has rows of seven: picture class score x1 y1 x2 y2", input=_PLAIN)


def _guess_anchors(boxes: TensorInfo, scores: TensorInfo) -> Guess:
    anchors, classes = scores.shape[1:]
    why = f"{boxes.name} has a box and {scores.name} {classes or 'some'} class scores for each of the anchors"
    if (anchors, classes) in ((4420, 2), (17640, 2)):
        # Ultra-Light-Fast-Generic-Face-Detector at 320x240 and 640x480: the anchors of no other model we know
        wants = {"colour": "RGB", "scale": 1.0, "mean": (127.0,) * 3, "std": (128.0,) * 3, "fit": "stretch"}
        extras = {"priors": "ultraface"}
        return Guess(
            "ssd", 0.9, why + " of UltraFace", wants, extras, background=0, iou=0.4, class_count=2, names={1: "face"}
        )
    return Guess("ssd", 0.8, why, input=_PLAIN, background=0 if classes == 2 else None, iou=0.45, class_count=classes)


def _guess_final(boxes: TensorInfo, model: Model) -> Guess:
    tensorflow = "detection_boxes" in boxes.name or boxes.name.endswith("StatefulPartitionedCall")
    why = f"{', '.join(o.name for o in model.outputs)} hold boxes, scores and classes after suppression"
    colour = "RGB" if tensorflow else "BGR"
    wants = {"colour": colour, "scale": 1.0, "fit": "stretch"}
    return Guess("ssd_final", 0.8, why, input=wants, extras={"box_order": "yxyx" if tensorflow else "xyxy"})
