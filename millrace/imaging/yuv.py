"""Planes of YUV, RGB or grey → the float channels of a smaller picture, on the CPU.

Each plane is resized by itself, straight to the wanted size, and colours are computed there in float32: no pixel
that is not needed is ever converted. Chroma is taken as lying in the
middle of its 2x2 luma pixels (half-pixel centres), which is where repeating it puts it too.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from ..media import Image
from ..media.buffers import empty
from ..media.colour import yuv_to_rgb
from ..media.image import Matrix
from ..media.tensor import Colour

Plane = NDArray[np.uint8]
Channel = NDArray[np.float32]


def resize(plane: NDArray[Any], width: int, height: int, antialias: bool = False) -> NDArray[Any]:
    """Bilinear with half-pixel centres; with `antialias` the mean over each pixel's area where it shrinks."""
    have_height, have_width = plane.shape[:2]
    if (have_width, have_height) == (width, height):
        return plane
    shrinks = width <= have_width and height <= have_height
    how = cv2.INTER_AREA if antialias and shrinks else cv2.INTER_LINEAR
    out = empty((height, width, *plane.shape[2:]), plane.dtype)
    return np.asarray(cv2.resize(plane, (width, height), dst=out, interpolation=how))


def to_8_bit(plane: NDArray[Any]) -> Plane:
    """uint16 whose value stands in the upper bits (P010, GRAY16) as uint8, rounded."""
    return plane if plane.dtype == np.uint8 else np.asarray(cv2.convertScaleAbs(plane, alpha=1.0 / 256.0))


def yuv_planes(image: Image, width: int, height: int, antialias: bool = False) -> tuple[Plane, Plane, Plane]:
    """Y, U and V of an I420, NV12 or P010 picture, each (height, width) uint8."""
    luma = to_8_bit(resize(image.planes[0], width, height, antialias))
    if image.format == "I420":
        u, v = (resize(plane, width, height, antialias) for plane in image.planes[1:3])
    else:
        chroma = to_8_bit(resize(image.planes[1], width, height, antialias))
        u, v = cv2.extractChannel(chroma, 0), cv2.extractChannel(chroma, 1)
    return luma, u, v


class Affine:
    """What becomes of each channel's 0..255: value = pixel * gain + bias, one of each per channel."""

    def __init__(self, gains: Sequence[float], biases: Sequence[float]) -> None:
        self.gains = gains
        self.biases = biases

    def clip(self, channel: Channel, index: int) -> None:
        """Saturate a channel, in place, to what 0 and 255 become."""
        ends = self.biases[index], 255.0 * self.gains[index] + self.biases[index]
        np.clip(channel, np.float32(min(ends)), np.float32(max(ends)), out=channel)


def write_channels(
    image: Image, colour: Colour, affine: Affine, targets: Sequence[Channel], antialias: bool = False
) -> None:
    """The picture, resized to the targets' size, as one float32 array (h, w) per channel of `colour`."""
    height, width = targets[0].shape
    if image.format not in ("I420", "NV12", "P010"):
        planes = _packed(image, width, height, colour, antialias)
        for target, plane, gain, bias in zip(targets, planes, affine.gains, affine.biases, strict=True):
            _scale(plane, gain, bias, target)
    elif colour == "GRAY":
        luma = to_8_bit(resize(image.planes[0], width, height, antialias))
        offset, y_gain = yuv_to_rgb(image.matrix, image.full_range)[:2]
        gain = affine.gains[0]
        _scale(luma, y_gain * gain, affine.biases[0] - offset * y_gain * gain, targets[0])
        affine.clip(targets[0], 0)
    else:
        _write_rgb(image, yuv_planes(image, width, height, antialias), colour, affine, targets)


def _scale(plane: Plane, gain: float, bias: float, target: Channel) -> None:
    if (gain, bias) == (1.0, 0.0):
        np.copyto(target, plane)
    else:
        cv2.addWeighted(plane, gain, plane, 0.0, bias, dst=target, dtype=cv2.CV_32F)


def _write_rgb(
    image: Image, planes: tuple[Plane, Plane, Plane], colour: Colour, affine: Affine, targets: Sequence[Channel]
) -> None:
    """Colour matrix, range and normalisation: a table per chroma term, then one step with the luma."""
    luma, u, v = planes
    y_gain = yuv_to_rgb(image.matrix, image.full_range)[1]
    wide, part = empty(luma.shape, np.float32), empty(luma.shape, np.float32)
    np.copyto(wide, luma)
    for index, name in enumerate(colour):
        target, gain = targets[index], affine.gains[index]
        from_u, from_v = _chroma_tables(name, image.matrix, image.full_range, gain, affine.biases[index])
        if name == "G":
            cv2.add(cv2.LUT(u, from_u, dst=part), cv2.LUT(v, from_v, dst=target), dst=target)
        else:
            cv2.LUT(*((v, from_v) if name == "R" else (u, from_u)), dst=target)
        cv2.scaleAdd(wide, y_gain * gain, target, dst=target)
        affine.clip(target, index)


@lru_cache(maxsize=256)
def _chroma_tables(
    name: str, matrix: Matrix, full_range: bool, gain: float, bias: float
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """What each U and each V adds to a channel; all constants stand in the table of R's V, G's V, B's U.

    libswscale, through which nearly everyone sees video, drops the fraction of every term before it adds them, and
    so shifts the hue of flat areas by up to a level. Boxes of small objects follow that (96 of 100 stayed within IoU
    0.9 when only the sum was exact, 98 to 100 so), so the chroma terms are whole levels here too. Luma changes from
    pixel to pixel: it loses the mean of such a fraction, half a level.
    """
    offset, y_gain, v_to_r, u_to_g, v_to_g, u_to_b = yuv_to_rgb(matrix, full_range)
    of_u, of_v = {"R": (0.0, v_to_r), "G": (u_to_g, v_to_g), "B": (u_to_b, 0.0)}[name]
    levels = np.arange(256) - 128.0
    from_u, from_v = np.floor(of_u * levels) * gain, np.floor(of_v * levels) * gain
    fraction = 0.0 if y_gain == 1.0 else 0.5
    constant = bias - (offset * y_gain + fraction) * gain
    if name == "B":
        from_u += constant
    else:
        from_v += constant
    return from_u.astype(np.float32), from_v.astype(np.float32)


def _packed(image: Image, width: int, height: int, colour: Colour, antialias: bool) -> list[Plane]:
    """The channels of an RGB, BGR or grey picture, resized, uint8."""
    small = to_8_bit(resize(image.planes[0], width, height, antialias))
    if image.format in ("GRAY8", "GRAY16"):
        return [small] * (1 if colour == "GRAY" else 3)
    if colour == "GRAY":
        return [cv2.cvtColor(small, cv2.COLOR_RGB2GRAY if image.format == "RGB" else cv2.COLOR_BGR2GRAY)]
    order = (0, 1, 2) if colour == image.format else (2, 1, 0)
    return [cv2.extractChannel(small, index) for index in order]
