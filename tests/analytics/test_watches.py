"""Crowds, loiterers, those who stand, the wrong way, speed limits, heatmaps, occupancy: each alone."""

from __future__ import annotations

import numpy as np
import pytest

from millrace.analytics.crowding import Crowding
from millrace.analytics.dwell import Dwell, Loitering
from millrace.analytics.heatmap import Heatmap
from millrace.analytics.occupancy import Occupancy
from millrace.analytics.paths import Paths
from millrace.analytics.sightings import Sighting
from millrace.analytics.speed import SpeedLimit
from millrace.analytics.stopped import Stopped
from millrace.analytics.wrong_way import WrongWay

S = 1_000_000_000


def at(x: float, y: float, key: int = 1) -> Sighting:
    return Sighting(key, "car", x - 10, y - 20, x + 10, y)


def test_a_crowd_must_last() -> None:
    crowd = Crowding(3, after=2.0)
    counts = [3, 3, 2, 3, 4, 3, 2]
    assert [crowd.update(count, n * S) for n, count in enumerate(counts)] == [
        None, None, None, None, None, True, False,
    ]  # fmt: skip
    assert (crowd.most, crowd.times) == (4, 1)
    assert Crowding(2).update(2, 0) is True


def test_loiterers_and_dwell() -> None:
    loitering = Loitering(2.0)
    inside = {1: ("car", 0), 2: ("van", S)}
    told = [[(c.id, c.starts) for c in loitering.update(inside, {1, 2}, n * S)] for n in range(4)]
    assert told == [[], [], [(1, True)], [(2, True)]]
    assert [(c.id, c.starts, c.since) for c in loitering.update({2: ("van", S)}, {2}, 4 * S)] == [(1, False, 0)]
    dwell = Dwell()
    for seconds in (1.0, 3.0):
        dwell.add("car", seconds)
    assert dwell.totals() == {"car": {"visits": 2, "mean": 2.0, "most": 3.0}}


@pytest.mark.parametrize("fps", [5, 15, 30])
def test_who_stands_though_it_trembles(fps: int) -> None:
    rng = np.random.default_rng(3)
    stopped = Stopped(3.0)
    told = []
    for n in range(20 * fps):
        t = n / fps
        x = min(10 * t, 50.0) if t < 12 else 50 + 10 * (t - 12)  # arrives at 5 s, goes on at 12 s
        told += [
            (c.starts, t) for c in stopped.update([at(x + rng.normal(0, 1), 100 + rng.normal(0, 1))], round(t * S))
        ]
    assert [starts for starts, _ in told] == [True, False]
    assert told[0][1] == pytest.approx(8.0, abs=0.8)
    assert told[1][1] == pytest.approx(12.0, abs=1.0)


def test_the_wrong_way_and_back() -> None:
    paths, watch = Paths(), WrongWay([(0.0, 0.0), (100.0, 0.0)])
    told = []
    for n in range(150):
        x = 500 - 3 * n if n < 75 else 275 + 3 * (n - 75)
        seen = paths.update([at(x, 50), at(3 * n, 80, 2), at(300, 90, 3)], n * S // 25)
        told += [(c.id, c.starts, n) for c in watch.update(seen, paths.known, n * S // 25)]
    assert [(key, starts) for key, starts, _ in told] == [(1, True), (1, False)]
    assert told[0][2] < 12
    assert 75 < told[1][2] < 105


def test_speed_limits() -> None:
    limit = SpeedLimit(over=10.0, after=1.0)
    speeds = [9.0, 11.0, 9.0, 12.0, 12.0, 12.0, 8.0]
    told = [[(c.starts, c.since // S) for c in limit.update([at(0, 0)], {1: v}, n * S)] for n, v in enumerate(speeds)]
    assert told == [[], [], [], [], [(True, 3)], [], [(False, 3)]]
    slow = SpeedLimit(under=2.0, after=0.0)
    assert len(slow.update([at(0, 0)], {1: 1.0}, 0)) == 1
    assert [c.facts for c in slow.update([], {}, 3 * S)] == [{"gone": True}]


@pytest.mark.parametrize("fps", [5, 15, 30])
def test_a_heatmap_is_seconds_at_any_rate(fps: int) -> None:
    heat = Heatmap(100, 60, cell=20)
    for n in range(4 * fps + 1):
        heat.update([at(30, 30), at(10 + 20 * n / fps, 50, 2)], round(n * S / fps))
    seconds = heat.seconds("car")
    assert seconds.shape == (3, 5)
    assert seconds[1, 1] == pytest.approx(4.0)
    assert seconds[2].sum() == pytest.approx(4.0)
    assert heat.density.max() == 1.0
    assert heat.seconds("van").sum() == 0


@pytest.mark.parametrize("fps", [5, 15, 30])
def test_occupancy_is_the_mean_over_time_at_any_rate(fps: int) -> None:
    occupancy = Occupancy(2.0)
    for n in range(6 * fps + 1):
        t = n / fps
        occupancy.update({"car": 2} if 1 <= t < 3 else {}, round(t * S))
    totals = occupancy.totals()
    assert [each["mean"] for each in totals[:3]] == pytest.approx([1.0, 1.0, 0.0], abs=1e-3)
    assert [each["most"] for each in totals[:3]] == [2, 2, 0]
    assert totals[0]["classes"] == {"car": pytest.approx(1.0, abs=1e-3)}
