"""Which parsers read one candidate a cell, and by which score: whoever runs the model may leave out the other cells.

What these parsers say of a picture is the same to the bit when they are given only its surest cells, in their order, as
long as these are all that are as sure as the settings ask for.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..media import Cells, TensorInfo

_OBJECTNESS = 4  # where it stands in a row of yolov5 and yolox
_MERGING = ("dbscan", "hybrid", "groups")


def cells_of(
    parser: str, outputs: Sequence[TensorInfo], extras: Mapping[str, Any], cluster: str | None = None
) -> Cells | None:
    """The cells that a parser, with these extras and this way of clustering, reads; None where it needs all outputs.

    Clustering that makes one box of many needs them: the least sure count there as well.
    """
    head = next((info for info in outputs if len(info.shape) == 3), None)
    if head is None or cluster in _MERGING or (head is not outputs[0] and parser != "yolo_seg"):
        return None
    _, high, wide = head.shape
    if high is None or wide is None:
        return None
    if parser in ("yolov5", "yolox"):
        numbered = parser == "yolox"
        known = wide > _OBJECTNESS + 1 and (not numbered or "cells" in extras)  # it must know how many there were
        return Cells(head.name, 1, _OBJECTNESS + 1, wide, _OBJECTNESS, numbered) if known else None
    behind = _behind_scores(parser, outputs, (high, wide), extras)
    if behind is None:
        return None
    in_rows = extras.get("transposed", high > wide)
    end = (wide if in_rows else high) - behind
    return Cells(head.name, 1 if in_rows else 2, 4, end) if end > 4 else None


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
