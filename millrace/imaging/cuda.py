"""Pictures on an NVIDIA GPU: one kernel from decoder surfaces, or parts of them, to a network's input.

The numbers are those of imaging/cpu.py, to the bit: pixels become whole levels of RGB as libswscale makes them, and are
resized as OpenCV does it (docs/preprocessing.md; the arithmetic: kernels.cu, rows.h).
"""

from __future__ import annotations

import ctypes
import math
import threading
from collections.abc import Sequence
from functools import lru_cache
from importlib.resources import files
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..cuda.context import Event, Gpu, Stream, check, gpu, succeed
from ..cuda.kernel import Kernel, Module
from ..cuda.memory import DeviceArray, empty, free_pair
from ..media import Image, InputSpec, Placement
from ..media.tensor import Part, corner, fitted_size, part_of, place
from .base import Boxes
from .cuda_pictures import CudaPictures
from .yuv import YUV, factors, shrinks

ROW = np.dtype(  # struct Row of kernels.cu
    [
        ("planes", "u8", (3,)),
        ("scale", "f8", (2,)),
        ("pitches", "i4", (3,)),
        ("steps", "i4", (3,)),
        *((name, "i4") for name in ("kind", "bytes")),
        ("part", "i4", (4,)),  # x, y, width, height
        ("place", "i4", (4,)),  # left, top, width, height
        ("colour", "i4", (6,)),
        *((name, "i4") for name in ("means", "padding")),
    ]
)
_BLOCK = (32, 8, 1)
_TABLES = 8  # of pinned memory; the one used longest ago is filled next
_MOST = 512  # pictures or parts of one launch; more take several
_REMEMBERED = 256  # kinds of pictures whose rows are kept
_DTYPES = ("float32", "float16", "uint8", "int8")
# For each format: kind and bytes of a sample, the plane of each sample, its place and the step in it, in samples.
_SAMPLES: dict[str, tuple[int, int, tuple[tuple[int, int, int], ...]]] = {
    "NV12": (3, 1, ((0, 0, 1), (1, 0, 2), (1, 1, 2))),
    "P010": (3, 2, ((0, 0, 1), (1, 0, 2), (1, 1, 2))),
    "I420": (3, 1, ((0, 0, 1), (1, 0, 1), (2, 0, 1))),
    "RGB": (2, 1, ((0, 0, 3), (0, 1, 3), (0, 2, 3))),
    "BGR": (2, 1, ((0, 2, 3), (0, 1, 3), (0, 0, 3))),
    "GRAY8": (1, 1, ((0, 0, 1),) * 3),
    "GRAY16": (1, 2, ((0, 0, 1),) * 3),
}


class Input(ctypes.Structure):
    """struct Input of kernels.cu: what is the same for all pictures of a call."""

    _fields_ = [
        *((name, ctypes.c_longlong) for name in ("picture", "line")),
        *((name, ctypes.c_int) for name in ("column", "channel")),
        *((name, ctypes.c_int) for name in ("width", "height", "channels", "swapped", "pad", "room")),
        ("gain", ctypes.c_float * 3),
        ("bias", ctypes.c_float * 3),
    ]


def open_imaging(device: str) -> CudaImaging:
    """The imaging of one GPU; compiles its kernels. Raises ConfigError without a GPU.

    Used by one thread at a time, but `to_tensor` and `upload`, which runtimes call in threads of theirs.
    """
    return CudaImaging(gpu(device))


_modules: dict[int, Module] = {}
_modules_lock = threading.Lock()


def _module(gpu: Gpu) -> Module:
    """Compiled once in the process for each GPU: that takes a second, and nobody can unload it while others use it."""
    with _modules_lock:
        if gpu.ordinal not in _modules:
            _modules[gpu.ordinal] = Module(gpu, files(__package__).joinpath("kernels.cu").read_text())
        return _modules[gpu.ordinal]


