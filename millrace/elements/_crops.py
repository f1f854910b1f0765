"""What `publish` adds to messages: the picture of each object, in the message or as a file beside it."""

from __future__ import annotations

import base64
import os
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..core.errors import OutputError
from ..media import Frame, Object
from ..outputs.jsonl import safe_name
from ._pixels import Pixels


class Crops:
    """Cuts objects out as JPEGs: {"type": "image/jpeg", "width", "height", and "data" (base64) or "file" (a path)}.

    `folder`: where files go; None: into the message. `longest` is the longest side in pixels, larger ones are made
    smaller; `quality` is JPEG's. A file that cannot be written costs the picture, not the message: `warn` is told of
    the first of a row.
    """

    def __init__(self, folder: str | None, longest: int, quality: int, warn: Callable[[str, str], None]) -> None:
        self._folder, self._longest, self._quality, self._warn = folder, longest, quality, warn
        self._failing = False
        self._pixels = Pixels()
        self._frame: Frame | None = None  # whose pixels these are
        self._bgr: NDArray[np.uint8] | None = None
        self._made: dict[int, dict[str, Any] | None] = {}  # of this frame, by the object's place

    def __call__(self, frame: Frame, found: Object) -> dict[str, Any] | None:
        """None for an object that lies outside the picture, or whose file cannot be written."""
        if self._frame is not frame:
            self._frame, self._bgr = frame, self._pixels.bgr(frame)
            self._made.clear()
        place = next((n for n, each in enumerate(frame.objects) if each is found), -1)
        if place not in self._made:
            self._made[place] = self._crop(frame, found, place)
        return self._made[place]

    def forget(self) -> None:
        """Keep no picture."""
        self._frame = self._bgr = None
        self._made.clear()

    def _crop(self, frame: Frame, found: Object, place: int) -> dict[str, Any] | None:
        from ..outputs.images import jpeg, shrunk

        assert self._bgr is not None
        x1, y1, x2, y2 = (max(0, int(side)) for side in (*np.floor(found.box[:2]), *np.ceil(found.box[2:])))
        cut = self._bgr[y1:y2, x1:x2]
        if not cut.size:
            return None
        cut = shrunk(np.ascontiguousarray(cut), self._longest)
        data = jpeg(cut, self._quality)
        about = {"type": "image/jpeg", "width": cut.shape[1], "height": cut.shape[0]}
        if self._folder is None:
            return {**about, "data": base64.b64encode(data).decode()}
        name = f"{safe_name(frame.stream)}-{frame.index:08d}-{place}.jpg"
        path = os.path.abspath(os.path.join(self._folder, name))
        try:
            with open(path, "wb") as file:
                file.write(data)
        except OSError as error:
            if not self._failing:
                self._warn(f"messages go without pictures: {OutputError(path, error)}", frame.stream)
            self._failing = True
            return None
        self._failing = False
        return {**about, "file": path}
