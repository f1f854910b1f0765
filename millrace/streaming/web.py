"""An HTTP server for browsers and players: a page, HLS, MJPEG, fragments over a WebSocket, WebRTC (WHEP).

    /                    the page                     /NAME.m3u8, /NAME/…    HLS and what its playlist names
    /streams, /news      what is known of each        /NAME.mjpg, .jpg       still pictures
    /NAME/live           WebSocket of fragments       /NAME/whep             WebRTC

aiohttp speaks HTTP; what is asked for is looked up in tables, never on a disk.
"""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import json
import logging
import os
import re
import socket
from collections.abc import Awaitable, Callable, Mapping, Sequence
from importlib.resources import files
from typing import Any
from urllib.parse import urlsplit

from ..core.errors import MissingExtraError
from ..core.hosts import is_loopback
from .authentication import Authentication
from .hls import Hls
from .live import LINGER, Backlog, Live, Unit

try:
    from aiohttp import WSCloseCode, web
    from aiohttp.http_exceptions import HttpProcessingError
except ImportError:
    raise MissingExtraError("a page for browsers", "aiohttp", "web") from None

IDLE = 30.0  # seconds that a connection may take for its request, or stay without one
TAKEN = 30.0  # seconds in which a client must take what is written to it
NEWS = 0.5  # seconds between two looks at what is known of the streams
FIRST = 10.0  # seconds that a client waits for the first picture of a stream
BEGUN = 25.0  # the same for as much HLS as a player needs
COOKIE = "millrace"

