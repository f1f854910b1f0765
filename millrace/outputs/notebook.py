"""Live pictures in a notebook (IPython)."""

from __future__ import annotations

import time
from base64 import b64encode
from collections.abc import Sequence
from html import escape
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..core.errors import MissingExtraError
from ..media import Frame
from ..media.html import svg
from .images import jpeg


class Tiles:
    """One area of the notebook with the newest picture of every stream, renewed at most `rate` times a second."""

    def __init__(self, streams: Sequence[str], width: int = 320, rate: float = 10.0, boxes: bool = True) -> None:
        """Raises MissingExtraError where there is no IPython."""
        try:
            from IPython.display import HTML, display
        except ImportError:
            raise MissingExtraError("live pictures in a notebook", "IPython", "notebook") from None
        self._html: Any = HTML
        self._width, self._every, self._boxes = width, 1.0 / rate, boxes
        self._tiles = dict.fromkeys(streams, "")
        self._frames = dict.fromkeys(streams, 0)
        self._next = 0.0
        self._handle: Any = display(HTML(""), display_id=True)

    def due(self, frame: Frame) -> bool:
        """Counts the frame; True when its picture shall be given to `show`."""
        self._frames[frame.stream] = self._frames.get(frame.stream, 0) + 1
        return time.monotonic() >= self._next or not self._tiles.get(frame.stream)

    def show(self, frame: Frame, bgr: NDArray[np.uint8]) -> None:
        """Put a picture [h, w, 3] of the frame into its stream's tile and renew the area."""
        step = max(1, bgr.shape[1] // self._width)
        picture = f"data:image/jpeg;base64,{b64encode(jpeg(np.ascontiguousarray(bgr[::step, ::step]))).decode()}"
        facts = f"{frame.stream} #{frame.index}, {frame.pts / 1e9:.1f} s, {len(frame.objects)} objects"
        self._tiles[frame.stream] = (
            f'<div style="display:inline-block;margin:2px">{svg(frame, picture, self._width, self._boxes)}'
            f"<div>{escape(facts)}</div></div>"
        )
        self._next = time.monotonic() + self._every
        self._renew()

    def close(self) -> None:
        """The last pictures stay, with how many there were."""
        total = ", ".join(f"{stream}: {count} frames" for stream, count in self._frames.items())
        self._renew(f"<div>{escape(total)}</div>")

    def _renew(self, after: str = "") -> None:
        if self._handle is not None:
            self._handle.update(self._html("".join(self._tiles.values()) + after))
