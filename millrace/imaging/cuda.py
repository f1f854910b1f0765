"""Pictures on an NVIDIA GPU: one kernel from decoder surfaces, or parts of them, to a network's input.

The numbers are those of imaging/cpu.py, to the bit: pixels become whole levels of RGB as libswscale makes them, and are
resized as OpenCV does it (docs/preprocessing.md; the arithmetic: kernels.cu, rows.h). The usual pictures go through
strips.cu, which gives the same in less time; see `path`.
"""

from __future__ import annotations

import ctypes
import logging
import math
import threading
from collections.abc import Sequence
from functools import lru_cache
from importlib.resources import files
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..core.errors import ConfigError, said
from ..cuda.context import Event, Gpu, Stream, check, gpu, succeed
from ..cuda.kernel import Kernel, Module, may_be_tried
from ..cuda.memory import DeviceArray, empty, free_pair
from ..media import Image, InputSpec, Placement
from ..media.tensor import Part, corner, fitted_size, part_of, place
from .base import Boxes
from .cuda_pictures import CudaPictures
from .cuda_trial import UNUSED, fault
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
        *((name, "i4") for name in ("means", "path")),
    ]
)
_BLOCK = (32, 8, 1)
_STRIPS = (32, 4, 1)  # the block of strips.cu
_COVERED = (64, 32)  # by it: ACROSS, DOWN
_OTHER, _NV12, _I420, _P010, _HALVED = range(5)  # Row.path of strips.cu: one of three, and _HALVED more
_PATHS = {"NV12": _NV12, "I420": _I420, "P010": _P010}
_PREFIXES = ("", "nv12_", "i420_", "p010_", "", "nv12_halved_", "i420_halved_", "p010_halved_")  # of kernels' names
_READS = ((0, 0), (1, 2), (1, 1), (2, 4), (0, 0), (4, 4), (4, 1), (8, 8))  # bytes at once, of luma and chroma
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
_PLACED = ("part", "place", "scale", "means", "path")


class Input(ctypes.Structure):
    """struct Input of kernels.cu: what is the same for all pictures of a call."""

    _fields_ = [
        *((name, ctypes.c_longlong) for name in ("picture", "line")),
        *((name, ctypes.c_int) for name in ("column", "channel")),
        *((name, ctypes.c_int) for name in ("width", "height", "channels", "swapped", "pad", "room")),
        ("gain", ctypes.c_float * 3),
        ("bias", ctypes.c_float * 3),
    ]
    together = 0  # bytes that strips.cu writes at once, of two neighbours; 0: it cannot write there


def open_imaging(device: str) -> CudaImaging:
    """The imaging of one GPU; compiles its kernels. Raises ConfigError without a GPU.

    Used by one thread at a time, but `to_tensor` and `upload`, which runtimes call in threads of theirs.
    """
    return CudaImaging(gpu(device))


_log = logging.getLogger("millrace.imaging")
_modules: dict[int, Module] = {}
_strips: dict[int, bool] = {}  # by GPU: whether its strips are right
_modules_lock = threading.Lock()


def _module(gpu: Gpu) -> Module:
    """Compiled once in the process for each GPU: that takes a second, and nobody can unload it while others use it."""
    with _modules_lock:
        if gpu.ordinal not in _modules:
            general, strips = (files(__package__).joinpath(name).read_text() for name in ("kernels.cu", "strips.cu"))
            try:
                _modules[gpu.ordinal] = Module(gpu, f'{general}#line 1 "strips.cu"\n{strips}')
            except (ConfigError, RuntimeError) as error:
                _modules[gpu.ordinal] = Module(gpu, general)
                _log.warning(UNUSED, gpu.name, said(error).partition("\n")[0])
                _strips[gpu.ordinal] = False
        return _modules[gpu.ordinal]


