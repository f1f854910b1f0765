"""What a parser is: a model's outputs → detections."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ..media import Detections, TensorInfo

Outputs = Mapping[str, NDArray[Any]]  # by name; the first dimension is the batch where there is one


@dataclass(slots=True)
class ParserSettings:
    """What a parser needs to know besides the tensors."""

    width: int  # of the model's input, pixels
    height: int
    confidence: float = 0.3
    iou: float = 0.45
    top_k: int = 300  # most detections of one picture
    class_agnostic: bool = False  # NMS over all classes at once
    classes: frozenset[int] | None = None  # only these
    background: int | None = None  # a class that means "nothing"
    thresholds: Mapping[int, float] = field(default_factory=dict)  # confidence per class, above `confidence`
    extras: Mapping[str, Any] = field(default_factory=dict)  # the card's own keys for this parser


class Parser(Protocol):
    """One way of reading outputs. A file in parsers/ may hold several of a family; each has a name."""

    def __call__(self, outputs: Outputs, count: int, settings: ParserSettings) -> list[Detections]:
        """One Detections for each of the `count` pictures of the batch, best first, after NMS if it needs one."""
        ...


@dataclass(frozen=True, slots=True)
class Model:
    """What recognition looks at: the tensors' names and shapes and the exporter's metadata."""

    inputs: Sequence[TensorInfo]
    outputs: Sequence[TensorInfo]
    metadata: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Guess:
    """What a parser recognised: its name, how sure, and the input that such models want where it is known.

    `input` holds fields of InputSpec (colour, scale, fit, pad, …); `extras` keys for ParserSettings.extras.
    """

    parser: str
    sure: float  # 0..1
    why: str
    input: Mapping[str, Any] = field(default_factory=dict)
    extras: Mapping[str, Any] = field(default_factory=dict)
    background: int | None = None
    iou: float | None = None
    class_agnostic: bool | None = None
    orig_size_input: str | None = None  # an extra int64 input [N, 2] that wants (width, height) of the boxes' frame
    class_count: int | None = None  # where the shapes tell it


def empty() -> Detections:
    """No detections."""
    return Detections(np.zeros((0, 4), np.float32), np.zeros(0, np.float32), np.zeros(0, np.int64))
