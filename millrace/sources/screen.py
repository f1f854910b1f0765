"""The screen of this machine, where FFmpeg can read it: X11 on Linux."""

from __future__ import annotations

import os
import sys

from ..core.element import setting
from .live import LiveSource


class ScreenSource(LiveSource):
    """Reads the screen: `ScreenSource(stream="me", uri="screen://", size="640x480", fps=10)`.

    `screen://:1` is another X display; `screen://:0.0+100,200` begins at that pixel. On macOS and Windows it is the
    first screen; neither is tested.
    """

    size: str | None = setting(default=None, help="width x height of the part to read; default: all of it")
    fps: float = setting(default=15, help="pictures a second", minimum=0.1)

    def where(self) -> tuple[str, str | None]:
        name = self.uri.removeprefix("screen://")
        if sys.platform == "darwin":
            return name or "Capture screen 0", "avfoundation"
        if sys.platform == "win32":
            return name or "desktop", "gdigrab"
        return name or os.environ.get("DISPLAY", ":0"), "x11grab"

    def _why(self, error: Exception, took: float) -> str:
        if isinstance(error, OSError) and self.where()[1] == "x11grab":
            return f"there is no display {self.where()[0]!r}, or it cannot be read so"
        return super()._why(error, took)

    def options(self) -> dict[str, str]:
        out = {"framerate": f"{self.fps:g}"}
        if self.size:
            out["video_size"] = self.size
        return out
