"""Generated scenes as a source: `scene:?seed=7&seconds=10`, or `SceneSource(stream="street", seed=7)`.

The address is known once this module is imported (`millrace run` does so by itself).
"""

from __future__ import annotations

from fractions import Fraction
from functools import cached_property
from typing import Any

import numpy as np

from ..core.element import Seconds, setting
from ..core.errors import SourceError
from ..media import Image
from ..media.buffers import empty
from ..sources import add_scheme
from ..sources.pictures import PictureSource


class SceneSource(PictureSource):
    """A street scene rendered as it is read (see testing/scene.py): `scene:?seed=7&seconds=10&width=1280&height=720`.

    I420, BT.601, limited range. The same settings give the same pictures; `scene.truth` says what is in them.
    """

    stream: str = setting(default="scene", help="name of the stream")
    uri: str = setting(default="scene:", help="scene:, with settings behind a question mark")
    seed: int = setting(default=7, help="which scene", minimum=0)
    seconds: Seconds = setting(default=10.0, help="how long it lasts", minimum=0.04)
    width: int = setting(default=640, help="pixels, even", minimum=160)
    height: int = setting(default=360, help="pixels, even", minimum=90)
    fps: float = setting(default=25.0, help="frames per second", minimum=1)
    dusk: bool = setting(default=False, help="at dusk, with lights")
    crowd: int = setting(default=0, help="people more who stroll in view", minimum=0)
    busy: float = setting(default=1.0, help="how much traffic there is", minimum=0)

    @cached_property
    def scene(self) -> Any:
        from .scene import Scene

        if self.width % 2 or self.height % 2:
            raise SourceError(self.stream, f"a scene has an even width and height, not {self.width}x{self.height}")
        return Scene(
            self.seed, self.width, self.height, self.fps, self.count, dusk=self.dusk, crowd=self.crowd, busy=self.busy
        )

    @property
    def rate(self) -> Fraction:
        return Fraction(self.fps).limit_denominator(1001)

    @property
    def count(self) -> int:
        return max(1, round(self.seconds * self.rate))

    def picture(self, index: int) -> Image:
        import cv2

        rgb, _ = self.scene.frame(index)
        packed = empty((self.height * 3 // 2, self.width), np.uint8)
        cv2.cvtColor(rgb, cv2.COLOR_RGB2YUV_I420, dst=packed)
        y, quarter = self.width * self.height, self.width * self.height // 4
        flat, half = packed.reshape(-1), (self.height // 2, self.width // 2)
        planes = [packed[: self.height], flat[y : y + quarter].reshape(half), flat[y + quarter :].reshape(half)]
        return Image("I420", planes, self.width, self.height)


add_scheme("scene", SceneSource)