class CudaImaging(CudaPictures):
    """See imaging.base.Imaging; what gives pictures is in cuda_pictures.py."""

    def __init__(self, gpu: Gpu) -> None:
        super().__init__(gpu)
        self._gpu = gpu
        self._stream = gpu.stream("middle")
        self._module = _module(gpu)
        self._kernels: dict[str, Kernel] = {}
        self._tables = [_Table(gpu) for _ in range(_TABLES)]
        self._next = 0
        self._rows = Rows()
        self._lock = threading.Lock()

    def upload(self, image: Image) -> Image:
        """See CudaPictures.upload."""
        with self._lock:
            return super().upload(image)

    def to_tensor(
        self, images: Sequence[Image], spec: InputSpec, out: DeviceArray | None = None, boxes: Boxes | None = None
    ) -> tuple[DeviceArray, list[Placement]]:
        """Pictures, or parts of them, as [n, c, height, width] (or [n, height, width, c]) on the GPU, and their places.

        Returns at once: the result's `ready` says when it is filled. The pictures may be dropped afterwards.
        `out` may have any strides; it is written when its readers are done. Where a pixel's three numbers lie together
        and have room for a fourth, that becomes 0.
        Raises ValueError for a dtype that is none of float32, float16, uint8 and int8, for a box without a pixel, and
        for an `out` of another shape or dtype.
        """
        self._gpu.use()
        with self._lock:
            return self._to_tensor(images, spec, out, boxes)

    def _to_tensor(
        self, images: Sequence[Image], spec: InputSpec, out: DeviceArray | None, boxes: Boxes | None
    ) -> tuple[DeviceArray, list[Placement]]:
        given = out is not None
        if out is None:
            out = empty(self._stream, _shape(spec, len(images)), spec.dtype)
        to = _input(spec, _strides(out, spec, len(images)))
        rows, placements = self._rows.of(images, spec, boxes)
        if given and out.owner is not None:
            self._stream.wait(out.owner.uses)
        different = list({id(image): image for image in images}.values())
        self._stream.wait(plane.ready for image in different for plane in image.planes if plane.ready is not None)
        for first in range(0, len(images), _MOST):
            self._launch(rows[first : first + _MOST], out[first:].pointer, spec, to)
        out.ready = self._stream.record()
        if given and out.owner is not None:
            out.owner.written(out.ready)
        for image in different:
            for owner in {id(plane.owner): plane for plane in image.planes}.values():  # planes of a surface share it
                owner.used(out.ready)
        return out, placements

    def _launch(self, rows: NDArray[Any], pointer: int, spec: InputSpec, to: Input) -> None:
        table = self._tables[self._next]
        self._next = (self._next + 1) % _TABLES
        grid = (-(-spec.width // _BLOCK[0]), -(-spec.height // _BLOCK[1]), len(rows))
        arguments = [ctypes.c_uint64(table.send(rows, self._stream)), ctypes.c_uint64(pointer), to]
        self._kernel(f"to_{spec.dtype}").launch(self._stream, grid, _BLOCK, arguments)
        table.sent = self._stream.record()

    def _kernel(self, name: str) -> Kernel:
        if name not in self._kernels:
            self._kernels[name] = self._module[name]
        return self._kernels[name]


class Rows:
    """Rows of kernels.cu for pictures, and where each lies in the input. What is the same for all pictures of one kind
    (size, format, colours) is made once; of parts, all of a call are placed at a time."""

    def __init__(self) -> None:
        self._kinds: dict[tuple[Any, ...], tuple[NDArray[Any], Placement]] = {}

    def of(
        self, images: Sequence[Image], spec: InputSpec, boxes: Boxes | None = None
    ) -> tuple[NDArray[Any], list[Placement]]:
        """Raises ValueError for formats that are none, and for a box without a pixel of its picture."""
        kinds = [self._kind(image, spec) for image in images]
        rows = np.empty(len(images), ROW)
        if len({id(row) for row, _ in kinds}) == 1:  # as a rule
            rows[:] = kinds[0][0]
        else:
            for n, (row, _) in enumerate(kinds):
                rows[n] = row[0]
        rows["planes"] = [_addresses(image) for image in images]
        placements = [placement for _, placement in kinds]
        if boxes is not None:
            if len(boxes) != len(images):
                raise ValueError(
                    f"to_tensor: {len(boxes)} boxes for {len(images)} pictures; there must be one for each"
                )
            for n, (image, box) in enumerate(zip(images, boxes, strict=True)):
                if box is not None:
                    box = box.tolist() if isinstance(box, np.ndarray) else box
                    part = part_of(box, image.width, image.height)
                    if part is None:
                        size = f"{image.width}x{image.height}"
                        raise ValueError(f"to_tensor: box {[*map(float, box)]} has no pixel of {size}")
                    placements[n] = _place(rows[n], image, spec, part)
        return rows, placements

    def _kind(self, image: Image, spec: InputSpec) -> tuple[NDArray[Any], Placement]:
        pitches = tuple(plane.row_bytes for plane in image.planes)
        key = (image.width, image.height, image.format, image.matrix, image.full_range, pitches, spec)
        known = self._kinds.get(key)
        if known is None:
            if image.format not in _SAMPLES:
                raise ValueError(f"pictures of {image.format} are not read on a GPU, only {', '.join(_SAMPLES)}")
            kind, size, samples = _SAMPLES[image.format]
            row = np.zeros(1, ROW)
            row["pitches"] = [pitches[plane] for plane, _, _ in samples]
            row["steps"] = [step * size for _, _, step in samples]
            row["kind"], row["bytes"] = kind, size
            if image.format in YUV:
                row["colour"] = factors(image.matrix, image.full_range)
            placement = _place(row[0], image, spec, None)
            while len(self._kinds) >= _REMEMBERED:
                del self._kinds[next(iter(self._kinds))]
            known = self._kinds[key] = row, placement
        return known


def _addresses(image: Image) -> tuple[int, ...]:
    """Where the samples of a picture begin."""
    planes = image.planes
    if image.format == "NV12":
        luma, chroma = planes[0].pointer, planes[1].pointer
        return luma, chroma, chroma + 1
    _, size, samples = _SAMPLES[image.format]
    return tuple(planes[plane].pointer + at * size for plane, at, _ in samples)


def _place(row: Any, image: Image, spec: InputSpec, part: Part | None) -> Placement:
    """Fill in where a part of a picture (None: all of it) goes."""
    x1, y1, x2, y2 = part or (0, 0, image.width, image.height)
    wide, high = x2 - x1, y2 - y1
    width, height = fitted_size(wide, high, spec)
    row["part"] = x1, y1, wide, high
    row["place"] = *corner(wide, high, spec), width, height
    row["scale"] = 1.0 / (width / wide), 1.0 / (height / high)
    halved = wide == 2 * width and high == 2 * height  # the same either way, and quicker so
    row["means"] = spec.antialias and shrinks(wide, high, width, height) and not halved
    return place(image.width, image.height, spec, part)


def _shape(spec: InputSpec, count: int) -> tuple[int, ...]:
    depth, size = (1 if spec.colour == "GRAY" else 3), (spec.height, spec.width)
    return (count, depth, *size) if spec.layout == "NCHW" else (count, *size, depth)


def _strides(out: DeviceArray, spec: InputSpec, count: int) -> tuple[int, ...]:
    """Bytes from one picture, line, pixel and channel to the next. Raises ValueError for an array that does not fit."""
    shape = _shape(spec, count)
    if out.shape != shape or out.dtype != spec.dtype:
        raise ValueError(f"to_tensor: out is {out.dtype}{out.shape}, needed is {spec.dtype}{shape}")
    size = out.dtype.itemsize
    plain = tuple(size * math.prod(shape[n + 1 :]) for n in range(4))
    strides = plain if out.strides is None else out.strides
    picture, *others = strides
    channel, line, pixel = others if spec.layout == "NCHW" else (others[2], *others[:2])
    return picture, line, pixel, channel


@lru_cache(maxsize=64)
def _input(spec: InputSpec, strides: tuple[int, ...]) -> Input:
    if spec.dtype not in _DTYPES:
        raise ValueError(f"to_tensor: dtype {spec.dtype!r} is not one of {', '.join(_DTYPES)}")
    if not 0 <= spec.pad <= 255:
        raise ValueError(f"to_tensor: pad {spec.pad} is not a level of 0..255")
    depth = 1 if spec.colour == "GRAY" else 3
    mean, std = (np.broadcast_to(np.asarray(v, np.float64)[:depth], 3) for v in (spec.mean, spec.std))
    gain, bias = (spec.scale / std).astype(np.float32), (-mean / std).astype(np.float32)
    triple = ctypes.c_float * 3
    size = np.dtype(spec.dtype).itemsize
    room = depth == 3 and strides[2:] == (4 * size, size)
    return Input(
        *(each // size for each in strides), spec.width, spec.height, depth, spec.colour == "BGR", spec.pad, room,
        triple(*gain.tolist()), triple(*bias.tolist()),
    )  # fmt: skip


class _Table:
    """The rows of one launch: filled in pinned memory, sent to the GPU."""

    def __init__(self, gpu: Gpu) -> None:
        self._gpu = gpu
        size = ROW.itemsize * _MOST
        pinned = check(gpu.driver.cuMemHostAlloc(size, 0))
        self._host = int(pinned)
        self._device = int(check(gpu.driver.cuMemAlloc(size)))
        self._rows: NDArray[Any] = np.ctypeslib.as_array((ctypes.c_ubyte * size).from_address(self._host)).view(ROW)
        self.sent: Event | None = None

    def __del__(self) -> None:
        if hasattr(self, "sent"):
            free_pair(self._gpu, self._host, self._device, self.sent)

    def send(self, rows: NDArray[Any], stream: Stream) -> int:
        """Their address on the GPU. Waits in the rare case that the GPU has not read what stood there."""
        if self.sent is not None:
            self.sent.synchronize()
        self._rows[: len(rows)] = rows
        succeed(self._gpu.calls.cuMemcpyHtoDAsync(self._device, self._host, rows.nbytes, stream.handle))
        return self._device


def to_cpu(image: Image) -> Image:
    """The same picture in memory of the CPU. Waits for the GPU."""
    return Image(
        image.format, [plane.numpy() for plane in image.planes], image.width, image.height,
        matrix=image.matrix, full_range=image.full_range,
    )  # fmt: skip
