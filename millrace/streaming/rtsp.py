"""An RTSP server (RFC 2326) on asyncio: streams are encoded once and played by any number of clients.

Clients are served over TCP (interleaved) and UDP, with RTCP sender reports. One that reads too slowly loses pictures
up to the next key picture; the others do not notice. A client that joins starts with the next key picture.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import socket
from collections.abc import Mapping, Sequence
from typing import Any

from .authentication import Authentication
from .mount import Mount
from .rtsp_request import HEAD, BadRequestError, Request, answer, read_request

METHODS = "OPTIONS, DESCRIBE, SETUP, PLAY, PAUSE, TEARDOWN, GET_PARAMETER, SET_PARAMETER"
TIMEOUT = 60  # seconds that a session lasts without a sign of life
BUFFERED = 4 << 20  # bytes that may wait for a slow client before it loses pictures
FAREWELL = 1.0  # seconds that a client has to take what was still written to it when it is hung up on
REPORTS = 5.0  # seconds from one sender report to the next
TRACK = "track1"
_PORTS = re.compile(r"client_port=(\d+)-(\d+)")
_CHANNELS = re.compile(r"interleaved=(\d+)-(\d+)")


class RtspServer:
    """Serves mounts. All methods run in the loop of `start`; `mounts` may be changed there at any time."""

    def __init__(self, host: str, port: int, users: Mapping[str, str] | None = None, most: int = 128) -> None:
        self.host, self.port = host, port
        self.mounts: dict[str, Mount] = {}
        self.authentication = Authentication(users or {})
        self.most = most
        self.clients: set[Client] = set()
        self.dropped = 0  # access units that slow clients did not get
        self._server: asyncio.Server | None = None
        self._reports: asyncio.Task[None] | None = None
        self._udp: list[asyncio.DatagramTransport] = []
        self.udp_ports = (0, 0)

    async def start(self) -> None:
        """Listen. Raises OSError for an address that cannot be had."""
        self._server = await asyncio.start_server(self._serve, self.host, self.port, limit=HEAD)
        self.port = self._server.sockets[0].getsockname()[1]
        await self._open_udp()
        self._reports = asyncio.get_running_loop().create_task(self._send_reports())

    async def _open_udp(self) -> None:
        """Two ports in a row, the first even, as RTP has it."""
        loop = asyncio.get_running_loop()
        family = socket.AF_INET6 if ":" in self.host else socket.AF_INET
        for _ in range(50):
            with socket.socket(family, socket.SOCK_DGRAM) as probe:
                probe.bind((self.host, 0))
                first = probe.getsockname()[1] & ~1
            opened = []
            try:
                for port in (first, first + 1):
                    transport, _ = await loop.create_datagram_endpoint(
                        asyncio.DatagramProtocol, local_addr=(self.host, port), family=family
                    )
                    opened.append(transport)
            except OSError:
                for transport in opened:
                    transport.close()
                continue
            self._udp, self.udp_ports = opened, (first, first + 1)
            return
        raise OSError(f"no two UDP ports in a row are free on {self.host}")

    @property
    def udp_is_full(self) -> bool:
        """Whether more waits for the network than it can take soon."""
        waiting: Any = self._udp[0] if self._udp else None
        return waiting is not None and waiting.get_write_buffer_size() > BUFFERED

    def send_udp(self, which: int, data: bytes, address: tuple[str, int]) -> None:
        """Send from the RTP (0) or RTCP (1) port."""
        if self._udp and not self._udp[which].is_closing():
            self._udp[which].sendto(data, address)

    async def stop(self) -> None:
        for mount in self.mounts.values():
            mount.end()
        if self._reports is not None:
            self._reports.cancel()
        if self._server is not None:
            self._server.close()
        for client in list(self.clients):
            client.close()
        if tasks := [client.task for client in self.clients if client.task is not None]:
            _, late = await asyncio.wait(tasks, timeout=2 * FAREWELL)
            for task in late:  # the machine stood still: what cuts them off is due now, too
                task.cancel()
            if late:
                await asyncio.wait(late, timeout=FAREWELL)
        for transport in self._udp:
            transport.close()
        self._udp = []
        await asyncio.sleep(0)

    async def _send_reports(self) -> None:
        while True:
            await asyncio.sleep(REPORTS)
            for mount in list(self.mounts.values()):
                mount.report()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        client = Client(self, reader, writer)
        if len(self.clients) >= self.most:
            writer.write(answer(453, "0"))
            writer.close()
            return
        self.clients.add(client)
        client.task = asyncio.current_task()
        try:
            await client.serve()
        except (OSError, asyncio.IncompleteReadError):
            pass  # it is gone, or its machine is (EHOSTUNREACH, which is no ConnectionError)
        finally:
            client.close()
            try:
                with contextlib.suppress(OSError):
                    await asyncio.wait_for(writer.wait_closed(), 2 * FAREWELL)
            finally:
                self.clients.discard(client)


class Client:
    """One connection: its session, and how it wants its packets."""

    def __init__(self, server: RtspServer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.server, self._reader, self._writer = server, reader, writer
        self.task: asyncio.Task[Any] | None = None
        self._session = os.urandom(8).hex()
        self._mount: Mount | None = None
        self._channels: tuple[int, int] | None = None  # of interleaved packets
        self._address: tuple[str, tuple[int, int]] | None = None  # of UDP packets
        self._playing = False
        self._waits_for_key = True
        self._given_up = False
        if hasattr(socket, "TCP_USER_TIMEOUT"):  # Linux: one that takes nothing for so long, or is gone, is cut off
            line = writer.get_extra_info("socket")
            line.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(TIMEOUT * 1000))

    async def serve(self) -> None:
        while not self._given_up:
            # interleaved, the connection itself shows that somebody is there; over UDP requests do, which players send
            limit = None if self._playing and self._channels else TIMEOUT * 1.5
            try:
                request = await asyncio.wait_for(read_request(self._reader), limit)
            except BadRequestError as error:
                self._writer.write(answer(error.status, error.sequence))
                return
            if request is None:
                return
            try:
                self._writer.write(self._answer(request))
            except ValueError:  # a URL or a number that is none
                self._writer.write(answer(400, request.sequence))
            await self._writer.drain()

    def _answer(self, request: Request) -> bytes:
        handler = _HANDLERS.get(request.method)
        if handler is None:
            return answer(501, request.sequence, {"Allow": METHODS})
        if request.method != "OPTIONS" and not self.server.authentication.allows(
            request.method, request.headers.get("authorization")
        ):
            challenges = [("WWW-Authenticate", text) for text in self.server.authentication.challenges]
            return answer(401, request.sequence, challenges)
        status, headers, body = handler(self, request)
        return answer(status, request.sequence, headers, body)

    def _find(self, request: Request) -> Mount | None:
        path = request.path.removesuffix(f"/{TRACK}")
        return self.server.mounts.get(path)

    def _options(self, request: Request) -> tuple[int, dict[str, str], str]:
        return 200, {"Public": METHODS}, ""

    def _describe(self, request: Request) -> tuple[int, dict[str, str], str]:
        mount = self._find(request)
        if mount is None:
            return 404, {}, ""
        number = mount.rtp.source
        sdp = (
            f"v=0\r\no=- {number} 1 IN IP4 127.0.0.1\r\ns=millrace\r\nc=IN IP4 0.0.0.0\r\nt=0 0\r\n"
            f"a=control:*\r\na=range:npt=now-\r\n{mount.rtp.media(TRACK)}"
        )
        base = request.url.rstrip("/") + "/"
        return 200, {"Content-Type": "application/sdp", "Content-Base": base}, sdp

    def _setup(self, request: Request) -> tuple[int, dict[str, str], str]:
        mount = self._find(request)
        if mount is None:
            return 404, {}, ""
        if self._playing:
            return 455, {}, ""
        chosen = self._transport(request.headers.get("transport", ""))
        if chosen is None:
            return 461, {}, ""
        self._mount = mount
        session = f"{self._session};timeout={TIMEOUT}"
        return 200, {"Transport": f"{chosen};ssrc={mount.rtp.source:08X}", "Session": session}, ""

    def _transport(self, header: str) -> str | None:
        """The first transport offered that we have, as the answer says it."""
        for offer in header.split(","):
            if "RTP/AVP/TCP" in offer:
                match = _CHANNELS.search(offer)
                pair = (int(match[1]), int(match[2])) if match else (0, 1)
                if max(pair) > 255:
                    return None
                self._channels, self._address = pair, None
                return f"RTP/AVP/TCP;unicast;interleaved={pair[0]}-{pair[1]}"
            match = _PORTS.search(offer)
            if "RTP/AVP" in offer and "multicast" not in offer and match and 0 < int(match[1]) <= int(match[2]) < 65536:
                peer = self._writer.get_extra_info("peername")[0]  # never where else somebody wants packets sent
                if (":" in peer) != (":" in self.server.host):
                    continue  # our UDP ports are of the other family; it will ask for TCP
                self._address, self._channels = (peer, (int(match[1]), int(match[2]))), None
                ours = self.server.udp_ports
                return f"RTP/AVP;unicast;client_port={match[1]}-{match[2]};server_port={ours[0]}-{ours[1]}"
        return None

    def _play(self, request: Request) -> tuple[int, dict[str, str], str]:
        if (refused := self._wrong_session(request)) is not None:
            return refused
        assert self._mount is not None
        self._playing, self._waits_for_key = True, True
        self._mount.watchers.add(self)
        rtp = self._mount.rtp
        url = request.url.rstrip("/").removesuffix(f"/{TRACK}")
        headers = {"Session": self._session, "Range": "npt=now-", "RTP-Info": f"url={url}/{TRACK};seq={rtp.sequence}"}
        return 200, headers, ""

    def _pause(self, request: Request) -> tuple[int, dict[str, str], str]:
        if (refused := self._wrong_session(request)) is not None:
            return refused
        self._leave()
        return 200, {"Session": self._session}, ""

    def _teardown(self, request: Request) -> tuple[int, dict[str, str], str]:
        self._leave()
        self._given_up = True
        return 200, {}, ""

    def _parameter(self, request: Request) -> tuple[int, dict[str, str], str]:
        return 200, {"Session": self._session} if self._mount else {}, ""

    def _wrong_session(self, request: Request) -> tuple[int, dict[str, str], str] | None:
        given = request.headers.get("session", "").partition(";")[0]
        if self._mount is None or given != self._session:
            return 454, {}, ""
        return None

    def send(self, packets: Sequence[bytes], key: bool) -> None:
        if self._waits_for_key and not key:
            return
        if self._channels is not None:
            transport = self._writer.transport
            if transport.is_closing():
                return
            if transport.get_write_buffer_size() > BUFFERED:
                self._waits_for_key = True
                self.server.dropped += 1
                return
            channel = self._channels[0]
            head = bytes((36, channel))
            self._writer.write(b"".join(head + len(packet).to_bytes(2, "big") + packet for packet in packets))
        elif self._address is not None:
            if self.server.udp_is_full:
                self._waits_for_key = True
                self.server.dropped += 1
                return
            host, ports = self._address
            for packet in packets:
                self.server.send_udp(0, packet, (host, ports[0]))
        self._waits_for_key = False

    def report(self, data: bytes) -> None:
        if self._channels is not None and not self._writer.transport.is_closing():
            self._writer.write(bytes((36, self._channels[1])) + len(data).to_bytes(2, "big") + data)
        elif self._address is not None:
            self.server.send_udp(1, data, (self._address[0], self._address[1][1]))

    def end(self, goodbye: bytes) -> None:
        """The stream has ended: hang up, which players understand; over UDP some wait for RTCP's word.

        (Over TCP GStreamer would answer it, and take the hanging up for an error.)
        """
        if self._channels is None:
            self.report(goodbye)
        self.close()

    def _leave(self) -> None:
        self._playing = False
        if self._mount is not None:
            self._mount.watchers.discard(self)

    def close(self) -> None:
        """Hang up. One that does not read what was written is cut off, or it would stay for ever."""
        self._leave()
        if not self._writer.is_closing():
            self._writer.close()
            asyncio.get_running_loop().call_later(FAREWELL, self._writer.transport.abort)


_HANDLERS: dict[str, Any] = {
    "OPTIONS": Client._options, "DESCRIBE": Client._describe, "SETUP": Client._setup, "PLAY": Client._play,
    "PAUSE": Client._pause, "TEARDOWN": Client._teardown, "GET_PARAMETER": Client._parameter,
    "SET_PARAMETER": Client._parameter,
}  # fmt: skip
