"""HTTP and HTTPS: files, HLS, and cameras that send one endless answer."""

from __future__ import annotations

from typing import Any

from ..core.element import setting
from .live import LiveSource


class HttpSource(LiveSource):
    """Reads from a web server: `HttpSource(stream="a", uri="https://example.org/a.mp4")`, or `.../index.m3u8`.

    With a known length (a file, HLS on demand) it is read like a file, as fast as it is taken, and ends. Without one
    it is live.
    """

    headers: dict[str, str] = setting(factory=dict, help="further headers of the requests: {Authorization: …}")

    def options(self) -> dict[str, str]:
        out = {
            "reconnect": "1",  # FFmpeg asks for the rest of a file whose transfer broke off
            "reconnect_delay_max": str(max(1, round(self.timeout / 2))),
        }
        if self.headers:
            out["headers"] = "".join(f"{name}: {value}\r\n" for name, value in self.headers.items())
        return out

    def is_live(self, container: Any) -> bool:
        return container.duration is None
