from __future__ import annotations

import numpy as np
import pytest

from millrace.media import Image
from millrace.media.colour import rgb_to_yuv

# 100 % colour bars in 8 bits, limited range: ITU-R BT.601-7 and BT.709-6 equations worked by hand to whole levels.
BARS_601 = {(255, 255, 255): (235, 128, 128), (255, 255, 0): (210, 16, 146), (0, 255, 255): (170, 166, 16),
            (255, 0, 0): (81, 90, 240), (0, 0, 255): (41, 240, 110), (0, 0, 0): (16, 128, 128)}  # fmt: skip
BARS_709 = {(255, 255, 0): (219, 16, 138), (0, 255, 0): (173, 42, 26), (255, 0, 0): (63, 102, 240),
            (0, 0, 255): (32, 240, 118)}  # fmt: skip


@pytest.mark.parametrize(("matrix", "bars"), [("bt601", BARS_601), ("bt709", BARS_709)])
def test_colour_bars(matrix, bars):
    for rgb, yuv in bars.items():
        assert rgb_to_yuv(*rgb, matrix, False) == pytest.approx(yuv, abs=1)


@pytest.mark.parametrize("full_range", [False, True])
@pytest.mark.parametrize("matrix", ["bt601", "bt709", "bt2020"])
def test_there_and_back(matrix, full_range):
    for rgb in [(0, 0, 0), (255, 255, 255), (255, 0, 0), (0, 255, 0), (0, 0, 255), (12, 200, 99), (128, 128, 128)]:
        y, u, v = rgb_to_yuv(*rgb, matrix, full_range)
        planes = [np.full(shape, part, np.uint8) for shape, part in (((2, 2), y), ((1, 1), u), ((1, 1), v))]
        back = Image("I420", planes, 2, 2, matrix=matrix, full_range=full_range).to_rgb()
        assert np.abs(back[0, 0].astype(int) - rgb).max() <= 2


def test_formats_show_the_same_picture():
    rng = np.random.default_rng(2)
    y, u, v = (rng.integers(0, 256, shape, dtype=np.uint8) for shape in ((5, 7), (3, 4), (3, 4)))
    plain = Image("I420", [y, u, v], 7, 5).to_rgb()
    assert plain.shape == (5, 7, 3)
    assert np.array_equal(Image("NV12", [y, np.dstack([u, v])], 7, 5).to_rgb(), plain)
    ten = [y.astype(np.uint16) << 8, np.dstack([u, v]).astype(np.uint16) << 8]
    assert np.array_equal(Image("P010", ten, 7, 5).to_rgb(), plain)
    assert np.array_equal(Image("BGR", [plain[..., ::-1]], 7, 5).to_rgb(), plain)


def test_pixels_elsewhere_are_an_error():
    with pytest.raises(ValueError, match="cuda:1"):
        Image("NV12", [], 2, 2, memory="cuda:1").to_rgb()
