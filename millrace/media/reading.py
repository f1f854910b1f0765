"""What a model says of a picture as a whole."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .objects import Box, Label


@dataclass(slots=True, eq=False)
class Reading:
    """What a model says of a whole frame, a region of it, or an object: everything that is not a list of objects.

    `stage` names the model. `area` (x1 y1 x2 y2, source pixels) is what it looked at; None is the whole frame. Maps are
    stretched over it: `class_map` int32 [h, w] holds the class of each pixel, -1 where none is sure (`names` tells
    them); `depth` float32 [h, w] is in the model's own units, or with `distance` metres from the camera, 0 where
    nothing was measured; `flow` float32 [h, w, 2] is how many source pixels right and down each cell has come since the
    frame before. `keypoints` [k, 3] are x, y, confidence: in pixels of the model's input as a parser gives them, of the
    source once they stand in a frame. `tensors` are the raw outputs for
    this picture; `input_to_source` (sx, sy, ox, oy) brings pixels of the input, which has `input_size` (width, height),
    to the source: source = input * s + o.
    """

    labels: list[Label] = field(default_factory=list)
    text: str | None = None
    text_confidence: float | None = None
    embedding: NDArray[np.float32] | None = None
    keypoints: NDArray[np.float32] | None = None
    class_map: NDArray[np.int32] | None = None
    depth: NDArray[np.float32] | None = None
    flow: NDArray[np.float32] | None = None
    tensors: Mapping[str, NDArray[Any]] | None = None
    stage: str = ""
    area: Box | None = None
    names: Mapping[int, str] = field(default_factory=dict)
    input_to_source: tuple[float, float, float, float] | None = None
    input_size: tuple[int, int] | None = None
    distance: bool = False

    def shares(self) -> dict[str, float]:
        """The part of the class map that each class covers, by name; those that cover none are left out."""
        if self.class_map is None or not self.class_map.size:
            return {}
        ids, counts = np.unique(self.class_map, return_counts=True)
        whole = float(self.class_map.size)
        return {
            self.names.get(int(number)) or str(number): count / whole
            for number, count in zip(ids.tolist(), counts.tolist(), strict=True)
            if number >= 0
        }
