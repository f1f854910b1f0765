"""Mean pictures in PPM."""

from __future__ import annotations

import numpy as np
import pytest

from millrace.core.errors import ConfigError
from millrace.models.mean_file import read_mean

PIXELS = np.arange(12, dtype=np.uint8).reshape(2, 2, 3)


@pytest.mark.parametrize(
    "data",
    [
        b"P6\n2 2\n255\n" + PIXELS.tobytes(),
        b"P6 # made by hand\n# really\n2 2 255\n" + PIXELS.tobytes(),
        b"P3\n2 2\n255\n" + b" ".join(b"%d" % value for value in PIXELS.ravel()) + b"\n",
    ],
)
def test_both_kinds(tmp_path, data):
    (tmp_path / "m.ppm").write_bytes(data)
    assert np.array_equal(read_mean(tmp_path / "m.ppm", 2, 2), PIXELS)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"P5\n2 2\n255\n", "is not a PPM picture"),
        (b"P6\n2 2\n65535\n", "of 8 bits"),
        (b"P6\n2 3\n255\n", "is 2x3, the input 2x2"),
        (b"P6\n2 2\n255\nabc", "cut short"),
        (b"P3\n2 2\n255\n1 2 x", "damaged"),
        (b"P3\n2 2\n255\n" + b"300 " * 12, "damaged"),
    ],
)
def test_bad_files(tmp_path, data, said):
    (tmp_path / "m.ppm").write_bytes(data)
    with pytest.raises(ConfigError, match=said):
        read_mean(tmp_path / "m.ppm", 2, 2)


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(ConfigError, match="cannot read the mean picture"):
        read_mean(tmp_path / "gone.ppm", 2, 2)
