"""The kernels for pictures, compiled for the CPU, against the CPU's own imaging (tests/gpu_pictures.py)."""

from __future__ import annotations

import pytest
from drawn import picture
from gpu_pictures import *  # noqa: F403
from gpu_pictures import there
from host_gpu import host_gpu  # noqa: F401

from millrace.imaging.cuda_pictures import CudaPictures


@pytest.fixture
def gpu(host_gpu):  # noqa: F811
    return CudaPictures(host_gpu)


def test_words_are_sent_once(gpu):
    driver = gpu._launcher.gpu.driver
    sent = []
    for _ in range(3):
        canvas = gpu.canvas(there(gpu, picture("NV12", 320, 180)))
        before = driver.copied
        canvas.text("person 0.87", (10, 10), background=(0, 0, 0))
        canvas.finish()
        sent.append(driver.copied - before)
    assert sent[0] > sent[1] == sent[2] == 3 * 64  # a box and two words
