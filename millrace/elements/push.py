"""push: packets to somebody else's server."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote, urlsplit

from ..core.caps import PACKETS
from ..core.element import Context, Seconds, setting, state
from ..core.errors import ConfigError, SettingError, StreamError
from ..core.item import Item, StreamStart
from ..media import Frame, Packet
from ._pace import Paced

WHIP = ("http", "https")


class Push(Paced):
    """Send streams to other servers and pass the packets on: `push: {url: "rtmp://host/live/{stream}"}`.

    rtmp, rtmps; rtsp (ANNOUNCE, RECORD); udp (MPEG-TS); rtp (receivers need `sdp`); http and https (WHIP,
    with the extra `webrtc`). A server that is lost is connected again; what comes meanwhile is dropped up to the last
    key picture and counted, and nothing else waits for it.
    """

    takes = PACKETS

    url: str = setting(help="where to; {stream} becomes the stream's name. Logs show no password and no RTMP key")
    transport: str = setting(default="tcp", choices=("tcp", "udp"), help="how RTSP's packets travel")
    token: str | None = setting(default=None, help="the bearer token of WHIP: ${env:NAME} in a file")
    sdp: str | None = setting(default=None, help="a file to write for those who receive rtp://; {stream} as in url")
    options: dict[str, str] = setting(factory=dict, help="further options of FFmpeg's muxer and protocol")
    timeout: Seconds = setting(default=5.0, minimum=0.1, help="seconds for connecting, and for taking a packet")
    backoff: Seconds = setting(default=1.0, minimum=0.01, help="seconds to the first new attempt; doubled up to 30 s")
    attempts: int = setting(default=0, minimum=0, help="attempts in a row before it is given up; 0: for ever")
    sound: bool = setting(default=True, help="the sound of the source, unchanged, where the format can hold it")
    sync: bool = setting(default=True, help="send files at their own speed, which holds up what is beside it")

    pushers: dict[str, Any] = state(dict)  # outputs.push.Pusher, streaming.whip.Whip
    caps: dict[str, Any] = state(dict)
    context: Context | None = state(lambda: None)

    def validate(self) -> None:
        from ..outputs.push import server_of

        if not urlsplit(self.url).hostname:
            shown = self.url if "@" not in self.url else f"***@{self.url.rpartition('@')[2]}"
            raise SettingError("push", "url", shown, "an address such as rtmp://host/app/{stream}")
        if self._whip:
            from ..streaming import whip  # noqa: F401  the extra is there
        else:
            server_of(self.url, self.transport, self.options)

    @property
    def _whip(self) -> bool:
        return urlsplit(self.url).scheme.lower() in WHIP

    def open(self, context: Context) -> None:
        self.validate()
        self.context = context

    def start_stream(self, start: StreamStart) -> StreamStart:
        stream = start.stream
        if start.caps.kind != PACKETS:
            raise StreamError(stream, f"push takes packets, not {start.caps.kind}; encode first")
        self.begin_clock(start)
        if self.caps.get(stream) == start.caps:
            return start
        if stream in self.pushers:
            self.pushers.pop(stream).end()
        elif self.pushers and "{stream}" not in self.url:
            raise StreamError(stream, "push: another stream is sent to this address: put {stream} into url")
        self.caps[stream] = start.caps
        self.pushers[stream] = self._connect(stream, start)
        return start

    def _connect(self, stream: str, start: StreamStart) -> Any:
        url = self.url.replace("{stream}", quote(stream, safe=""))

        def tell(text: str) -> None:
            if self.context is not None:
                self.context.warn(text, stream)

        try:
            if self._whip:
                from ..streaming.whip import Whip

                return Whip(url, start.caps, self.token, tell, self.backoff, self.attempts, self.timeout)
            from ..outputs.push import Pusher, server_of

            server = server_of(url, self.transport, self.options)
            if server.format == "rtp" and self.sdp:
                self._write_sdp(stream, url, start)
            return Pusher(
                server, start.caps, tell, timeout=self.timeout, backoff=(self.backoff, max(30.0, self.backoff)),
                attempts=self.attempts, sound=self.sound,
            )  # fmt: skip
        except (ConfigError, ValueError, OSError) as error:  # OSError: `sdp` cannot be written
            raise StreamError(stream, f"push: {error}") from error

    def _write_sdp(self, stream: str, url: str, start: StreamStart) -> None:
        """A session description (RFC 8866) for those who receive. Raises ValueError, OSError."""
        from ..streaming.rtp import Packetizer

        codec = start.caps["parameters"]
        place = urlsplit(url)
        family = "IP6" if ":" in (place.hostname or "") else "IP4"
        media = Packetizer(codec.codec, codec.extradata).media("track1").replace(" 0 ", f" {place.port} ", 1)
        lines = ["v=0", f"o=- 0 0 IN {family} 127.0.0.1", f"s={stream}", f"c=IN {family} {place.hostname}", "t=0 0"]
        text = "".join(f"{line}\r\n" for line in lines) + media
        path = (self.sdp or "").replace("{stream}", quote(stream, safe=""))
        with open(f"{path}.new", "w", newline="") as file:
            file.write(text)
        os.replace(f"{path}.new", path)  # one who waits for it reads all of it

    def give(self, packet: Frame | Packet) -> None:
        pusher = self.pushers.get(packet.stream)
        if pusher is not None and isinstance(packet, Packet):
            pusher.give(packet)

    def end_stream(self, stream: str) -> Iterator[Item]:
        yield from super().end_stream(stream)
        self.forget_clock(stream)
        self.caps.pop(stream, None)
        pusher = self.pushers.pop(stream, None)
        if pusher is not None:
            pusher.end()

    def cancel(self) -> None:
        for pusher in list(self.pushers.values()):
            pusher.stop()

    def close(self) -> None:
        for pusher in self.pushers.values():
            pusher.stop()
        self.pushers.clear()
        self.caps.clear()
