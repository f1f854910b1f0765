"""The published steps from a picture to a model's input, written out plainly: every pixel to 8 bits, then resized, then
normalised. Slow, obvious, and independent of millrace but for the names of its types.
"""

from __future__ import annotations

import numpy as np

KR_KB = {"bt601": (0.299, 0.114), "bt709": (0.2126, 0.0722), "bt2020": (0.2627, 0.0593)}


def rgb_of(image) -> np.ndarray:
    """[h, w, 3] uint8 of any picture, as libswscale's unscaled yuv420p to rgb24 makes it: chroma repeated, the terms of
    the sum each rounded down in 1/8192, the sum saturated. 16 bits are rounded to 8 first, halves to even."""
    planes = [np.array(plane) for plane in image.planes]
    if planes[0].dtype == np.uint16:
        planes = [np.minimum(np.rint(plane / 256), 255) for plane in planes]
    planes = [plane.astype(int) for plane in planes]
    if image.format in ("RGB", "BGR"):
        return planes[0][..., :: 1 if image.format == "RGB" else -1].astype(np.uint8)
    if image.format in ("GRAY8", "GRAY16"):
        return np.repeat(planes[0][..., None], 3, axis=2).astype(np.uint8)
    u, v = planes[1:] if image.format == "I420" else (planes[1][..., 0], planes[1][..., 1])
    u, v = (c.repeat(2, axis=0).repeat(2, axis=1)[: image.height, : image.width] - 128 for c in (u, v))
    kr, kb = KR_KB[image.matrix]
    kg = 1 - kr - kb
    low, wide, chroma = (0, 1, 1) if image.full_range else (16, 255 / 219, 255 / 224)

    def term(factor: float, values: np.ndarray) -> np.ndarray:
        return np.floor_divide(values * round(factor * 8192), 8192)

    grey = term(wide, planes[0] - low)
    red = grey + term(2 * (1 - kr) * chroma, v)
    green = grey + term(-2 * (1 - kb) * kb / kg * chroma, u) + term(-2 * (1 - kr) * kr / kg * chroma, v)
    blue = grey + term(2 * (1 - kb) * chroma, u)
    return np.clip(np.stack([red, green, blue], axis=2), 0, 255).astype(np.uint8)


def resized(pixels: np.ndarray, width: int, height: int) -> np.ndarray:
    """[height, width, c] uint8, as cv2.resize does it with INTER_LINEAR: half-pixel centres, weights in 1/2048, sums
    along a row cut to 1/128, the shares of two rows to 1/4, rounded."""

    def axis(have: int, want: int) -> tuple[np.ndarray, np.ndarray]:
        at = ((np.arange(want) + 0.5) * (1 / (want / have)) - 0.5).astype(np.float32)
        low = np.floor(at)
        return low.astype(int), np.rint((at - low) * np.float32(2048)).astype(int)

    last_y, last_x = pixels.shape[0] - 1, pixels.shape[1] - 1
    x, along = axis(pixels.shape[1], width)
    along[(x < 0) | (x >= last_x)] = 0
    left, right = (pixels[:, np.clip(at, 0, last_x)].astype(int) for at in (x, x + 1))
    rows = (left * (2048 - along)[:, None] + right * along[:, None]) >> 4
    y, down = axis(pixels.shape[0], height)
    upper, lower = (rows[np.clip(at, 0, last_y)] for at in (y, y + 1))
    weight = down[:, None, None]
    return ((((upper * (2048 - weight)) >> 16) + ((lower * weight) >> 16) + 2) >> 2).astype(np.uint8)


def grey_of(image) -> np.ndarray:
    """[h, w, 1] uint8: luma over the whole range, or of RGB OpenCV's weighted sum."""
    rgb = rgb_of(image).astype(int)
    if image.format in ("RGB", "BGR"):
        rgb = (rgb @ [9798, 19235, 3735] + 16384)[..., None] >> 15
    elif image.format in ("I420", "NV12", "P010"):
        luma = np.minimum(np.rint(image.planes[0] / (256 if image.format == "P010" else 1)), 255)
        rgb = np.floor_divide(
            (luma - (0 if image.full_range else 16)) * round(8192 * (1 if image.full_range else 255 / 219)), 8192
        )
        rgb = np.clip(rgb, 0, 255)[..., None]
    return rgb[..., :1].astype(np.uint8)


def tensor_of(image, spec, part: tuple[int, int, int, int] | None = None) -> np.ndarray:
    """[c, h, w] or [h, w, c] float64 of a picture, or of x1 y1 x2 y2 of it; uint8 and int8 are rounded, saturated."""
    x1, y1, x2, y2 = part or (0, 0, image.width, image.height)
    pixels = (grey_of(image) if spec.colour == "GRAY" else rgb_of(image))[y1:y2, x1:x2]
    width, height, left, top = spec.width, spec.height, 0, 0
    if spec.fit != "stretch":
        ratio = min(spec.width / (x2 - x1), spec.height / (y2 - y1))
        width, height = (
            max(1, min(round(v * ratio), most)) for v, most in ((x2 - x1, spec.width), (y2 - y1, spec.height))
        )
        if spec.fit == "letterbox":
            left, top = (spec.width - width) // 2, (spec.height - height) // 2
    out = np.full((spec.height, spec.width, pixels.shape[2]), float(spec.pad))
    out[top : top + height, left : left + width] = resized(pixels, width, height)
    if spec.colour == "BGR":
        out = out[..., ::-1]
    depth = out.shape[2]
    out = (out * spec.scale - np.broadcast_to(spec.mean, 3)[:depth]) / np.broadcast_to(spec.std, 3)[:depth]
    if spec.dtype in ("uint8", "int8"):
        out = np.clip(np.rint(out), np.iinfo(spec.dtype).min, np.iinfo(spec.dtype).max)
    return out.transpose(2, 0, 1) if spec.layout == "NCHW" else out
