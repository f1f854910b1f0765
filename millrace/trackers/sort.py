"""Tracking by motion and overlap alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..media import Object
from ..media.geometry import iou
from .kalman import Boxes
from .matching import assign

SECOND = 1_000_000_000


@dataclass(slots=True, eq=False)
class Target:
    """One thing that is followed; its motion is the row of the same number in `Boxes`."""

    seen: int  # pts of its last detection, and what that said:
    class_id: int
    label: str
    confidence: float
    stage: str | None
    hits: int = 1
    id: int | None = None  # None while it is tentative

    @classmethod
    def of(cls, found: Object, pts: int) -> Target:
        return cls(pts, found.class_id, found.label, found.confidence, found.stage)


class Sort:
    """Kalman prediction, overlap, optimal assignment in two stages. One per stream.

    Bewley et al., "Simple online and realtime tracking", ICIP 2016, with the second association of Zhang et al.,
    "ByteTrack", ECCV 2022: detections of at least `high_confidence` are matched first, to all tracks; then those
    down to `low_confidence`, to confirmed tracks that were seen a moment ago. Only a confident detection starts a
    track. A track is confirmed, and gets its id, when it was detected `min_hits` times without a gap; at once in
    the first frame of a stream. Unseen, it is kept for `max_age` seconds of stream time. `iou` is the least overlap
    of prediction and detection; where the classes differ, `class_penalty` is taken off it first: detectors waver
    between car and truck, so a thing that hardly moved may change its class (1: never, 0: classes do not matter).

    `update` returns every detection, in the order given (nothing that was detected is lost): `id` is None while
    its track is tentative or when it has none. A detected object keeps the detector's box, or with `smooth` takes
    the filter's estimate (steadier; `detected_box` is the detector's in both cases). Where no model looked,
    the confirmed tracks that the last look saw follow with predicted boxes (not clipped to the picture), and
    `track_confidence` falls to 0 over `max_age`. A track that a look did not find is kept in mind, not returned.
    """

    def __init__(
        self,
        *,
        max_age: float = 2.0,
        min_hits: int = 3,
        high_confidence: float = 0.4,
        low_confidence: float = 0.1,
        iou: float = 0.2,
        low_iou: float = 0.4,
        class_penalty: float = 0.3,
        smooth: bool = False,
    ) -> None:
        self.max_age = round(max_age * SECOND)
        self.min_hits = min_hits
        self.high = high_confidence
        self.low = low_confidence
        self.iou = iou
        self.low_iou = low_iou
        self.class_penalty = class_penalty
        self.smooth = smooth
        self.targets: list[Target] = []
        self.motion = Boxes()
        self.ids = 0
        self.now: int | None = None
        self.looked: int | None = None  # pts of the last inferred frame

    def update(self, objects: list[Object], pts: int, inferred: bool, image: object = None) -> list[Object]:
        """See trackers.base.Tracker."""
        self._advance(pts)
        for found in objects:
            found.detected_box = found.box
        if not inferred:
            return [*objects, *self._carried(pts)]
        pairs = self._pairs(objects) if objects and self.targets else {}
        if pairs:
            rows = sorted(pairs)
            self.motion.update(rows, columns([objects[pairs[row]] for row in rows]))
            self._found(pairs, objects, pts)
        before, self.looked = self.looked, pts
        self._forget(pairs, pts)
        self._start(objects, set(pairs.values()), pts, first=before is None)
        return objects

    def discontinuity(self) -> None:
        """See trackers.base.Tracker. Identities stay: a thing that stands where it stood is the same one."""
        self.motion.forget_motion()

    def _advance(self, pts: int) -> None:
        if self.now is not None and self.targets and pts > self.now:
            self.motion.predict((pts - self.now) / SECOND)
        self.now = pts

    def _pairs(self, objects: list[Object]) -> dict[int, int]:
        """The detection of each track that has one."""
        overlap = self._overlap(objects)
        high = [n for n, found in enumerate(objects) if found.confidence >= self.high]
        sure = [row for row, target in enumerate(self.targets) if target.id is not None]
        pairs = match(overlap, sure, high, self.iou)
        if len(high) < len(objects) and len(pairs) < len(sure):
            low = [n for n, found in enumerate(objects) if self.low <= found.confidence < self.high]
            recent = [row for row in sure if row not in pairs and self.targets[row].seen == self.looked]
            pairs |= match(overlap, recent, low, self.low_iou)
        if len(sure) < len(self.targets):
            taken = set(pairs.values())
            tentative = [row for row, target in enumerate(self.targets) if target.id is None]
            pairs |= match(overlap, tentative, [n for n in high if n not in taken], self.iou)
        return pairs

    def _overlap(self, objects: list[Object]) -> NDArray[Any]:
        overlap = iou(self.motion.boxes(), columns(objects))
        kinds = np.array([target.class_id for target in self.targets])
        other = kinds[:, None] != np.array([found.class_id for found in objects])
        if other.any():
            overlap -= self.class_penalty * other
        return overlap

    def _found(self, pairs: dict[int, int], objects: list[Object], pts: int) -> None:
        velocities = self.motion.velocities()
        boxes = self.motion.boxes().astype(np.float32) if self.smooth else None
        for row, column in pairs.items():
            target, found = self.targets[row], objects[column]
            target.seen, target.confidence = pts, found.confidence
            target.class_id, target.label, target.stage = found.class_id, found.label, found.stage
            target.hits += 1
            if target.id is None and target.hits >= self.min_hits:
                self._confirm(target)
            found.id, found.track_confidence = target.id, found.confidence
            found.velocity = (velocities[row][0], velocities[row][1])
            if boxes is not None:
                found.box = boxes[row]

    def _confirm(self, target: Target) -> None:
        self.ids += 1
        target.id = self.ids

    def _forget(self, pairs: dict[int, int], pts: int) -> None:
        """Drop what was tentative and not seen again, and what was unseen for too long."""
        if len(pairs) == len(self.targets):
            return
        oldest = pts - self.max_age
        stay = [
            row
            for row, target in enumerate(self.targets)
            if row in pairs or (target.id is not None and target.seen >= oldest)
        ]
        if len(stay) < len(self.targets):
            self.motion.keep(stay)
            self.targets = [self.targets[row] for row in stay]

    def _start(self, objects: list[Object], taken: set[int], pts: int, first: bool) -> None:
        fresh = [found for n, found in enumerate(objects) if n not in taken and found.confidence >= self.high]
        if not fresh:
            return
        self.motion.add(columns(fresh))
        for found in fresh:
            target = Target.of(found, pts)
            self.targets.append(target)
            if first or self.min_hits <= 1:
                self._confirm(target)
            found.id, found.track_confidence = target.id, found.confidence

    def _carried(self, pts: int) -> list[Object]:
        """The tracks that the last look saw, where they should be now."""
        boxes = self.motion.boxes().astype(np.float32)
        velocities = self.motion.velocities()
        out = []
        for row, target in enumerate(self.targets):
            age = pts - target.seen
            if target.id is None or target.seen != self.looked or age > self.max_age:
                continue
            follows = Object(boxes[row], target.class_id, target.label, target.confidence, target.id)
            follows.stage = target.stage
            follows.track_confidence = target.confidence * (1 - age / self.max_age) if self.max_age else 0.0
            follows.velocity = (velocities[row][0], velocities[row][1])
            out.append(follows)
        return out


def match(overlap: NDArray[Any], rows: list[int], found: list[int], least: float) -> dict[int, int]:
    """The best pairs of these rows and columns, as {row: column}, that overlap by more than `least`."""
    if not rows or not found:
        return {}
    part = overlap if (len(rows), len(found)) == overlap.shape else overlap[np.ix_(rows, found)]
    chosen, taken = assign(1.0 - part, 1.0 - least)
    return {rows[n]: found[m] for n, m in zip(chosen, taken, strict=True)}


def columns(objects: list[Object]) -> NDArray[np.float32]:
    """The boxes of objects as [n, 4]."""
    return np.concatenate([found.box for found in objects]).reshape(-1, 4)
