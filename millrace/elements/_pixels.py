"""What several elements share that give pictures to others: frames as BGR pixels on the CPU."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..devices import part
from ..imaging.base import Imaging
from ..media import Frame


class Pixels:
    """Converts frames of any format and memory."""

    def __init__(self) -> None:
        self._imagings: dict[str, Imaging] = {}

    def bgr(self, frame: Frame) -> NDArray[np.uint8]:
        """The picture as [h, w, 3] uint8 BGR; not to be written to: it may be the frame's own memory."""
        memory = frame.image.memory
        if memory not in self._imagings:
            self._imagings[memory] = part(memory, "imaging")(memory)
        plane = self._imagings[memory].convert(frame.image, "BGR").planes[0]
        pixels: NDArray[np.uint8] = plane if isinstance(plane, np.ndarray) else plane.numpy()
        return pixels
