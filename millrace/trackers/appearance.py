"""What targets look like: embeddings of each identity, and how alike a detection is to the nearest of them.

Wojke et al., "Simple online and realtime tracking with a deep association metric", ICIP 2017: a gallery of the last
embeddings of a target; the likeness of a detection is the largest cosine to any of them. The embeddings stand on the
objects (`Object.embedding`, of length 1): an `infer` before put them there, or the element `track` asked a model.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..core.errors import ConfigError
from ..media import Object
from .table import SERIAL, Columns, centred

ENOUGH, LASTING = 20, 500  # matches from which on their mean counts, and over which it is taken
Vectors = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Appearance:
    """How a tracker uses embeddings.

    `associate`: in association, where stages weigh the first of the further likenesses. `reassociate`: to take up
    identities that ended. `history`: embeddings that are kept of a target. `interval`: seconds after which a target's
    look is taken again, 0: at every look, below 0: once. `least_visible`: what is hidden by more, by others that stand
    before it, is neither learnt nor compared. `least_confidence`: what is less sure is neither asked for nor learnt.
    `unknown`: the likeness where one of the two has no embedding that counts. `needed`: without embeddings it does not
    do what it is there for. `typical`: models differ in how near the looks of one thing lie; likenesses are shifted so
    that those of matched targets are so in the mean (0: they are not).
    """

    associate: bool = True
    reassociate: bool = True
    history: int = 30
    interval: float = 0.0
    least_visible: float = 0.0
    least_confidence: float = 0.0
    unknown: float = 0.0
    needed: bool = True
    typical: float = 0.0


class Galleries:
    """The looks of one stream's targets, by serial number."""

    def __init__(self, rules: Appearance) -> None:
        self.rules = rules
        self.slots: dict[int, int] = {}
        self.free: list[int] = []
        self.vectors: Vectors = np.zeros((0, rules.history, 0), np.float32)
        self.counts = np.zeros(0, np.int64)
        self.taken = np.full(0, -np.inf)  # seconds: when the last was learnt
        self.seen, self.mean = 0, 0.0  # matches, and the likeness of a target to itself in them

    @property
    def shift(self) -> float:
        """What is added to cosines, so that this model's mean the same as another's."""
        return self.rules.typical - self.mean if self.rules.typical and self.seen >= ENOUGH else 0.0

    def due(self, table: Columns, boxes: Columns, now: float) -> NDArray[np.bool_]:
        """Which of boxes [m, 4] want an embedding: all, but those on one target alone whose look is fresh enough."""
        out = np.ones(len(boxes), bool)
        if self.rules.interval == 0 or not len(table) or not len(boxes):
            return out
        slots = np.array([self.slots.get(int(serial), -1) for serial in table[:, SERIAL]])
        age = np.where(slots >= 0, now - self.taken[slots] if len(self.taken) else np.inf, np.inf)
        fresh = np.isfinite(age) & ((self.rules.interval < 0) | (age < self.rules.interval))
        seen = centred(boxes)
        way = np.abs(table[:, None, :2] - seen[None, :, :2])  # the filter's centre
        near = (way < 0.5 * np.maximum(table[:, None, 2:4], seen[None, :, 2:])).all(axis=2)
        alone = near.sum(axis=0) == 1
        out[alone & (near & fresh[:, None]).any(axis=0)] = False
        return out

    def likeness(self, table: Columns, objects: Sequence[Object]) -> Columns | None:
        """[n, m]: the largest cosine of each detection to what is known of each target; None: nothing is known."""
        slots = np.array([self.slots.get(int(serial), -1) for serial in table[:, SERIAL]], np.int64)
        hidden = covered(_boxes(objects))
        columns = [
            j
            for j, found in enumerate(objects)
            if found.embedding is not None and 1 - hidden[j] >= self.rules.least_visible
        ]
        rows = np.flatnonzero(slots >= 0)
        if not len(rows) or not columns:
            return None
        out = np.full((len(table), len(objects)), float(self.rules.unknown))
        vectors = self._stacked([objects[j] for j in columns])
        known = self.vectors[slots[rows]]
        near = (known.reshape(-1, known.shape[2]) @ vectors.T).reshape(*known.shape[:2], -1).max(axis=1)
        out[np.ix_(rows, np.array(columns, np.intp))] = near + self.shift
        return out

    def learn(self, table: Columns, objects: Sequence[Object], match: NDArray[np.int32], now: float) -> None:
        """Each matched target takes the embedding of its detection, if that is in view."""
        columns = [j for j, found in enumerate(objects) if found.embedding is not None and match[j] >= 0]
        if not columns:
            return
        hidden = covered(_boxes(objects))
        vectors = self._stacked([objects[j] for j in columns])
        for j, vector in zip(columns, vectors, strict=True):
            serial = int(table[match[j], SERIAL])
            new = serial not in self.slots
            if objects[j].confidence < self.rules.least_confidence:
                continue
            if not new and 1 - hidden[j] < self.rules.least_visible:
                continue
            if not new:
                self.seen += 1
                near = float((self.vectors[self.slots[serial]] @ vector).max())
                self.mean += (near - self.mean) / min(self.seen, LASTING)
            self._put(serial, vector, now)

    def inherit(self, serial: int, known: Vectors) -> None:
        """A target goes on with the looks of one that ended, beside its own."""
        own = self.of(serial)
        if own is not None:
            self.forget([serial])
        for vector in [*known, *(own if own is not None else ())]:
            self._put(serial, vector, self.taken[self.slots[serial]] if serial in self.slots else -np.inf)

    def of(self, serial: int) -> Vectors | None:
        """The looks [k, d] of a target; None: there are none."""
        slot = self.slots.get(serial)
        return None if slot is None else self.vectors[slot, : min(self.counts[slot], self.rules.history)].copy()

    def forget(self, serials: Sequence[int]) -> None:
        """Targets that are no more."""
        for serial in serials:
            slot = self.slots.pop(serial, None)
            if slot is not None:
                self.free.append(slot)

    def _put(self, serial: int, vector: Vectors, now: float) -> None:
        slot = self.slots.get(serial)
        if slot is None:
            slot = self.slots[serial] = self._slot(len(vector))
            self.vectors[slot] = vector  # the whole ring: a gallery that is not full needs no mask
            self.counts[slot], self.taken[slot] = 1, now
            return
        self.vectors[slot, self.counts[slot] % self.rules.history] = vector
        self.counts[slot] += 1
        self.taken[slot] = now

    def _slot(self, size: int) -> int:
        if not self.free:
            old, most = len(self.vectors), max(8, 2 * len(self.vectors))
            grown = np.zeros((most, self.rules.history, size), np.float32)
            grown[:old] = self.vectors if old else 0
            self.vectors = grown
            self.counts = np.concatenate([self.counts, np.zeros(most - old, np.int64)])
            self.taken = np.concatenate([self.taken, np.full(most - old, -np.inf)])
            self.free = list(range(most - 1, old - 1, -1))
        return self.free.pop()

    def _stacked(self, objects: Sequence[Object]) -> Vectors:
        rows = [np.asarray(found.embedding, np.float32) for found in objects]
        size = self.vectors.shape[2] or len(rows[0])
        for row in rows:
            if len(row) != size:
                raise ConfigError(
                    f"an object's embedding has {len(row)} numbers, those before had {size}: all must be of one model"
                )
        return np.stack(rows)


def alike(a: Vectors, b: Vectors) -> float:
    """How alike two galleries [k, d], [l, d] are: of each look in `a` the largest cosine to any in `b`, the mean."""
    return float((a @ b.T).max(axis=1).mean())


def _boxes(objects: Sequence[Object]) -> Columns:
    boxes = [found.box if found.detected_box is None else found.detected_box for found in objects]
    return np.array(boxes, np.float64).reshape(-1, 4)


def covered(boxes: Columns) -> Columns:
    """What share of each box [m, 4] lies under the one box that hides most of it, of those that stand farther down."""
    if len(boxes) < 2:
        return np.zeros(len(boxes))
    w = np.minimum(boxes[:, None, 2], boxes[None, :, 2]) - np.maximum(boxes[:, None, 0], boxes[None, :, 0])
    h = np.minimum(boxes[:, None, 3], boxes[None, :, 3]) - np.maximum(boxes[:, None, 1], boxes[None, :, 1])
    area = np.maximum((boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1]), 1e-9)
    share = np.maximum(w, 0) * np.maximum(h, 0) / area[:, None]
    share[boxes[:, None, 3] >= boxes[None, :, 3]] = 0.0
    out: Columns = share.max(axis=1)
    return out
