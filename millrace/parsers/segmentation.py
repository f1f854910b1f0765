"""Semantic segmentation: a class for each pixel."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..media import Reading, TensorInfo
from .base import Guess, Model, Outputs, ParserSettings
from .common import image_input, input_size, is_nhwc, sigmoid, softmax

_MOST_CLASSES = 256


def parse(outputs: Outputs, count: int, settings: ParserSettings) -> Sequence[Reading]:
    """Scores [N, C, h, w] (or [N, h, w, C]), or whole numbers [N, h, w] (with a 1 somewhere): the class map.

    A pixel has the class of its highest score if that is above `confidence`, else -1. Scores that are no probabilities
    go through a softmax where a confidence is asked for; a single channel is the probability of class 1, and at
    least 0.5 is asked of it. Extras: `order` ("NCHW" or "NHWC"; by default the smaller dimension is that of classes).
    """
    value = outputs[settings.extras.get("output", next(iter(outputs)))]
    if value.ndim < 3:
        raise ValueError(f"scores of pixels have three or four dimensions, not {value.shape}")
    return [Reading(class_map=_map(value[picture], settings), names=settings.names) for picture in range(count)]


def _map(value: NDArray[Any], settings: ParserSettings) -> NDArray[np.int32]:
    if value.ndim == 3 and 1 in (value.shape[0], value.shape[-1]):
        value = value[0] if value.shape[0] == 1 else value[..., 0]
    if value.ndim == 2:
        if value.dtype.kind in "iub":
            return value.astype(np.int32)
        weights = value if float(value.min()) >= 0 and float(value.max()) <= 1 else sigmoid(value)
        return (weights > (settings.confidence or 0.5)).astype(np.int32)
    last = settings.extras.get("order") == "NHWC" if "order" in settings.extras else value.shape[-1] < value.shape[0]
    axis = 2 if last else 0
    classes = np.asarray(value.argmax(axis=axis), np.int32)
    if settings.confidence > 0:
        sample = value[:: max(1, value.shape[0] // 16)] if last else value[:, :: max(1, value.shape[1] // 16)]
        sums = sample.sum(axis=axis)
        whole = float(sample.min()) >= -1e-4 and bool(np.allclose(sums, 1, atol=2e-2))
        best = (value if whole else softmax(value, axis)).max(axis=axis)
        classes[best <= settings.confidence] = -1
    return classes


def guess(model: Model) -> Guess | None:
    size, image = input_size(model), image_input(model)
    if size is None or image is None or len(model.outputs) != 1 or len(model.inputs) != 1:
        return None
    output = model.outputs[0]
    plain = {"colour": "RGB", "scale": 1 / 255, "fit": "stretch"}
    if len(output.shape) in (3, 4) and output.dtype.startswith("int"):
        sizes = [n for n in output.shape[1:] if n != 1]
        if sizes == [size[1], size[0]]:
            return Guess("segmentation", 0.8, f"{output.name} holds a class for each pixel", plain, confidence=0.0)
        return None
    found = _scores(output, size)
    if found is None:
        return None
    order, classes = found
    why = f"{output.name} has {classes} class scores for each pixel"
    last = is_nhwc(image)
    wants = {"colour": "RGB", "scale": 1 / 127.5, "mean": (1.0,) * 3, "fit": "stretch"} if last else plain
    return Guess("segmentation", 0.7, why, wants, {"order": order}, confidence=0.0, class_count=classes)


def _scores(output: TensorInfo, size: tuple[int, int]) -> tuple[str, int] | None:
    """The order of dimensions and the number of classes, where an output covers the input pixel by pixel or 4 by 4."""
    if len(output.shape) != 4:
        return None
    for order, (high, wide, classes) in (("NCHW", (2, 3, 1)), ("NHWC", (1, 2, 3))):
        shape = (output.shape[wide], output.shape[high])
        number = output.shape[classes]
        fits = any(shape == (size[0] // step, size[1] // step) for step in (1, 2, 4))
        if fits and number is not None and 2 <= number <= _MOST_CLASSES:
            return order, number
    return None
