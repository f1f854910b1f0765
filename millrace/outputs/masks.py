"""Masks of objects as JSON holds them: run lengths as COCO counts them, or polygons."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..media import Object

FORMS = ("none", "rle", "polygon")


def rle(found: Object, width: int, height: int) -> dict[str, Any]:
    """`{"size": [height, width], "counts": […]}` of the whole picture: lengths of runs of 0 and 1 in turn, column by
    column, beginning with 0 (the uncompressed form of COCO's masks, which pycocotools reads)."""
    left, top, mask = on_picture(found, width, height)
    edges = np.diff(np.pad(mask.T.astype(np.int8), ((0, 0), (1, 1))), axis=1)
    columns, rows = np.nonzero(edges == 1)
    starts = (columns + left) * height + rows + top
    columns, rows = np.nonzero(edges == -1)
    ends = (columns + left) * height + rows + top
    apart = starts[1:] != ends[:-1]  # runs that meet at the edge of a column are one
    starts, ends = starts[np.r_[True, apart][: len(starts)]], ends[np.r_[apart, True][: len(ends)]]
    borders = np.stack([starts, ends], axis=1).ravel()
    counts = np.diff(np.r_[0, borders, width * height])
    return {"size": [height, width], "counts": counts.tolist()}


def polygons(found: Object, width: int, height: int) -> list[list[float]]:
    """The outer edges of each part, x and y in turn, in source pixels."""
    import cv2

    left, top, mask = on_picture(found, width, height)
    contours, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    corner = np.array([left + 0.5, top + 0.5])
    parts = [contour.reshape(-1, 2) + corner for contour in contours if len(contour) > 2]
    return [np.round(part, 1).ravel().tolist() for part in parts]


def on_picture(found: Object, width: int, height: int) -> tuple[int, int, NDArray[np.bool_]]:
    """Left, top and the pixels of the picture that a mask covers, whatever its own size is."""
    mask = found.mask
    assert mask is not None
    if mask.shape == (height, width):
        return 0, 0, mask > 0.5 if mask.dtype.kind == "f" else mask.astype(bool)
    x1, y1, x2, y2 = (round(side) for side in found.box.tolist())
    x2, y2 = max(x1 + 1, x2), max(y1 + 1, y2)
    rows = (np.arange(y2 - y1) + 0.5) * mask.shape[0] / (y2 - y1)
    columns = (np.arange(x2 - x1) + 0.5) * mask.shape[1] / (x2 - x1)
    pixels = mask[np.ix_(rows.astype(int), columns.astype(int))]
    pixels = pixels > 0.5 if pixels.dtype.kind == "f" else pixels.astype(bool)
    left, top = max(0, x1), max(0, y1)
    return left, top, pixels[top - y1 : height - y1, left - x1 : width - x1]
