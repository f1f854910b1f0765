"""From the CPU's memory to a GPU, through pinned memory."""

from __future__ import annotations

import numpy as np

from ..media import Image
from ..media.image import Format
from .cuda_launch import Launcher, Table, View, layout, views, views_of


class Staging:
    """Copies pictures; their planes are put together on the GPU. Used by one thread at a time."""

    def __init__(self, launcher: Launcher) -> None:
        self._launcher = launcher
        self._tables = [Table(launcher.gpu) for _ in range(2)]

    def upload(self, image: Image) -> Image:
        """The picture as NV12 on the GPU, or P010; RGB, BGR and GRAY8 stay what they are, 16 bits of grey become 8."""
        if image.format == "GRAY16":
            levels = np.minimum(255, (image.planes[0].astype(np.uint32) + 128) >> 8).astype(np.uint8)
            image = Image("GRAY8", [levels], image.width, image.height, full_range=image.full_range)
        format: Format = "NV12" if image.format == "I420" else image.format
        self._launcher.gpu.use()
        out = self._launcher.picture(format, image.width, image.height, image)
        self._tables.reverse()
        table = self._tables[0]
        room, at, offsets = table.begin(sum(plane.nbytes for plane in image.planes)), 0, []
        shapes, dtype = layout(image.format, image.width, image.height)
        for plane, shape in zip(image.planes, shapes, strict=True):
            np.copyto(room[at : at + plane.nbytes].view(dtype).reshape(shape), plane)
            offsets.append(at)
            at += plane.nbytes
        address, target = table.send(at, self._launcher), views_of(out)
        size = (target[0].width, target[0].height, len(target))
        self._launcher.launch("planes.cu", "copy", size, [views(_staged(image, address, offsets), target)])
        table.sent = self._launcher.done(out)
        return out


def _staged(image: Image, address: int, offsets: list[int]) -> list[View]:
    """The planes of a picture of the CPU as they lie on the GPU, one after the other without gaps."""
    out, half = [], ((image.width + 1) // 2, (image.height + 1) // 2)
    for number, (plane, offset) in enumerate(zip(image.planes, offsets, strict=True)):
        item, size = plane.itemsize, half if number else (image.width, image.height)
        channels = plane.shape[2] if plane.ndim > 2 else 1
        row = size[0] * channels * item
        out += [View(address + offset + i * item, row, channels * item, item, *size) for i in range(channels)]
    return out
