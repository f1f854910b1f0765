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
from ..media.image import Matrix
from ..media.tensor import Part, corner, fitted_size, part_of, place
from . import kernels
from .base import Area, Boxes, Colour, Conceal, Turn
from .canvas import PlanesCanvas
from .compose import blank, crop, put, turn
from .convert import convert
from .lay import lay
from .privacy import conceal
from .remap import Ways, remap
from .scale import scale
from .text import SANS
from .yuv import levels, resize, shrinks

DTYPES = ("float32", "float16", "uint8", "int8")


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
        self, images: Sequence[Image], spec: InputSpec, out: NDArray[Any] | None = None, boxes: Boxes | None = None
    ) -> tuple[NDArray[Any], list[Placement]]:
        """Pictures, or parts of them, as [n, c, h, w] (or [n, h, w, c]) of spec's dtype, and where each lies.

        Without `out` every call answers an array that nobody else refers to, so one that is still being inferred is
        never overwritten. Raises ValueError for pictures elsewhere than in ordinary memory, a dtype that is none of
        float32, float16, uint8 and int8, an `out` of another shape or dtype, or a box that has nothing of its picture.
        """
        depth = 1 if spec.colour == "GRAY" else 3
        shape = (depth, spec.height, spec.width) if spec.layout == "NCHW" else (spec.height, spec.width, depth)
        if spec.dtype not in DTYPES:
            raise ValueError(f"to_tensor: dtype {spec.dtype!r} is not one of {', '.join(DTYPES)}")
        if out is None:
            out = empty((len(images), *shape), spec.dtype)
        elif out.shape != (len(images), *shape) or out.dtype != spec.dtype:
            raise ValueError(f"to_tensor: out is {out.dtype}{out.shape}, needed is {spec.dtype}{(len(images), *shape)}")
        for image in images:
            _check_memory(image, "to_tensor")
            _check_planes(image)
        parts = _parts(images, boxes)
        for image, part, target in zip(images, parts, out, strict=True):
            whole = part or (0, 0, image.width, image.height)
            _fill(image, whole, spec, target if spec.layout == "NCHW" else target.transpose(2, 0, 1))
        return out, [place(image.width, image.height, spec, part) for image, part in zip(images, parts, strict=True)]

    def convert(self, image: Image, format: str) -> Image:
        """See imaging.convert.convert."""
        _check_memory(image, "convert")
        return convert(image, format)

    def blank(self, width: int, height: int, colour: Colour = (0, 0, 0), matrix: Matrix = "bt601") -> Image:
        """See imaging.compose.blank."""
        return blank(width, height, colour, matrix)

    def put(self, image: Image, target: Image, box: Area) -> None:
        """See imaging.compose.put."""
        _check_memory(image, "put")
        put(image, target, box)

    def crop(self, image: Image, box: Area) -> Image:
        """See imaging.compose.crop."""
        _check_memory(image, "crop")
        return crop(image, box)

    def turn(self, image: Image, how: Turn) -> Image:
        """See imaging.compose.turn."""
        _check_memory(image, "turn")
        return turn(image, how)

    def scale(
        self, image: Image, width: int, height: int, area: Area | None = None, method: str = "auto",
        colour: Colour = (0, 0, 0),
    ) -> Image:  # fmt: skip
        """See imaging.scale.scale."""
        _check_memory(image, "scale")
        return scale(image, width, height, area, method, colour)

    def lay(
        self, image: Image, colours: NDArray[Any], area: Area | None, opacity: float, smooth: bool = False
    ) -> Image:
        """See imaging.lay.lay."""
        _check_memory(image, "lay")
        return lay(image, colours, area, opacity, smooth)

    def remap(self, image: Image, ways: Ways) -> Image:
        """See imaging.remap.remap."""
        _check_memory(image, "remap")
        return remap(image, ways)

    def conceal(self, image: Image, areas: Sequence[Any], mode: Conceal = "pixelate", strength: float = 1.0) -> Image:
        """See imaging.privacy.conceal."""
        _check_memory(image, "conceal")
        return conceal(image, areas, mode, strength)

    def canvas(self, image: Image, font: str = SANS) -> PlanesCanvas:
        """Something to draw on; 10- and 16-bit pictures are brought to 8 bits (NV12, GRAY8) first."""
        _check_memory(image, "canvas")
        if image.format in ("P010", "GRAY16"):
            image = convert(image, "NV12" if image.format == "P010" else "GRAY8")
        return PlanesCanvas(image, font)


