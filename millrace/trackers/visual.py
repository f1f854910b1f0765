"""What targets look like to the pixel: a correlation filter for each, that finds it again.

Bolme et al., "Visual object tracking using adaptive correlation filters", CVPR 2010, over several channels: luma,
colour and, where asked for, gradients by their direction (Dalal and Triggs, "Histograms of oriented gradients for human
detection", CVPR 2005). Channels may be weighed by how well each alone answers (Lukezic et al., "Discriminative
correlation filter with channel and spatial reliability", CVPR 2017).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..media import Image
from .patches import Cut, cut

CALM = 1e-2  # regularisation, to the mean power of patches
TINY = 1e-9  # the same, of patches that are one grey: they have no power
BESIDE = 5 / 32  # of the patch: as far around the peak there are no side lobes
TURNS = 6  # directions of gradients, over half a turn

Complex = NDArray[np.complex64]
Single = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Visual:
    """How targets are looked at.

    A patch is `size` points high and wide, and shows a target and `padding` times the root of its area around it.
    `sigma`: points, how sharp an answer is wanted. `learning`: how much a new look counts; `channel_learning` the same
    for the weights of channels (0: all alike). `colour`, `gradients`: channels beside luma. `focus`: how far below the
    middle the window is centred, of the height. A place is believed where the peak is `peak` deviations above the side
    lobes, and at least `height` high (1: as wanted). `noise`: the variance of such a place, to that of a detection;
    what `noise_abs` says in pixels² counts instead, where it is not 0.
    """

    size: int = 32
    padding: float = 1.0
    sigma: float = 1.6
    learning: float = 0.2
    channel_learning: float = 0.0
    colour: bool = True
    gradients: bool = False
    focus: float = 0.0
    peak: float = 10.0
    height: float = 0.0
    noise: float = 1.0
    noise_abs: float = 0.0


@dataclass(slots=True)
class Filter:
    """One target's: numerator [channels, size, size // 2 + 1], denominator, and the weights of its channels."""

    above: Complex
    below: Single
    weights: Single


