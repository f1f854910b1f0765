"""SSD's own layers as ONNX: prior boxes become constants, DetectionOutput a NonMaxSuppression with what goes around it.

Of all boxes of a class the `top_k` best enter the suppression, as in Caffe; each class is a "picture" of the ONNX
operator, because each has its own best boxes. The result is [1, 1, n, 7] with as many rows as were found, best first;
Caffe gives one row of -1 where nothing was found, this gives none.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .caffe_ssd_numpy import Detection, prior_boxes
from .caffemodel import Layer
from .graph import Graph


def prior_box(graph: Graph, layer: Layer, inputs: Sequence[str], shapes: Sequence[tuple[int, ...]]) -> list[str]:
    return [graph.constant(prior_boxes(layer, shapes[0], shapes[1]))]


def detection_output(graph: Graph, layer: Layer, inputs: Sequence[str], shapes: Sequence[tuple[int, ...]]) -> list[str]:
    if shapes[0][0] != 1:
        raise ValueError("only nets of one picture a call can be converted")
    d = Detection.of(layer)
    count = shapes[2][2] // 4
    labels = [label for label in range(d.classes) if label != d.background]
    boxes = _boxes(graph, inputs[0], inputs[2], count, labels, d)
    scores = graph.one("Reshape", inputs[1], graph.numbers(count, d.classes))
    scores = graph.one("Gather", graph.one("Transpose", scores, perm=[1, 0]), graph.numbers(*labels), axis=0)
    best = min(d.candidates, count) if d.candidates >= 0 else count
    scores, order = graph.add("TopK", [scores, graph.numbers(best)], 2, axis=1)  # [classes, best]
    boxes = _best(graph, boxes, order, len(labels), d.shared)
    chosen = graph.one(
        "NonMaxSuppression", boxes, graph.one("Unsqueeze", scores, graph.numbers(1)), graph.numbers(best),
        graph.constant(np.array([d.overlap])), graph.constant(np.array([d.confidence])),
    )  # fmt: skip  # [n, 3]: class, 0, place
    places = graph.one("Gather", chosen, graph.numbers(0, 2), axis=1)
    score = graph.one("GatherND", scores, places)
    keep = graph.one("Shape", score)
    if d.keep >= 0:
        keep = graph.one("Min", keep, graph.numbers(d.keep))
    score, order = graph.add("TopK", [score, keep], 2, axis=0)
    places = graph.one("Gather", places, order, axis=0)
    which = graph.one("Gather", places, graph.constant(np.array(0), np.int64), axis=1)
    label = graph.one("Gather", graph.constant(np.array(labels)), which)
    columns = [graph.one("Unsqueeze", column, graph.numbers(1)) for column in (label, score)]
    picture = graph.one("Mul", columns[0], graph.constant(0.0))
    rows = graph.one("Concat", picture, *columns, graph.one("GatherND", boxes, places), axis=1)
    return [graph.one("Unsqueeze", rows, graph.numbers(0, 1))]


def _boxes(graph: Graph, locations: str, priors: str, count: int, labels: list[int], d: Detection) -> str:
    """Boxes from offsets: [1, count, 4] where the classes share them, else [classes, count, 4]."""
    if d.shared:
        offsets = graph.one("Reshape", locations, graph.numbers(1, count, 4))
    else:
        offsets = graph.one("Reshape", locations, graph.numbers(count, d.classes, 4))
        offsets = graph.one("Gather", graph.one("Transpose", offsets, perm=[1, 0, 2]), graph.numbers(*labels), axis=0)
    halves = graph.one("Reshape", priors, graph.numbers(2, 1, count, 4))
    prior, variance = (
        graph.one("Gather", halves, graph.constant(np.array(n), np.int64), axis=0) for n in (0, 1)
    )  # fmt: skip  # [1, count, 4] each
    offsets = offsets if d.encoded else graph.one("Mul", offsets, variance)
    if d.code == "CORNER":
        return graph.one("Add", prior, offsets)
    halved = graph.numbers(2, 2)
    near, far = graph.add("Split", [prior, halved], 2, axis=2)
    size = graph.one("Sub", far, near)
    if d.code == "CORNER_SIZE":
        return graph.one("Add", prior, graph.one("Mul", offsets, graph.one("Concat", size, size, axis=2)))
    if d.code != "CENTER_SIZE":
        raise ValueError(f"code_type {d.code} is not known to the converter")
    shift, grow = graph.add("Split", [offsets, halved], 2, axis=2)
    two = graph.constant(2.0)
    centre = graph.one("Add", graph.one("Div", graph.one("Add", near, far), two), graph.one("Mul", shift, size))
    half = graph.one("Div", graph.one("Mul", graph.one("Exp", grow), size), two)
    return graph.one("Concat", graph.one("Sub", centre, half), graph.one("Add", centre, half), axis=2)


def _best(graph: Graph, boxes: str, order: str, classes: int, shared: bool) -> str:
    """Each class's best boxes [classes, best, 4]."""
    if shared:
        return graph.one("Gather", graph.one("Squeeze", boxes, graph.numbers(0)), order, axis=0)
    wide = graph.one("Expand", graph.one("Unsqueeze", order, graph.numbers(2)), graph.numbers(1, 1, 4))
    return graph.one("GatherElements", boxes, wide, axis=1)
