"""What work on pictures on a GPU shares: a stream, kernels, tables in pinned memory, new pictures, who waits for whom.

Readers wait for the writer of what they read. Who writes waits for the readers of what stood there, and tells every
view of the memory that it is new.
"""

from __future__ import annotations

import ctypes
import math
import threading
from collections.abc import Iterable, Sequence
from importlib.resources import files
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..cuda.context import Event, Gpu, check, succeed
from ..cuda.kernel import Kernel, Module
from ..cuda.memory import DeviceArray, Memory, free_pair, surfaces
from ..media import Image
from ..media.image import Format

_TABLES = 8  # of pinned memory; the one used longest ago is filled next
_SMALLEST = 1 << 16  # bytes of a table
_BLOCK = (32, 8, 1)
_SHARED = "pixels.h"  # its text stands before that of every file
YUV = ("I420", "NV12", "P010")
PACKED = ("RGB", "BGR")

_modules: dict[tuple[int, str], Module] = {}
_modules_lock = threading.Lock()


class Launcher:
    """Queues kernels on a stream of its own. Used by one thread at a time."""

    def __init__(self, gpu: Gpu) -> None:
        self.gpu = gpu
        self.stream = gpu.stream("middle")
        self._kernels: dict[tuple[str, str], Kernel] = {}
        self._tables = [Table(gpu) for _ in range(_TABLES)]
        self._next = 0

    def table(self) -> Table:
        """The next table to fill."""
        table = self._tables[self._next]
        self._next = (self._next + 1) % _TABLES
        return table

    def launch(self, file: str, name: str, size: tuple[int, int, int], arguments: list[Any]) -> None:
        """One thread for each of width x height x depth; `arguments` are ctypes values."""
        key = (file, name)
        if key not in self._kernels:
            self._kernels[key] = _module(self.gpu, file)[name]
        grid = -(-size[0] // _BLOCK[0]), -(-size[1] // _BLOCK[1]), size[2]
        self._kernels[key].launch(self.stream, grid, _BLOCK, arguments)

    def reads(self, *images: Image) -> None:
        """Let the work queued from now on wait for the writers of these pictures."""
        self.gpu.use()
        self.stream.wait(plane.ready for image in images for plane in image.planes if plane.ready is not None)

    def writes(self, image: Image) -> None:
        """The same for a picture that is written where it lies: also for its readers."""
        self.reads(image)
        for plane in image.planes:
            if plane.owner is not None:
                self.stream.wait(list(plane.owner.uses))

    def done(self, target: Image | None, *sources: Image) -> Event:
        """The work is queued: `target` is ready after it, and every picture that it is a part of; sources were read."""
        event = self.stream.record()
        for source in sources:
            for plane in source.planes:
                plane.used(event)
        whole: Any = target
        while isinstance(whole, Image):
            whole.ready = event
            for plane in whole.planes:
                plane.ready = event
                if plane.owner is not None:
                    plane.owner.written(event)
            whole = whole.owner
        return event

    def picture(self, format: Format, width: int, height: int, like: Image) -> Image:
        """A new picture whose pixels nobody has written yet, with the tags of another."""
        shapes, dtype = layout(format, width, height)
        sizes = [math.prod(shape) * dtype.itemsize for shape in shapes]
        total = sum(sizes)
        self.gpu.use()
        if format in ("NV12", "P010") and width % 2 == 0 and height % 2 == 0:
            owner: Any = surfaces(self.gpu, total).take(self.stream)  # those that decoders use, too
        else:
            owner = Memory(self.stream, total)
        planes, at = [], owner.pointer
        for shape, size in zip(shapes, sizes, strict=True):
            planes.append(DeviceArray(self.gpu, at, shape, dtype, owner=owner))
            at += size
        return Image(
            format, planes, width, height, matrix=like.matrix, full_range=like.full_range, memory=self.gpu.name
        )


def _module(gpu: Gpu, file: str) -> Module:
    """Compiled once in the process for each GPU."""
    with _modules_lock:
        key = (gpu.ordinal, file)
        if key not in _modules:
            here = files(__package__)
            _modules[key] = Module(gpu, here.joinpath(_SHARED).read_text() + here.joinpath(file).read_text())
        return _modules[key]


class Table:
    """What one launch needs to know besides its arguments: written in pinned memory, then sent to the GPU."""

    def __init__(self, gpu: Gpu) -> None:
        self._gpu = gpu
        self._size = 0
        self._host: Any = None
        self.address = 0  # on the GPU
        self.sent: Event | None = None  # after it the memory may be written again

    def begin(self, size: int) -> NDArray[np.uint8]:
        """Bytes to fill. Waits in the rare case that the GPU has not read what stood there."""
        if self.sent is not None:
            self.sent.synchronize()
            self.sent = None
        if size > self._size or not self._size:
            self._grow(max(_SMALLEST, 1 << (size - 1).bit_length()))
        return self._bytes

    def _grow(self, size: int) -> None:
        driver = self._gpu.driver
        if self._size:
            self._size = 0
            check(driver.cuMemFreeHost(self._host))
            check(driver.cuMemFree(self.address))
        self._host = check(driver.cuMemHostAlloc(size, 0))
        try:
            self.address = int(check(driver.cuMemAlloc(size)))
        except RuntimeError:
            check(driver.cuMemFreeHost(self._host))
            raise
        self._bytes: NDArray[np.uint8] = np.ctypeslib.as_array((ctypes.c_ubyte * size).from_address(int(self._host)))
        self._size = size

    def __del__(self) -> None:
        if self._size:
            free_pair(self._gpu, self._host, self.address, self.sent)

    def send(self, size: int, launcher: Launcher) -> int:
        """Queue the copy of the first `size` bytes; set `sent` after what reads them. Returns their address."""
        succeed(self._gpu.calls.cuMemcpyHtoDAsync(self.address, int(self._host), size, launcher.stream.handle))
        return self.address


def layout(format: str, width: int, height: int) -> tuple[list[tuple[int, ...]], np.dtype[Any]]:
    """The shapes of a format's planes, and what their numbers are."""
    half = (height + 1) // 2, (width + 1) // 2
    shapes: dict[str, list[tuple[int, ...]]] = {
        "I420": [(height, width), half, half],
        "NV12": [(height, width), (*half, 2)],
        "P010": [(height, width), (*half, 2)],
        "RGB": [(height, width, 3)],
        "BGR": [(height, width, 3)],
        "GRAY8": [(height, width)],
    }
    if format not in shapes:
        raise ValueError(f"pictures of {format} cannot be made on a GPU, only {', '.join(shapes)}")
    return shapes[format], np.dtype("uint16" if format == "P010" else "uint8")


class View(ctypes.Structure):
    """struct View of planes.cu: one kind of sample."""

    _fields_ = [
        ("data", ctypes.c_uint64), ("row", ctypes.c_int), ("step", ctypes.c_int), ("bytes", ctypes.c_int),
        ("width", ctypes.c_int), ("height", ctypes.c_int), ("unused", ctypes.c_int),
    ]  # fmt: skip


class Views(ctypes.Structure):
    """struct Views of planes.cu."""

    _fields_ = [("origin", View * 3), ("target", View * 3)]


def views_of(image: Image) -> list[View]:
    """Y, U, V; the three bytes of packed pixels; or grey."""
    first = image.planes[0]
    size, half = (image.width, image.height), ((image.width + 1) // 2, (image.height + 1) // 2)
    item = first.dtype.itemsize
    if image.format in PACKED:
        return [View(first.pointer + i, first.row_bytes, 3, 1, *size) for i in range(3)]
    out = [View(first.pointer, first.row_bytes, item, item, *size)]
    if image.format == "I420":
        out += [View(plane.pointer, plane.row_bytes, 1, 1, *half) for plane in image.planes[1:]]
    elif image.format in ("NV12", "P010"):
        chroma = image.planes[1]
        out += [View(chroma.pointer + i * item, chroma.row_bytes, 2 * item, item, *half) for i in range(2)]
    return out


def views(origin: Iterable[View], target: Sequence[View]) -> Views:
    """From planes to planes."""
    empty = [View()] * 3
    return Views((View * 3)(*[*origin, *empty][:3]), (View * 3)(*[*target, *empty][:3]))
