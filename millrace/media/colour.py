"""YUV and RGB: the numbers of ITU-R BT.601-7, BT.709-6 and BT.2020-2, and a plain reference conversion."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from .image import Image, Matrix

LUMA = {"bt601": (0.299, 0.114), "bt709": (0.2126, 0.0722), "bt2020": (0.2627, 0.0593)}  # Kr, Kb


def yuv_to_rgb(matrix: Matrix, full_range: bool) -> tuple[float, float, float, float, float, float]:
    """(y_offset, y_gain, v_to_r, u_to_g, v_to_g, u_to_b): R = gain * (Y - offset) + v_to_r * (V - 128), …"""
    kr, kb = LUMA[matrix]
    kg = 1.0 - kr - kb
    y_gain, c_gain, offset = (1.0, 1.0, 0.0) if full_range else (255.0 / 219.0, 255.0 / 224.0, 16.0)
    v_to_r = 2.0 * (1.0 - kr) * c_gain
    u_to_b = 2.0 * (1.0 - kb) * c_gain
    return offset, y_gain, v_to_r, -u_to_b * kb / kg, -v_to_r * kr / kg, u_to_b


def rgb_to_yuv(red: float, green: float, blue: float, matrix: Matrix, full_range: bool) -> tuple[int, int, int]:
    """One colour of 0..255 as Y, U, V of 0..255."""
    kr, kb = LUMA[matrix]
    luma = kr * red + (1.0 - kr - kb) * green + kb * blue
    y_gain, c_gain, offset = (1.0, 1.0, 0.0) if full_range else (219.0 / 255.0, 224.0 / 255.0, 16.0)
    u = (blue - luma) / (2.0 * (1.0 - kb)) * c_gain + 128.0
    v = (red - luma) / (2.0 * (1.0 - kr)) * c_gain + 128.0
    y = luma * y_gain + offset
    return (round(min(255.0, max(0.0, y))), round(min(255.0, max(0.0, u))), round(min(255.0, max(0.0, v))))


def to_rgb(image: Image) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """See Image.to_rgb."""
    if image.memory != "cpu":
        raise ValueError(f"to_rgb: pixels are in {image.memory}; move them to the cpu first")
    first = image.planes[0]
    if image.format == "RGB":
        return np.array(first)
    if image.format == "BGR":
        return np.ascontiguousarray(first[..., ::-1])
    if image.format in ("GRAY8", "GRAY16"):
        grey = first if image.format == "GRAY8" else (first >> 8).astype(np.uint8)
        return np.repeat(grey[..., None], 3, axis=2)
    shift = 8 if image.format == "P010" else 0
    luma = (first >> shift).astype(np.float32)
    if image.format == "I420":
        u, v = image.planes[1], image.planes[2]
    else:
        u, v = image.planes[1][..., 0] >> shift, image.planes[1][..., 1] >> shift
    full = [np.repeat(np.repeat(c, 2, axis=0), 2, axis=1)[: image.height, : image.width] for c in (u, v)]
    offset, gain, v_to_r, u_to_g, v_to_g, u_to_b = yuv_to_rgb(image.matrix, image.full_range)
    base = (luma - offset) * gain
    du, dv = full[0].astype(np.float32) - 128.0, full[1].astype(np.float32) - 128.0
    rgb = np.stack([base + v_to_r * dv, base + u_to_g * du + v_to_g * dv, base + u_to_b * du], axis=2)
    return np.asarray(np.clip(np.rint(rgb), 0, 255), dtype=np.uint8)
