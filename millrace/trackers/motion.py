"""The tracker that all motion-only ones are: rules, and the state of one stream."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..media import Object
from ..media.objects import Place, Trajectory
from . import arrays, kalman
from .appearance import Galleries, Vectors
from .base import Past, Reports, Rules
from .reassociation import Lost, heir_of
from .rules import BOX as BOX_ALONE
from .rules import INACTIVE, TENTATIVE, life_array, stages_array
from .step import step
from .table import (
    BORN,
    COUNT,
    DETECTION,
    HITS,
    ID,
    KIND,
    MISSES,
    SEEN,
    SERIAL,
    STATE,
    WIDTH,
    Columns,
    corners,
)
from .warp import move

try:
    from . import _step as native
except ImportError:  # no compiler when the package was installed
    native = None  # type: ignore[assignment]

SECOND = 1_000_000_000
REMEMBERED = 64  # places of a trajectory that only a report asks for


class MotionTracker:
    """Follows the objects of one stream by where they are and how they move. See trackers.base.Tracker.

    `update` returns every detection, in the order given (nothing that was detected is lost): `id` is None while its
    target is tentative or when it has none. Where no model looked, the identities that the last look saw follow with
    predicted boxes (not clipped to the picture), and `track_confidence` falls to 0 over `max_age`.
    """

    def __init__(self, rules: Rules, compiled: bool = True) -> None:
        self.rules = rules
        self.stages, self.life = rules.stages(), rules.life()
        self._rows = stages_array(self.stages), life_array(self.life)
        self._native = native if compiled else None
        looks = rules.appearance()
        self.looks = Galleries(looks) if looks is not None else None
        self.terms = rules.terms()
        self.classes = None if rules.classes is None else frozenset(rules.classes)
        self.kinds: arrays.Kinds = {}
        self.known: arrays.Known = []
        self.n = 0  # targets
        self.ids = 0
        self.serial = 1.0
        self.origin: int | None = None  # pts of the first frame; times in the table are seconds since then
        self.now = 0.0
        self.looked = False  # whether any frame was inferred yet
        self.lost: list[Lost] = []
        self.trails: dict[int, Trajectory] | None = {} if rules.trajectory or rules.report else None
        self.reports = Reports()
        self._grow(16, 16)

    def update(
        self,
        objects: list[Object],
        pts: int,
        inferred: bool,
        image: object = None,
        warp: NDArray[np.float64] | None = None,
    ) -> list[Object]:
        """See trackers.base.Tracker."""
        if self.rules.report:
            self.reports = Reports()
        self._advance(pts, warp)
        own = self._own(objects)
        m = len(own)
        if self.n + m > len(self.table) or m > len(self.match):
            self._grow(self.n + m, m)
        (self._native or arrays).gather(own, self.found, self.kinds, self.known)
        if not inferred:
            return objects + self._carried(self.rules.coast, True) if self.n else objects
        gone, activated = self._step(m, self._further(own))
        if self.looks is not None:
            self.looks.learn(self.table[: self.n], own, self.match[:m], self.now)
        if activated:
            self._name()
        if gone or self.lost:
            self._bury(gone)
        boxes = np.empty((m, 4), np.float32) if self.rules.smooth and self.life.filter != BOX_ALONE else None
        filtered = self.life.filter != BOX_ALONE
        if self._native is not None:
            found = self._native.publish(own, self.match, self.table, self.n, boxes, filtered, self.now)
        else:
            found = arrays.publish(own, self.match, self.table[: self.n], boxes, filtered, self.now)
        if self.trails is not None:
            self._remember(own, pts)
        if self.rules.coast and found < self.n and (carried := self._carried(self.rules.coast, False)):
            return objects + carried
        return objects

    def discontinuity(self) -> None:
        """See trackers.base.Tracker. Identities stay: a thing that stands where it stood is the same one."""
        kalman.rest(self.table[: self.n], self.life)
        self.table[: self.n, COUNT] = 0
        self.lost.clear()

    def why_missed(self, identity: int) -> dict[str, Any]:
        """Facts for `tracing.Misses`: where the last look expected an identity that it did not find."""
        table = self.table[: self.n]
        rows = np.flatnonzero(table[:, ID] == identity)
        return {"predicted": corners(table[rows])[0]} if len(rows) else {}

    def wanting(self, objects: list[Object], pts: int) -> list[Object]:
        """See trackers.base.Tracker."""
        if self.looks is None:
            return []
        least = self.looks.rules.least_confidence
        own = [found for found in self._own(objects) if found.embedding is None and found.confidence >= least]
        now = 0.0 if self.origin is None else (pts - self.origin) / SECOND
        boxes = np.array([found.box for found in own], np.float64).reshape(-1, 4)
        return [found for found, due in zip(own, self.looks.due(self.table[: self.n], boxes, now), strict=True) if due]

    def _own(self, objects: list[Object]) -> list[Object]:
        """Those of the classes that are tracked."""
        if self.classes is None:
            return objects
        return [found for found in objects if found.class_id in self.classes or found.label in self.classes]

    def _further(self, own: list[Object]) -> Columns | None:
        """Likenesses [2, n, m] of targets and detections beside those of boxes: of looks, and of what is seen."""
        if self.looks is None or not self.looks.rules.associate or not self.n or not own:
            return None
        near = self.looks.likeness(self.table[: self.n], own)
        if near is None:
            near = np.full((self.n, len(own)), float(self.looks.rules.unknown))
        return np.stack((near, np.zeros_like(near)))

    def _grow(self, targets: int, detections: int) -> None:
        """Room for so many, and some more."""
        table = np.zeros((targets * 2, WIDTH))
        if self.n:
            table[: self.n] = self.table[: self.n]
        self.table: Columns = table
        self.gone: Columns = np.zeros((targets * 2, WIDTH))
        self.found: Columns = np.zeros((detections * 2, DETECTION))
        self.match = np.zeros(detections * 2, np.int32)

    def _advance(self, pts: int, warp: NDArray[np.float64] | None) -> None:
        if self.origin is None:
            self.origin = pts
        now = (pts - self.origin) / SECOND
        if warp is not None and self.n:
            move(self.table[: self.n], warp)
        seconds = now - self.now
        if seconds > 0:
            self.now = now
            if self.n:
                if self._native is not None:
                    self._native.predict(self.table, self.n, self._rows[1], seconds)
                else:
                    kalman.predict(self.table[: self.n], self.life, seconds)

    def _step(self, m: int, extras: Columns | None = None) -> tuple[int, int]:
        """Bring the gathered detections to the targets: how many ended, and how many became active."""
        first, self.looked = not self.looked, True
        if self._native is not None:
            self.n, gone, activated, self.serial = self._native.step(
                self.table, self.n, self.found, m, *self._rows, self.now, first, self.serial, self.match, self.gone,
                extras,
            )  # fmt: skip
        else:
            self.n, gone, activated, self.serial = step(
                self.table, self.n, self.found[:m], (self.stages, self.life), self.now, first, self.serial,
                self.match, self.gone, extras,
            )  # fmt: skip
        return gone, activated

    def _name(self) -> None:
        """New active targets get an identity: that of one that ended and leads to them, or the next."""
        table = self.table[: self.n]
        for row in np.flatnonzero((table[:, ID] == 0) & (table[:, STATE] != TENTATIVE)):
            target = table[row]
            shift = self.looks.shift if self.looks is not None else 0.0
            own = self.looks.of(int(target[SERIAL])) if self.looks is not None and self.lost else None
            heir = heir_of(target, self.lost, self.terms, own, self._others(target), shift) if self.lost else None
            if heir is not None:
                self.lost.remove(heir)
                if self.looks is not None and heir.looks is not None:
                    self.looks.inherit(int(target[SERIAL]), heir.looks)
                target[ID] = heir.id
                target[BORN] = heir.born
            else:
                self.ids += 1
                target[ID] = self.ids
            if "past" in self.rules.report and target[HITS] > 1:
                self.reports.past.append(self._past(target))

    def _others(self, target: Any) -> list[Vectors]:
        """The looks of the identities of its kind that this look found beside a target."""
        table = self.table[: self.n]
        if self.looks is None or self.terms.margin == -math.inf:
            return []
        beside = (table[:, ID] > 0) & (table[:, MISSES] == 0) & (table[:, KIND] == target[KIND])
        known = (self.looks.of(int(row[SERIAL])) for row in table[beside] if row[SERIAL] != target[SERIAL])
        return [looks for looks in known if looks is not None]

    def _bury(self, gone: int) -> None:
        """Targets that ended: report them, keep for a while what may be found again."""
        if self.rules.report:
            self.reports.terminated = [self._past(row) for row in self.gone[:gone] if row[ID] > 0]
        if self.trails:
            for row in self.gone[:gone]:
                self.trails.pop(int(row[SERIAL]), None)
        looks = self.looks
        if self.terms.within > 0:
            self.lost = [one for one in self.lost if self.now - one.seen <= self.terms.within]
            keep = looks is not None and looks.rules.reassociate
            for row in self.gone[:gone]:
                if row[ID] > 0:
                    self.lost.append(Lost.of(row, looks.of(int(row[SERIAL])) if looks and keep else None))
        if looks is not None:
            looks.forget([int(row[SERIAL]) for row in self.gone[:gone]])

    def _remember(self, objects: list[Object], pts: int) -> None:
        """Write down where the objects of this frame are."""
        trails = self.trails
        assert trails is not None
        serials = self.table[: self.n, SERIAL].tolist()
        for found, row in zip(objects, self.match[: len(objects)].tolist(), strict=True):
            if row < 0:
                continue
            serial = int(serials[row])
            trail = trails.get(serial) or Trajectory(self.rules.trajectory or REMEMBERED)
            x1, y1, x2, y2 = found.box.tolist()
            trails[serial] = trail.then(Place(pts, x1, y1, x2, y2, found.confidence))
            if self.rules.trajectory:
                found.trajectory = trails[serial]
        if "shadows" in self.rules.report:
            table = self.table[: self.n]
            shadows = table[(table[:, STATE] == INACTIVE) & (table[:, ID] > 0)]
            self.reports.shadows = self._objects(arrays.describe(shadows, self.life.filter != BOX_ALONE, self.now))

    def _carried(self, coast: float, unlooked: bool) -> list[Object]:
        """The identities that the last look saw (`unlooked`), or lost a moment ago, where they should be now."""
        filtered = self.life.filter != BOX_ALONE
        unseen = (self._native or arrays).unseen
        return self._objects(unseen(self.table, self.n, filtered, self.now, coast, unlooked, self.life.max_age))

    def _objects(self, unseen: list[arrays.Unseen]) -> list[Object]:
        """New objects for targets that were not detected in this frame."""
        out = []
        for identity, kind, confidence, since, age, velocity, box in unseen:
            class_id, label, stage = self.known[kind]
            follows = Object(np.array(box, np.float32), class_id, label, confidence, identity)
            follows.stage = stage
            follows.track_confidence = confidence * max(0.0, 1 - since / (self.life.max_age or 1.0))
            follows.velocity, follows.age = velocity, age
            out.append(follows)
        return out

    def _past(self, target: Any) -> Past:
        class_id, label, stage = self.known[int(target[KIND])]
        start = self.origin or 0
        trail = self.trails.get(int(target[SERIAL])) if self.trails else None
        return Past(
            int(target[ID]), class_id, label, stage, start + round(target[BORN] * SECOND),
            start + round(target[SEEN] * SECOND), int(target[HITS]), trail,
        )  # fmt: skip
