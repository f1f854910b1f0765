"""PNG files, read back by OpenCV."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from millrace.testing.picture import write_png


def test_the_picture_comes_back(tmp_path: Path) -> None:
    rgb = np.random.default_rng(1).integers(0, 256, (37, 53, 3), dtype=np.uint8)
    write_png(tmp_path / "p.png", rgb)
    assert np.array_equal(cv2.imread(str(tmp_path / "p.png"), cv2.IMREAD_COLOR)[..., ::-1], rgb)


def test_another_shape_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"not \[4, 4\] uint8"):
        write_png(tmp_path / "p.png", np.zeros((4, 4), np.uint8))
