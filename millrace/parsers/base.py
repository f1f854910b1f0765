"""What a parser is: a model's outputs → detections, or a reading of the whole picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from ..media import Detections, Reading, TensorInfo

Outputs = Mapping[str, NDArray[Any]]  # by name; the first dimension is the batch where there is one
Parsed = Detections | Reading
MODES = ("nms", "dbscan", "hybrid", "groups", "none")


class Head(NamedTuple):
    """One answer of a classifier: the output that holds it (None: the next one), its name, the names of its classes."""

    output: str | None
    name: str
    labels: Mapping[int, str]


@dataclass(slots=True)
class ParserSettings:
    """What a parser needs to know besides the tensors.

    `rules` holds what differs for a class: any of confidence, confidence_after, iou, class_top_k, eps, min_boxes,
    min_score, group_size. `thresholds` is the short form of the first.
    """

    width: int  # of the model's input, pixels
    height: int
    confidence: float = 0.3
    iou: float = 0.45
    top_k: int = 300  # most detections of one picture
    class_agnostic: bool = False  # NMS over all classes at once
    classes: frozenset[int] | None = None  # only these
    drop: frozenset[int] = frozenset()  # never these
    background: int | None = None  # a class that means "nothing"
    thresholds: Mapping[int, float] = field(default_factory=dict)  # confidence per class, instead of `confidence`
    cluster: str | None = None  # one of MODES; None: as the family needs it
    confidence_after: float = 0.0  # what is no surer than this after clustering goes
    class_top_k: int | None = None  # most detections of one class
    eps: float = 0.0  # distance of neighbours for dbscan, hybrid and groups
    min_boxes: int = 0  # of a cluster of dbscan and hybrid; 0: the class is not clustered
    min_score: float = 0.0  # sum of the confidences about the core of a cluster
    group_size: int = 0  # a group has more boxes than this; 0: the class is not grouped
    rules: Mapping[int, Mapping[str, Any]] = field(default_factory=dict)
    mask_threshold: float = 0.5
    names: Mapping[int, str] = field(default_factory=dict)  # of classes; of characters for text
    heads: Sequence[Head] = ()  # of a classifier
    extras: Mapping[str, Any] = field(default_factory=dict)  # the card's own keys for this parser
    floor: float = 0.0  # the least confidence that any class asks for; computed

    def __post_init__(self) -> None:
        own = [rule["confidence"] for rule in self.rules.values() if "confidence" in rule]
        self.floor = min([self.confidence, *own, *self.thresholds.values()])

    @property
    def limits(self) -> bool:
        """Whether classes have rules of their own after clustering."""
        return bool(self.rules or self.confidence_after > 0 or self.class_top_k)

    @property
    def takes_all(self) -> bool:
        """Whether all that are sure enough count, as they are."""
        chosen = self.classes is not None or self.drop or self.thresholds or self.limits
        return not chosen and self.cluster in (None, "none")

    def rule(self, class_id: int, name: str) -> Any:
        """What holds for a class: its own, else that of all."""
        own = self.rules.get(class_id, {})
        if name in own:
            return own[name]
        if name == "confidence":
            return self.thresholds.get(class_id, self.confidence)
        return getattr(self, name)


class Parser(Protocol):
    """One way of reading outputs. A file in parsers/ may hold several of a family; each has a name."""

    def __call__(self, outputs: Outputs, count: int, settings: ParserSettings) -> Sequence[Parsed]:
        """What is in each of the `count` pictures of the batch: detections (best first, clustered) or a reading."""
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
    confidence: float | None = None
    class_agnostic: bool | None = None
    orig_size_input: str | None = None  # an extra int64 input [N, 2] that wants (width, height) of the boxes' frame
    class_count: int | None = None  # where the shapes tell it
    names: Mapping[int, str] = field(default_factory=dict)  # of classes, where such models always have the same


def empty() -> Detections:
    """No detections."""
    return Detections(np.zeros((0, 4), np.float32), np.zeros(0, np.float32), np.zeros(0, np.int64))