def _check_memory(image: Image, what: str) -> None:
    if image.memory != CPU:
        raise ValueError(f"{what}: pixels are in {image.memory}; move them to the cpu first")


def _check_planes(image: Image) -> None:
    """The C part and OpenCV trust nothing, but their errors would not say which picture is wrong."""
    high, wide = image.height, image.width
    half = ((high + 1) // 2, (wide + 1) // 2)
    shapes: dict[str, list[tuple[int, ...]]] = {
        "I420": [(high, wide), half, half], "NV12": [(high, wide), (*half, 2)], "P010": [(high, wide), (*half, 2)],
        "RGB": [(high, wide, 3)], "BGR": [(high, wide, 3)], "GRAY8": [(high, wide)], "GRAY16": [(high, wide)],
    }  # fmt: skip
    wanted, kind = shapes.get(image.format), np.dtype("uint16" if image.format in ("P010", "GRAY16") else "uint8")
    given = [(plane.shape, plane.dtype) for plane in image.planes]
    if wanted is None or high < 1 or wide < 1 or given != [(shape, kind) for shape in wanted]:
        planes = ", ".join(f"{dtype}{shape}" for shape, dtype in given)
        raise ValueError(f"to_tensor: {image!r} cannot have planes {planes or 'none'}")


def _parts(images: Sequence[Image], boxes: Boxes | None) -> list[Part | None]:
    """The whole pixels of each box; None: the whole picture."""
    if boxes is None:
        return [None] * len(images)
    if len(boxes) != len(images):
        raise ValueError(f"to_tensor: {len(boxes)} boxes for {len(images)} pictures; there must be one for each")
    parts = [None if box is None else part_of(box, i.width, i.height) for i, box in zip(images, boxes, strict=True)]
    for image, box, part in zip(images, boxes, parts, strict=True):
        if box is not None and part is None:
            raise ValueError(f"to_tensor: box {[*map(float, box)]} has no pixel of {image.width}x{image.height}")
    return parts


@lru_cache(maxsize=64)
def _values(spec: InputSpec) -> tuple[NDArray[np.float32], NDArray[Any]]:
    """The normalisation of a spec: gain and bias of each channel [c, 2], and what each level becomes [c, 256].

    A single mean or std counts for every channel.
    """
    if not 0 <= spec.pad <= 255:
        raise ValueError(f"to_tensor: pad {spec.pad} is not a level of 0..255")
    depth = 1 if spec.colour == "GRAY" else 3
    mean, std = (np.broadcast_to(np.asarray(v, np.float64)[:depth], depth) for v in (spec.mean, spec.std))
    lines = np.stack([spec.scale / std, -mean / std], axis=1).astype(np.float32)
    values = np.arange(256, dtype=np.float32) * lines[:, :1] + lines[:, 1:]
    if spec.dtype in ("uint8", "int8"):
        limits = np.iinfo(spec.dtype)
        values = np.clip(np.rint(values), limits.min, limits.max)
    return lines, np.ascontiguousarray(values.astype(spec.dtype))


def _fill(image: Image, part: Part, spec: InputSpec, target: NDArray[Any]) -> None:
    """Write the part of a picture into `target` [c, h, w] (any strides) and the border around it."""
    have = part[2] - part[0], part[3] - part[1]
    place = (*corner(*have, spec), *fitted_size(*have, spec))
    lines, values = _values(spec)
    means = spec.antialias and shrinks(*have, *place[2:])
    if kernels.THERE:
        numbers = lines if spec.dtype == "float32" else values
        kernels.fill(target, image, part, place, spec.colour == "BGR", spec.pad, numbers, means)
        return
    planes = levels(image, part, spec.colour == "GRAY")
    left, top, width, height = place
    right, bottom = left + width, top + height
    for channel, plane, table in zip(target, planes[:: -1 if spec.colour == "BGR" else 1], values, strict=True):
        channel[:top], channel[bottom:] = table[spec.pad], table[spec.pad]
        channel[top:bottom, :left], channel[top:bottom, right:] = table[spec.pad], table[spec.pad]
        np.take(table, resize(plane, width, height, spec.antialias), out=channel[top:bottom, left:right], mode="clip")