class Filters:
    """The filters of one stream's targets, by serial number. Boxes are centre x, centre y, width, height [n, 4]."""

    def __init__(self, rules: Visual) -> None:
        self.rules, size = rules, rules.size
        self.known: dict[int, Filter] = {}
        self.cut: Cut = cut
        at = np.fft.fftfreq(size, 1 / size)
        bell = np.exp(-0.5 * (at[:, None] ** 2 + at[None] ** 2) / rules.sigma**2)
        self.wanted = np.fft.rfft2(bell).astype(np.complex64)
        window = np.hanning(size + 2)[1:-1]
        below = np.clip(np.arange(size) - rules.focus * size, 0, size - 1)
        self.window = np.outer(np.interp(below, np.arange(size), window), window).astype(np.float32)

    def keep(self, serials: Sequence[int]) -> None:
        """Forget all others."""
        alive = set(serials)
        self.known = {serial: one for serial, one in self.known.items() if serial in alive}

    def regions(self, boxes: NDArray[np.float64]) -> NDArray[np.float64]:
        """What the patches of boxes show."""
        out = boxes.copy()
        out[:, 2:] += self.rules.padding * np.sqrt(np.maximum(boxes[:, 2:3] * boxes[:, 3:], 1.0))
        return out

    def answers(self, image: Image, serials: Sequence[int], boxes: NDArray[np.float64]) -> Any:
        """How well each place around a box fits its target [n, size, size], the middle at the corner."""
        filters = [self.known[serial] for serial in serials]
        above, below = np.stack([one.above for one in filters]), np.stack([one.below for one in filters])
        weights = np.stack([one.weights for one in filters])[:, :, None, None]
        calm = CALM * below.mean(axis=(1, 2), keepdims=True) + TINY
        spectra = self._spectra(image, boxes)
        if spectra.shape[1] != above.shape[1]:  # pictures of another format came
            return np.zeros((len(boxes), self.rules.size, self.rules.size))
        found = (weights * above * spectra).sum(axis=1) / (below + calm)
        return np.fft.irfft2(found, s=(self.rules.size,) * 2)

    def find(
        self, image: Image, serials: Sequence[int], boxes: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.bool_]]:
        """Where targets are, looked for around boxes: boxes there, heights of the peaks, and which to believe."""
        answers = self.answers(image, serials, boxes)
        place, height, sharp = peaks(answers)
        found = boxes.copy()
        found[:, :2] += place * self.regions(boxes)[:, 2:] / self.rules.size
        return found, height, (sharp >= self.rules.peak) & (height >= self.rules.height)

    def learn(self, image: Image, serials: Sequence[int], boxes: NDArray[np.float64]) -> None:
        """What targets look like now, where they are known to be."""
        if not len(serials):
            return
        spectra = self._spectra(image, boxes)
        above = self.wanted * np.conj(spectra)
        power = spectra.real**2 + spectra.imag**2
        below = power.sum(axis=1)
        rate = np.float32(self.rules.learning)
        for n, serial in enumerate(serials):
            old = self.known.get(serial)
            if old is None or old.above.shape != above[n].shape:
                weights = np.full(len(power[n]), 1.0, np.float32)
                old = self.known[serial] = Filter(above[n].copy(), below[n].copy(), weights)
            else:
                old.above += rate * (above[n] - old.above)
                old.below += rate * (below[n] - old.below)
            if self.rules.channel_learning:
                self._weigh(old, spectra[n])

    def likeness(
        self, image: Image, serials: Sequence[int], boxes: NDArray[np.float64], centres: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """[n, m]: the answer at each of centres [m, 2], to the best answer around; 0 outside of what is seen."""
        answers, size = self.answers(image, serials, boxes), self.rules.size
        best = np.maximum(answers.reshape(len(boxes), -1).max(axis=1), 1e-6)
        step = self.regions(boxes)[:, None, 2:] / size
        at = np.round((centres[None] - boxes[:, None, :2]) / step).astype(int)
        seen = (np.abs(at) <= size // 2 - 1).all(axis=2)
        at = np.where(seen[..., None], at, 0) % size
        value = answers[np.arange(len(boxes))[:, None], at[..., 1], at[..., 0]] / best[:, None]
        return np.where(seen, np.clip(value, 0.0, 1.0), 0.0)

    def _weigh(self, one: Filter, spectra: Complex) -> None:
        """Channels that answer well alone count more."""
        calm = CALM * one.below.mean() + TINY
        alone = np.fft.irfft2(one.above * spectra / (one.below + calm), s=(self.rules.size,) * 2)
        worth = np.maximum(alone.reshape(len(alone), -1).max(axis=1), 1e-6)
        worth = worth * (len(worth) / worth.sum())
        one.weights += np.float32(self.rules.channel_learning) * (worth.astype(np.float32) - one.weights)

    def _spectra(self, image: Image, boxes: NDArray[np.float64]) -> Any:
        """[n, channels, …] of the picture around boxes: each channel of mean 0 and length 1, faded out at the edges."""
        patches = self.cut(image, self.regions(boxes), self.rules.size)
        if not self.rules.colour:
            patches = patches[:, :1]
        if self.rules.gradients:
            patches = np.concatenate((patches, gradients(patches[:, 0])), axis=1)
        patches -= patches.mean(axis=(2, 3), keepdims=True)
        patches *= self.window
        patches /= np.sqrt((patches * patches).sum(axis=(2, 3), keepdims=True)) + 1e-3
        return np.fft.rfft2(patches).astype(np.complex64)


def gradients(luma: Single) -> Single:
    """[n, TURNS, h, w] of grey patches [n, h, w]: how strongly they change, in each direction."""
    dy, dx = np.zeros_like(luma), np.zeros_like(luma)
    dy[:, 1:-1] = luma[:, 2:] - luma[:, :-2]
    dx[:, :, 1:-1] = luma[:, :, 2:] - luma[:, :, :-2]
    strong = np.sqrt(dx * dx + dy * dy)
    turn = (np.arctan2(dy, dx) % np.pi) * (TURNS / np.pi)
    bins = np.arange(TURNS, dtype=np.float32)[None, :, None, None]
    off = np.abs((turn[:, None] - bins + TURNS / 2) % TURNS - TURNS / 2)
    return np.asarray(strong[:, None] * np.maximum(1 - off, 0), np.float32)


def peaks(answers: Any) -> tuple[Any, Any, Any]:
    """Of answers [n, size, size], 0 at the corner: place (x, y in points, to a part of one), height and sharpness.

    Sharpness is the ratio of the peak to the side lobes: how far it is above their mean, in their deviations.
    """
    n, size = len(answers), answers.shape[-1]
    flat = answers.reshape(n, -1)
    top = flat.argmax(axis=1)
    rows = np.arange(n)
    y, x = top // size, top % size
    height = flat[rows, top]
    place = np.empty((n, 2))
    for k, (dy, dx) in enumerate(((0, 1), (1, 0))):
        before = answers[rows, (y - dy) % size, (x - dx) % size]
        after = answers[rows, (y + dy) % size, (x + dx) % size]
        curve = before - 2 * height + after
        part = np.where(curve < 0, 0.5 * (before - after) / np.where(curve < 0, curve, -1.0), 0.0)
        whole = (x, y)[k]
        place[:, k] = np.where(whole > size // 2, whole - size, whole) + part
    beside = max(1, round(BESIDE * size))
    off_y = np.abs((np.arange(size)[None] - y[:, None] + size // 2) % size - size // 2) <= beside
    off_x = np.abs((np.arange(size)[None] - x[:, None] + size // 2) % size - size // 2) <= beside
    lobes = ~(off_y[:, :, None] & off_x[:, None, :])
    count = lobes.reshape(n, -1).sum(axis=1)
    mean = (answers * lobes).reshape(n, -1).sum(axis=1) / count
    spread = np.sqrt((((answers - mean[:, None, None]) ** 2) * lobes).reshape(n, -1).sum(axis=1) / count)
    return place, height, (height - mean) / (spread + 1e-9)
