"""Between formats, by the plain reference of media.colour."""

from __future__ import annotations

import numpy as np
import pytest

from millrace.imaging.cpu import open_imaging
from millrace.media import Image
from millrace.media.colour import rgb_to_yuv

imaging = open_imaging()


def noise(format: str, width: int = 22, height: int = 14, **tags) -> Image:
    rng = np.random.default_rng(5)
    half = ((height + 1) // 2, (width + 1) // 2)
    shape = {"I420": [(height, width), half, half], "NV12": [(height, width), (*half, 2)], "GRAY8": [(height, width)]}
    planes = [rng.integers(0, 256, s, dtype=np.uint8) for s in shape.get(format, [(height, width, 3)])]
    return Image(format, planes, width, height, **tags)


@pytest.mark.parametrize("size", [(22, 14), (21, 13), (1, 1)])
@pytest.mark.parametrize("tags", [{}, {"matrix": "bt709"}, {"matrix": "bt2020", "full_range": True}])
@pytest.mark.parametrize("source", ["I420", "NV12", "GRAY8", "RGB", "BGR"])
@pytest.mark.parametrize("target", ["RGB", "BGR"])
def test_to_rgb_as_the_reference_does(source, target, tags, size):
    image = noise(source, *size, **tags)
    off = imaging.convert(image, target).to_rgb().astype(int) - image.to_rgb()
    assert np.abs(off).max() <= 1


@pytest.mark.parametrize("size", [(22, 14), (21, 13)])
@pytest.mark.parametrize("full_range", [False, True])
@pytest.mark.parametrize("matrix", ["bt601", "bt709", "bt2020"])
@pytest.mark.parametrize("target", ["I420", "NV12"])
@pytest.mark.parametrize("source", ["RGB", "BGR"])
def test_rgb_to_yuv_and_back_keeps_flat_colours(source, target, matrix, full_range, size):
    width, height = size
    rgb = np.empty((height, width, 3), np.uint8)
    rgb[:, : width // 4 * 2], rgb[:, width // 4 * 2 :] = (200, 90, 30), (20, 160, 240)
    pixels = rgb if source == "RGB" else rgb[..., ::-1].copy()
    yuv = imaging.convert(Image(source, [pixels], width, height, matrix=matrix, full_range=full_range), target)
    assert (yuv.format, yuv.matrix, yuv.full_range) == (target, matrix, full_range)
    assert abs(int(yuv.planes[0][0, 0]) - rgb_to_yuv(200, 90, 30, matrix, full_range)[0]) <= 1
    assert np.abs(yuv.to_rgb().astype(int) - rgb).max() <= 3


def test_chroma_is_the_mean_of_its_pixels():
    rgb = np.zeros((2, 2, 3), np.uint8)
    rgb[0, 0] = 255, 0, 0
    _, _, v = imaging.convert(Image("RGB", [rgb], 2, 2, full_range=True), "I420").planes
    assert v[0, 0] == pytest.approx(128 + 127 / 4, abs=1)


def test_yuv_formats_hold_the_same_pixels():
    image = noise("I420", 21, 13)
    nv12 = imaging.convert(image, "NV12")
    back = imaging.convert(nv12, "I420")
    assert all(np.array_equal(a, b) for a, b in zip(image.planes, back.planes, strict=True))
    ten = Image("P010", [plane.astype(np.uint16) << 8 for plane in nv12.planes], 21, 13)
    for target in ("NV12", "I420"):
        same = imaging.convert(ten, target)
        assert np.array_equal(same.to_rgb(), image.to_rgb())
        assert all(plane.flags.writeable for plane in same.planes)


@pytest.mark.parametrize("full_range", [False, True])
def test_grey(full_range):
    grey = np.arange(256, dtype=np.uint8).reshape(16, 16)
    for target in ("I420", "NV12"):
        yuv = imaging.convert(Image("GRAY8", [grey], 16, 16, full_range=full_range), target)
        assert np.abs(yuv.to_rgb().astype(int) - grey[..., None]).max() <= 1
        assert np.abs(imaging.convert(yuv, "GRAY8").planes[0].astype(int) - grey).max() <= 1


def test_the_same_format_is_the_same_picture_and_others_are_refused():
    image = noise("I420")
    assert imaging.convert(image, "I420") is image
    with pytest.raises(ValueError, match="I420, NV12, RGB, BGR, GRAY8"):
        imaging.convert(image, "YUYV")
