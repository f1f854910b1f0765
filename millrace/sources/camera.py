"""Cameras of this machine: Video4Linux on Linux."""

from __future__ import annotations

import sys

from ..core.element import setting
from .live import LiveSource

FORMATS = {"linux": "v4l2", "darwin": "avfoundation", "win32": "dshow"}  # FFmpeg's devices


class CameraSource(LiveSource):
    """Reads a camera: `CameraSource(stream="desk", uri="0", size="1280x720")`; `0` is /dev/video0.

    On macOS a number, on Windows the camera's name (`camera://Integrated Camera`); neither is tested.
    """

    size: str | None = setting(default=None, help="width x height to ask for: 1280x720; default: the camera's own")
    fps: float | None = setting(default=None, help="frames a second to ask for", minimum=0)
    pixels: str | None = setting(default=None, help="what the camera shall send: mjpeg, yuyv422, h264, …")

    def where(self) -> tuple[str, str | None]:
        name = self.uri.removeprefix("camera://")
        if sys.platform == "linux":
            name = f"/dev/video{name}" if name.isdigit() else name
        elif sys.platform == "win32":
            name = f"video={name}"
        return name, FORMATS.get(sys.platform, "v4l2")

    def options(self) -> dict[str, str]:
        asked = {"video_size": self.size, "framerate": self.fps, "input_format": self.pixels}
        return {name: str(value) for name, value in asked.items() if value}
