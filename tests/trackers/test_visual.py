"""Correlation filters, and patches of pictures that are on a device."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest

from millrace.media import Image
from millrace.trackers.patches import cut
from millrace.trackers.visual import TURNS, Filters, Visual, gradients, peaks

W, H = 320, 240


def picture(x: int, y: int, seed: int = 2) -> Image:
    rng = np.random.default_rng(1)
    pixels = cv2.resize(rng.integers(0, 120, (40, 53, 3)).astype(np.uint8), (W, H))
    thing = cv2.resize(np.random.default_rng(seed).integers(0, 255, (10, 7, 3)).astype(np.uint8), (40, 60))
    pixels[y : y + 60, x : x + 40] = thing
    return Image("RGB", [pixels], W, H)


def boxes(*places: tuple[float, float]) -> np.ndarray:
    return np.array([(x + 20, y + 30, 40, 60) for x, y in places], float)


@pytest.mark.parametrize(
    "rules",
    [Visual(), Visual(gradients=True), Visual(colour=False), Visual(size=18, sigma=0.75, channel_learning=0.1),
     Visual(focus=-0.2), Visual(padding=2.0)],
)  # fmt: skip
def test_it_finds_what_it_has_learnt(rules: Visual) -> None:
    filters = Filters(rules)
    for n in range(3):
        filters.learn(picture(100 + n, 80), [7], boxes((100 + n, 80)))
    found, height, sure = filters.find(picture(110, 75), [7], boxes((102, 80)))
    assert found[0, :2] == pytest.approx((130, 105), abs=1.5)
    assert sure[0] and 0.3 < height[0] < 1.3
    _, lower, _ = filters.find(picture(200, 20), [7], boxes((102, 80)))
    assert lower[0] < 0.7 * height[0]


def test_a_detection_is_likelier_where_the_answer_is() -> None:
    filters = Filters(Visual())
    filters.learn(picture(100, 80), [1], boxes((100, 80)))
    centres = np.array([(128, 110), (100, 95), (20, 20)], float)
    near = filters.likeness(picture(108, 80), [1], boxes((100, 80)), centres)
    assert near[0, 0] > 0.8 and near[0, 1] < 0.3 and near[0, 2] == 0


def test_gradients_are_strong_across_edges() -> None:
    luma = np.zeros((1, 16, 16), np.float32)
    luma[0, :, 8:] = 100
    found = gradients(luma)
    assert found.shape == (1, TURNS, 16, 16)
    assert found[0, 0].max() == pytest.approx(100) and found[0, 1:].max() == 0


def test_a_peak_is_told_to_a_part_of_a_point() -> None:
    at = np.fft.fftfreq(32, 1 / 32)
    answer = np.exp(-0.5 * ((at[:, None] + 3.25) ** 2 + (at[None] - 5.5) ** 2) / 2.0**2)
    place, height, sharp = peaks(answer[None])
    assert place[0] == pytest.approx((5.5, -3.25), abs=0.05)
    assert height[0] == pytest.approx(1, abs=0.05) and sharp[0] > 20


class Plane:
    """A plane on a device, and which rows of it were copied."""

    def __init__(self, pixels: np.ndarray) -> None:
        self.pixels, self.copied = pixels, []  # type: ignore[var-annotated]

    def rows(self, first: int, last: int) -> Any:
        self.copied.append((first, last))
        return self.pixels[first:last].copy()


def test_of_a_picture_on_a_device_only_the_rows_around_targets_are_copied() -> None:
    rng = np.random.default_rng(3)
    luma = rng.integers(0, 255, (H, W), np.uint8)
    colour = rng.integers(0, 255, (H // 2, W // 2, 2), np.uint8)
    here = Image("NV12", [luma, colour], W, H)
    planes = [Plane(luma), Plane(colour)]
    there = Image("NV12", planes, W, H, memory="cuda:0")
    regions = np.array([(100, 90, 60, 50), (250, 130, 40, 61)], float)
    assert np.array_equal(cut(here, regions, 32), cut(there, regions, 32))
    assert planes[0].copied == [(61, 164)] and planes[1].copied == [(30, 82)]
    edge = np.array([(-10, 5, 60, 50), (330, 250, 40, 61)], float)
    assert np.array_equal(cut(here, edge, 32), cut(there, edge, 32))


def test_what_is_one_grey_is_not_found_and_no_error():
    filters = Filters(Visual(channel_learning=0.1))
    image = Image("GRAY8", [np.full((80, 100), 90, np.uint8)], 100, 80)
    boxes = np.array([[50.0, 40.0, 20.0, 20.0]])
    for _ in range(2):
        filters.learn(image, [1], boxes)
    found, heights, sure = filters.find(image, [1], boxes)
    assert np.isfinite(found).all() and heights[0] == 0 and not sure[0]
    assert np.isfinite(filters.likeness(image, [1], boxes, boxes[:, :2])).all()
