from __future__ import annotations

import pytest

from millrace.testing.truth import Crossing, Truth, TruthObject, line_crossings

LINE = ((100.0, 100.0), (300.0, 100.0))  # from left to right: "in" is downwards


def walk(*points):
    """One object whose box's lower edge has its middle at the points, None where it is away."""
    return [
        [TruthObject(5, 3, "person", (x - 4, y - 20, x + 4, y), 1.0)] if (x, y) != (0, 0) else [] for x, y in points
    ]


@pytest.mark.parametrize(
    ("points", "expected"),
    [
        ([(200, 90), (200, 110)], [("in", 1)]),
        ([(200, 110), (200, 104), (200, 98)], [("out", 2)]),
        ([(200, 90), (200, 100), (200, 110)], [("in", 2)]),  # stops on the line
        ([(200, 90), (200, 100), (200, 90)], []),  # turns back on the line
        ([(200, 90), (0, 0), (200, 110)], [("in", 2)]),  # away for a frame
        ([(90, 90), (90, 110)], []),  # past the end
        ([(320, 80), (290, 130)], []),  # ends below the line, but goes round its end
        ([(200, 90), (200, 110), (210, 90)], [("in", 1), ("out", 2)]),
        ([(200, 120), (200, 110)], []),
        ([(200, 90), (200, 100.5), (200, 99.5), (200, 100.9), (200, 110)], [("in", 4)]),  # trembles on the line
        ([(200, 90), (200, 100.9), (200, 95)], []),
    ],
)
def test_crossings(points, expected):
    assert [(c.direction, c.frame) for c in line_crossings(walk(*points), LINE)] == expected


def test_truth_survives_json(tmp_path):
    frames = walk((200, 90), (0, 0), (200, 110))
    truth = Truth(640, 360, 25, ("car", "person"), LINE, ((1.5, 2.0), (3.0, 4.0), (5.0, 1.0)), frames)
    truth.crossings = [Crossing(5, 2, "in", "person")]
    truth.to_json(tmp_path / "truth.json")
    assert Truth.from_json(tmp_path / "truth.json") == truth
