"""Packets → an RTSP server that anybody may play from."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from ..core.caps import PACKETS
from ..core.element import setting, state
from ..core.errors import StreamError
from ..core.item import Item, StreamStart
from ..media import Frame, Packet
from ..media.nal import split
from ..streaming.mount import Mount
from ..streaming.rtsp import RtspServer
from ._serve import Served


class Rtsp(Served):
    """Serve streams by RTSP and pass the packets on: `rtsp: {port: 8554}` gives rtsp://127.0.0.1:8554/STREAM.

    H.264 and HEVC, encoded once for all clients, over TCP and UDP. A client that joins begins with the next key picture
    (`encode: {gop: 30}` makes them frequent); one that reads too slowly loses pictures and holds up nobody. It listens
    on loopback unless `host` says otherwise; then give `users`.
    """

    takes = PACKETS
    element: ClassVar[str] = "rtsp"
    scheme: ClassVar[str] = "rtsp"

    port: int = setting(default=8554, minimum=0, maximum=65535, help="where to listen; 0: any free port")
    host: str = setting(default="127.0.0.1", help="the address to listen on; 0.0.0.0: all of this machine's")
    name: str = setting(default="{stream}", help="the path of each stream; {stream} becomes its name")
    users: dict[str, str] = setting(factory=dict, help="names and passwords of those who may watch; none: everybody")
    most: int = setting(default=128, minimum=1, help="clients at a time")
    sync: bool = setting(default=True, help="give out files at their own speed, which holds up what is beside it")

    mounts: dict[str, Mount] = state(dict)

    def make_server(self) -> RtspServer:
        return RtspServer(self.host, self.port, self.users, self.most)

    def start_stream(self, start: StreamStart) -> StreamStart:
        assert self.loop is not None and self.server is not None
        stream = start.stream
        if start.caps.kind != PACKETS:
            raise StreamError(stream, f"rtsp takes packets, not {start.caps.kind}; encode first")
        self.begin_clock(start)
        codec = start.caps["parameters"]
        known = self.mounts.get(stream)
        if known is not None and known.codec == codec:
            return start
        path = self.name.replace("{stream}", stream).strip("/")
        if any(other.name == path for name, other in self.mounts.items() if name != stream):
            raise StreamError(stream, f"rtsp: another stream is served as /{path}: put {{stream}} into name")
        try:
            mount = Mount(path, codec)
        except ValueError as error:
            raise StreamError(stream, str(error)) from error
        if known is not None:
            self.loop.soon(known.end)
        self.mounts[stream] = mount
        self.loop.soon(self.server.mounts.__setitem__, path, mount)
        return start

    def give(self, packet: Frame | Packet) -> None:
        assert self.loop is not None
        if not isinstance(packet, Packet) or packet.kind != "video" or packet.pts is None:
            return
        mount = self.mounts[packet.stream]
        try:
            units = split(packet.data, mount.rtp.length_size)
        except ValueError as error:
            if self.context is not None:
                self.context.warn(f"a packet is left out: {error}", packet.stream)
            return
        self.loop.soon(mount.feed, units, packet.pts, packet.key)

    def end_stream(self, stream: str) -> Iterator[Item]:
        yield from super().end_stream(stream)
        mount = self.mounts.pop(stream, None)
        self.forget_clock(stream)
        if mount is not None and self.loop is not None and self.server is not None:
            self.loop.soon(self.server.mounts.pop, mount.name, None)
            self.loop.soon(mount.end)
