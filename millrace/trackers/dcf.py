"""Tracking by motion and by looks: a correlation filter for each target."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..core.errors import ConfigError, SettingError
from ..media import Image, Object
from . import kalman
from .appearance import Appearance
from .arrays import Unseen, describe
from .deepsort import DeepSort
from .motion import MotionTracker
from .rules import ACTIVE, TENTATIVE, Life
from .rules import BOX as BOX_ALONE
from .table import (
    CONFIDENCE,
    HITS,
    ID,
    MISSES,
    POSITION,
    SEEN,
    SERIAL,
    STATE,
    VELOCITY,
    VV,
    XV,
    XX,
    Columns,
    centred,
)
from .visual import Filters, Visual

CALM = 0.2  # seconds in which the change of a size, unmeasured, falls to 1 / e
SIDES = [at + k for at in (POSITION, VELOCITY, XX, XV, VV) for k in (2, 3)]  # columns of width and height


@dataclass(kw_only=True)
class Dcf(DeepSort):
    """`default`, and a discriminative correlation filter for each target that finds it where no detection does.

    Where objects have embeddings, they count as in `deepsort`.

    See visual.py. Between looks (`infer` with `every`), and where a look misses a target, its place is measured in the
    picture and given to the Kalman filter, as `noise` times as uncertain as a detection, if the peak is `peak` times as
    far above the side lobes as these scatter. What a look misses is reported for at most `trust` seconds if its peak is
    as sure. What was detected once, by at least `confirm`, becomes an identity as soon as the picture confirms it.
    `learning` is how fast looks are learnt; `points`, `padding`, `sigma` and `gradients` are those of `Visual`. Size is
    the Kalman filter's, its change calmed between looks: other scales, tried twice, cost three times as much and gained
    nothing.
    """

    peak: float = 10.0
    trust: float = 1.0
    confirm: float = 0.6
    noise: float = 2.0
    learning: float = 0.2
    padding: float = 1.0
    sigma: float = 1.0
    points: int = 32
    gradients: bool = False

    name = "dcf"

    def __post_init__(self) -> None:
        super().__post_init__()
        for key, least in (("points", 8), ("sigma", 0.1)):
            if getattr(self, key) < least:
                raise SettingError(f"tracker {self.name}", key, getattr(self, key), f"it is at least {least}")

    def appearance(self) -> Appearance | None:
        looks = super().appearance()
        return None if looks is None else replace(looks, needed=False)

    def visual(self) -> Visual:
        """How targets are looked at."""
        return Visual(
            peak=self.peak, learning=self.learning, padding=self.padding, sigma=self.sigma, noise=self.noise,
            gradients=self.gradients, size=self.points,
        )  # fmt: skip

    def open(self) -> DcfTracker:
        return DcfTracker(self, self.visual(), trust=self.trust, confirm=self.confirm)


class DcfTracker(MotionTracker):
    """A motion tracker that looks: at what it was shown, and for what it was not."""

    def __init__(
        self, rules: Any, visual: Visual, *, trust: float = 0.0, shadows: float | None = None, confirm: float = 2.0,
        weighs: bool = False, strict: bool = False, compiled: bool = True,
    ) -> None:  # fmt: skip
        """Targets that a look missed are shown for `trust` seconds if the picture confirms them, and looked for during
        `shadows` seconds. `confirm`: a detection that was as sure needs no second one, if the picture confirms it.
        `weighs`: stages ask how well a detection fits what is seen. `strict`: between looks, what the picture does not
        confirm is not shown.
        """
        super().__init__(rules, compiled)
        self.filters = Filters(visual)
        self.trust, self.shadows = trust, trust if shadows is None else shadows
        self.confirm, self.weighs, self.strict = confirm, weighs, strict
        self.life_seen = _life_seen(self.life, visual)
        self.heights: dict[int, float] = {}  # of the peaks of this frame, by identity
        self.sure: set[int] = set()  # serials of targets that the picture confirms in this frame
        self.image: Image | None = None

    def update(
        self,
        objects: list[Object],
        pts: int,
        inferred: bool,
        image: object = None,
        warp: NDArray[np.float64] | None = None,
    ) -> list[Object]:
        """See trackers.base.Tracker."""
        if not isinstance(image, Image):
            raise ConfigError(
                f"tracker {self.rules.name or 'dcf'} looks at pictures: give it frames, not detections alone"
            )
        self.image = image
        self.sure.clear()
        self.heights.clear()
        before = self.now
        out = super().update(objects, pts, inferred, image, warp)
        if not inferred:
            self.table[: self.n, VELOCITY + 2 : VELOCITY + 4] *= np.exp(-(self.now - before) / CALM)
        if inferred:
            table = self.table[: self.n]
            self.filters.keep([int(serial) for serial in table[:, SERIAL]])
            self._learn(np.flatnonzero(table[:, MISSES] == 0))
        self.image = None
        return out

    def discontinuity(self) -> None:
        super().discontinuity()
        self.filters.known.clear()

    def _further(self, own: list[Object]) -> Columns | None:
        extras = super()._further(own)
        if not self.weighs or not self.n or not own or self.image is None:
            return extras
        if extras is None:
            extras = np.zeros((2, self.n, len(own)))
        extras[1] = 1.0  # what was never looked at is given the benefit of the doubt
        rows = self._known(np.arange(self.n))
        if len(rows):
            centres = centred(np.array([found.box for found in own], np.float64))[:, :2]
            boxes, serials = self.table[rows, POSITION : POSITION + 4], self.table[rows, SERIAL].astype(int).tolist()
            extras[1, rows] = self.filters.likeness(self.image, serials, boxes, centres)
        return extras

    def _carried(self, coast: float, unlooked: bool) -> list[Object]:
        """Those of motion alone, where the picture has them, and those that a look missed and the picture confirms."""
        table = self.table[: self.n]
        lost = (table[:, ID] > 0) & (table[:, MISSES] > 0) & (self.now - table[:, SEEN] <= self.shadows)
        promising = (table[:, STATE] == TENTATIVE) & (table[:, CONFIDENCE] >= self.confirm)
        between = unlooked & (table[:, MISSES] == 0) & ((table[:, ID] > 0) | promising)
        self._localise(np.flatnonzero(lost | between))
        if unlooked:
            self._confirm(table, promising)
        shown = super()._carried(coast, unlooked)
        confirmed = [row for row in table if row[ID] > 0 and int(row[SERIAL]) in self.sure]
        if self.strict:
            ids = {int(row[ID]) for row in confirmed}
            shown = [found for found in shown if found.id in ids]
        known = {found.id for found in shown}
        lately = [row for row in confirmed if self.now - row[SEEN] <= self.trust and row[HITS] > 1]
        more = [row for row in lately if row[ID] not in known]
        told: list[Unseen] = describe(np.array(more), True, self.now) if more else []
        shown += self._objects(told)
        for found in shown:
            if found.id in self.heights:
                found.track_confidence = self.heights[found.id]
        return shown

    def _confirm(self, table: Columns, promising: NDArray[np.bool_]) -> None:
        """Targets that a sure detection began become identities where the picture shows them again."""
        rows = [row for row in np.flatnonzero(promising) if int(table[row, SERIAL]) in self.sure]
        if rows:
            table[rows, STATE] = ACTIVE
            self._name()

    def _known(self, rows: NDArray[np.intp]) -> NDArray[np.intp]:
        """Those of rows whose look is known."""
        return np.array([row for row in rows if int(self.table[row, SERIAL]) in self.filters.known], dtype=np.intp)

    def _localise(self, rows: NDArray[np.intp]) -> None:
        """Measure where targets are in the picture, and tell the filter."""
        rows = self._known(rows)
        if not len(rows) or self.image is None or self.life.filter == BOX_ALONE:
            return
        serials = self.table[rows, SERIAL].astype(int).tolist()
        found, heights, good = self.filters.find(self.image, serials, self.table[rows, POSITION : POSITION + 4])
        self.sure |= {serial for serial, sure in zip(serials, good, strict=True) if sure}
        self.heights |= {
            int(number): min(max(float(height), 0.0), 1.0)
            for number, height, sure in zip(self.table[rows, ID], heights, good, strict=True)
            if sure and number > 0
        }
        boxes = np.hstack((found[:, :2] - found[:, 2:] / 2, found[:, :2] + found[:, 2:] / 2))
        part = self.table[rows[good]]
        before = part[:, SIDES]
        kalman.update(part, self.life_seen, boxes[good], part[:, CONFIDENCE])
        part[:, SIDES] = before  # of its size nothing was measured
        self.table[rows[good]] = part

    def _learn(self, rows: NDArray[np.intp]) -> None:
        """What targets that are known to be where they are look like now."""
        if self.image is not None and len(rows):
            serials = self.table[rows, SERIAL].astype(int).tolist()
            self.filters.learn(self.image, serials, self.table[rows, POSITION : POSITION + 4])


def _life_seen(life: Life, visual: Visual) -> Life:
    """The same filter for places that were measured in the picture."""
    if visual.noise_abs:
        return replace(life, noise_measured=0.0, measured_abs=visual.noise_abs)
    root = float(np.sqrt(visual.noise))
    return replace(life, noise_measured=life.noise_measured * root, measured_abs=life.measured_abs * visual.noise)
