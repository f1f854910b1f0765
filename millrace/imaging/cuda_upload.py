"""Pictures of the CPU's memory brought to a GPU, and pictures made ready for its encoder."""

from __future__ import annotations

import threading
from collections.abc import Callable

import numpy as np

from ..cuda.context import Gpu, gpu
from ..media import CPU, Image
from .cuda_launch import YUV, Table, View, layout, views, views_of
from .cuda_pictures import CudaPictures

_local = threading.local()


def open_upload(device: str) -> Callable[[Image], Image]:
    """What brings pictures to the GPU, for the calling thread. Raises ConfigError without a GPU."""
    return _uploader(device).upload


def open_prepare(device: str) -> Callable[[Image, int, int], Image]:
    """What makes NV12 of a size of any picture, on the GPU, for the calling thread."""
    return _uploader(device).fitted


def _uploader(device: str) -> Uploader:
    known: dict[str, Uploader] = _local.__dict__.setdefault("known", {})
    if device not in known:
        known[device] = Uploader(gpu(device))
    return known[device]


class Uploader(CudaPictures):
    """Copies through pinned memory; planes are put together on the GPU. Used by one thread."""

    def __init__(self, gpu: Gpu) -> None:
        super().__init__(gpu)
        self._staged = [Table(gpu) for _ in range(2)]

    def upload(self, image: Image) -> Image:
        """The picture as NV12 on the GPU (RGB, BGR and GRAY8 stay what they are). 16 bits of grey become 8."""
        if image.memory != CPU:
            return image
        if image.format == "GRAY16":
            levels = np.minimum(255, (image.planes[0].astype(np.uint32) + 128) >> 8).astype(np.uint8)
            image = Image("GRAY8", [levels], image.width, image.height, full_range=image.full_range)
        format = image.format if image.format not in YUV else "P010" if image.format == "P010" else "NV12"
        self._launcher.gpu.use()
        out = self._launcher.picture(format, image.width, image.height, image)
        self._staged.reverse()
        table = self._staged[0]
        room, at, origin = table.begin(sum(plane.nbytes for plane in image.planes)), 0, []
        shapes, dtype = layout(image.format, image.width, image.height)
        for plane, shape in zip(image.planes, shapes, strict=True):
            target = room[at : at + plane.nbytes].view(dtype).reshape(shape)
            np.copyto(target, plane)
            origin.append(at)
            at += plane.nbytes
        address = table.send(at, self._launcher)
        target_views = views_of(out)
        self._planes("copy", views(_staged(image, address, origin), target_views), target_views, [])
        table.sent = self._launcher.done(out)
        return out

    def fitted(self, image: Image, width: int, height: int) -> Image:
        """The picture as NV12 of a size on the GPU."""
        out = self.convert(self.upload(image), "NV12")
        return out if (out.width, out.height) == (width, height) else self.scale(out, width, height)


def _staged(image: Image, address: int, offsets: list[int]) -> list[View]:
    """The planes of a picture of the CPU as they lie on the GPU, one after the other without gaps."""
    out, half = [], ((image.width + 1) // 2, (image.height + 1) // 2)
    for number, (plane, offset) in enumerate(zip(image.planes, offsets, strict=True)):
        item, size = plane.itemsize, half if number else (image.width, image.height)
        channels = plane.shape[2] if plane.ndim > 2 else 1
        row = size[0] * channels * item
        out += [View(address + offset + i * item, row, channels * item, item, *size) for i in range(channels)]
    return out
