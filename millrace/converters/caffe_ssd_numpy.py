"""SSD's own layers in plain NumPy: prior boxes and the reading of detections (Liu et al., arXiv 1512.02325)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from .caffemodel import Array, Layer
from .prototext import Message


def _sizes(p: Message) -> Iterator[tuple[float, float]]:
    """Width and height in input pixels of the boxes at one place."""
    ratios = [1.0]
    for given in p.all("aspect_ratio"):
        for ratio in (given, 1.0 / given) if p.one("flip", True) else (given,):
            if all(abs(ratio - known) >= 1e-6 for known in ratios):
                ratios.append(ratio)
    largest = p.all("max_size")
    for n, smallest in enumerate(p.all("min_size")):
        yield smallest, smallest
        if largest:
            side = float(np.sqrt(smallest * largest[n]))
            yield side, side
        for ratio in ratios[1:]:
            yield smallest * float(np.sqrt(ratio)), smallest / float(np.sqrt(ratio))


def prior_boxes(layer: Layer, feature: tuple[int, ...], image: tuple[int, ...]) -> Array:
    """[1, 2, 4 * boxes]: boxes x1 y1 x2 y2 as fractions of the image, then their variances."""
    p = layer.parameters("prior_box_param")
    height, width = feature[2:4]
    image_h, image_w = (
        p.one(key, p.one("img_size", size)) for key, size in zip(("img_h", "img_w"), image[2:4], strict=True)
    )
    step = p.one("step", 0.0)
    step_h, step_w = p.one("step_h", step) or image_h / height, p.one("step_w", step) or image_w / width
    if layer.type == "PriorBoxClustered":
        sizes = list(zip(p.all("width"), p.all("height"), strict=True))
    else:
        sizes = list(_sizes(p))
    offset = p.one("offset", 0.5)
    y, x = np.meshgrid((np.arange(height) + offset) * step_h, (np.arange(width) + offset) * step_w, indexing="ij")
    centres = np.stack([x, y], -1).reshape(-1, 1, 2)
    half = np.array(sizes).reshape(1, -1, 2) / 2
    boxes = np.concatenate([centres - half, centres + half], -1) / np.array([image_w, image_h, image_w, image_h])
    boxes = np.clip(boxes, 0, 1) if p.one("clip", False) else boxes
    variances = p.all("variance") or [0.1]
    spread = np.resize(np.array(variances), 4)
    flat = boxes.reshape(-1)
    return np.stack([flat, np.tile(spread, flat.size // 4)])[None].astype(np.float32)


@dataclass(frozen=True, slots=True)
class Detection:
    """The parameters of a DetectionOutput layer."""

    classes: int
    shared: bool
    background: int
    overlap: float
    candidates: int  # of each class, before suppression; -1: all
    code: str
    encoded: bool
    keep: int  # of each picture; -1: all
    confidence: float

    @staticmethod
    def of(layer: Layer) -> Detection:
        p = layer.parameters("detection_output_param")
        nms = p.message("nms_param")
        if float(nms.one("eta", 1.0)) != 1.0:
            raise ValueError("a suppression whose threshold adapts (eta) is not known to the converter")
        codes = {"1": "CORNER", "2": "CENTER_SIZE", "3": "CORNER_SIZE"}
        code = str(p.one("code_type", "CORNER"))
        confidence = p.one("confidence_threshold", None)
        return Detection(
            classes=int(p.one("num_classes", 0)),
            shared=bool(p.one("share_location", True)),
            background=int(p.one("background_label_id", 0)),
            overlap=float(nms.one("nms_threshold", 0.3)),
            candidates=int(nms.one("top_k", -1)),
            code=codes.get(code, code),
            encoded=bool(p.one("variance_encoded_in_target", False)),
            keep=int(p.one("keep_top_k", -1)),
            confidence=-float(np.finfo(np.float32).max) if confidence is None else float(confidence),
        )


def decode(locations: Array, priors: Array, d: Detection) -> Array:
    """Boxes [n, 4] of offsets [n, 4] from the priors [1, 2, 4 n]."""
    boxes, variances = priors.reshape(2, -1, 4)
    deltas = locations if d.encoded else locations * variances
    size = boxes[:, 2:] - boxes[:, :2]
    found: Array
    if d.code == "CORNER":
        found = boxes + deltas
        return found
    if d.code == "CORNER_SIZE":
        found = boxes + deltas * np.concatenate([size, size], 1)
        return found
    centre = (boxes[:, :2] + boxes[:, 2:]) / 2 + deltas[:, :2] * size
    half = np.exp(deltas[:, 2:]) * size / 2
    found = np.concatenate([centre - half, centre + half], 1).astype(np.float32)
    return found


def _detection_output(layer: Layer, values: list[Array]) -> list[Array]:
    """Rows of picture, class, score, x1 y1 x2 y2, best first: [1, 1, n, 7]."""
    d = Detection.of(layer)
    priors = values[2]
    count = priors.shape[2] // 4
    rows = []
    for picture, (locations, scores) in enumerate(zip(values[0], values[1], strict=True)):
        offsets = locations.reshape(count, -1, 4)
        scores = scores.reshape(count, d.classes)
        found = []
        for label in range(d.classes):
            if label == d.background:
                continue
            boxes = decode(offsets[:, 0 if d.shared else label], priors, d)
            found += [[picture, label, scores[n, label], *boxes[n]] for n in _kept(boxes, scores[:, label], d)]
        found.sort(key=lambda row: -row[2])
        rows += found[: d.keep] if d.keep >= 0 else found
    return [np.array(rows, np.float32).reshape(1, 1, -1, 7)]


def _kept(boxes: Array, scores: Array, d: Detection) -> list[int]:
    """Greedy suppression of one class."""
    order = [n for n in np.argsort(-scores, kind="stable") if scores[n] > d.confidence]
    kept: list[int] = []
    for n in order[: d.candidates] if d.candidates >= 0 else order:
        if all(_overlap(boxes[n], boxes[k]) <= d.overlap for k in kept):
            kept.append(int(n))
    return kept


def _overlap(a: Array, b: Array) -> float:
    inner = np.maximum(0, np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2])).prod()
    union = np.maximum(0, a[2:] - a[:2]).prod() + np.maximum(0, b[2:] - b[:2]).prod() - inner
    return float(inner / union) if union > 0 else 0.0


def _priors(layer: Layer, values: list[Array]) -> list[Array]:
    return [prior_boxes(layer, values[0].shape, values[1].shape)]


SSD_LAYERS: dict[str, Callable[[Layer, list[Array]], list[Array]]] = {
    "PriorBox": _priors,
    "PriorBoxClustered": _priors,
    "DetectionOutput": _detection_output,
}
