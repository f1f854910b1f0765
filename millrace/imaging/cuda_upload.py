"""Pictures of the CPU's memory brought to a GPU, and pictures made ready for its encoder."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial

from ..cuda.context import gpu
from ..media import Image
from .base import Turn
from .cuda_pictures import CudaPictures

_local = threading.local()


def open_upload(device: str) -> Callable[[Image], Image]:
    """What brings pictures to the GPU, for the calling thread. Raises ConfigError without a GPU."""
    return _uploader(device).upload


def open_turn(device: str, degrees: int) -> Callable[[Image], Image]:
    """What turns pictures on the GPU clockwise by 90, 180 or 270 degrees, for the calling thread."""
    turns: dict[int, Turn] = {90: "clockwise", 180: "half", 270: "counterclockwise"}
    return partial(_uploader(device).turn, how=turns[degrees])


def open_prepare(device: str) -> Callable[[Image, int, int], Image]:
    """What makes NV12 of a size of any picture, on the GPU, for the calling thread."""
    return _uploader(device).fitted


def _uploader(device: str) -> Uploader:
    known: dict[str, Uploader] = _local.__dict__.setdefault("known", {})
    if device not in known:
        known[device] = Uploader(gpu(device))
    return known[device]


class Uploader(CudaPictures):
    """Pictures for what is done elsewhere. Used by one thread."""

    def fitted(self, image: Image, width: int, height: int) -> Image:
        """The picture as NV12 of a size on the GPU."""
        out = self.convert(self.upload(image), "NV12")
        return out if (out.width, out.height) == (width, height) else self.scale(out, width, height)
