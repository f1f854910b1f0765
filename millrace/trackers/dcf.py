"""Tracking by motion and by looks: a correlation filter for each target."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..core.errors import ConfigError
from ..media import Image, Object
from . import kalman
from .arrays import Unseen, describe
from .default import Default
from .motion import MotionTracker
from .patches import cut
from .rules import BOX as BOX_ALONE
from .table import CONFIDENCE, ID, MISSES, POSITION, SEEN, SERIAL

SIZE = 32  # a patch is so many points high and wide,
AROUND = 2.0  # and shows so many times a target's width and height
SIGMA = 1.6  # points: how sharp a response is wanted
CALM = 1e-2  # regularisation, to the mean power of patches
BESIDE = 5  # points around the peak that are not side lobes

Complex = NDArray[np.complex64]


@dataclass(slots=True)
class Filter:
    """What a target looks like: numerator [channels, SIZE, SIZE // 2 + 1] and denominator of its filter."""

    above: Complex
    below: NDArray[np.float32]


@dataclass(kw_only=True)
class Dcf(Default):
    """`default`, and a discriminative correlation filter for each target that finds it where no detection does.

    Bolme et al., "Visual object tracking using adaptive correlation filters", CVPR 2010, over luma and colour. Between
    looks (`infer` with `every`), and where a look misses a target, its place is measured in the picture and given to
    the Kalman filter, if the peak is `peak` times as far above the side lobes as these scatter. What a look misses is
    reported for at most `trust` seconds if its peak is as sure. `learning` is how fast looks are learnt. Size is the
    Kalman filter's: other scales, tried, cost three times as much and gained nothing. Needs pictures in the processor's
    memory.
    """

    peak: float = 10.0
    trust: float = 0.3
    learning: float = 0.2

    name = "dcf"

    def open(self) -> DcfTracker:
        return DcfTracker(self)


class DcfTracker(MotionTracker):
    """See `Dcf`."""

    rules: Dcf

    def __init__(self, rules: Dcf, compiled: bool = True) -> None:
        super().__init__(rules, compiled)
        self.filters: dict[int, Filter] = {}
        self.sure: set[int] = set()  # serials of targets that the picture confirms in this frame
        self.image: Image | None = None
        at = np.fft.fftfreq(SIZE, 1 / SIZE)
        self.wanted = np.fft.rfft2(np.exp(-0.5 * (at[:, None] ** 2 + at[None] ** 2) / SIGMA**2)).astype(np.complex64)
        window = np.hanning(SIZE + 2)[1:-1]
        self.window = np.outer(window, window).astype(np.float32)

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
            raise ConfigError("tracker dcf looks at pictures: give it frames, not detections alone")
        self.image = image
        self.sure.clear()
        out = super().update(objects, pts, inferred, image, warp)
        self.image = None
        if inferred:
            self._learn(image)
        return out

    def discontinuity(self) -> None:
        super().discontinuity()
        self.filters.clear()

    def _carried(self, coast: float, unlooked: bool) -> list[Object]:
        """Those of `default`, where the picture shows them; and those that a look missed and the picture confirms."""
        table = self.table[: self.n]
        lost = self.now - table[:, SEEN] <= self.rules.trust
        self._localise(np.flatnonzero((table[:, ID] > 0) & ((table[:, MISSES] > 0) & lost | unlooked)))
        shown = super()._carried(coast, unlooked)
        known = {found.id for found in shown}
        more = [row for row in table if int(row[SERIAL]) in self.sure and row[ID] not in known]
        told: list[Unseen] = describe(np.array(more), True, self.now) if more else []
        return shown + self._objects(told)

    def _localise(self, rows: NDArray[np.intp]) -> None:
        """Measure where targets are in the picture, and tell the filter."""
        rows = np.array([row for row in rows if int(self.table[row, SERIAL]) in self.filters], dtype=int)
        if not len(rows) or self.image is None or self.life.filter == BOX_ALONE:
            return
        filters = [self.filters[int(serial)] for serial in self.table[rows, SERIAL]]
        position = self.table[rows, POSITION : POSITION + 4].copy()
        above = np.stack([one.above for one in filters])
        below = np.stack([one.below for one in filters])
        place, sharp = _peaks(self._response(position * (1, 1, AROUND, AROUND), above, below))
        measured = position + np.hstack((place * position[:, 2:] * (AROUND / SIZE), np.zeros((len(rows), 2))))
        good = sharp >= self.rules.peak
        self.sure |= {int(serial) for serial in self.table[rows[good], SERIAL]}
        boxes = np.hstack((measured[:, :2] - measured[:, 2:] / 2, measured[:, :2] + measured[:, 2:] / 2))
        part = self.table[rows[good]]
        kalman.update(part, self.life, boxes[good], part[:, CONFIDENCE])
        self.table[rows[good]] = part

    def _spectra(self, regions: NDArray[np.float64]) -> Any:
        """[n, channels, …] of the picture in regions: each channel of mean 0 and length 1, faded out at the edges."""
        assert self.image is not None
        patches = cut(self.image, regions, SIZE)
        patches -= patches.mean(axis=(2, 3), keepdims=True)
        patches *= self.window
        patches /= np.sqrt((patches * patches).sum(axis=(2, 3), keepdims=True)) + 1e-3
        return np.fft.rfft2(patches).astype(np.complex64)

    def _response(self, regions: NDArray[np.float64], above: Complex, below: NDArray[np.float32]) -> Any:
        power = CALM * below.mean(axis=(1, 2), keepdims=True)
        return np.fft.irfft2((above * self._spectra(regions)).sum(axis=1) / (below + power), s=(SIZE, SIZE))

    def _learn(self, image: Image) -> None:
        """What the targets that this look found look like now."""
        table = self.table[: self.n]
        alive = {int(serial) for serial in table[:, SERIAL]}
        self.filters = {serial: one for serial, one in self.filters.items() if serial in alive}
        rows = np.flatnonzero(table[:, MISSES] == 0)
        if not len(rows):
            return
        self.image = image
        spectra = self._spectra(table[rows, POSITION : POSITION + 4] * (1, 1, AROUND, AROUND))
        self.image = None
        rate = np.float32(self.rules.learning)
        above = self.wanted * np.conj(spectra)
        below = (spectra.real**2 + spectra.imag**2).sum(axis=1)
        for row, new_above, new_below in zip(rows, above, below, strict=True):
            serial = int(table[row, SERIAL])
            old = self.filters.get(serial)
            if old is None or old.above.shape != new_above.shape:
                self.filters[serial] = Filter(new_above, new_below)
            else:
                old.above += rate * (new_above - old.above)
                old.below += rate * (new_below - old.below)


def _peaks(response: Any) -> tuple[Any, Any]:
    """Of responses [n, SIZE, SIZE], 0 at the corner: place (x, y in points, to a part of one) and sharpness.

    Sharpness is the ratio of the peak to the side lobes: how far it is above their mean, in their deviations.
    """
    n = len(response)
    flat = response.reshape(n, -1)
    top = flat.argmax(axis=1)
    rows = np.arange(n)
    y, x = top // SIZE, top % SIZE
    height = flat[rows, top]
    place = np.empty((n, 2))
    for k, (dy, dx) in enumerate(((0, 1), (1, 0))):
        before = response[rows, (y - dy) % SIZE, (x - dx) % SIZE]
        after = response[rows, (y + dy) % SIZE, (x + dx) % SIZE]
        curve = before - 2 * height + after
        part = np.where(curve < 0, 0.5 * (before - after) / np.where(curve < 0, curve, -1.0), 0.0)
        whole = (x, y)[k]
        place[:, k] = np.where(whole > SIZE // 2, whole - SIZE, whole) + part
    away = np.abs((np.arange(SIZE) + SIZE // 2) % SIZE - SIZE // 2)
    centred = np.stack([np.roll(one, (-b, -a), axis=(0, 1)) for one, a, b in zip(response, x, y, strict=True)])
    lobes = (away[:, None] > BESIDE) | (away[None] > BESIDE)
    rest = centred[:, lobes]
    return place, (height - rest.mean(axis=1)) / (rest.std(axis=1) + 1e-9)
