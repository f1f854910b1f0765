"""Paths of identities: how much a box trembles, and how fast it goes."""

from __future__ import annotations

import numpy as np
import pytest

from millrace.analytics.paths import Paths
from millrace.analytics.sightings import MEMORY, Sighting
from millrace.analytics.speed import speed_of

MS = 1_000_000


def at(x: float, y: float, key: int = 1) -> Sighting:
    return Sighting(key, "car", x - 10, y - 20, x + 10, y)


@pytest.mark.parametrize("sigma", [0.5, 3.0])
@pytest.mark.parametrize("dropped", [0.0, 0.1])
def test_the_trembling_is_found(sigma: float, dropped: float) -> None:
    rng = np.random.default_rng(1)
    found = []
    for key in range(40):
        paths = Paths()
        for n in range(60):
            if rng.random() >= dropped:
                paths.update([at(3 * n + rng.normal(0, sigma), n + rng.normal(0, sigma), key)], n * 40 * MS)
        found.append(paths.known[key].doubt)
    assert np.mean(found) == pytest.approx(sigma, rel=0.15)


def test_one_that_trembles_is_moved_to_where_its_path_leads() -> None:
    rng = np.random.default_rng(2)
    raw, moved, doubts = [], [], []
    for key in range(30):
        paths = Paths()
        for n in range(40):
            x, y = 3 * n, 100 + 2 * n
            given = at(x + rng.normal(0, 2), y + rng.normal(0, 2), key)
            (seen,) = paths.update([given], n * 40 * MS)
            if n > 20:
                raw.append(given.y2 - y)
                moved.append(seen.y2 - y)
                doubts.append(seen.doubt)
                assert seen.height == pytest.approx(20)
    assert np.std(raw) == pytest.approx(2.0, rel=0.1)
    assert np.std(moved) == pytest.approx(np.mean(doubts), rel=0.2)
    assert np.std(moved) < 0.65 * np.std(raw)
    assert abs(np.mean(moved)) < 0.15  # it does not lag behind


def test_what_moves_smoothly_does_not_tremble() -> None:
    paths = Paths()
    for n in range(60):
        (seen,) = paths.update([at(100 * np.sin(n / 20), 3 * n + 0.02 * n * n)], n * 40 * MS)
    assert seen.doubt < 0.25


def test_speed_by_least_squares_over_the_last_second() -> None:
    paths = Paths()
    for n in range(50):
        (seen,) = paths.update([at(4 * n, 3 * n)], n * 40 * MS, [(0.4 * n, 0.3 * n)])
    path = paths.known[seen.id]
    assert speed_of(path, ground=False) == pytest.approx(125.0)
    assert speed_of(path, ground=True) == pytest.approx(12.5)
    assert path.places[0].pts >= 24 * 40 * MS
    assert speed_of(Paths().known.setdefault(1, type(path)()), ground=False) is None


def test_a_place_beyond_the_horizon_gives_no_speed() -> None:
    paths = Paths()
    for n in range(20):
        paths.update([at(4 * n, 3 * n)], n * 40 * MS, [None if n == 15 else (n, 0.0)])
    assert speed_of(paths.known[1], ground=True) is None


def test_the_forgotten() -> None:
    paths = Paths()
    paths.update([at(0, 0)], 0)
    paths.update([at(0, 0, 2)], MEMORY + 1)
    assert list(paths.known) == [2]
    paths.forget()
    assert paths.known == {}
