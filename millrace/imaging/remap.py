"""Pictures whose every pixel is fetched from a place of its own in another picture (dewarping), on the CPU."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from ..media import Image
from ..media.colour import rgb_to_yuv
from .yuv import to_8_bit

_EIGHT_BIT: dict[str, Any] = {"P010": "NV12", "GRAY16": "GRAY8"}


@dataclass(slots=True, eq=False)
class Ways:
    """Where each pixel of a new picture comes from: made once, used for every frame of that size.

    `x` and `y` [height, width] float32 are places in the source, whose pixel (0, 0) has its centre at (0, 0); NaN has
    none and is black. `border`: outside the source is black, else its edge is repeated; `wraps`: left and right edge
    are neighbours. `plans` holds the same in the fixed-point form of cv2.remap, for luma and for chroma.
    """

    x: NDArray[np.float32]
    y: NDArray[np.float32]
    border: bool = False
    wraps: bool = False
    plans: dict[tuple[int, int, int], tuple[NDArray[Any], NDArray[Any]]] = field(default_factory=dict)

    def plan(self, halves: int, width: int, height: int) -> tuple[NDArray[Any], NDArray[Any]]:
        """The maps for a plane of width x height samples, `halves` 2 where it is chroma."""
        key = (halves, width, height)
        if key not in self.plans:
            x: NDArray[Any] = self.x
            y: NDArray[Any] = self.y
            if halves == 2:  # a chroma sample is the mean of four pixels, so its place is the mean of theirs
                around = 2.0 * width if self.wraps else None
                x, y = (_quarter(x, around) - 0.5) / 2, (_quarter(y) - 0.5) / 2
            if self.wraps:
                x = np.mod(x, width)
            if not self.border:
                x, y = np.clip(x, 0, width if self.wraps else width - 1), np.clip(y, 0, height - 1)
            gone = ~(np.isfinite(x) & np.isfinite(y))
            x, y = (np.where(gone, -10.0, np.clip(each, -10.0, 32000.0)).astype(np.float32) for each in (x, y))
            self.plans[key] = cv2.convertMaps(x, y, cv2.CV_16SC2)
        return self.plans[key]


def _quarter(values: NDArray[np.float32], around: float | None = None) -> NDArray[np.float32]:
    """Means of 2 x 2, the last column and row repeated where they are odd; `around`: where places begin anew."""
    even = np.pad(values, ((0, values.shape[0] % 2), (0, values.shape[1] % 2)), mode="edge")
    first, *others = even[::2, ::2], even[1::2, ::2], even[::2, 1::2], even[1::2, 1::2]
    steps = [other - first for other in others]
    if around is not None:
        steps = [np.mod(step + around / 2, around) - around / 2 for step in steps]
    return np.asarray(first + sum(steps) / 4, np.float32)


def remap(image: Image, ways: Ways) -> Image:
    """The picture that `ways` describes, bilinear, in the format of `image` (10 and 16 bits become 8).

    Each plane is fetched by itself, so colours are not converted; what has no place in the source is black.
    """
    height, width = ways.x.shape
    y, u, v = rgb_to_yuv(0, 0, 0, image.matrix, image.full_range)
    format = _EIGHT_BIT.get(image.format, image.format)
    kinds: dict[str, list[Any]] = {"I420": [y, u, v], "NV12": [y, (u, v)]}
    blacks = kinds.get(format, [(0, 0, 0)])
    planes = []
    for index, (plane, black) in enumerate(zip(image.planes, blacks, strict=True)):
        source = np.ascontiguousarray(to_8_bit(plane))
        if ways.wraps:  # the first column stands behind the last one, too
            source = cv2.copyMakeBorder(source, 0, 0, 0, 1, cv2.BORDER_WRAP)
        plan = ways.plan(2 if index else 1, plane.shape[1], plane.shape[0])
        planes.append(
            cv2.remap(source, *plan, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT, borderValue=black)
        )  # fmt: skip
    return Image(
        format, planes, width, height, matrix=image.matrix, full_range=image.full_range, memory=image.memory
    )  # fmt: skip
