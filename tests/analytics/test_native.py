"""The C part of analytics against Python: the same state, the same sightings and the same events, to the bit."""

from __future__ import annotations

import numpy as np
import pytest

from millrace.analytics import native
from millrace.analytics.lines import LineCounter
from millrace.analytics.paths import Path, Paths, Place
from millrace.analytics.sightings import SECOND, Sighting
from millrace.analytics.zones import ZoneCounter

STEP = SECOND // 30


@pytest.fixture(autouse=True)
def built():
    if native.steps is None:
        pytest.skip("the C part was not built")


def walks(seed, frames=240, things=9):
    """Those who wander about, tremble, vanish for a while, jump, and stand still; with times that are uneven."""
    rng = np.random.default_rng(seed)
    at, speed = rng.uniform(0, 640, (things, 2)), rng.normal(0, 4, (things, 2))
    pts = 0
    for _ in range(frames):
        pts += int(STEP * rng.choice([1, 1, 1, 2, 7]))
        speed += rng.normal(0, 0.6, (things, 2))
        at += speed
        jumps = rng.random(things) < 0.01
        at[jumps] = rng.uniform(0, 640, (int(jumps.sum()), 2))
        shown = rng.random(things) < 0.9
        trembling = at + rng.normal(0, 1, (things, 2)) * rng.choice([0.0, 1.5, 6.0], (things, 1))
        yield (
            pts,
            [
                Sighting(n + 1, f"kind {n % 3}", x, y, x + 40.0, y + 60.0 + n)
                for n, (x, y) in enumerate(trembling.tolist())
                if shown[n]
            ],
        )


def told(seed):
    """All that lines, zones and paths say of a scene, and their state at the end."""
    paths, line = Paths(), LineCounter((100, 320), (600, 300))
    slanted = LineCounter((320, 600), (300, 20), margin=0.2)
    zone = ZoneCounter([(100, 100), (500, 80), (560, 500), (300, 300), (90, 480)], patience=0.3)
    out = []
    for pts, seen in walks(seed):
        seen = paths.update(seen, pts)
        out += [seen, line.update(seen, pts), slanted.update(seen, pts), zone.update(seen, pts), zone.present()]
    state = [
        {key: [getattr(path, name) for name in type(path).__slots__] for key, path in known.items()}
        for known in (paths.known, line.paths, slanted.paths, zone.visits)
    ]
    return out, state, line.totals(), zone.totals(), [type(p) for path in paths.known.values() for p in path.places]


@pytest.mark.parametrize("seed", range(6))
def test_the_same_as_in_python(seed, monkeypatch):
    by_c = told(seed)
    monkeypatch.setattr(native, "steps", None)
    by_python = told(seed)
    assert by_c == by_python
    assert by_c[2]["in"] + by_c[2]["out"] > 0
    assert by_c[3]["entered"] > 3


def test_what_is_no_sighting_is_refused():
    with pytest.raises(TypeError, match="a sighting is a tuple"):
        native.steps.line({}, [1], 0, (0.0, 0.0), (1.0, 1.0), 1.0)
    with pytest.raises(TypeError, match="places are tuples"):
        native.steps.paths({}, [], 0, 1, dict, dict, dict)


def test_times_that_no_stream_has_are_an_error():
    seen = [Sighting(1, "car", 0.0, 0.0, 1.0, 1.0)]
    with pytest.raises(OverflowError, match="is no time in ns"):
        native.steps.paths({}, seen, 2**62, 1, Path, Place, None)
    known = {1: Path()}
    known[1].places.append(Place(2**62, (0.0, 0.0), None, 1.0))
    with pytest.raises(OverflowError, match="is no time in ns"):
        native.steps.paths(known, seen, 0, 1, Path, Place, None)


@pytest.mark.parametrize("late", [-1, 0, 1])
def test_a_pause_of_five_steps_is_the_last_that_is_learnt_from(late, monkeypatch):
    def residuals():
        paths = Paths()
        for pts in (0, 10, 60 + late):
            paths.update([Sighting(1, "car", 0.0, 0.0, 10.0, 20.0)], pts)
        return paths.known[1].residuals

    assert residuals() == (late <= 0)
    monkeypatch.setattr(native, "steps", None)
    assert residuals() == (late <= 0)


def test_one_that_is_seen_no_more_left_from_where_it_was():
    zone = ZoneCounter([(0, 0), (100, 0), (100, 100), (0, 100)], patience=0.1)
    for n in range(5):
        zone.update([Sighting(1, "x", 20.0, 0.0, 60.0, 30.0 + n)], n * STEP)
    (passage,) = zone.update([], SECOND)
    assert passage.gone and passage.depth == 34.0  # its foot was at (40, 34)


def test_an_identity_may_stand_in_a_frame_twice(monkeypatch):
    def counts():
        line, zone = LineCounter((0, 50), (100, 50)), ZoneCounter([(0, 50), (100, 50), (100, 99), (0, 99)])
        above, below = (Sighting(1, "x", 40.0, y - 20, 60.0, y) for y in (20.0, 80.0))
        for n, seen in enumerate(([above], [below, above], [above, below], [below])):
            line.update(seen, n * STEP)
            zone.update(seen, n * STEP)
        return line.totals(), zone.totals()

    by_c = counts()
    monkeypatch.setattr(native, "steps", None)
    assert by_c == counts()
    assert by_c[0]["in"] == by_c[1]["entered"] == 2
