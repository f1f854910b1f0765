"""What a model said of each identity, so that it need not be asked again in every frame."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..media import Frame, Label, Object, Reading
from ..media.objects import Box
from ..models.card import ObjectsCard

UNSEEN = 150  # frames after which an identity is forgotten
_TIDY = 256  # frames between two looks for such


@dataclass(slots=True, eq=False)
class Entry:
    """The last answer for one identity, and how long it will do."""

    seen: int  # frame index
    until: float = 0  # the frame index from which it is asked for again,
    most: float = 0.0  # and the area above which it is
    awaited: list[int] = field(default_factory=list)  # frames for which it was asked and no answer has come
    known: Known | None = None  # None: the first call is under way
    labels: list[Label] | None = None  # what is known, where that is labels and no more, and no answer is awaited


@dataclass(frozen=True, slots=True, eq=False)
class Known:
    """An answer, and the box of the object it was given for."""

    answer: Any
    box: Box
    labels: list[Label] | None = None  # where the answer is labels and no more


class Memory:
    """Answers by stream and identity. A new identity is asked for, one that grew by `growth`, one after `refresh`."""

    def __init__(self, card: ObjectsCard) -> None:
        self.card = card
        self.streams: dict[str, dict[int, Entry]] = {}
        self._tidied: dict[str, int] = {}

    def of(self, stream: str) -> dict[int, Entry]:
        """What is known of a stream's identities."""
        entries = self.streams.get(stream)
        if entries is None:
            entries = self.streams[stream] = {}
        return entries

    def asks(self, frame: Frame, found: Object, area: float) -> bool:
        """Whether the model must be asked for this object of `area` pixels now; if so, that is noted as done."""
        assert found.id is not None
        entries = self.of(frame.stream)
        entry = entries.get(found.id)
        if entry is None:
            entry = entries[found.id] = Entry(frame.index)
        else:
            entry.seen = frame.index
            if not (area > entry.most or frame.index >= entry.until):
                return False
        refresh, growth = self.card.refresh, self.card.growth
        entry.until = math.inf if refresh is None else frame.index + refresh
        entry.most = math.inf if growth is None else growth * area
        entry.awaited.append(frame.index)
        entry.labels = None
        return True

    def keep(self, frame: Frame, found: Object, answer: Any) -> None:
        """Note an answer for an object of a frame."""
        entry = self.streams.get(frame.stream, {}).get(found.id or 0)
        if entry is None:
            return
        entry.known = known = Known(answer, found.box, _labels_alone(answer))
        if frame.index in entry.awaited:
            entry.awaited.remove(frame.index)
        entry.labels = None if entry.awaited else known.labels

    def retract(self, frame: Frame, found: Object) -> None:
        """Forget that an object was asked for: the call failed."""
        self.streams.get(frame.stream, {}).pop(found.id or 0, None)

    def recall(self, frame: Frame, found: Object) -> Known | None:
        entries = self.streams.get(frame.stream)
        entry = entries.get(found.id or 0) if entries is not None else None
        return entry.known if entry is not None else None

    def tidy(self, frame: Frame) -> None:
        """Forget identities of the frame's stream that were not seen for long."""
        last = self._tidied.setdefault(frame.stream, frame.index)
        if frame.index - last >= _TIDY:
            self._tidied[frame.stream] = frame.index
            entries = self.streams.get(frame.stream, {})
            for number in [n for n, entry in entries.items() if frame.index - entry.seen > UNSEEN]:
                del entries[number]

    def forget(self, stream: str) -> None:
        self.streams.pop(stream, None)
        self._tidied.pop(stream, None)

    def __iter__(self) -> Iterator[tuple[str, int]]:
        return ((stream, number) for stream, entries in self.streams.items() for number in entries)


def _labels_alone(answer: Any) -> list[Label] | None:
    if not isinstance(answer, Reading):
        return None
    more = (answer.text, answer.embedding, answer.keypoints, answer.class_map, answer.depth, answer.tensors)
    return answer.labels if all([each is None for each in more]) else None


def moved(points: Any, old: Box, new: Box) -> Any:
    """Points [n, 2] that went along with a box, which may have changed its size."""
    scale = (new[2:] - new[:2]) / np.maximum(old[2:] - old[:2], 1e-3)
    return (np.asarray(points) - old[:2]) * scale + new[:2]
