"""Pictures put into pictures, cut out, mirrored and turned, plane by plane on the CPU."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from ..media import Image
from ..media.colour import rgb_to_yuv
from ..media.image import Matrix
from .base import Area, Colour, Turn
from .convert import convert
from .yuv import resize, to_8_bit

_ROTATIONS = {
    "clockwise": cv2.ROTATE_90_CLOCKWISE,
    "counterclockwise": cv2.ROTATE_90_COUNTERCLOCKWISE,
    "half": cv2.ROTATE_180,
}
_REVERSED = {  # the axes of the source, (columns, rows), that are read backwards
    "horizontal": (True, False),
    "vertical": (False, True),
    "clockwise": (False, True),
    "counterclockwise": (True, False),
    "half": (True, True),
    "transpose": (False, False),
    "transverse": (True, True),
}
_LAID_OVER = ("clockwise", "counterclockwise", "transpose", "transverse")  # width and height change places


def blank(width: int, height: int, colour: Colour = (0, 0, 0), matrix: Matrix = "bt601") -> Image:
    """An I420 picture of one colour, limited range."""
    shapes = [(height, width), *[((height + 1) // 2, (width + 1) // 2)] * 2]
    parts = rgb_to_yuv(*colour, matrix, False)
    planes = [np.full(shape, part, np.uint8) for shape, part in zip(shapes, parts, strict=True)]
    return Image("I420", planes, width, height, matrix=matrix)


def put(image: Image, target: Image, box: Area) -> None:
    """Write `image` over x1 y1 x2 y2 of an I420 picture, stretched to it; where it shrinks by the mean of areas.

    Every plane is resized by itself; only where matrix or range differ do the small pixels pass through RGB.
    Raises ValueError unless the target is I420 that may be written and the box lies in it on even pixels (right and
    bottom may be the edge).
    """
    x1, y1, x2, y2 = box
    outside = not (0 <= x1 < x2 <= target.width and 0 <= y1 < y2 <= target.height)
    odd = x1 % 2 or y1 % 2 or (x2 % 2 and x2 != target.width) or (y2 % 2 and y2 != target.height)
    if target.format != "I420" or target.read_only or outside or odd:
        raise ValueError(
            f"put: {box} of {target!r} cannot be written; it must be I420, ours, and the box on even pixels"
        )
    small = _recoded(_resized(image, x2 - x1, y2 - y1), target)
    for plane, part, scale in zip(target.planes, small.planes, (1, 2, 2), strict=True):
        plane[y1 // scale : y1 // scale + part.shape[0], x1 // scale : x1 // scale + part.shape[1]] = part


def _resized(image: Image, width: int, height: int) -> Image:
    """The picture in another size with 8 bits, of its own kind: I420, NV12, RGB, BGR or GRAY8."""
    half = ((width + 1) // 2, (height + 1) // 2)
    sizes = [(width, height), half, half]
    planes = [to_8_bit(resize(p, *size, antialias=True)) for p, size in zip(image.planes, sizes, strict=False)]
    kinds: dict[str, Any] = {"P010": "NV12", "GRAY16": "GRAY8"}
    format = kinds.get(image.format, image.format)
    return Image(format, planes, width, height, matrix=image.matrix, full_range=image.full_range)


def _recoded(image: Image, target: Image) -> Image:
    """The picture as I420 in the target's matrix and range."""
    same = (image.matrix, image.full_range) == (target.matrix, target.full_range)
    if not same and image.format in ("I420", "NV12"):
        image = convert(image, "RGB")
    image.matrix, image.full_range = target.matrix, target.full_range  # of a picture that is ours
    return convert(image, "I420")


def crop(image: Image, box: Area) -> Image:
    """x1 y1 x2 y2 of the picture as views of its planes. Left and top go down to even pixels.

    Raises ValueError when nothing of the box lies in the picture.
    """
    x1, y1 = (max(0, value // 2 * 2) for value in box[:2])
    x2, y2 = min(image.width, box[2]), min(image.height, box[3])
    if x1 >= x2 or y1 >= y2:
        raise ValueError(f"crop: {tuple(box)} has no pixel of {image.width}x{image.height}")
    planes = []
    for index, plane in enumerate(image.planes):
        scale = 2 if index else 1
        planes.append(plane[y1 // scale : -(-y2 // scale), x1 // scale : -(-x2 // scale)])
    return Image(
        image.format, planes, x2 - x1, y2 - y1, matrix=image.matrix, full_range=image.full_range,
        memory=image.memory, read_only=image.read_only, owner=image.owner or image,
    )  # fmt: skip


def turn(image: Image, how: Turn) -> Image:
    """The picture mirrored left to right (horizontal) or top to bottom (vertical), or turned by one quarter or two.

    `transpose` mirrors it at the diagonal from the upper left, `transverse` at that from the upper right.
    Where an odd side is read backwards, chroma lies between its old places and is the mean of two neighbours.
    """
    columns, rows = _REVERSED[how]
    planes = []
    for index, plane in enumerate(image.planes):
        if index and columns and image.width % 2:
            plane = _shifted(plane, 1)
        if index and rows and image.height % 2:
            plane = _shifted(plane, 0)
        source = plane if plane.strides[-1] == plane.itemsize else np.ascontiguousarray(plane)
        planes.append(_turned(source, how))
    sides = (image.height, image.width) if how in _LAID_OVER else (image.width, image.height)
    return Image(image.format, planes, *sides, matrix=image.matrix, full_range=image.full_range, memory=image.memory)


def _turned(plane: NDArray[Any], how: Turn) -> NDArray[Any]:
    if how in _ROTATIONS:
        return np.asarray(cv2.rotate(plane, _ROTATIONS[how]))
    if how in ("transpose", "transverse"):
        over = cv2.transpose(plane)
        return np.asarray(over if how == "transpose" else cv2.flip(over, -1))
    return np.asarray(cv2.flip(plane, int(how == "horizontal")))


def _shifted(plane: NDArray[Any], axis: int) -> NDArray[Any]:
    """Each sample the mean of itself and the one before it; the first stays."""
    before = np.concatenate([plane.take([0], axis), plane.take(range(plane.shape[axis] - 1), axis)], axis)
    return np.asarray((plane.astype(np.uint32) + before + 1) // 2, plane.dtype)
