"""What was found in a picture."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

Box = NDArray[np.float32]


def box(values: Iterable[float]) -> Box:
    """x1, y1, x2, y2 as float32 [4]."""
    return np.array(values if isinstance(values, (list, tuple, np.ndarray)) else list(values), dtype=np.float32)


@dataclass(slots=True)
class Label:
    """One answer of a classifier: `Label("colour", "red", 0.93)`; `class_id` is its number within that head."""

    name: str
    value: str
    confidence: float
    class_id: int | None = None


@dataclass(slots=True, eq=False)
class Object:
    """One thing in one frame. Coordinates are source pixels: x right, y down, (0, 0) the corner of the picture.

    `box` is the best current estimate (float32 x1 y1 x2 y2); `detected_box` is what the detector gave, None when
    a tracker alone knows where the object is. `id` is its identity within the stream, None when untracked.
    `stage` names the model that found it. `velocity` is pixels per second. `angle` is radians, clockwise as seen: the
    box is turned about its centre by it. `mask` [h, w] (booleans, or weights 0..1) is stretched over the box.
    `keypoints` [k, 3] are x, y, confidence. `embedding` has length 1. `depth` is the median of a depth model's answer.
    `origin` is set in a copy: the object that it, or what it was copied from, is a copy of.
    """

    box: Box
    class_id: int
    label: str
    confidence: float
    id: int | None = None
    detected_box: Box | None = None
    track_confidence: float | None = None
    stage: str | None = None
    parent: Object | None = None
    labels: list[Label] = field(default_factory=list)
    mask: NDArray[Any] | None = None
    keypoints: NDArray[np.float32] | None = None
    angle: float | None = None
    embedding: NDArray[np.float32] | None = None
    text: str | None = None
    depth: float | None = None
    velocity: tuple[float, float] | None = None
    extras: dict[str, Any] = field(default_factory=dict)
    origin: Object | None = field(default=None, repr=False)

    def fork(self) -> Object:
        """The same arrays, lists and dict of its own; `media.merging` puts copies together again."""
        return Object(
            self.box, self.class_id, self.label, self.confidence, self.id, self.detected_box,
            self.track_confidence, self.stage, self.parent, list(self.labels), self.mask, self.keypoints,
            self.angle, self.embedding, self.text, self.depth, self.velocity, dict(self.extras), self.origin or self,
        )  # fmt: skip


@dataclass(slots=True, eq=False)
class Event:
    """Something happened in a stream: a line was crossed, a zone entered. `pts` is ns of stream time.

    `number` counts the events of the stream from 1. One that lasts is told several times under its number: `phase`
    is "new", "update" or "end"; None for one that is over as it happens.
    """

    kind: str
    stream: str
    pts: int
    name: str
    object_id: int | None = None
    label: str | None = None
    direction: str | None = None
    extras: dict[str, Any] = field(default_factory=dict)
    number: int | None = None
    phase: str | None = None
