"""Small squares cut out of a picture around targets: luma and colour, as correlation filters want them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..core.errors import ConfigError
from ..media import Image
from ..media.image import CPU

MARGIN = 4  # rows beyond a region, so that it ends in the picture as it would in the whole
Cut = Callable[[Image, NDArray[np.float64], int], NDArray[np.float32]]


def cut(image: Image, regions: NDArray[np.float64], size: int) -> NDArray[np.float32]:
    """[n, channels, size, size] of regions centre x, centre y, width, height [n, 4] (source pixels); edges go on.

    Channels are luma and two of colour where the picture has them, in grey levels. Of a picture on a device the rows
    that the regions reach are copied to the processor's memory, at once, and no others.
    """
    import cv2

    layers = _layers(image, regions)
    channels = sum(1 if plane.ndim == 2 else plane.shape[2] for plane, _, _ in layers)
    out = np.empty((len(regions), channels, size, size), np.float32)
    for patch, (x, y, w, h) in zip(out, regions.tolist(), strict=True):
        at = 0
        for plane, scale, top in layers:
            step = (w * scale / size, h * scale / size)
            start = ((x - w / 2) * scale + step[0] / 2 - 0.5, (y - h / 2) * scale + step[1] / 2 - 0.5 - top)
            warp = np.array([[step[0], 0, start[0]], [0, step[1], start[1]]])
            found = cv2.warpAffine(
                plane,
                warp,
                (size, size),
                flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
                borderMode=cv2.BORDER_REPLICATE,
            )
            for channel in [found] if found.ndim == 2 else np.moveaxis(found, 2, 0):
                patch[at] = channel
                at += 1
    return out


def rows_of(image: Image, plane: Any, first: int, last: int) -> Any:
    """Rows of a picture's plane, in the processor's memory. A device's have `rows` (cuda.memory.DeviceArray)."""
    if image.memory != CPU and not hasattr(plane, "rows"):
        raise ConfigError(
            f"pictures in the memory of {image.memory} cannot be looked at by a tracker: decode on the cpu"
        )
    return np.asarray(plane)[first:last] if image.memory == CPU else plane.rows(first, last)


def _layers(image: Image, regions: NDArray[np.float64]) -> list[tuple[Any, float, int]]:
    """Planes, their scale to the picture, and where the part of them that is there begins."""
    yuv = image.format in ("I420", "NV12", "P010")
    reach = 0, image.height
    if image.memory != CPU:
        top, bottom = (regions[:, 1] - regions[:, 3] / 2).min(), (regions[:, 1] + regions[:, 3] / 2).max()
        first = int(np.clip(top - MARGIN, 0, image.height - 1))
        reach = first, int(np.clip(bottom + MARGIN, first + 1, image.height))
    out = []
    for number, plane in enumerate(image.planes):
        scale = 0.5 if yuv and number else 1.0
        start, end = (reach[0] // 2, (reach[1] + 1) // 2) if scale < 1 else reach
        out.append((rows_of(image, plane, start, end), scale, start))
    return out
