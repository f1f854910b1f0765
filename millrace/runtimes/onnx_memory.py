"""Tensors of a call in one block of memory, and their way from a GPU to the CPU."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from ..cuda.context import Event, Gpu, Stream, check, succeed
from ..cuda.pinned import Block, Pinned
from ..media import TensorInfo
from .pool import lies_on_gpu

_STEP = 256  # bytes; libraries want tensors to begin at multiples of it


class Place(NamedTuple):
    """Where a tensor lies in a block that holds several."""

    info: TensorInfo
    shape: tuple[int, ...]
    start: int  # bytes

    @property
    def nbytes(self) -> int:
        return math.prod(self.shape) * np.dtype(self.info.dtype).itemsize

    def part(self, count: int) -> Place:
        """The rows of so many pictures, where each picture has one."""
        rows = self.info.shape[:1] == (None,)
        return self._replace(shape=(min(count, self.shape[0]), *self.shape[1:])) if rows else self


def lay_out(infos: Sequence[TensorInfo], shapes: Sequence[Sequence[int]]) -> tuple[list[Place], int]:
    """Tensors one after the other, and the bytes that they take."""
    places, at = [], 0
    for info, shape in zip(infos, shapes, strict=True):
        places.append(Place(info, tuple(shape), at))
        at += -(-places[-1].nbytes // _STEP) * _STEP
    return places, max(at, 1)


def address(info: TensorInfo, value: Any) -> int:
    """Where an array on the GPU begins. Raises ValueError where there are gaps in it."""
    found = value.__cuda_array_interface__
    strides, expected = found.get("strides"), np.dtype(info.dtype).itemsize
    for size, stride in zip(reversed(found["shape"]), reversed(strides or ()), strict=False):
        if size > 1 and stride != expected:
            raise ValueError(f"the model refused its input: {info} lies on the GPU with gaps; copy it first")
        expected *= size
    return int(found["data"][0])


def bring(gpu: Gpu, stream: Stream, pointer: int, info: TensorInfo, value: Any) -> Any:
    """Queue the copy of an input to `pointer` on the GPU; gives what must be kept until it is done."""
    if lies_on_gpu(value):
        if value.shape[0] if value.shape else 1:
            nbytes = math.prod(value.shape) * np.dtype(info.dtype).itemsize
            succeed(gpu.calls.cuMemcpyDtoDAsync(pointer, address(info, value), nbytes, stream.handle))
        return value
    array = np.ascontiguousarray(value)
    check(gpu.driver.cuMemcpyHtoDAsync(pointer, array.ctypes.data, array.nbytes, stream.native))
    return array


def leave(
    stream: Stream, pinned: Pinned, places: Sequence[Place], sources: Sequence[int], size: int
) -> tuple[dict[str, Any], Event]:
    """Queue the copies of tensors at `sources` on the GPU into one block of the CPU's memory of `size` bytes.

    Tensors that follow each other there as they do in the block leave in one copy. Gives arrays by name, and the event
    after which they may be read.
    """
    block = pinned.take(size)
    for origin, start, nbytes in _pieces(places, sources):
        check(stream.gpu.driver.cuMemcpyDtoHAsync(block.pointer + start, origin, nbytes, stream.native))
    return {place.info.name: _array(block, place) for place in places}, stream.record()


def _pieces(places: Sequence[Place], sources: Sequence[int]) -> list[tuple[int, int, int]]:
    """Copies to make: where from, where to in the block, how many bytes."""
    pieces: list[tuple[int, int, int]] = []
    for place, source in zip(places, sources, strict=True):
        if not place.nbytes:
            continue
        if pieces:
            origin, start, nbytes = pieces[-1]
            if source - origin == place.start - start < nbytes + _STEP:
                pieces[-1] = origin, start, place.start - start + place.nbytes
                continue
        pieces.append((source, place.start, place.nbytes))
    return pieces


def _array(block: Block, place: Place) -> Any:
    whole = np.asarray(block)
    return whole[place.start : place.start + place.nbytes].view(place.info.dtype).reshape(place.shape)
