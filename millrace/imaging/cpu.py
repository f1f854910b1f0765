"""Imaging on the CPU with OpenCV and NumPy."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from ..media import CPU, Image, InputSpec, Placement
from ..media.buffers import empty
from ..media.tensor import fitted_size, place
from . import yuv

DTYPES = ("float32", "float16", "uint8")


def open_imaging(device: str = CPU) -> CpuImaging:
    """Imaging for pictures in ordinary memory.

    Sets OpenCV's own thread count to 1: a pipeline runs many threads already, and OpenCV's pool costs more CPU
    time than it saves on pictures of this size.
    """
    cv2.setNumThreads(1)
    return CpuImaging()


class CpuImaging:
    """See imaging.base.Imaging. Holds no state: any number of threads may use one at the same time."""

    memory = CPU

    def to_tensor(
        self, images: Sequence[Image], spec: InputSpec, out: NDArray[Any] | None = None
    ) -> tuple[NDArray[Any], list[Placement]]:
        """Pictures as [n, c, h, w] (or [n, h, w, c]) of spec's dtype, and where each lies in its input.

        Without `out` every call answers an array that nobody else refers to, so one that is still being inferred is
        never overwritten. Raises ValueError for pictures elsewhere than in ordinary memory, a dtype that is none of
        float32, float16, uint8, or an `out` of another shape or dtype.
        """
        depth = 1 if spec.colour == "GRAY" else 3
        shape = (depth, spec.height, spec.width) if spec.layout == "NCHW" else (spec.height, spec.width, depth)
        if spec.dtype not in DTYPES:
            raise ValueError(f"to_tensor: dtype {spec.dtype!r} is not one of {', '.join(DTYPES)}")
        if out is None:
            out = empty((len(images), *shape), spec.dtype)
        elif out.shape != (len(images), *shape) or out.dtype != spec.dtype:
            raise ValueError(f"to_tensor: out is {out.dtype}{out.shape}, needed is {spec.dtype}{(len(images), *shape)}")
        levels = _levels(spec, depth)
        for image, target in zip(images, out, strict=True):
            _check_memory(image, "to_tensor")
            _fill(image, spec, levels, target if spec.layout == "NCHW" else target.transpose(2, 0, 1))
        return out, [place(image.width, image.height, spec) for image in images]


def _check_memory(image: Image, what: str) -> None:
    if image.memory != CPU:
        raise ValueError(f"{what}: pixels are in {image.memory}; move them to the cpu first")


@lru_cache(maxsize=64)
def _levels(spec: InputSpec, depth: int) -> NDArray[Any] | None:
    """What each of the 256 levels becomes, [depth, 256] of spec's dtype: normalisation is one look-up.

    None when a level stays what it is.
    """
    mean, std = (np.broadcast_to(np.asarray(v, np.float64)[:depth], depth)[:, None] for v in (spec.mean, spec.std))
    table = (np.arange(256.0) * spec.scale - mean) / std
    if np.array_equal(table, np.broadcast_to(np.arange(256.0), table.shape)):
        return None
    if spec.dtype == "uint8":
        table = np.clip(np.rint(table), 0, 255)
    return table.astype(spec.dtype)


def _fill(image: Image, spec: InputSpec, levels: NDArray[Any] | None, target: NDArray[Any]) -> None:
    """Write one picture into `target` [c, h, w] (any strides) and the border around it."""
    width, height = fitted_size(image.width, image.height, spec)
    placed = place(image.width, image.height, spec)
    left, top = int(placed.offset_x), int(placed.offset_y)
    right, bottom = left + width, top + height
    for index, plane in enumerate(yuv.channels(image, width, height, spec.colour, spec.antialias)):
        channel = target[index]
        pad = spec.pad if levels is None else levels[index, spec.pad]
        channel[:top], channel[bottom:] = pad, pad
        channel[top:bottom, :left], channel[top:bottom, right:] = pad, pad
        inner = channel[top:bottom, left:right]
        if levels is None:
            np.copyto(inner, plane)
        elif spec.layout == "NCHW":
            cv2.LUT(plane, levels[index], dst=inner)
        else:
            np.copyto(inner, cv2.LUT(plane, levels[index]))
