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
from .base import Area, Boxes, Colour, Conceal, Turn
from .canvas import PlanesCanvas
from .compose import blank, crop, put, turn
from .convert import convert
from .privacy import conceal
from .text import SANS
from .yuv import Affine, write_channels

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
        self, images: Sequence[Image], spec: InputSpec, out: NDArray[Any] | None = None, boxes: Boxes | None = None
    ) -> tuple[NDArray[Any], list[Placement]]:
        """Pictures, or parts of them, as [n, c, h, w] (or [n, h, w, c]) of spec's dtype, and where each lies.

        Without `out` every call answers an array that nobody else refers to, so one that is still being inferred is
        never overwritten. Raises ValueError for pictures elsewhere than in ordinary memory, a dtype that is none of
        float32, float16, uint8, an `out` of another shape or dtype, or a box that has nothing of its picture.
        """
        depth = 1 if spec.colour == "GRAY" else 3
        shape = (depth, spec.height, spec.width) if spec.layout == "NCHW" else (spec.height, spec.width, depth)
        if spec.dtype not in DTYPES:
            raise ValueError(f"to_tensor: dtype {spec.dtype!r} is not one of {', '.join(DTYPES)}")
        if out is None:
            out = empty((len(images), *shape), spec.dtype)
        elif out.shape != (len(images), *shape) or out.dtype != spec.dtype:
            raise ValueError(f"to_tensor: out is {out.dtype}{out.shape}, needed is {spec.dtype}{(len(images), *shape)}")
        parts = _parts(images, boxes)
        for image, part, target in zip(images, parts, out, strict=True):
            _check_memory(image, "to_tensor")
            _fill(_cut(image, part), spec, target if spec.layout == "NCHW" else target.transpose(2, 0, 1))
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


@lru_cache(maxsize=64)
def _affine(spec: InputSpec) -> Affine:
    """The normalisation of a spec; a single mean or std counts for every channel."""
    depth = 1 if spec.colour == "GRAY" else 3
    mean, std = (np.broadcast_to(np.asarray(v, np.float64)[:depth], depth) for v in (spec.mean, spec.std))
    return Affine((spec.scale / std).tolist(), (-mean / std).tolist())


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


def _cut(image: Image, part: Part | None) -> Image:
    """A part of a picture, as RGB where chroma is shared between pixels."""
    if part is None:
        return image
    x1, y1, x2, y2 = part
    image = crop(image, (x1 // 2 * 2, y1 // 2 * 2, min(image.width, x2 + 1), min(image.height, y2 + 1)))
    if image.format in ("I420", "NV12", "P010"):
        image = convert(image, "RGB")
    pixels = image.planes[0][y1 % 2 :, x1 % 2 :][: y2 - y1, : x2 - x1]
    return Image(image.format, [pixels], x2 - x1, y2 - y1, owner=image)


def _fill(image: Image, spec: InputSpec, target: NDArray[Any]) -> None:
    """Write one picture into `target` [c, h, w] (any strides) and the border around it."""
    width, height = fitted_size(image.width, image.height, spec)
    left, top = corner(image.width, image.height, spec)
    right, bottom = left + width, top + height
    affine = _affine(spec)
    for channel, gain, bias in zip(target, affine.gains, affine.biases, strict=True):
        pad = _store(np.float32(spec.pad * gain + bias), target.dtype)
        channel[:top], channel[bottom:] = pad, pad
        channel[top:bottom, :left], channel[top:bottom, right:] = pad, pad
    inner = target[:, top:bottom, left:right]
    if spec.dtype == "float32" and spec.layout == "NCHW":
        write_channels(image, spec.colour, affine, list(inner), spec.antialias)
        return
    work = empty(inner.shape, np.float32)  # OpenCV writes float32 rows; the rest is one copy
    write_channels(image, spec.colour, affine, list(work), spec.antialias)
    np.copyto(inner, _store(work, target.dtype))


def _store(values: Any, dtype: np.dtype[Any]) -> Any:
    """float32 values as they are kept in an input: rounded and saturated where that is uint8."""
    return np.clip(np.rint(values), 0, 255).astype(dtype) if dtype == np.uint8 else values.astype(dtype)
