"""Pictures in other sizes, against NumPy."""

from __future__ import annotations

import numpy as np
import pytest

from millrace.imaging.cpu import open_imaging
from millrace.imaging.scale import METHODS, scale
from millrace.media import Image

imaging = open_imaging()


def smooth(width: int, height: int, format: str) -> Image:
    y, x = np.mgrid[0:height, 0:width].astype(float)
    rgb = np.stack([60 + 130 * x / width, 70 + 120 * y / height, 90 + 50 * (x + y) / (width + height)], axis=2)
    return imaging.convert(Image("RGB", [rgb.astype(np.uint8)], width, height), format)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("size", [(96, 64), (31, 21), (48, 16)])
@pytest.mark.parametrize("format", ["I420", "NV12", "RGB", "GRAY8"])
def test_a_smooth_picture_stays_itself(method, size, format):
    out = imaging.scale(smooth(48, 32, format), *size, None, method)
    assert (out.width, out.height, out.format) == (*size, format)
    assert [p.shape for p in out.planes] == [p.shape for p in smooth(*size, format).planes]
    wanted = smooth(*size, format).to_rgb().astype(int)
    assert np.abs(out.to_rgb() - wanted).mean() <= (6 if method == "nearest" else 4)


def test_means_of_areas_against_numpy():
    grey = np.random.default_rng(0).integers(0, 256, (32, 48), dtype=np.uint8)
    out = scale(Image("GRAY8", [grey], 48, 32), 12, 8)
    wanted = grey.reshape(8, 4, 12, 4).astype(float).mean(axis=(1, 3))
    assert np.abs(out.planes[0] - wanted).max() <= 0.5


def test_nearest_and_bilinear_against_numpy():
    grey = np.random.default_rng(1).integers(0, 256, (8, 10), dtype=np.uint8)
    image = Image("GRAY8", [grey], 10, 8)
    assert np.array_equal(scale(image, 30, 24, None, "nearest").planes[0], grey.repeat(3, 0).repeat(3, 1))
    places = [np.clip((np.arange(2 * n) + 0.5) / 2 - 0.5, 0, n - 1) for n in (8, 10)]
    rows = np.stack([np.interp(places[0], np.arange(8), column) for column in grey.T.astype(float)], axis=1)
    wanted = np.stack([np.interp(places[1], np.arange(10), row) for row in rows])
    assert np.abs(scale(image, 20, 16, None, "bilinear").planes[0] - wanted).max() <= 1


def test_into_an_area_the_rest_is_one_colour():
    out = scale(smooth(40, 20, "NV12"), 60, 40, (10, 4, 50, 24), colour=(255, 0, 0))
    whole = smooth(40, 20, "NV12")
    assert np.array_equal(out.planes[0][4:24, 10:50], whole.planes[0])
    assert np.array_equal(out.planes[1][2:12, 5:25], whole.planes[1])
    red = out.to_rgb()[30:, :].reshape(-1, 3)
    assert (np.abs(red.astype(int) - (255, 0, 0)) <= 3).all()


def test_sixteen_bits_stay():
    grey = np.full((8, 8), 0x1234, np.uint16)
    out = scale(Image("GRAY16", [grey], 8, 8), 16, 16, (0, 0, 16, 8))
    assert out.format == "GRAY16" and (out.planes[0][:8] == 0x1234).all() and (out.planes[0][8:] == 0).all()


@pytest.mark.parametrize("area", [(0, 0, 70, 10), (1, 0, 20, 20), (0, 0, 21, 20), (10, 10, 10, 20)])
def test_areas_that_are_none(area):
    with pytest.raises(ValueError, match=r"is no area of 64x48 on even pixels"):
        scale(smooth(40, 20, "I420"), 64, 48, area)
    with pytest.raises(ValueError, match="method 'best' is not one of auto, nearest"):
        scale(smooth(40, 20, "I420"), 64, 48, None, "best")
