"""Depth from one picture (MiDaS, Depth Anything and their kin)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..media import Reading
from .base import Guess, Model, Outputs, ParserSettings
from .common import image_input


def parse(outputs: Outputs, count: int, settings: ParserSettings) -> Sequence[Reading]:
    """[N, h, w] with perhaps a 1 somewhere: the depth map, in the model's units (most give inverse depth).

    Extras: `output`; `inverse` (true: 1 / value is the depth).
    """
    value = outputs[settings.extras.get("output", next(iter(outputs)))]
    found = []
    for picture in range(count):
        rows = np.asarray(np.squeeze(value[picture]), np.float32)
        if rows.ndim != 2:
            raise ValueError(f"a depth map has two dimensions for each picture, not {value.shape[1:]}")
        if settings.extras.get("inverse"):
            rows = np.asarray(1 / np.maximum(rows, 1e-6), np.float32)
        found.append(Reading(depth=rows))
    return found


def guess(model: Model) -> Guess | None:
    if image_input(model) is None or len(model.outputs) != 1:
        return None
    output = model.outputs[0]
    if "depth" not in output.name.lower() or len(output.shape) not in (3, 4):
        return None
    imagenet = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}
    wants = {"colour": "RGB", "scale": 1 / 255, "fit": "stretch", **imagenet}
    return Guess("depth", 0.7, f"{output.name} is a map of depths", wants)
