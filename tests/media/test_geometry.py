from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from millrace.media.geometry import area, inside, iou, segments_cross, side, to_pixels

SQUARE = np.array([[0, 0], [10, 0], [10, 10], [0, 10]], float)


def test_iou_of_known_pairs():
    a = np.array([[0, 0, 10, 10], [5, 5, 5, 9]], float)
    b = np.array([[0, 0, 10, 10], [5, 0, 15, 10], [20, 20, 30, 30], [8, 8, 2, 2]], float)
    assert iou(a, b) == pytest.approx(np.array([[1, 1 / 3, 0, 0], [0, 0, 0, 0]]))
    assert iou(a[:0], b).shape == (0, 4) and iou(a, b[:0]).shape == (2, 0)
    assert area(b).tolist() == [100, 100, 100, 0]


boxes = st.tuples(*[st.floats(-100, 100)] * 4).map(lambda v: [min(v[0], v[2]), min(v[1], v[3]),
                                                             max(v[0], v[2]), max(v[1], v[3])])  # fmt: skip


@given(boxes, boxes)
def test_iou_is_symmetric_and_a_share(first, second):
    a, b = np.array([first]), np.array([second])
    value = iou(a, b)[0, 0]
    assert value == iou(b, a)[0, 0] and 0 <= value <= 1 + 1e-9


def test_fractions_become_pixels():
    assert to_pixels([[0, 0.5], [1, 1]], 640, 360).tolist() == [[0, 180], [640, 360]]
    assert to_pixels([[0, 0.5], [2, 1]], 640, 360).tolist() == [[0, 0.5], [2, 1]]
    assert to_pixels([], 640, 360).shape == (0, 2)


def test_inside():
    assert inside((5, 5), SQUARE) and not inside((15, 5), SQUARE) and not inside((-1, 5), SQUARE)
    hollow = np.array([[0, 0], [10, 0], [10, 10], [5, 2], [0, 10]], float)
    assert not inside((5, 8), hollow) and inside((1, 5), hollow)


@given(st.floats(-5, 15), st.floats(-5, 15))
def test_inside_a_square_is_what_it_says(x, y):
    if all(abs(value - edge) > 1e-6 for value in (x, y) for edge in (0, 10)):
        assert inside((x, y), SQUARE) == (0 < x < 10 and 0 < y < 10)


def test_side_and_crossing():
    assert side((5, 1), (0, 0), (10, 0)) > 0 > side((5, -1), (0, 0), (10, 0))
    assert side((5, 0), (0, 0), (10, 0)) == 0
    assert segments_cross((5, -1), (5, 1), (0, 0), (10, 0))
    assert not segments_cross((15, -1), (15, 1), (0, 0), (10, 0))
