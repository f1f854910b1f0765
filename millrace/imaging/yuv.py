"""Planes of YUV, RGB or grey → the red, green and blue planes of a smaller picture, on the CPU.

Each plane is resized by itself, straight to the wanted size, and colours are computed there: no pixel that is not
needed is ever converted. Chroma is taken as lying in the middle of its 2x2 luma pixels (half-pixel centres), as
libswscale's default conversion does by repeating it.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from ..media import Image
from ..media.buffers import empty
from ..media.colour import yuv_to_rgb
from ..media.tensor import Colour

Plane = NDArray[np.uint8]


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


def rgb_from_yuv(luma: Plane, u: Plane, v: Plane, image: Image) -> tuple[Plane, Plane, Plane]:
    """R, G and B of planes of one size, rounded and saturated; `image` says which matrix and range."""
    offset, gain, v_to_r, u_to_g, v_to_g, u_to_b = yuv_to_rgb(image.matrix, image.full_range)
    base = -gain * offset
    red, green, blue = (empty(luma.shape, np.uint8) for _ in range(3))
    cv2.addWeighted(luma, gain, v, v_to_r, base - 128.0 * v_to_r, dst=red)
    cv2.addWeighted(luma, gain, u, u_to_b, base - 128.0 * u_to_b, dst=blue)
    # Green has three terms: the chroma part, which may be negative, is kept in 8 bits around 128.
    part = 127.0 / (128.0 * (abs(u_to_g) + abs(v_to_g)))
    chroma = empty(luma.shape, np.uint8)
    cv2.addWeighted(u, part * u_to_g, v, part * v_to_g, 128.0 - part * 128.0 * (u_to_g + v_to_g), dst=chroma)
    cv2.addWeighted(luma, gain, chroma, 1.0 / part, base - 128.0 / part, dst=green)
    return red, green, blue


def grey_from_luma(luma: Plane, image: Image) -> Plane:
    """Luma of the picture's range as grey of 0..255."""
    if image.full_range:
        return luma
    levels = (np.arange(256) - 16.0) * (255.0 / 219.0)
    return np.asarray(cv2.LUT(luma, np.clip(np.rint(levels), 0, 255).astype(np.uint8)))


def channels(image: Image, width: int, height: int, colour: Colour, antialias: bool = False) -> list[Plane]:
    """The picture resized, as one uint8 plane (height, width) per channel of `colour`, 0..255."""
    if image.format in ("I420", "NV12", "P010"):
        if colour == "GRAY":
            return [grey_from_luma(to_8_bit(resize(image.planes[0], width, height, antialias)), image)]
        planes = rgb_from_yuv(*yuv_planes(image, width, height, antialias), image)
        return list(planes if colour == "RGB" else planes[::-1])
    small = to_8_bit(resize(image.planes[0], width, height, antialias))
    if image.format in ("GRAY8", "GRAY16"):
        return [small] * (1 if colour == "GRAY" else 3)
    if colour == "GRAY":
        return [cv2.cvtColor(small, cv2.COLOR_RGB2GRAY if image.format == "RGB" else cv2.COLOR_BGR2GRAY)]
    order = (0, 1, 2) if colour == image.format else (2, 1, 0)
    return [cv2.extractChannel(small, index) for index in order]