PAGE = {
    "": ("index.html", "text/html"),
    "page.js": ("page.js", "text/javascript"),
    "page.css": ("page.css", "text/css"),
}
HEADERS = {
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Content-Security-Policy": "default-src 'self'; media-src 'self' blob:; img-src 'self' data:",
}
_ADDRESS = re.compile(r"^(.*):(\d{1,5})$")

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class WebServer:
    """Serves streams. All methods run in the loop of `start`; `lives` may be changed there at any time."""

    def __init__(
        self,
        host: str,
        port: int,
        users: Mapping[str, str] | None = None,
        most: int = 128,
        names: Sequence[str] = (),
    ) -> None:
        """`names`: what else the server is called by, in addresses and by the pages that may watch."""
        self.host, self.port, self.most, self.names = host, port, most, frozenset(names)
        self.lives: dict[str, Live] = {}
        self.refused = 0  # connections beyond `most`
        self._arriving = 0  # connections that aiohttp does not know yet
        self.authentication = Authentication(users or {})
        self._ticket = os.urandom(16).hex() if users else ""
        self._server: asyncio.Server | None = None
        self._runner: web.AppRunner | None = None
        self._peers: Any = None  # webrtc.Peers, from the first who wants it
        self._pages = {
            name: (files(__package__).joinpath("page", file).read_bytes(), kind) for name, (file, kind) in PAGE.items()
        }

    async def start(self) -> None:
        """Listen. Raises OSError for an address that cannot be had."""
        app = web.Application(middlewares=[self._guard], client_max_size=64 << 10)
        app.add_routes([
            web.get("/{file:(page.js|page.css)?}", self._page),
            web.get("/streams", self._streams),
            web.get("/news", self._news),
            web.get(r"/{name:.+}.m3u8", self._playlist),
            web.get(r"/{name:.+}.mjpg", self._mjpeg),
            web.get(r"/{name:.+}.jpg", self._jpeg),
            web.get(r"/{name:.+}/{number:\d{1,9}}.mp4", self._header),
            web.get(r"/{name:.+}/{number:\d{1,9}}{part:(\.\d{1,9})?}.m4s", self._media),
            web.get(r"/{name:.+}/live", self._fragments),
            web.post(r"/{name:.+}/whep", self._whep),
            web.delete(r"/{name:.+}/whep/{peer:\w+}", self._whep_end),
        ])  # fmt: skip
        self._runner = web.AppRunner(
            app, handle_signals=False, access_log=None, keepalive_timeout=IDLE, handler_cancellation=True, logger=_log()
        )
        await self._runner.setup()
        self._server = await asyncio.get_running_loop().create_server(self._accept, self.host, self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    def _accept(self) -> asyncio.Protocol:
        """The protocol of a new connection."""
        assert self._runner is not None and self._runner.server is not None
        if self.connections + self._arriving >= self.most:
            self.refused += 1
            return _Refusal()
        self._arriving += 1
        asyncio.get_running_loop().call_soon(self._arrived)
        handler: asyncio.Protocol = self._runner.server()
        return handler

    def _arrived(self) -> None:
        """aiohttp counts the connection from the next step of the loop on: up to there it is counted here."""
        self._arriving -= 1

    @property
    def connections(self) -> int:
        return len(self._runner.server.connections) if self._runner is not None and self._runner.server else 0

    async def stop(self) -> None:
        for live in self.lives.values():
            live.end()
        if self._peers is not None:
            await self._peers.close()
        if self._server is not None:
            self._server.close()
        if self._runner is not None:
            await self._runner.shutdown()
            if self._runner.server is not None:
                await self._runner.server.shutdown(1.0)
            await self._runner.cleanup()

    def remove(self, live: Live) -> None:
        """The stream has ended; players may still ask for its last pictures for a while."""
        live.end()
        asyncio.get_running_loop().call_later(LINGER, self._forget, live)

    def _forget(self, live: Live) -> None:
        if self.lives.get(live.name) is live and live.ended:
            del self.lives[live.name]

    # who may ask

    @web.middleware
    async def _guard(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        self._check_origin(request)
        line = request.transport.get_extra_info("socket") if request.transport is not None else None
        if line is not None and hasattr(socket, "TCP_USER_TIMEOUT"):  # Linux: who takes nothing for so long is cut off
            line.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(TAKEN * 1000))
        shown = request.cookies.get(COOKIE, "").encode("utf-8", "replace")
        known = bool(self._ticket) and hmac.compare_digest(shown, self._ticket.encode())
        if not known and not self.authentication.allows(request.method, request.headers.get("Authorization")):
            answer = web.Response(status=401, text="a name and a password are asked for", headers=HEADERS)
            for challenge in self.authentication.challenges:
                answer.headers.add("WWW-Authenticate", challenge)
            return answer
        return await handler(request)

    def _check_origin(self, request: web.Request) -> None:
        """Another site's page, open in the same browser, shall not watch: not under its name, not under ours."""
        host = request.headers.get("Host", "")
        match = _ADDRESS.match(host)
        name = (match[1] if match else host).strip("[]")
        if is_loopback(self.host) and not is_loopback(name) and name not in self.names:
            raise web.HTTPForbidden(text=f"{_short(host)} is not this server's name")
        origin = request.headers.get("Origin")
        if origin is not None and urlsplit(origin).netloc != host and urlsplit(origin).hostname not in self.names:
            raise web.HTTPForbidden(text="pages of other sites may not watch")

    def _find(self, request: web.Request) -> Live:
        name = request.match_info["name"]
        live = self.lives.get(name)
        if live is None:
            raise web.HTTPNotFound(text=f"there is no stream {_short(name)!r}", headers=HEADERS)
        return live

    # the page, and what it shows beside the pictures

    async def _page(self, request: web.Request) -> web.StreamResponse:
        body, kind = self._pages[request.match_info["file"]]
        answer = _answer(body, kind)
        if self._ticket:  # what the page fetches need not bring the password again, a WebSocket could not
            answer.set_cookie(COOKIE, self._ticket, httponly=True, samesite="Strict")
        return answer

    def _known(self) -> bytes:
        streams = {live.name: {**live.facts, "ended": live.ended} for live in self.lives.values()}
        return json.dumps({"streams": streams}, separators=(",", ":")).encode()

    async def _streams(self, request: web.Request) -> web.StreamResponse:
        return _answer(self._known(), "application/json")

    async def _news(self, request: web.Request) -> web.StreamResponse:
        """Server-sent events: what `/streams` says, each time that it has changed."""
        answer = web.StreamResponse(headers={**HEADERS, "Content-Type": "text/event-stream"})
        await answer.prepare(request)
        said = b""
        while True:
            if (known := self._known()) != said:
                said = known
                await _write(answer, b"data: " + known + b"\n\n")
            await asyncio.sleep(NEWS)

    # HLS

    async def _playlist(self, request: web.Request) -> web.StreamResponse:
        with self._find(request).asking() as hls:
            return await self._playlist_of(hls, request)

    async def _playlist_of(self, hls: Hls, request: web.Request) -> web.StreamResponse:
        number, part = _asked(request, "_HLS_msn"), _asked(request, "_HLS_part")
        if number is None and part is not None:
            raise web.HTTPBadRequest(text="_HLS_part is given with _HLS_msn")
        if number is not None and not hls.may_be_awaited(number):
            raise web.HTTPBadRequest(text=f"_HLS_msn={number} is far ahead")
        there = await (hls.begun(BEGUN) if number is None else hls.wait(number, part, max(FIRST, hls.patience)))
        if not there:
            raise web.HTTPServiceUnavailable(text="no picture came in time", headers={"Retry-After": "2"})
        if hls.is_empty:
            raise web.HTTPNotFound(text="the stream has ended")
        return _answer(hls.playlist().encode(), "application/vnd.apple.mpegurl")

    async def _header(self, request: web.Request) -> web.StreamResponse:
        data = self._find(request).hls.headers.get(int(request.match_info["number"]))
        if data is None:
            raise web.HTTPNotFound
        return _answer(data, "video/mp4")

    async def _media(self, request: web.Request) -> web.StreamResponse:
        number = int(request.match_info["number"])
        part = int(request.match_info["part"][1:]) if request.match_info["part"] else None
        with self._find(request).asking() as hls:
            if part is not None and hls.may_be_awaited(number):  # it may be the one that the playlist has hinted at
                await hls.wait(number, part, hls.patience)
            data = hls.data(number, part)
        if data is None:
            raise web.HTTPNotFound
        return _answer(data, "video/mp4")

    # still pictures

    async def _jpeg(self, request: web.Request) -> web.StreamResponse:
        async with _gaze(self._find(request)) as (live, gazer):
            try:
                async with asyncio.timeout(FIRST):
                    await gazer.wait()
            except TimeoutError:
                raise web.HTTPServiceUnavailable(text="no picture came in time") from None
            if live.picture is None or live.ended:
                raise web.HTTPNotFound(text="the stream has ended")
            return _answer(live.picture, "image/jpeg")

    async def _mjpeg(self, request: web.Request) -> web.StreamResponse:
        """One who is slow gets the newest picture when he can take it, and misses those between."""
        async with _gaze(self._find(request)) as (live, gazer):
            headers = {**HEADERS, "Content-Type": "multipart/x-mixed-replace; boundary=picture"}
            answer = web.StreamResponse(headers=headers)
            await answer.prepare(request)
            while not live.ended:
                await gazer.wait()
                gazer.clear()
                if live.picture is not None and not live.ended:
                    head = f"--picture\r\nContent-Type: image/jpeg\r\nContent-Length: {len(live.picture)}\r\n\r\n"
                    await _write(answer, head.encode() + live.picture + b"\r\n")
            await _write(answer, b"--picture--\r\n")
            return answer

    # fragments for the page

    async def _fragments(self, request: web.Request) -> web.StreamResponse:
        """A WebSocket: the MIME type as text, the header, then a fragment for each picture; again for a new header."""
        live = self._find(request)
        line = web.WebSocketResponse(max_msg_size=1024, heartbeat=IDLE / 2, compress=False)
        await line.prepare(request)
        follower = live.follow(from_last_key=True)
        sender = asyncio.create_task(_send_fragments(line, follower))
        try:
            async for _ in line:  # nothing is expected; it ends when the client goes
                pass
        finally:
            live.leave(follower)
            follower.end()
            sender.cancel()
            await asyncio.gather(sender, return_exceptions=True)
        return line

    # WebRTC

    async def _whep(self, request: web.Request) -> web.StreamResponse:
        from .webrtc import OfferError, Peers

        live = self._find(request)
        if self._peers is None:
            self._peers = Peers(self.most, is_loopback(self.host))
        if request.content_type != "application/sdp":
            raise web.HTTPUnsupportedMediaType(text="an offer is application/sdp")
        try:
            peer, sdp = await self._peers.watch(live, await _offer(request))
        except OfferError as error:
            raise web.HTTPNotAcceptable(text=str(error)) from error
        headers = {**HEADERS, "Location": f"{request.path}/{peer}"}
        return web.Response(status=201, text=sdp, content_type="application/sdp", headers=headers)

    async def _whep_end(self, request: web.Request) -> web.StreamResponse:
        if self._peers is None or not await self._peers.end(request.match_info["peer"]):
            raise web.HTTPNotFound
        return web.Response(headers=HEADERS)


async def _offer(request: web.Request) -> str:
    try:
        async with asyncio.timeout(IDLE):
            return await request.text()
    except TimeoutError:
        raise web.HTTPRequestTimeout(text="the offer has not come in time") from None
    except (UnicodeDecodeError, LookupError):  # LookupError: a charset that is none
        raise web.HTTPBadRequest(text="an offer is text in UTF-8") from None


@contextlib.asynccontextmanager
async def _gaze(live: Live) -> Any:
    """While somebody wants still pictures."""
    if not live.has_pictures:
        raise web.HTTPNotFound(text=f"{live.name} has no still pictures: it is passed on as it came, not decoded")
    if live.ended:
        raise web.HTTPNotFound(text="the stream has ended")
    gazer = asyncio.Event()
    live.gazers.add(gazer)
    try:
        yield live, gazer
    finally:
        live.gazers.discard(gazer)


async def _send_fragments(line: web.WebSocketResponse, follower: Backlog[Unit]) -> None:
    track = None
    try:
        while (unit := await follower.take()) is not None:
            async with asyncio.timeout(TAKEN):
                if unit.track is not track:
                    track = unit.track
                    await line.send_str(f'video/mp4; codecs="{track.codec}"')
                    await line.send_bytes(track.header)
                await line.send_bytes(unit.fragment)
        await line.close(code=WSCloseCode.GOING_AWAY, message=b"the stream has ended")
    except (ConnectionError, TimeoutError):
        follower.end()
        await line.close(drain=False)


async def _write(answer: web.StreamResponse, data: bytes) -> None:
    """Raises ConnectionError for a client that does not take it in time."""
    try:
        async with asyncio.timeout(TAKEN):  # wait_for of Python 3.11 may swallow that the client has gone
            await answer.write(data)
    except TimeoutError:
        raise ConnectionResetError("it takes nothing") from None


def _answer(body: bytes, kind: str) -> web.Response:
    return web.Response(body=body, content_type=kind, headers=HEADERS)


def _asked(request: web.Request, name: str) -> int | None:
    """A number of the query. Raises HTTPBadRequest for what is none."""
    text = request.query.get(name)
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise web.HTTPBadRequest(text=f"{name} is a number")
    return int(text)


def _short(text: str) -> str:
    return text if len(text) <= 80 else text[:80] + "…"


class _Refusal(asyncio.Protocol):
    """What those are told for whom there is no room."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        transport.write(b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        transport.close()


def _log() -> logging.Logger:
    """aiohttp tells of our own errors there; what clients do wrong is answered and not told."""
    log = logging.getLogger("millrace.web")
    if not log.filters:
        theirs = (HttpProcessingError, ConnectionError)
        log.addFilter(lambda record: not (record.exc_info and isinstance(record.exc_info[1], theirs)))
    return log
