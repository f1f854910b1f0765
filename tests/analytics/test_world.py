"""Homographies: exact on their own points, right between them, honest about the horizon."""

from __future__ import annotations

import numpy as np
import pytest

from millrace.analytics.world import Homography, homography_of
from millrace.testing.camera import Camera

CAMERA = Camera(1280, 720, (1.0, 0.0, 6.0), 12.0, 14.0, 1100.0)
GROUND = [(-4.0, 12.0), (5.0, 11.0), (6.0, 40.0), (-5.0, 38.0)]


def seen(points: list[tuple[float, float]]) -> list[list[float]]:
    return CAMERA.project(np.array([(x, y, 0.0) for x, y in points]))[0].tolist()


def test_four_pairs_fix_the_plane() -> None:
    found = Homography.fit(seen(GROUND), GROUND)
    others = [(0.0, 20.0), (3.0, 30.0), (-2.0, 15.0), (1.0, 60.0)]
    np.testing.assert_allclose(found.to_world(seen(others)), others, atol=1e-6)
    np.testing.assert_allclose(found.to_image(others), seen(others), atol=1e-6)
    assert found.ground(tuple(seen(others)[0])) == pytest.approx(others[0])
    assert found.error(seen(GROUND), GROUND).metres.max() < 1e-9


def test_more_pairs_share_the_error() -> None:
    rng = np.random.default_rng(1)
    many = [(float(x), float(y)) for x, y in rng.uniform((-5, 10), (6, 40), (30, 2))]
    noisy = np.array(seen(many)) + rng.normal(0, 0.5, (30, 2))
    found = Homography.fit(noisy.tolist(), many)
    assert np.abs(found.to_world(seen(GROUND)) - GROUND).max() < 0.3
    fit = found.error(noisy.tolist(), many)
    assert 0.2 < np.sqrt((fit.pixels**2).mean()) < 1.2


def test_above_the_horizon_is_no_ground() -> None:
    found = Homography.fit(seen(GROUND), GROUND)
    assert found.ground((640.0, 20.0)) is None
    assert found.ground((640.0, 700.0)) is not None


@pytest.mark.parametrize(
    ("image", "world", "words"),
    [
        ([[0, 0], [1, 0], [1, 1]], [[0, 0], [1, 0], [1, 1]], "at least four pairs"),
        ([[0, 0], [1, 0], [2, 0], [0, 1]], [[0, 0], [1, 0], [2, 0], [0, 1]], "three of four lie on a line"),
        ([[0, 0], [0, 0], [2, 0], [0, 1]], [[0, 0], [0, 0], [2, 0], [0, 1]], "on a line, or two are the same"),
        ([[0, 0], [9, 0], [9, 9], [0, float("nan")]], [[0, 0], [1, 0], [1, 1], [0, 1]], "not a finite number"),
        ([[0, 0], [9, 0], [9, 9], [0, 9]], [[0, 0], [1, 1], [1, 0], [0, 1]], "both sides of the horizon"),
    ],
)
def test_points_that_do_not_do(image: list[list[float]], world: list[list[float]], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Homography.fit(image, world)


def test_fractions_and_sizes() -> None:
    world = [[0, 0], [10, 0], [10, 5], [0, 5]]
    by_fraction = homography_of({"image": [[0, 0], [1, 0], [1, 1], [0, 1]], "world": world}, 200, 100)
    by_size = homography_of({"image": [[0, 0], [40, 0], [40, 20], [0, 20]], "world": world, "size": [40, 20]}, 200, 100)
    for found in (by_fraction, by_size):
        assert found.ground((100.0, 50.0)) == pytest.approx((5.0, 2.5))
