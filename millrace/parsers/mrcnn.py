"""Instance segmentation with a mask for each box or query: Mask R-CNN, Mask2Former."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..media import Detections
from .base import Guess, Model, Outputs, ParserSettings, empty
from .common import Floats, choose, find, image_input, sigmoid, to_input
from .masks import around


def parse_tlt(outputs: Outputs, count: int, settings: ParserSettings) -> Sequence[Detections]:
    """TAO's Mask R-CNN: rows [N, M, 6] of y1 x1 y2 x2 class score (input pixels), masks [N, M, C, h, w] as logits.

    Extra: `mask_logits` (true: the threshold of masks counts for the logits, as in DeepStream's parser, not for the
    probability).
    """
    rows = next(value for name, value in outputs.items() if "detections" in name.lower())
    masks = next(value for name, value in outputs.items() if "mask" in name.lower())
    masks = masks.reshape(count, rows.reshape(count, -1, 6).shape[1], *masks.shape[-3:])
    found = []
    for table, stack in zip(rows.reshape(count, -1, 6), masks, strict=True):
        boxes = np.asarray(table[:, [1, 0, 3, 2]], np.float32)
        kinds = table[:, 4].astype(np.int64)
        kept, merged = choose(boxes, np.asarray(table[:, 5], np.float32), kinds, settings, suppress=False)
        own = [_weights(stack[row, min(kinds[row], stack.shape[1] - 1)], settings) for row in kept.tolist()]
        found.append(Detections(merged, np.asarray(table[kept, 5], np.float32), kinds[kept], own))
    return found


def parse(outputs: Outputs, count: int, settings: ParserSettings) -> Sequence[Detections]:
    """torchvision's Mask R-CNN of one picture: boxes [M, 4] in input pixels, labels, scores [M], masks [M, 1, h, w].

    Masks as large as the input are cut to their boxes, smaller ones are stretched over them.
    """
    if count != 1:
        raise ValueError(f"boxes of {count} pictures do not say which picture each belongs to")
    boxes = np.asarray(_of(outputs, "box").reshape(-1, 4), np.float32)
    scores, kinds = np.ravel(_of(outputs, "score")), np.ravel(_of(outputs, "label", "class")).astype(np.int64)
    masks = _of(outputs, "mask")
    masks = masks.reshape(len(boxes), *masks.shape[-2:])
    kept, merged = choose(to_input(boxes, settings), scores, kinds, settings, suppress=False)
    whole = masks.shape[1:] == (settings.height, settings.width)
    own = [
        _cut(masks[row], box) if whole else _weights(masks[row], settings)
        for row, box in zip(kept.tolist(), merged, strict=True)
    ]
    if whole and own:  # a mask that was cut at whole pixels covers those
        merged = np.array([_whole(box, settings) for box in merged], np.float32)
    return [Detections(merged, np.asarray(scores[kept], np.float32), kinds[kept], own)]


def parse_queries(outputs: Outputs, count: int, settings: ParserSettings) -> Sequence[Detections]:
    """Mask2Former (TAO): pred_classes, pred_scores [N, Q], pred_masks [N, Q, h, w]; boxes are those of the masks."""
    classes, scores, masks = (_of(outputs, part) for part in ("class", "score", "mask"))
    queries = masks.shape[-3]
    rows = (a.reshape(count, queries, *a.shape[a.ndim - tail :]) for a, tail in ((classes, 0), (scores, 0), (masks, 2)))
    return [_queries(c, s, m, settings) for c, s, m in zip(*rows, strict=True)]


def _queries(classes: NDArray[Any], scores: NDArray[Any], masks: NDArray[Any], settings: ParserSettings) -> Detections:
    scale = np.array([settings.width / masks.shape[2], settings.height / masks.shape[1]] * 2, np.float32)
    found, cut = [], []
    for row in np.flatnonzero(scores >= settings.floor).tolist():
        weights = _weights(masks[row], settings)
        box = around(weights, settings.mask_threshold)
        if box is not None:
            found.append((row, box))
            cut.append(weights[box[1] : box[3], box[0] : box[2]])
    if not found:
        return empty()
    rows = np.array([row for row, _ in found])
    boxes = np.array([box for _, box in found], np.float32) * scale
    kept, merged = choose(boxes, np.asarray(scores[rows], np.float32), classes[rows].astype(np.int64), settings, False)
    chosen = rows[kept]
    masks_kept = [cut[n] for n in kept.tolist()]
    return Detections(merged, np.asarray(scores[chosen], np.float32), classes[chosen].astype(np.int64), masks_kept)


def _weights(mask: NDArray[Any], settings: ParserSettings) -> Floats:
    """What the threshold is compared with: probabilities, or logits where the model gives them and the card says so."""
    values: Floats = np.asarray(mask, np.float32)
    fractions = values.size == 0 or (float(values.min()) >= 0 and float(values.max()) <= 1)
    return values if fractions or settings.extras.get("mask_logits") else sigmoid(values)


def _whole(box: Any, settings: ParserSettings) -> tuple[int, int, int, int]:
    x1, y1 = (int(max(0, np.floor(v))) for v in box[:2])
    x2, y2 = int(min(settings.width, np.ceil(box[2]))), int(min(settings.height, np.ceil(box[3])))
    return x1, y1, max(x1 + 1, x2), max(y1 + 1, y2)


def _cut(mask: NDArray[Any], box: Any) -> Floats:
    x1, y1 = (int(max(0, np.floor(v))) for v in box[:2])
    x2, y2 = (int(np.ceil(v)) for v in box[2:])
    return np.asarray(mask[y1 : max(y1 + 1, y2), x1 : max(x1 + 1, x2)], np.float32)


def _of(outputs: Outputs, *parts: str) -> NDArray[Any]:
    for part in parts:
        for name, value in outputs.items():
            if part in name.lower():
                return value
    raise ValueError(f"none of the outputs {', '.join(outputs)} has {' or '.join(map(repr, parts))} in its name")


def guess(model: Model) -> Guess | None:
    if image_input(model) is None:
        return None
    names = {output.name for output in model.outputs}
    masks = find(model, "mask")
    plain = {"colour": "RGB", "scale": 1 / 255, "fit": "stretch"}
    if {"pred_classes", "pred_scores", "pred_masks"} <= names:
        return Guess("mask2former", 0.9, "classes, scores and masks of queries", plain)
    if masks is not None and "generate_detections" in names and len(masks.shape) == 5:
        caffe = {"colour": "RGB", "scale": 1 / 57.63, "mean": (2.137, 2.016, 1.802), "fit": "letterbox", "pad": 0}
        return Guess("mrcnn_tlt", 0.9, f"generate_detections has boxes, {masks.name} their masks", caffe)
    if masks is not None and {"boxes", "labels", "scores"} <= names:
        return Guess("mrcnn", 0.8, f"boxes, labels and scores with masks in {masks.name}", plain)
    return None
