"""What was found in a picture."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, overload

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


class Place(NamedTuple):
    """Where an object was: `pts` ns of stream time, x1 y1 x2 y2 source pixels, and how sure the tracker was."""

    pts: int
    x1: float
    y1: float
    x2: float
    y2: float
    confidence: float


class Trajectory(Sequence[Place]):
    """Where an object was, oldest first, at most `most` places. It never changes: longer ones are made of it.

    Trajectories of one object share a list that only grows; each knows where it ends.
    """

    __slots__ = ("_end", "_places", "_start", "most")

    def __init__(self, most: int, places: list[Place] | None = None, end: int = 0) -> None:
        self.most = most
        self._places = [] if places is None else places
        self._end = end
        self._start = max(0, end - most)

    def then(self, place: Place) -> Trajectory:
        """This one and one place more."""
        places = self._places
        if len(places) != self._end or self._end >= 2 * self.most:  # longer already, or mostly forgotten
            places = places[max(0, self._end - self.most + 1) : self._end]
        places.append(place)
        return Trajectory(self.most, places, len(places))

    def __len__(self) -> int:
        return self._end - self._start

    @overload
    def __getitem__(self, index: int) -> Place: ...
    @overload
    def __getitem__(self, index: slice) -> list[Place]: ...
    def __getitem__(self, index: int | slice) -> Place | list[Place]:
        return self._places[self._start : self._end][index]

    def __iter__(self) -> Iterator[Place]:
        return iter(self._places[self._start : self._end])


@dataclass(slots=True, eq=False)
class Object:
    """One thing in one frame. Coordinates are source pixels: x right, y down, (0, 0) the corner of the picture.

    `box` is the best current estimate (float32 x1 y1 x2 y2); `detected_box` is what the detector gave, None when
    a tracker alone knows where the object is. `id` is its identity within the stream, None when untracked.
    `stage` names the model that found it. `velocity` is pixels per second. `angle` is radians, clockwise as seen: the
    box is turned about its centre by it. `mask` [h, w] (booleans, or weights 0..1) is stretched over the box.
    `keypoints` [k, 3] are x, y, confidence. `embedding` has length 1. `depth` is the median of a depth model's answer.
    `age` is seconds since its first detection, `trajectory` where it was since (if the tracker was asked to keep it).
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
    age: float | None = None
    trajectory: Trajectory | None = None
    origin: Object | None = field(default=None, repr=False)

    @property
    def attributes(self) -> str:
        """What classifiers said, as DeepStream writes it: `red car `, each value with a space behind it."""
        return "".join(f"{label.value} " for label in self.labels)

    def fork(self) -> Object:
        """The same arrays, lists and dict of its own; `media.merging` puts copies together again."""
        return Object(
            self.box, self.class_id, self.label, self.confidence, self.id, self.detected_box,
            self.track_confidence, self.stage, self.parent, list(self.labels), self.mask, self.keypoints,
            self.angle, self.embedding, self.text, self.depth, self.velocity, dict(self.extras), self.age,
            self.trajectory, self.origin or self,
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
