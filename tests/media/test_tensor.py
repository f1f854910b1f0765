from __future__ import annotations

import numpy as np
import pytest

from millrace.media import Detections, InputSpec
from millrace.media.tensor import fitted_size, part_of, place


def test_letterbox_is_centred():
    spec = InputSpec(416, 416)
    assert fitted_size(768, 432, spec) == (416, 234)
    placed = place(768, 432, spec)
    assert placed.scale_x == placed.scale_y == 416 / 768
    assert (placed.offset_x, placed.offset_y) == (0, 91)


def test_top_left_and_stretch():
    corner = place(768, 432, InputSpec(416, 416, fit="letterbox-top-left"))
    assert (corner.offset_x, corner.offset_y) == (0, 0) and corner.scale_x == corner.scale_y == 416 / 768
    stretched = place(768, 432, InputSpec(416, 416, fit="stretch"))
    assert (stretched.scale_x, stretched.scale_y) == (416 / 768, 416 / 432)
    assert fitted_size(768, 432, InputSpec(416, 416, fit="stretch")) == (416, 416)


@pytest.mark.parametrize("fit", ["stretch", "letterbox", "letterbox-top-left"])
@pytest.mark.parametrize("size", [(1, 1), (1, 5000), (5000, 1), (641, 359), (320, 320)])
def test_every_picture_fits(fit, size):
    spec = InputSpec(320, 256, fit=fit)
    width, height = fitted_size(*size, spec)
    placed = place(*size, spec)
    assert 1 <= width <= 320 - placed.offset_x and 1 <= height <= 256 - placed.offset_y


@pytest.mark.parametrize("fit", ["stretch", "letterbox", "letterbox-top-left"])
def test_boxes_come_back_to_the_source(fit):
    placed = place(768, 432, InputSpec(416, 320, fit=fit))
    source = np.array([[10, 20, 300, 400], [0, 0, 768, 432]], np.float32)
    there = source * np.tile((placed.scale_x, placed.scale_y), 2) + np.tile((placed.offset_x, placed.offset_y), 2)
    assert placed.to_source(there.astype(np.float32)) == pytest.approx(source, abs=1e-3)
    outside = placed.to_source(np.array([[-500, -500, 5000, 5000]], np.float32))
    assert outside.tolist() == [[0, 0, 768, 432]]


@pytest.mark.parametrize(
    ("box", "part"),
    [
        ((10.4, 19.6, 30.5, 40.6), (10, 20, 30, 41)),
        ((-5, -5, 1e9, float("inf")), (0, 0, 64, 48)),
        ((12.2, 13.4, 12.3, 13.4), (12, 13, 13, 14)),  # never less than a pixel
        ((63.9, 47.9, 70, 70), (63, 47, 64, 48)),
        ((64, 0, 70, 10), None),
        ((-9, 0, 0, 10), None),
        ((5, 5, 4, 10), None),
        ((float("nan"), 0, 4, 10), None),
        ((0, 0, 4, float("nan")), None),
    ],
)
def test_the_pixels_of_a_box(box, part):
    assert part_of(box, 64, 48) == part


def test_taking_detections_takes_every_column():
    found = Detections(
        np.arange(12, dtype=np.float32).reshape(3, 4), np.array([0.9, 0.8, 0.7], np.float32), np.array([1, 2, 3]),
        keypoints=np.zeros((3, 2, 3), np.float32), embeddings=np.eye(3, dtype=np.float32),
    )  # fmt: skip
    taken = found.take(np.array([True, False, True]))
    assert len(taken) == 2 and taken.classes.tolist() == [1, 3] and taken.masks is None
    assert taken.keypoints.shape == (2, 2, 3) and taken.embeddings.tolist() == [[1, 0, 0], [0, 0, 1]]
