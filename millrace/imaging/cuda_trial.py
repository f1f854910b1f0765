"""The kernels of strips.cu are tried on each GPU before they are used there, against the general kernel.

Small random pictures, whole and in parts, go through all of them; each byte must be the same, and what lies behind a
result stay as it was. A kernel that touches memory that is nobody's ends CUDA for the process: that nothing can undo,
but the warning says what it came from.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import product
from typing import Any, NamedTuple, Protocol

import numpy as np

from ..core.errors import said
from ..cuda.context import Gpu, Stream, check, out_of_memory
from ..cuda.memory import DeviceArray, empty
from ..media import Image, InputSpec
from ..media.image import Format, Matrix
from .base import Boxes
from .cuda_launch import layout

UNUSED = (
    "%s: the faster kernels for preparing pictures (strips.cu) are not used: %s. The general kernel does their work, "
    "more slowly. Please report it, with the kind of the GPU and the driver's version"
)
_KINDS: tuple[tuple[Format, Matrix, bool], ...] = (
    ("NV12", "bt709", False),
    ("I420", "bt601", True),
    ("P010", "bt2020", False),
)
_SIZE = 164, 91  # of the pictures
_ROOM = 1 << 16  # bytes for each of them
_INPUT = 66, 34  # of the results: a block, and a little of the next one each way
_SLOT = 4 * 4 * 4 * 66 * 34  # bytes for each result: as many as three pictures have at most, and one more behind them
_FITTED = InputSpec(*_INPUT, mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225), scale=1 / 255)
_STRETCHED = InputSpec(*_INPUT, colour="BGR", fit="stretch", scale=1 / 255)
_PARTS = None, (21, 13, 50, 28), (101, 5, 160, 91)  # smaller, bordered; larger; smaller, borders within blocks
_WORK: tuple[tuple[str, InputSpec, Boxes], ...] = (
    ("", _FITTED, _PARTS),
    ("", _STRETCHED, _PARTS),
    ("halved_", _FITTED, ((32, 23, 164, 91), (4, 3, 136, 63), (8, 5, 108, 73))),  # no border; above, below; both sides
    ("halved_", _STRETCHED, ((32, 23, 164, 91), (4, 3, 136, 24), (8, 2, 140, 91))),  # of the height: half; more; less
)
_BEFORE = 0x55, 0x33  # what stands where strips write, and the general kernel


class Prepares(Protocol):
    """CudaImaging."""

    strips: bool

    def to_tensor(self, images: Sequence[Image], spec: InputSpec, out: DeviceArray, boxes: Boxes) -> Any: ...


class Case(NamedTuple):
    """What one kernel is tried with."""

    kernel: str
    image: Image
    spec: InputSpec
    boxes: Boxes
    room: bool

    def result(self, gpu: Gpu, pointer: int) -> DeviceArray:
        width, height, size = self.spec.width, self.spec.height, np.dtype(self.spec.dtype).itemsize
        apart = (4 * size * width * height, size, 4 * size * width, 4 * size) if self.room else None
        return DeviceArray(gpu, pointer, (len(self.boxes), 3, height, width), self.spec.dtype, apart)


def cases(images: Iterable[Image]) -> Iterator[Case]:
    """Every kernel, on results whose channels lie apart and together."""
    for image, dtype, room, (halved, spec, boxes) in product(images, ("float16", "float32"), (False, True), _WORK):
        yield Case(f"{image.format.lower()}_{halved}to_{dtype}", image, replace(spec, dtype=dtype), boxes, room)


def fault(imaging: Prepares, stream: Stream) -> str | None:
    """What is wrong with the strips of this imaging, whose stream it is; None: nothing. Leaves its `strips` changed.

    Waits for the GPU; takes 15 MB of it meanwhile, and raises MemoryError where they are not free.
    """
    gpu, count = stream.gpu, len(_KINDS) * 2 * 2 * len(_WORK)
    half = count * _SLOT
    pictures = np.random.default_rng(1).integers(0, 256, len(_KINDS) * _ROOM, np.uint8)
    before = np.concatenate([*(np.full(half, value, np.uint8) for value in _BEFORE), pictures])
    kernel = "the trial"
    try:
        held = empty(stream, before.shape, np.uint8)
        check(gpu.driver.cuMemcpyHtoDAsync(held.pointer, before.ctypes.data, before.nbytes, stream.native))
        tried = list(cases(_pictures(gpu, held.pointer + 2 * half)))
        for strips, at in ((True, held.pointer), (False, held.pointer + half)):
            imaging.strips = strips
            for n, case in enumerate(tried):
                kernel = case.kernel
                out = case.result(gpu, at + n * _SLOT)
                imaging.to_tensor([case.image] * len(case.boxes), case.spec, out=out, boxes=case.boxes)
        kernel = "one of them"
        held.ready = stream.record()
        found = held[: 2 * half].numpy().reshape(2, count, _SLOT)
    except RuntimeError as error:
        if out_of_memory(error):
            raise MemoryError(said(error)) from error
        return f"{kernel} failed when it was tried ({said(error)})"
    for case, got, want in zip(tried, *found, strict=True):
        size = (4 if case.room else 3) * case.result(gpu, 0).nbytes // 3
        if not np.array_equal(got[:size], want[:size]):
            return f"when it was tried, {case.kernel} gave other numbers than the general kernel"
        if (got[size:] != _BEFORE[0]).any():
            return f"when it was tried, {case.kernel} wrote beyond its result"
    return None


def _pictures(gpu: Gpu, pointer: int) -> Iterator[Image]:
    for n, (format, matrix, full_range) in enumerate(_KINDS):
        planes, at = [], pointer + n * _ROOM
        shapes, dtype = layout(format, *_SIZE)
        for shape in shapes:
            planes.append(DeviceArray(gpu, at, shape, dtype))
            at += planes[-1].nbytes
        yield Image(format, planes, *_SIZE, matrix=matrix, full_range=full_range, memory=gpu.name)
