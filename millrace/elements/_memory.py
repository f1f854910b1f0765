"""What a model said of each identity, so that it need not be asked again in every frame."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..media import Frame, Label, Object, Reading
from ..media.objects import Box
from ..models.card import ObjectsCard

UNSEEN = 150  # frames after which an identity is forgotten
_TIDY = 256  # frames between two looks for such


@dataclass(slots=True, eq=False)
class Entry:
    """The last answer for one identity: when and at which size it was asked for, what came of it."""

    asked: int  # frame index
    area: float
    seen: int
    known: Known | None = None  # None: the call is under way


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

    def asks(self, frame: Frame, found: Object, area: float) -> bool:
        """Whether the model must be asked for this object of `area` pixels now; if so, that is noted as done."""
        assert found.id is not None
        entries = self.streams.get(frame.stream)
        if entries is None:
            entries = self.streams[frame.stream] = {}
        entry = entries.get(found.id)
        if entry is None:
            entries[found.id] = Entry(frame.index, area, frame.index)
            return True
        entry.seen = frame.index
        card = self.card
        grown = card.growth is not None and area > card.growth * entry.area
        if grown or (card.refresh is not None and frame.index - entry.asked >= card.refresh):
            entry.asked, entry.area = frame.index, area
            return True
        return False

    def keep(self, frame: Frame, found: Object, answer: Any) -> None:
        """Note an answer for an object of a frame."""
        entry = self.streams.get(frame.stream, {}).get(found.id or 0)
        if entry is not None:
            entry.known = Known(answer, found.box, _labels_alone(answer))

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
