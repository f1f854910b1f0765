"""The C part of imaging: a picture into a model's input in one pass. Without a compiler it is not there."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from ..media import Image
from ..media.tensor import Part
from .yuv import YUV, factors, samples

try:
    from . import _kernels  # type: ignore[attr-defined,unused-ignore]
except ImportError:  # not built: imaging.cpu does the same with OpenCV
    _kernels = None

THERE = _kernels is not None
NO_COLOURS = (0, 0, 0, 0, 0, 0)


def fill(
    target: NDArray[Any],
    image: Image,
    part: Part,
    place: Part,
    reverse: bool,
    pad: int,
    values: NDArray[Any],
    means: bool = False,
) -> None:
    """The part x1 y1 x2 y2 of a picture, resized, into the place (left, top, width, height) of target, and a border.

    `target` is [3 or 1, h, w] of float32, float16 or uint8 with any strides: red, green, blue (in `reverse` blue first)
    or grey. `values` are float32 gains and biases [channels, 2] for float32, else what each level becomes
    [channels, 256]. `means`: pixels are means of areas, where neither side grows. `pad` is the border's level. Raises
    ValueError for planes, parts and places that do not fit.
    """
    colours = factors(image.matrix, image.full_range) if image.format in YUV else NO_COLOURS
    _kernels.fill(target, samples(image), colours, part, place, reverse, pad, values, means)
