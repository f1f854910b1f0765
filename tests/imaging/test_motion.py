"""Optical flow on generated motion, its picture, and colours laid over pictures."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from millrace.imaging.cpu import open_imaging
from millrace.imaging.lay import lay
from millrace.imaging.motion import PRESETS, Motion, luma, wheel
from millrace.media import Image

imaging = open_imaging()
NOISE = cv2.normalize(
    cv2.GaussianBlur(np.random.default_rng(0).integers(0, 256, (500, 700), dtype=np.uint8), (0, 0), 2.5), None, 0, 255,
    cv2.NORM_MINMAX,
)  # fmt: skip


def shot(right: float, down: float) -> np.ndarray:
    """The picture moved by so many pixels."""
    return cv2.warpAffine(NOISE, np.float32([[1, 0, right - 100], [0, 1, down - 100]]), (480, 300))


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("motion", [(3.0, -2.0), (0.5, 0.25), (-8.3, 5.1), (0.0, 0.0), (20.0, -12.0)])
def test_known_motion_within_half_a_pixel(preset, motion):
    flow = Motion(preset).between(shot(0, 0), shot(*motion), 4)
    assert flow.shape == (75, 120, 2) and flow.dtype == np.float32
    error = np.hypot(flow[..., 0] - motion[0], flow[..., 1] - motion[1])
    inner = error[6:-6, 6:-6]  # what has just come in at the edge was nowhere before
    assert inner.mean() <= 0.2 and np.percentile(inner, 99 if preset != "fast" else 97) <= 0.5


def test_two_things_that_move_apart():
    before, now = shot(0, 0), shot(4, 0)
    now[:, 240:] = shot(0, -6)[:, 240:]
    flow = Motion("slow").between(before, now, 8)
    assert np.abs(np.median(flow[5:-5, 4:26], axis=(0, 1)) - (4, 0)).max() <= 0.5
    assert np.abs(np.median(flow[5:-5, 34:56], axis=(0, 1)) - (0, -6)).max() <= 0.5


def test_cells_at_the_edge_and_pictures_too_small():
    flow = Motion().between(shot(0, 0)[:50, :61], shot(2, 0)[:50, :61], 16)
    assert flow.shape == (4, 4, 2)
    assert not Motion().between(np.zeros((8, 8), np.uint8), np.full((8, 8), 9, np.uint8), 4).any()


def test_the_wheel():
    flow = np.array([[[4, 0], [0, 4], [-4, 0], [0, -4], [0, 0], [2, 0]]], np.float32)
    red, green, cyan, violet, black, dark = (tuple(map(int, c)) for c in wheel(flow)[0])
    assert red == (255, 0, 0) and black == (0, 0, 0) and dark[0] in (127, 128) and dark[1:] == (0, 0)
    assert cyan == (0, 255, 255) and green[1] == 255 and green[2] == 0 and violet[2] == 255 and violet[1] == 0
    assert wheel(np.full((2, 2, 2), 0.01, np.float32)).max() < 10  # noise is no motion
    assert wheel(flow, 2.0)[0, 5].tolist() == [255, 0, 0]


def test_luma_of_every_format():
    grey = np.arange(48 * 32, dtype=np.uint16).reshape(32, 48).astype(np.uint8)
    for image in (Image("GRAY8", [grey], 48, 32), Image("GRAY16", [grey.astype(np.uint16) * 256], 48, 32)):
        assert np.abs(luma(image).astype(int) - grey).max() <= 1
    assert luma(Image("RGB", [np.repeat(grey[..., None], 3, 2)], 48, 32)).shape == (32, 48)


@pytest.mark.parametrize("format", ["I420", "NV12", "RGB", "BGR", "GRAY8"])
def test_colours_laid_over_a_picture(format):
    under = imaging.convert(Image("RGB", [np.full((40, 60, 3), (0, 0, 200), np.uint8)], 60, 40), format)
    colours = np.array([[(200, 0, 0), (0, 200, 0)]], np.uint8)
    whole = imaging.lay(under.share(), colours, None, 1.0)
    grey = format == "GRAY8"
    assert whole.format == format and np.abs(whole.to_rgb()[5, 5].astype(int) - (200, 0, 0)).max() <= (
        150 if grey else 3
    )
    half = lay(under.share(), colours, (10, 10, 30, 21), 0.5).to_rgb().astype(int)
    assert np.abs(half[2, 2] - under.to_rgb()[2, 2]).max() == 0
    if not grey:
        assert np.abs(half[15, 15] - (100, 0, 100)).max() <= 4 and np.abs(half[15, 25] - (0, 100, 100)).max() <= 4
    assert np.array_equal(lay(under, colours, (70, 0, 90, 10), 1.0).planes[0], under.planes[0])


@pytest.mark.parametrize("area", [(-20, 10, 20, 30), (40, -10, 80, 50)])
def test_colours_beyond_the_picture_are_left_out(area):
    """What is shown of an area that is cut is what it shows in a picture that holds all of it."""
    colours = np.random.default_rng(1).integers(0, 256, (4, 8, 3)).astype(np.uint8)
    small, large = (Image("RGB", [np.zeros((h, w, 3), np.uint8)], w, h) for h, w in ((40, 60), (80, 120)))
    moved = (area[0] + 30, area[1] + 20, area[2] + 30, area[3] + 20)
    got, want = lay(small, colours, area, 1.0), lay(large, colours, moved, 1.0)
    assert np.array_equal(got.planes[0], want.planes[0][20:60, 30:90])


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("size", [(129, 16), (640, 24), (16, 200), (20, 20)])
def test_a_picture_may_be_low(preset, size):
    """OpenCV alone reads beyond such pictures and ends the process, or sees nothing in them."""
    picture = cv2.GaussianBlur(np.random.default_rng(5).integers(0, 256, (240, 700)).astype(np.uint8), (0, 0), 1.5)
    before, now = (np.ascontiguousarray(picture[:, at : at + size[0]][: size[1]]) for at in (1, 0))
    flow = Motion(preset).between(before, now, 1)
    assert flow.shape == (size[1], size[0], 2)
    assert abs(float(np.median(flow[4:-4, 4:-4, 0])) - 1) < 0.5


def test_what_is_found_does_not_depend_on_other_streams():
    pictures = {size: [np.random.default_rng(n).integers(0, 256, size).astype(np.uint8) for n in (1, 2)]
                for size in ((40, 40), (180, 320))}  # fmt: skip
    alone = {size: Motion("fast").between(*pair) for size, pair in pictures.items()}
    together = Motion("fast")
    for _ in range(2):
        for size, pair in pictures.items():
            assert np.array_equal(together.between(*pair), alone[size])
