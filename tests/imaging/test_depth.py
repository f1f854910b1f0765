"""Distances of objects from maps, and their colours."""

from __future__ import annotations

import numpy as np
import pytest

from millrace.imaging.depth import coloured, distance, metres
from millrace.media import Image, Object, box


def thing(*sides: float) -> Object:
    return Object(box(sides), 0, "thing", 0.9)


def test_steps_become_metres() -> None:
    image = Image("GRAY16", [np.array([[0, 1, 65535]], np.uint16)], 3, 1)
    assert np.allclose(metres(image, 0.001), [[0, 0.001, 65.535]], atol=1e-5)
    assert np.allclose(metres(image, 0.0001), [[0, 0.0001, 6.5535]], atol=1e-6)


def test_the_median_leaves_out_what_is_not_known() -> None:
    depth = np.full((100, 200), 9.0, np.float32)
    depth[20:60, 40:120] = 2.5
    depth[20:60:2, 40:120] = 0  # every other row was not measured
    depth[30, 60] = np.nan
    far, known = distance(thing(40, 20, 120, 60), depth, 200, 100, 1.0)
    assert far == 2.5 and known == pytest.approx(0.5, abs=0.01)
    assert distance(thing(20, 10, 140, 70), depth, 200, 100)[0] == 2.5  # the middle half is the thing alone
    assert distance(thing(0, 0, 10, 10), np.zeros((100, 200), np.float32), 200, 100) == (None, 0.0)


def test_the_map_may_have_another_size_than_the_picture() -> None:
    depth = np.full((50, 100), 9.0, np.float32)
    depth[10:30, 20:60] = 2.5
    assert distance(thing(40, 20, 120, 60), depth, 200, 100, 1.0)[0] == 2.5
    assert distance(thing(40.4, 20.4, 40.8, 20.9), depth, 200, 100)[0] == 2.5  # smaller than a pixel of the map


def test_boxes_outside_have_no_distance() -> None:
    depth = np.full((50, 100), 2.0, np.float32)
    for sides in ((-30, -30, -10, -10), (200, 10, 220, 30), (10, 60, 20, 80), (5, 5, 5, 5)):
        far, _ = distance(thing(*sides), depth, 100, 50)
        assert far is None or sides == (5, 5, 5, 5)
    assert distance(thing(-10, -10, 20, 20), depth, 100, 50)[0] == 2.0
    assert distance(thing(90, 40, 130, 70), depth, 100, 50, 1.0)[0] == 2.0


def test_a_mask_counts_where_there_is_one() -> None:
    depth = np.full((40, 40), 7.0, np.float32)
    depth[10:30, 10:14] = 1.5  # a thin thing at the left edge of its box
    found = thing(10, 10, 30, 30)
    assert distance(found, depth, 40, 40)[0] == 7.0
    own = np.zeros((10, 10), np.float32)
    own[:, :2] = 0.9
    found.mask = own  # stretched over the box
    assert distance(found, depth, 40, 40)[0] == 1.5
    whole = np.zeros((40, 40), bool)
    whole[10:30, 10:14] = True
    found.mask = whole  # of the picture
    assert distance(found, depth, 40, 40)[0] == 1.5
    found.mask = np.zeros((10, 10), bool)
    assert distance(found, depth, 40, 40) == (None, 0.0)


def test_near_is_red_far_is_blue_and_nothing_is_black() -> None:
    shown = coloured(np.array([[0, 0.2, 0.5, 3.25, 6.0, 9.0, np.nan]], np.float32), 0.5, 6.0)[0]
    assert shown[0].tolist() == shown[6].tolist() == [0, 0, 0]
    assert shown[1].tolist() == shown[2].tolist() == [255, 0, 0]
    assert shown[4].tolist() == shown[5].tolist() and shown[4][2] == 255 and shown[4][0] == 0
    assert shown[3][1] > 200  # green between
