"""Frames, or the objects in them → still pictures."""

from __future__ import annotations

import os
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from ..core.element import Context, Element, setting, state
from ..core.errors import SettingError
from ..media import Frame
from ..outputs.jsonl import safe_name
from ._pixels import Pixels


class Images(Element):
    """Write every Nth frame as a picture: `images: {path: "frame-{stream}-{index:06d}.jpg", every: 10}`.

    With `crops` the objects of such frames are cut out, each a picture of its own. Fields of the path: {stream},
    {index} (of the frame, from 0), {pts} (ms), and of a crop {number} (from 1 in its frame), {label}, {id}. The frame
    goes on unchanged.
    """

    threaded: ClassVar[bool] = True
    writes: ClassVar[bool] = True

    path: str = setting(
        default="frame-{stream}-{index:06d}.jpg", help="the files, with fields; the ending says the kind of picture"
    )
    every: int = setting(default=1, help="write every Nth frame", minimum=1, live=True)
    crops: bool = setting(default=False, help="write the objects, not the whole frame")
    quality: int = setting(default=90, help="of JPEG and WebP", minimum=1, maximum=100, live=True)

    pixels: Pixels = state(Pixels)

    def validate(self) -> None:
        from ..outputs.images import PathError, check_pattern

        try:
            check_pattern(self.path)
        except PathError as error:
            raise SettingError("images", "path", self.path, str(error)) from None
        folder = os.path.dirname(self.path)
        if folder and "{" not in folder and not os.path.isdir(folder):
            raise SettingError("images", "path", self.path, f"the folder {folder} does not exist; create it")

    def open(self, context: Context) -> None:
        self.validate()
        self.pattern = self.path
        if self.crops and "{number" not in self.path:
            root, ending = os.path.splitext(self.path)
            self.pattern = f"{root}-{{number}}{ending}"

    def process_frame(self, frame: Frame) -> None:
        if frame.index % self.every:
            return
        fields: dict[str, Any] = {
            "stream": safe_name(frame.stream),
            "index": frame.index,
            "pts": frame.pts // 1_000_000,
        }
        if not self.crops:
            self._write(fields | {"number": 0, "label": "", "id": -1}, self.pixels.bgr(frame))
            return
        pixels = self.pixels.bgr(frame) if frame.objects else None
        for number, found in enumerate(frame.objects, 1):
            x1, y1, x2, y2 = (max(0, int(value)) for value in (*np.floor(found.box[:2]), *np.ceil(found.box[2:])))
            assert pixels is not None
            cut = pixels[y1:y2, x1:x2]
            if cut.size:
                identity = -1 if found.id is None else found.id
                self._write(fields | {"number": number, "label": safe_name(found.label), "id": identity}, cut)

    def _write(self, fields: dict[str, Any], pixels: NDArray[np.uint8]) -> None:
        from ..outputs.images import write_picture

        write_picture(self.pattern.format_map(fields), np.ascontiguousarray(pixels), self.quality)
