"""Zones: who is in, who came and went."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from millrace.analytics.sightings import MEMORY, Sighting
from millrace.analytics.zones import Presence, ZoneCounter, signed_distance
from millrace.media.geometry import inside

SQUARE = [(0.0, 0.0), (100.0, 0.0), (100.0, 100.0), (0.0, 100.0)]
MS = 1_000_000


def at(x: float, y: float, key: int = 1, label: str = "car") -> Sighting:
    return Sighting(key, label, x - 10, y - 20, x + 10, y)


def steps(zone: ZoneCounter, points: list[tuple[float, float] | None], step: int = 40) -> list[tuple[int, str]]:
    return [
        (n, passage.direction)
        for n, point in enumerate(points)
        for passage in zone.update([] if point is None else [at(*point)], n * step * MS)
    ]


def test_enter_and_leave() -> None:
    zone = ZoneCounter(SQUARE)
    assert steps(zone, [(150, 50), (90, 50), (50, 50), (150, 50), (50, 50)]) == [
        (1, "enter"),
        (3, "leave"),
        (4, "enter"),
    ]
    assert zone.totals() == {
        "entered": 2,
        "left": 1,
        "most": 1,
        "now": {"car": 1},
        "identities": 1,
        "classes": {"car": 1},
        "dwell": {"car": {"visits": 1, "mean": 0.08, "most": 0.08}},
    }


def test_first_seen_inside_enters_at_once() -> None:
    assert steps(ZoneCounter(SQUARE), [(99.5, 50)]) == [(0, "enter")]


def test_trembling_on_the_boundary_changes_nothing() -> None:
    zone = ZoneCounter(SQUARE, margin=0.1)  # 2 pixels
    assert steps(zone, [(50, 50), *[(100 + d, 50) for d in (-1, 1, -1.5, 1.5)], (103, 50), (99, 50), (97, 50)]) == [
        (0, "enter"),
        (5, "leave"),
        (7, "enter"),
    ]


def test_one_that_vanishes_leaves_after_patience_of_stream_time() -> None:
    zone = ZoneCounter(SQUARE, patience=1.0)
    assert steps(zone, [(50, 50), None, None, None], step=400) == [(0, "enter"), (3, "leave")]
    zone = ZoneCounter(SQUARE, patience=1.0)
    assert steps(zone, [(50, 50), None, (50, 50)], step=900) == [(0, "enter")]
    zone = ZoneCounter(SQUARE, patience=1.0)
    assert steps(zone, [(50, 50), (50, 50)], step=5000) == [(0, "enter")]  # a slow stream: seen in every frame


def test_occupancy_by_class_and_the_most_at_once() -> None:
    zone = ZoneCounter(SQUARE)
    zone.update([at(20, 50), at(40, 50, 2), at(60, 50, 3, "van"), at(200, 50, 4)], 0)
    assert zone.occupancy() == {"car": 2, "van": 1}
    zone.update([at(20, 50), at(200, 50, 2), at(60, 50, 3, "van"), at(50, 50, 4)], 40 * MS)
    assert zone.occupancy() == {"car": 2, "van": 1}
    assert (zone.entered, zone.left, zone.most, zone.identities) == (4, 1, 3, {"car": 3, "van": 1})


def test_forgetting_and_purging() -> None:
    zone = ZoneCounter(SQUARE)
    for n in range(300):
        zone.update([at(50, 50, n)], n * MEMORY // 10)
    assert len(zone.states) < 15
    assert zone.identities.total() == 300
    zone.forget()
    assert zone.occupancy() == {}
    assert zone.entered == 300


def test_a_zone_needs_three_points() -> None:
    with pytest.raises(ValueError, match="at least 3 points, got 2"):
        ZoneCounter(SQUARE[:2])


def test_distances_of_a_concave_polygon() -> None:
    polygon = [(0.0, 0.0), (100.0, 0.0), (100.0, 100.0), (50.0, 50.0), (0.0, 100.0)]
    edges = [(polygon[n - 1], polygon[n]) for n in range(5)]
    assert signed_distance((50, 20), edges) == pytest.approx(20)
    assert signed_distance((50, 80), edges) == pytest.approx(-30 / 2**0.5)
    assert signed_distance((130, -40), edges) == pytest.approx(-50)


coordinates = st.tuples(st.integers(0, 20), st.integers(0, 20))


@given(st.lists(coordinates, min_size=3, max_size=7), st.tuples(st.floats(-1, 21), st.floats(-1, 21)))
def test_its_sign_is_the_even_odd_rule(polygon: list[tuple[int, int]], point: tuple[float, float]) -> None:
    edges = [(polygon[n - 1], polygon[n]) for n in range(len(polygon))]
    depth = signed_distance(point, edges)
    if abs(depth) > 1e-9:
        assert (depth > 0) == inside(point, np.array(polygon, dtype=np.float64))


def test_an_inverse_zone_is_what_lies_outside() -> None:
    zone = ZoneCounter(SQUARE, inverse=True)
    assert steps(zone, [(150, 50), (50, 50), (150, 50)]) == [(0, "enter"), (1, "leave"), (2, "enter")]


def test_one_that_vanishes_was_inside_until_it_was_last_seen() -> None:
    zone = ZoneCounter(SQUARE, patience=0.5)
    zone.update([at(50, 50)], 0)
    zone.update([at(50, 50)], 400 * MS)
    zone.update([], 800 * MS)
    (passage,) = zone.update([], 1000 * MS)
    assert (passage.direction, passage.gone, passage.seconds) == ("leave", True, 0.4)


def test_presence_counts_the_frame_alone() -> None:
    zone = Presence(SQUARE)
    assert [found.id for found in zone.update([at(50, 50, 0), at(60, 60, 0), at(150, 50)])] == [0, 0]
    assert (zone.present(), zone.occupancy()) == (2, {"car": 2})
    assert zone.update([]) == []
    assert zone.totals() == {"most": 2, "now": {}}
    outside = Presence(SQUARE, inverse=True)
    assert len(outside.update([at(50, 50), at(150, 50)])) == 1
