"""What is not done on a GPU yet says so, whatever is asked for."""

from __future__ import annotations

import pytest

from millrace.core.errors import ConfigError
from millrace.imaging.cuda import CudaImaging
from millrace.media import Image


@pytest.mark.parametrize(
    "call",
    [
        lambda gpu, image: gpu.canvas(image),
        lambda gpu, image: gpu.blank(8, 8),
        lambda gpu, image: gpu.put(image, image, (0, 0, 8, 8)),
        lambda gpu, image: gpu.crop(image, (0, 0, 8, 8)),
        lambda gpu, image: gpu.turn(image, "half"),
        lambda gpu, image: gpu.conceal(image, [(0, 0, 8, 8)]),
    ],
)
def test_pictures_on_a_gpu_are_not_drawn_on(call):
    imaging = object.__new__(CudaImaging)  # no GPU is needed to be told
    imaging.memory = "cuda:0"
    with pytest.raises(ConfigError, match=r"pictures in cuda:0 is not there yet: decode on the cpu"):
        call(imaging, Image("NV12", [], 8, 8, memory="cuda:0"))
