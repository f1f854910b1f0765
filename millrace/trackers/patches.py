"""Small squares cut out of a picture around targets: luma and colour, as correlation filters want them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..core.errors import ConfigError
from ..media import Image
from ..media.image import CPU

Cut = Callable[[Image, NDArray[np.float64], int], NDArray[np.float32]]


def cut(image: Image, regions: NDArray[np.float64], size: int) -> NDArray[np.float32]:
    """[n, channels, size, size] of regions centre x, centre y, width, height [n, 4] (source pixels); edges go on.

    Channels are luma and two of colour where the picture has them, in grey levels.
    """
    import cv2

    if image.memory != CPU:
        raise ConfigError("tracker dcf needs pictures in the processor's memory: decode with device cpu")
    layers = _layers(image)
    channels = sum(1 if plane.ndim == 2 else plane.shape[2] for plane, _ in layers)
    out = np.empty((len(regions), channels, size, size), np.float32)
    for patch, (x, y, w, h) in zip(out, regions.tolist(), strict=True):
        at = 0
        for plane, scale in layers:
            step = (w * scale / size, h * scale / size)
            start = ((x - w / 2) * scale + step[0] / 2 - 0.5, (y - h / 2) * scale + step[1] / 2 - 0.5)
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


def _layers(image: Image) -> list[tuple[Any, float]]:
    """Planes and their scale to the picture."""
    planes = [np.asarray(plane) for plane in image.planes]
    if image.format in ("I420", "NV12", "P010"):
        return [(planes[0], 1.0), *((plane, 0.5) for plane in planes[1:])]
    return [(planes[0], 1.0)]