def _strips_are_right(imaging: CudaImaging) -> bool:
    """Tried once in the process for each GPU, where they may be; where its memory is full, another time."""
    if not may_be_tried():
        return False
    with _modules_lock:
        gpu = imaging._gpu
        if gpu.ordinal not in _strips:
            try:
                wrong = fault(imaging, imaging._stream)
            except MemoryError:
                return False
            if wrong is not None:
                _log.warning(UNUSED, gpu.name, wrong)
            _strips[gpu.ordinal] = wrong is None
        return _strips[gpu.ordinal]


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
        self.strips = _strips_are_right(self)  # False: the general kernel for all pictures

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
            self._launch(rows[first : first + _MOST], out[first:], spec, to)
        out.ready = self._stream.record()
        if given and out.owner is not None:
            out.owner.written(out.ready)
        for image in different:
            for owner in {id(plane.owner): plane for plane in image.planes}.values():  # planes of a surface share it
                owner.used(out.ready)
        return out, placements

    def _launch(self, rows: NDArray[Any], out: DeviceArray, spec: InputSpec, to: Input) -> None:
        table = self._tables[self._next]
        self._next = (self._next + 1) % _TABLES
        way = path(rows, out.pointer, to) if self.strips else _OTHER
        block, (wide, high) = (_STRIPS, _COVERED) if way else (_BLOCK, _BLOCK[:2])
        grid = (-(-spec.width // wide), -(-spec.height // high), len(rows))
        arguments = [ctypes.c_uint64(table.send(rows, self._stream)), ctypes.c_uint64(out.pointer), to]
        self._kernel(f"{_PREFIXES[way]}to_{spec.dtype}").launch(self._stream, grid, block, arguments)
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
        different = images if boxes is None else list({id(image): image for image in images}.values())
        kinds = [self._kind(image, spec) for image in different]
        addresses = [_addresses(image) for image in different]
        if len(different) < len(images):  # parts share pictures
            numbers = {id(image): n for n, image in enumerate(different)}
            which = [numbers[id(image)] for image in images]
            kinds, addresses = [kinds[n] for n in which], [addresses[n] for n in which]
        rows = np.empty(len(images), ROW)
        if len({id(row) for row, _ in kinds}) == 1:  # as a rule
            rows[:] = kinds[0][0]
        else:
            for n, (row, _) in enumerate(kinds):
                rows[n] = row[0]
        rows["planes"] = addresses
        placements = [placement for _, placement in kinds]
        if boxes is not None:
            self._parts(rows, placements, images, spec, boxes)
        return rows, placements

    @staticmethod
    def _parts(
        rows: NDArray[Any], placements: list[Placement], images: Sequence[Image], spec: InputSpec, boxes: Boxes
    ) -> None:
        if len(boxes) != len(images):
            raise ValueError(f"to_tensor: {len(boxes)} boxes for {len(images)} pictures; there must be one for each")
        numbers, filled = [], []
        pitches = rows["pitches"].tolist()
        for n, (image, box) in enumerate(zip(images, boxes, strict=True)):
            if box is not None:
                box = box.tolist() if isinstance(box, np.ndarray) else box
                part = part_of(box, image.width, image.height)
                if part is None:
                    size = f"{image.width}x{image.height}"
                    raise ValueError(f"to_tensor: box {[*map(float, box)]} has no pixel of {size}")
                numbers.append(n)
                filled.append(_place(image, spec, part, pitches[n]))
                placements[n] = place(image.width, image.height, spec, part)
        for name, values in zip(_PLACED, zip(*filled, strict=True), strict=False):
            rows[name][numbers] = values

    def _kind(self, image: Image, spec: InputSpec) -> tuple[NDArray[Any], Placement]:
        pitches = tuple(plane.row_bytes for plane in image.planes)
        key = (image.width, image.height, image.format, image.matrix, image.full_range, pitches, spec)
        known = self._kinds.get(key)
        if known is None:
            if image.format not in _SAMPLES:
                raise ValueError(f"pictures of {image.format} are not read on a GPU, only {', '.join(_SAMPLES)}")
            kind, size, samples = _SAMPLES[image.format]
            row = np.zeros(1, ROW)
            row["pitches"] = each = [pitches[plane] for plane, _, _ in samples]
            row["steps"] = [step * size for _, _, step in samples]
            row["kind"], row["bytes"] = kind, size
            if image.format in YUV:
                row["colour"] = factors(image.matrix, image.full_range)
            whole = 0, 0, image.width, image.height
            for name, value in zip(_PLACED, _place(image, spec, whole, each), strict=True):
                row[name] = value
            while len(self._kinds) >= _REMEMBERED:
                del self._kinds[next(iter(self._kinds))]
            known = self._kinds[key] = row, place(image.width, image.height, spec)
        return known


def _addresses(image: Image) -> tuple[int, ...]:
    """Where the samples of a picture begin."""
    planes = image.planes
    if image.format == "NV12":
        luma, chroma = planes[0].pointer, planes[1].pointer
        return luma, chroma, chroma + 1
    _, size, samples = _SAMPLES[image.format]
    return tuple(planes[plane].pointer + at * size for plane, at, _ in samples)


def _place(image: Image, spec: InputSpec, part: Part, pitches: Sequence[int]) -> tuple[Any, ...]:
    """Where a part of a picture goes: the fields _PLACED of its row."""
    x1, y1, x2, y2 = part
    wide, high = x2 - x1, y2 - y1
    width, height = fitted_size(wide, high, spec)
    left, top = corner(wide, high, spec)
    halved = wide == 2 * width and high == 2 * height  # the same either way, and quicker so
    means = spec.antialias and shrinks(wide, high, width, height) and not halved
    way, (luma, chroma, other) = _PATHS.get(image.format, _OTHER), pitches
    if means or wide < 2 or chroma != other or not _fits(way, luma, chroma):
        way = _OTHER
    elif wide == 2 * width and not x1 % 4 and not (left | width) % 2 and _fits(way + _HALVED, luma, chroma):
        way += _HALVED
    scale = 1.0 / (width / wide), 1.0 / (height / high)
    return (x1, y1, wide, high), (left, top, width, height), scale, means, way


def path(rows: NDArray[Any], pointer: int, to: Input) -> int:
    """Which kernel of strips.cu makes these rows' pictures: one that all can have; 0: they need the general one."""
    if not to.together or pointer % to.together:
        return _OTHER
    ways = set(rows["path"].tolist())
    formats = {way % _HALVED for way in ways}
    if len(formats) > 1:
        return _OTHER
    luma, chroma, _ = np.bitwise_or.reduce(rows["planes"]).tolist()
    choices = [*ways, *formats] if len(ways) == 1 else formats
    return next((way for way in choices if _fits(way, luma, chroma)), _OTHER)


def _fits(way: int, luma: int, chroma: int) -> bool:
    """Whether samples lie in places from which as many bytes are read at once."""
    return way != _OTHER and luma % _READS[way][0] == chroma % _READS[way][1] == 0


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
    to = Input(
        *(each // size for each in strides), spec.width, spec.height, depth, spec.colour == "BGR", spec.pad, room,
        triple(*gain.tolist()), triple(*bias.tolist()),
    )  # fmt: skip
    picture, line, pixel, channel = strides
    together = 16 if room else 2 * size
    even = spec.width % 2 == 0 and not any(each % together for each in (picture, line, 0 if room else channel))
    small = all(1e-20 < each < 1e20 for each in to.gain)  # enough to be multiplied with 2^23
    if spec.dtype in ("float32", "float16") and depth == 3 and even and small and (room or pixel == size):
        to.together = together
    return to


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
