"""Which parsers read one candidate a cell, and by which score: whoever runs the model may leave out the other cells.

What these parsers say of a picture is the same to the bit when they are given only its surest cells, in their order, as
long as these are all that are as sure as the settings ask for; when they are given the best class of a cell instead of
all; and when some of those cells are missing that NMS removes anyway: it keeps the same of the rest.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from ..media import Cells, TensorInfo
from .base import ParserSettings
from .common import strides_for

Boxes = Literal["centres", "corners", "grid"] | None  # see Cells
_OBJECTNESS = 4  # where it stands in a row of yolov5 and yolox
_MERGING = ("dbscan", "hybrid", "groups")


def cells_of(
    parser: str,
    outputs: Sequence[TensorInfo],
    extras: Mapping[str, Any],
    cluster: str | None = None,
    size: tuple[int, int] | None = None,
) -> Cells | None:
    """The cells that a parser, with these extras and this way of clustering, reads; None where it needs all outputs.

    Clustering that makes one box of many needs them: the least sure count there as well. `size` (width, height) is that
    of the input, which yolox's boxes and masks go by.
    """
    head = next((info for info in outputs if len(info.shape) == 3), None)
    if head is None or cluster in _MERGING or (head is not outputs[0] and parser != "yolo_seg"):
        return None
    _, high, wide = head.shape
    if high is None or wide is None:
        return None
    if parser == "yolov5":
        return Cells(head.name, 1, 5, wide, _OBJECTNESS, boxes="centres") if wide > 5 else None
    if parser == "yolox":
        known = wide > 5 and "cells" in extras  # it must know how many there were
        grids = _grids(size, int(extras["cells"])) if known else ()
        how: Boxes = "grid" if grids else None
        return Cells(head.name, 1, 5, wide, _OBJECTNESS, True, how, grids) if known else None
    behind = _behind_scores(parser, outputs, (high, wide), extras)
    if behind is None:
        return None
    in_rows = extras.get("transposed", high > wide)
    end = (wide if in_rows else high) - behind
    corners = parser in ("yolo_seg", "yolo_pose", "yolo_face") and extras.get("corners")
    boxes: Boxes = "corners" if corners else "centres" if parser != "yolo_obb" else None  # those are turned
    masks = _masks(outputs, extras, size) if parser == "yolo_seg" else {}
    return Cells(head.name, 1 if in_rows else 2, 4, end, boxes=boxes, **masks) if end > 4 else None


def asked_of_cells(settings: ParserSettings) -> tuple[float, float, float]:
    """What is ASKED of a picture's cells (media.tensor), so that only such are left out as NMS removes anyway.

    The overlap is infinite, so that none is, where there is no NMS; where classes have overlaps of their own; and where
    NMS is over all classes, of which not all count, or some from another confidence on: who does not count removes
    nobody. Within a class it makes no difference where it begins to count, for only surer boxes remove others.
    """
    own = {name for rule in settings.rules.values() for name in rule}
    some = settings.classes is not None or settings.drop or settings.thresholds or "confidence" in own
    by_nms = settings.cluster in (None, "nms") and "iou" not in own and not (settings.class_agnostic and some)
    return settings.floor, settings.iou if by_nms else math.inf, float(settings.class_agnostic)


def _masks(outputs: Sequence[TensorInfo], extras: Mapping[str, Any], size: tuple[int, int] | None) -> dict[str, Any]:
    """What Cells tells of masks: nothing where the input's size is free, or prototypes have their channels last."""
    found = next((info for info in outputs if len(info.shape) == 4), None)
    if found is None or size is None or found.shape[3] < found.shape[1]:  # type: ignore[operator]
        return {}
    return {"prototypes": found.name, "size": size, "normalised": extras.get("normalised")}


def _grids(size: tuple[int, int] | None, count: int) -> tuple[tuple[int, int, int], ...]:
    """Stride, columns and rows of yolox's grids; none where so many cells do not fit."""
    strides = strides_for(*size, count) if size is not None else None
    return tuple((stride, size[0] // stride, size[1] // stride) for stride in strides or ()) if size else ()


def _behind_scores(
    parser: str, outputs: Sequence[TensorInfo], sides: tuple[int, int], extras: Mapping[str, Any]
) -> int | None:
    """How many numbers of a cell of YOLOv8 and later stand behind its class scores; None for other parsers."""
    if parser == "yolov8":
        return int(extras.get("coefficients", 0))
    if parser == "yolo_obb":
        return 1
    if parser == "yolo_pose" or (parser == "yolo_face" and len(outputs) == 1):
        size = int(extras.get("point_size", 3))
        return int(extras.get("points", (min(sides) - 5) // size)) * size
    prototypes = next((info.shape for info in outputs if len(info.shape) == 4), None)
    if parser != "yolo_seg" or prototypes is None or None in prototypes[1:]:
        return None
    return prototypes[3] if prototypes[3] < prototypes[1] else prototypes[1]  # type: ignore[operator]
