"""Vectors that are near for pictures of the same thing: re-identification, faces."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..media import Reading
from .base import Guess, Model, Outputs, ParserSettings
from .classifier import EMBEDDINGS, flat
from .common import image_input


def parse(outputs: Outputs, count: int, settings: ParserSettings) -> Sequence[Reading]:
    """[N, D], or more dimensions of which all but one are 1: the vector brought to length 1.

    Extra: `output`, the name of the output where there are several.
    """
    value = outputs[settings.extras.get("output", next(iter(outputs)))]
    rows = np.asarray(value, np.float32).reshape(count, -1)
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    return [Reading(embedding=row) for row in rows / np.maximum(lengths, 1e-12)]


def guess(model: Model) -> Guess | None:
    if image_input(model) is None or len(model.outputs) != 1 or len(model.inputs) != 1:
        return None
    size = flat(model.outputs[0])
    if size not in EMBEDDINGS or "names" in model.metadata:
        return None
    imagenet = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}
    wants = {"colour": "RGB", "scale": 1 / 255, "fit": "stretch", **imagenet}
    return Guess("embedding", 0.5, f"{model.outputs[0].name} is a vector of {size} numbers", input=wants)
