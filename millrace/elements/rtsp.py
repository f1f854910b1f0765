"""Packets → an RTSP server that anybody may play from."""

from __future__ import annotations

from collections.abc import Iterator

from ..core.caps import PACKETS
from ..core.element import Context, setting, state
from ..core.errors import ConfigError, OutputError, StreamError
from ..core.hosts import is_loopback
from ..core.item import Item, StreamStart
from ..media import Frame, Packet
from ..media.nal import split
from ..streaming.loop import Loop
from ..streaming.mount import Mount
from ..streaming.rtsp import RtspServer
from ._pace import Paced


class Rtsp(Paced):
    """Serve streams by RTSP and pass the packets on: `rtsp: {port: 8554}` gives rtsp://127.0.0.1:8554/STREAM.

    H.264 and HEVC, encoded once for all clients, over TCP and UDP. A client that joins begins with the next key picture
    (`encode: {gop: 30}` makes them frequent); one that reads too slowly loses pictures and holds up nobody. It listens
    on loopback unless `host` says otherwise; then give `users`.
    """

    takes = PACKETS

    port: int = setting(default=8554, minimum=0, maximum=65535, help="where to listen; 0: any free port")
    host: str = setting(default="127.0.0.1", help="the address to listen on; 0.0.0.0: all of this machine's")
    name: str = setting(default="{stream}", help="the path of each stream; {stream} becomes its name")
    users: dict[str, str] = setting(factory=dict, help="names and passwords of those who may watch; none: everybody")
    most: int = setting(default=128, minimum=1, help="clients at a time")
    sync: bool = setting(default=True, help="give out files at their own speed, which holds up what is beside it")

    loop: Loop | None = state(lambda: None)
    server: RtspServer | None = state(lambda: None)
    mounts: dict[str, Mount] = state(dict)
    context: Context | None = state(lambda: None)

    def validate(self) -> None:
        if not self.name.strip("/"):
            raise ConfigError("rtsp: name is empty: give the path of the streams, such as cam or {stream}")

    def open(self, context: Context) -> None:
        self.validate()
        self.context = context
        self.loop = Loop("millrace-rtsp")
        self.server = RtspServer(self.host, self.port, self.users, self.most)
        try:
            self.loop.run(self.server.start())
        except OSError as error:
            self.loop.run(self.server.stop())
            self.loop.close()
            self.loop = self.server = None
            raise OutputError(f"rtsp://{self.host}:{self.port}", error) from error
        if not is_loopback(self.host) and not self.users:
            context.warn(f"rtsp listens on {self.host} without passwords: whoever reaches this machine can watch", None)

    @property
    def listens_on(self) -> int:
        """The port, also where any free one was asked for."""
        return self.server.port if self.server is not None else self.port

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

    def close(self) -> None:
        loop, self.loop = self.loop, None
        if loop is not None and self.server is not None:
            loop.run(self.server.stop())
            loop.close()
            self.server = None
