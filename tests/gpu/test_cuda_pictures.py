"""The kernels for pictures on the GPU itself, against the CPU's imaging (tests/gpu_pictures.py)."""

from __future__ import annotations

import pytest
from gpu_pictures import *  # noqa: F403

from millrace.cuda.context import gpu as opened
from millrace.imaging.cuda_pictures import CudaPictures


@pytest.fixture
def gpu(device):
    return CudaPictures(opened(device))
