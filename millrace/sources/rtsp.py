"""RTSP: cameras and servers, over TCP or UDP."""

from __future__ import annotations

from typing import Any

from ..core.element import Seconds, setting
from .live import LiveSource


class RtspSource(LiveSource):
    """Reads the packets of a camera: `RtspSource(stream="gate", uri="rtsp://10.0.0.7/main", transport="tcp")`.

    A frame's `wall` is the camera's own clock where it sends RTCP reports, from the second or third second on.
    """

    transport: str = setting(
        default="auto",
        help="tcp (nothing is lost), udp (nothing waits), auto: tcp, and udp where the server refuses it",
        choices=("auto", "tcp", "udp"),
    )
    jitter: Seconds = setting(
        default=0.2, help="seconds to wait for packets that are out of order or late (UDP only)", minimum=0
    )

    def options(self) -> dict[str, str]:
        chosen = {"rtsp_flags": "prefer_tcp"} if self.transport == "auto" else {"rtsp_transport": self.transport}
        return {
            **chosen,
            # where nobody saves sound it is not asked for: that would only delay the first picture
            "allowed_media_types": "video+audio" if self.sound else "video",
            "timeout": str(round(self.timeout * 1e6)),
            "max_delay": str(round(self.jitter * 1e6)),
            "buffer_size": str(1 << 20),  # of the socket: the burst of packets of a key picture
        }

    def is_live(self, container: Any) -> bool:
        return True  # a server that plays a file paces it, too, and does not wait for us
