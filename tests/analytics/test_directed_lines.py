"""Lines that count one way, as the reference does, and its directions."""

from __future__ import annotations

import pytest

from millrace.analytics.directed_lines import DirectedLine, Mode
from millrace.analytics.directions import Direction
from millrace.analytics.sightings import Sighting

LINE = [(0.0, 200.0), (400.0, 200.0)]
DOWN = [(200.0, 150.0), (200.0, 250.0)]
UP = [(200.0, 250.0), (200.0, 150.0)]
STEP = 33_000_000


def at(x: float, y: float, key: int = 1) -> Sighting:
    return Sighting(key, "person", x - 10, y - 40, x + 10, y)


def walk(line: DirectedLine, points: list[tuple[float, float]], start: int = 0) -> list[int]:
    return [start + n for n, p in enumerate(points) if line.update([at(*p)], (start + n) * STEP)]


def down(step: float = 5.0, count: int = 60, x: float = 200.0, drift: float = 0.0) -> list[tuple[float, float]]:
    return [(x + drift * n, 120 + step * n) for n in range(count)]


def test_the_way_that_counts_and_once_for_ever() -> None:
    line = DirectedLine(LINE, DOWN, mode="balanced")
    there = walk(line, down())
    assert there == [17]  # y > 200; the distance is counted in whole pixels
    back = walk(line, down()[::-1], 60)
    assert walk(line, down(), 120) == back == []
    assert line.totals()["classes"] == {"person": {"in": 1, "out": 0}}
    assert walk(DirectedLine(LINE, UP, mode="balanced"), down()) == []


@pytest.mark.parametrize(
    ("mode", "step", "frame"),
    [
        ("loose", 25.0, 4),  # more than 3 sightings
        ("balanced", 25.0, 10),  # more than 10
        ("strict", 25.0, 20),  # more than 20
        ("loose", 5.0, 16),
        ("strict", 5.0, 20),
    ],
)
def test_how_long_a_mode_wants_to_see_it(mode: Mode, step: float, frame: int) -> None:
    points = [(200.0, 120 + step * n) for n in range(60)]
    assert walk(DirectedLine(LINE, DOWN, mode=mode, extended=True), points) == [frame]


def test_strict_wants_the_direction_kept() -> None:
    aslant = down(step=4.0, drift=6.0, x=20.0)  # 56° off
    assert walk(DirectedLine(LINE, DOWN, mode="strict"), aslant) == []
    assert walk(DirectedLine(LINE, DOWN, mode="balanced"), aslant) != []


def test_a_short_way_is_none() -> None:
    trembling = [(200.0, 195 + n % 2 * 10) for n in range(60)]
    for mode in ("loose", "balanced", "strict"):
        assert walk(DirectedLine(LINE, DOWN, mode=mode), trembling) == []


def test_beyond_the_ends_counts_only_where_the_line_is_extended() -> None:
    beyond = down(x=500.0)
    line = DirectedLine(LINE, DOWN, mode="balanced", trace=True)
    misses = [miss for n, p in enumerate(beyond) if line.update([at(*p)], n * STEP) or True for miss in line.misses]
    assert [miss.reason for miss in misses] == ["passed beyond an end of the line"]
    assert misses[0].facts["least_cosine"] == 0.5
    assert len(walk(DirectedLine(LINE, DOWN, mode="balanced", extended=True), beyond)) == 1
    assert len(walk(DirectedLine(LINE, DOWN, mode="balanced"), down(x=405.0))) == 1  # one end of its lower side


def test_one_that_was_unseen_for_long_is_another() -> None:
    line = DirectedLine(LINE, DOWN, mode="loose")
    walk(line, down(count=10))
    line.update([at(200, 260)], 10 * STEP + 400_000_000)
    assert line.histories[1].frames == 1


def test_directions_and_standing() -> None:
    south = Direction([(0.0, 0.0), (0.0, 100.0)])
    first = [[h.first for h in south.update([at(*p)], n * STEP)] for n, p in enumerate(down(step=6.0, count=30))]
    assert first[9] == []
    assert first[10:12] == [[True], [False]]
    assert south.totals() == {"identities": 1, "classes": {"person": 1}}
    north = Direction([(0.0, 100.0), (0.0, 0.0)])
    assert not any(north.update([at(*p)], n * STEP) for n, p in enumerate(down()))
    north.forget()
    for n in range(60):
        north.update([at(200, 300)], n * STEP)
        assert north.stopped == ([1] if n >= 50 else [])
