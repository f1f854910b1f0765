"""The HTTP server against what no browser sends, and against those who do not read: the others are served."""

from __future__ import annotations

import asyncio
import base64
import gc
import json
import os
import re
import socket
import time
from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import Any

import psutil
import pytest

import millrace
from millrace.core import FRAMES, Caps
from millrace.encoders.libav import open_encoder
from millrace.media import Packet
from millrace.streaming.fmp4 import Track
from millrace.streaming.live import Live
from millrace.streaming.loop import Loop
from millrace.testing.clips import numbered_clip

pytest.importorskip("aiohttp")

from millrace.streaming.web import WebServer

SECOND = 1_000_000_000


@pytest.fixture(scope="module")
def packets(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, list[Packet]]:
    """Two seconds of coded pictures, a key picture every half second."""
    path = numbered_clip(tmp_path_factory.mktemp("web") / "n.mp4", 50, 160, 120)
    caps = Caps(FRAMES, width=160, height=120, fps=Fraction(25), time_base=Fraction(1, 90000))
    encoder = open_encoder(caps, gop=12, quality=20, low_latency=True)
    out = [packet for frame in millrace.open(str(path)) for packet in encoder.encode(frame)]
    return encoder.caps["parameters"], out


class Served:
    """A server with one stream, cam, in a loop of its own."""

    def __init__(self, packets: tuple[Any, list[Packet]], **settings: Any) -> None:
        self.codec, self.packets = packets
        self.loop = Loop("test-web")
        self.server = WebServer("127.0.0.1", 0, **settings)
        self.live = Live("cam")
        self.live.has_pictures = True
        self.server.lives["cam"] = self.live
        self.live.begin(self.codec, Track(self.codec))
        self.loop.run(self.server.start())
        self.given = 0

    def feed(self, count: int = 1) -> None:
        """Give the next pictures; after the last comes the first again, later."""

        async def now() -> None:
            for _ in range(count):
                packet = self.packets[self.given % len(self.packets)]
                later = self.given // len(self.packets) * len(self.packets) * SECOND // 25
                self.given += 1
                assert packet.pts is not None and packet.dts is not None
                times = (packet.pts + later, packet.dts + later)
                self.live.feed(Packet("cam", packet.data, *times, packet.duration, packet.key))

        self.loop.run(now())

    def call(self, function: Callable[..., Any], *arguments: Any) -> Any:
        async def now() -> Any:
            return function(*arguments)

        return self.loop.run(now())

    def close(self) -> None:
        self.loop.run(self.server.stop())
        self.loop.close()


@pytest.fixture
def serve(packets: tuple[Any, list[Packet]]) -> Iterator[Callable[..., Served]]:
    made: list[Served] = []

    def start(**settings: Any) -> Served:
        made.append(Served(packets, **settings))
        return made[-1]

    yield start
    for each in made:
        each.close()


class Talk:
    """A client that says exactly what it is told."""

    def __init__(self, served: Served) -> None:
        self.socket = socket.create_connection(("127.0.0.1", served.server.port), timeout=20)
        self.host = f"127.0.0.1:{served.server.port}"
        self.buffer = b""

    def send(self, data: str | bytes) -> None:
        self.socket.sendall(data if isinstance(data, bytes) else data.encode())

    def ask(self, path: str, method: str = "GET", body: str = "", **headers: str) -> tuple[int, dict[str, str], bytes]:
        lines = [f"{method} {path} HTTP/1.1", *(f"{key.replace('_', '-')}: {text}" for key, text in headers.items())]
        lines += [] if "Host" in headers else [f"Host: {self.host}"]
        lines += [f"Content-Length: {len(body)}"] if body else []
        self.send("\r\n".join(lines) + "\r\n\r\n" + body)
        return self.answer()

    def head(self) -> tuple[int, dict[str, str]]:
        while b"\r\n\r\n" not in self.buffer:
            if not (more := self.socket.recv(65536)):
                raise EOFError(self.buffer)
            self.buffer += more
        text, _, self.buffer = self.buffer.partition(b"\r\n\r\n")
        first, *rest = text.decode().split("\r\n")
        return int(first.split(" ")[1]), dict(line.split(": ", 1) for line in rest)

    def answer(self) -> tuple[int, dict[str, str], bytes]:
        status, headers = self.head()
        length = int(headers.get("Content-Length", 0))
        while len(self.buffer) < length:
            self.buffer += self.socket.recv(65536)
        body, self.buffer = self.buffer[:length], self.buffer[length:]
        return status, headers, body

    def ended(self) -> bool:
        """Whether the server hangs up."""
        try:
            while self.socket.recv(65536):
                pass
        except ConnectionResetError:
            return True
        return True

    def close(self) -> None:
        self.socket.close()


Serve, Talker = Callable[..., Served], Callable[[Served], Talk]


def wait_until(true: Callable[[], bool], seconds: float = 20.0) -> None:
    until = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < until, "it did not come true in time"
        time.sleep(0.01)


def still_served(served: Served, client: Talk) -> None:
    status, _, body = client.ask("/streams")
    assert status == 200 and "cam" in json.loads(body)["streams"]


def test_page_playlist_and_parts(serve: Serve, talk: Talker) -> None:
    served = serve()
    client = talk(served)
    for path, kind in (("/", "text/html"), ("/page.js", "text/javascript"), ("/page.css", "text/css")):
        status, headers, body = client.ask(path)
        assert status == 200 and kind in headers["Content-Type"] and body
        assert (
            headers["X-Content-Type-Options"] == "nosniff"
            and "default-src 'self'" in headers["Content-Security-Policy"]
        )
    client.send(f"GET /cam.m3u8 HTTP/1.1\r\nHost: {client.host}\r\n\r\n")
    wait_until(lambda: served.live.wanted)  # it waits for some segments, and that is when they are wanted
    served.feed(80)
    status, _, text = client.answer()
    assert status == 200 and text.startswith(b"#EXTM3U")
    part = re.search(rb'PART:DURATION=[\d.]+,URI="([^"]+)"', text)
    header = re.search(rb'MAP:URI="([^"]+)"', text)
    assert part and header
    for place in (part[1], header[1]):
        status, headers, data = client.ask("/" + place.decode())
        assert status == 200 and data[4:8] in (b"moof", b"ftyp") and headers["Content-Type"] == "video/mp4"
    hint = re.search(rb'HINT:TYPE=PART,URI="([^"]+)"', client.ask("/cam.m3u8")[2])
    assert hint
    client.send(f"GET /{hint[1].decode()} HTTP/1.1\r\nHost: {client.host}\r\n\r\n")
    time.sleep(0.1)
    served.feed(7)  # what was hinted at comes when it is there
    assert client.answer()[0] == 200
    number = served.live.hls.first + 1
    client.send(f"GET /cam.m3u8?_HLS_msn={number}&_HLS_part=0 HTTP/1.1\r\nHost: {client.host}\r\n\r\n")
    time.sleep(0.1)
    served.feed(60)
    status, _, text = client.answer()
    assert status == 200 and f'URI="cam/{number}.0.m4s"'.encode() in text


@pytest.mark.parametrize(
    ("said", "status"),
    [
        ("nonsense\r\n\r\n", 400),
        ("GET / HTTP/9.9\r\nHost: x\r\n\r\n", 400),
        (b"\x80\x00\xff\xfe" * 10 + b"\r\n\r\n", 400),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400),  # TLS
        ("GET / HTTP/1.1\r\nHost: x\r\nA: " + "b" * 100_000 + "\r\n\r\n", 400),
        ("GET /" + "a" * 100_000 + " HTTP/1.1\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: x\r\n" + "".join(f"A{n}: b\r\n" for n in range(1000)) + "\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: x\r\nContent-Length: minus\r\n\r\n", 400),
        ("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: x\r\nno colon\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\n", None),  # and then nothing
        (b"", None),
    ],
)
def test_what_is_no_request_ends_the_connection_and_no_other(
    serve: Serve, talk: Talker, said: str | bytes, status: int | None, capfd: pytest.CaptureFixture[str]
) -> None:
    served = serve()
    good, bad = talk(served), talk(served)
    bad.send(said)
    if status is None:
        bad.socket.shutdown(socket.SHUT_WR)
    else:
        assert bad.head()[0] == status
    assert bad.ended()
    still_served(served, good)
    wait_until(lambda: served.server.connections == 1)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/../../../../etc/passwd", 404),
        ("/..%2f..%2f..%2fetc%2fpasswd", 404),
        ("/%2e%2e/%2e%2e/etc/passwd", 404),
        ("/page/../web.py", 404),
        ("/page.js/../../web.py", 404),
        ("/cam/../../../../etc/passwd.mp4", 404),
        ("/cam/..%2f..%2fsecret.m4s", 404),
        ("/cam/99999999999999999999.m4s", 404),
        ("/cam/7.mp4", 404),
        ("/cam/7.m4s", 404),
        ("/other.m3u8", 404),
        ("/%00.m3u8", 404),
        ("/cam.m3u8?_HLS_msn=abc", 400),
        ("/cam.m3u8?_HLS_msn=" + "9" * 100, 400),
        ("/cam.m3u8?_HLS_msn=-1", 400),
        ("/cam.m3u8?_HLS_msn=999", 400),
        ("/cam.m3u8?_HLS_part=1", 400),
        ("/cam/live", 400),  # no WebSocket
    ],
)
def test_what_is_not_there_is_refused(serve: Serve, talk: Talker, path: str, status: int) -> None:
    client = talk(serve())
    got, _, body = client.ask(path)
    assert got == status and b"root:" not in body


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "TRACE", "CONNECT"])
def test_other_methods_are_refused(serve: Serve, talk: Talker, method: str) -> None:
    served = serve()
    client, other = talk(served), talk(served)
    assert client.ask("/", method)[0] in (400, 404, 405)
    still_served(served, other)


def test_pages_of_other_sites_may_not_watch(serve: Serve, talk: Talker) -> None:
    served = serve()
    client = talk(served)
    assert client.ask("/", Host="evil.example")[0] == 403  # a name of theirs that leads to us
    assert client.ask("/", Host=f"localhost:{served.server.port}")[0] == 200
    upgrade = {"Upgrade": "websocket", "Connection": "Upgrade", "Sec_WebSocket_Version": "13"}
    key = base64.b64encode(os.urandom(16)).decode()
    assert client.ask("/cam/live", Origin="http://evil.example", Sec_WebSocket_Key=key, **upgrade)[0] == 403
    ours = f"http://{client.host}"
    assert talk(served).ask("/cam/live", Origin=ours, Sec_WebSocket_Key=key, **upgrade)[0] == 101


def test_a_reverse_proxy_has_a_name(serve: Serve, talk: Talker) -> None:
    client = talk(serve(names=["cams.example"]))
    assert client.ask("/streams", Host="cams.example")[0] == 200
    assert client.ask("/streams", Host="cams.example", Origin="https://cams.example")[0] == 200
    assert client.ask("/streams", Origin="https://cams.example")[0] == 200
    assert client.ask("/streams", Host="cams.example", Origin="https://evil.example")[0] == 403


def test_passwords(serve: Serve, talk: Talker) -> None:
    served = serve(users={"me": "word"})
    client = talk(served)
    for path in ("/", "/streams", "/news", "/cam.m3u8", "/cam.mjpg", "/cam/live", "/cam/0.mp4"):
        status, headers, body = client.ask(path)
        assert status == 401 and "WWW-Authenticate" in headers and b"cam" not in body
    for pair, wanted in (("me:word", 200), ("me:wrong", 401), ("you:word", 401), ("me", 401)):
        secret = base64.b64encode(pair.encode()).decode()
        status, headers, _ = client.ask("/", Authorization=f"Basic {secret}")
        assert status == wanted and ("Set-Cookie" in headers) == (wanted == 200)
        cookie = headers.get("Set-Cookie", "").partition(";")[0] or "millrace=wrong"
        assert client.ask("/streams", Cookie=cookie)[0] == wanted
        assert "HttpOnly" in headers.get("Set-Cookie", "HttpOnly")
    assert client.ask("/", Authorization="Basic ???")[0] == 401
    assert client.ask("/", Authorization="Digest nonsense")[0] == 401
    assert client.ask("/streams", Cookie="millrace=")[0] == 401


def test_a_client_that_does_not_read_holds_up_nobody(
    serve: Serve, talk: Talker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("millrace.streaming.web.TAKEN", 2.0)
    served = serve()
    jpeg = b"\xff\xd8" + os.urandom(1 << 20)
    slow, good = talk(served), talk(served)
    for client in (slow, good):
        client.send(f"GET /cam.mjpg HTTP/1.1\r\nHost: {client.host}\r\n\r\n")
    wait_until(lambda: len(served.live.gazers) == 2)
    assert good.head()[0] == 200
    for n in range(20):
        served.call(served.live.show, jpeg + bytes([n]))
        end = jpeg[-100:] + bytes([n])
        while end not in good.buffer:
            good.buffer = good.buffer[-200:] + good.socket.recv(1 << 20)
    wait_until(lambda: len(served.live.gazers) == 1)  # it is cut off
    served.call(served.live.show, jpeg)


def test_requests_that_are_never_finished_are_given_up(
    serve: Serve, talk: Talker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("millrace.streaming.web.IDLE", 1.0)
    served = serve()
    idle, half = talk(served), talk(served)
    half.send("GET / HTTP/1.1\r\nHost: 127.0")
    good = talk(served)
    still_served(served, good)
    assert idle.ended() and half.ended()
    wait_until(lambda: served.server.connections == 0)


def test_a_hundred_clients_come_and_go_and_too_many_are_refused(serve: Serve, talk: Talker) -> None:
    served = serve(most=20)
    key = base64.b64encode(os.urandom(16)).decode()
    process = psutil.Process()

    def round_of_clients() -> None:
        clients = [Talk(served) for _ in range(20)]
        for n, client in enumerate(clients):
            more = {}
            path = ("/cam.m3u8", "/cam/live", "/cam.mjpg", "/news")[n % 4]
            if path == "/cam/live":
                more = {"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Version": "13"}
                more["Sec-WebSocket-Key"] = key
            lines = [f"GET {path} HTTP/1.1", f"Host: {client.host}", *(f"{k}: {v}" for k, v in more.items())]
            client.send("\r\n".join(lines) + "\r\n\r\n")
        wait_until(lambda: len(served.live.followers) == 5 and len(served.live.gazers) == 5)
        served.feed(90)
        served.call(served.live.show, b"\xff\xd8" + bytes(1000))
        for client in clients:
            assert client.head()[0] in (200, 101)
            client.close()
        wait_until(lambda: served.server.connections == 0)

    round_of_clients()
    gc.collect()
    files = process.num_fds()
    for _ in range(5):
        round_of_clients()
    assert not served.live.followers and not served.live.gazers
    assert process.num_fds() <= files + 2
    crowd = [talk(served) for _ in range(21)]
    for client in crowd[:20]:
        still_served(served, client)
    assert crowd[20].head()[0] == 503 and crowd[20].ended()
    assert served.server.refused == 1


def test_the_end_of_a_stream_is_told(serve: Serve, talk: Talker) -> None:
    served = serve()
    player, gazer = talk(served), talk(served)
    gazer.send(f"GET /cam.mjpg HTTP/1.1\r\nHost: {gazer.host}\r\n\r\n")
    wait_until(lambda: bool(served.live.gazers))
    with served.live.asking():
        served.feed(20)
    served.call(served.server.remove, served.live)
    assert player.ask("/cam.m3u8")[2].endswith(b"#EXT-X-ENDLIST\n")
    assert player.ask("/cam.jpg")[0] == 404
    assert gazer.head()[0] == 200
    wait_until(lambda: not served.live.gazers)


def test_the_clients_of_a_server_that_stops_are_let_go(serve: Serve, talk: Talker) -> None:
    served = serve()
    watching, waiting = talk(served), talk(served)
    watching.send(f"GET /news HTTP/1.1\r\nHost: {watching.host}\r\n\r\n")
    waiting.send(f"GET /cam.m3u8 HTTP/1.1\r\nHost: {waiting.host}\r\n\r\n")
    assert watching.head()[0] == 200
    began = time.monotonic()
    served.loop.run(served.server.stop())
    assert time.monotonic() - began < 8
    assert watching.ended() and waiting.ended()


async def offer() -> tuple[Any, str]:
    """A peer that wants to watch, and what it says."""
    from aiortc import RTCConfiguration, RTCPeerConnection

    from millrace.streaming.webrtc import _only_loopback

    _only_loopback.set(True)
    peer = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    peer.addTransceiver("video", direction="recvonly")
    await peer.setLocalDescription(await peer.createOffer())
    return peer, peer.localDescription.sdp


def test_an_offer_that_comes_half_is_not_waited_for(
    serve: Serve, talk: Talker, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("aiortc")
    monkeypatch.setattr("millrace.streaming.web.IDLE", 0.5)
    served = serve()
    for how in ("Content-Length: 5000\r\n\r\nv=0", "Transfer-Encoding: chunked\r\n\r\n5\r\nv="):
        client = talk(served)
        client.send(f"POST /cam/whep HTTP/1.1\r\nHost: {client.host}\r\nContent-Type: application/sdp\r\n{how}")
        assert client.answer()[0] == 408
    assert not served.live.followers


def test_webrtc_to_a_peer_and_wrong_offers(serve: Serve, talk: Talker) -> None:
    pytest.importorskip("aiortc")
    from aiortc import RTCSessionDescription

    from millrace.testing.clips import read_frame_number

    served = serve()
    client = talk(served)
    kind = {"Content_Type": "application/sdp"}
    assert client.ask("/cam/whep", "POST", "v=0", Content_Type="text/plain")[0] == 415
    for wrong in ("", "nonsense", "v=0\r\n", "v=0\r\nm=video\r\n", "m=video 9 RTP/SAVPF 96\r\n" * 50):
        assert client.ask("/cam/whep", "POST", wrong, **kind)[0] == 406
    assert client.ask("/cam/whep", "POST", "x" * 100_000, **kind)[0] in (400, 413)
    client = talk(served)
    assert client.ask("/cam/whep", "POST", "v=0", Content_Type="application/sdp; charset=none")[0] == 400
    head = f"POST /cam/whep HTTP/1.1\r\nHost: {client.host}\r\nContent-Type: application/sdp\r\nContent-Length:"
    client.send(f"{head} 2\r\n\r\n".encode() + b"\xff\xfe")
    assert client.answer()[0] == 400
    assert not served.server._peers.connections and not served.live.followers
    loop = Loop("test-peer")
    seen: list[int] = []

    async def watch(track: Any) -> None:
        while len(seen) < 12:
            seen.append(read_frame_number((await track.recv()).to_ndarray(format="gray")))

    try:
        peer, sdp = loop.run(offer())
        tasks: list[asyncio.Task[None]] = []
        peer.on("track", lambda track: tasks.append(asyncio.ensure_future(watch(track))))
        status, headers, answer = client.ask("/cam/whep", "POST", sdp, **kind)
        assert status == 201 and b"H264" in answer and b"127.0.0.1" in answer
        candidates = re.findall(rb"a=candidate:\S+ \d+ \w+ \d+ (\S+)", answer)
        assert set(candidates) == {b"127.0.0.1"}  # nothing listens elsewhere
        loop.run(peer.setRemoteDescription(RTCSessionDescription(answer.decode(), "answer")))
        until = time.monotonic() + 20
        while len(seen) < 12 and time.monotonic() < until:
            served.feed()
            time.sleep(0.02)
        assert len(seen) == 12 and len(set(seen)) == 12
        assert client.ask(headers["Location"], "DELETE")[0] == 200
        assert client.ask(headers["Location"], "DELETE")[0] == 404
        assert not served.live.followers
        loop.run(peer.close())
    finally:
        loop.close()


def test_peers_are_hung_up_with_the_end_of_their_stream(serve: Serve, talk: Talker) -> None:
    pytest.importorskip("aiortc")
    from aiortc import RTCSessionDescription

    served = serve()
    client = talk(served)
    loop = Loop("test-peer")
    try:
        peer, sdp = loop.run(offer())
        served.call(setattr, served.live, "coded_as", "hevc")
        status, _, why = client.ask("/cam/whep", "POST", sdp, Content_Type="application/sdp")
        assert status == 406 and b"hevc" in why
        served.call(setattr, served.live, "coded_as", "h264")
        status, _, answer = client.ask("/cam/whep", "POST", sdp, Content_Type="application/sdp")
        assert status == 201
        loop.run(peer.setRemoteDescription(RTCSessionDescription(answer.decode(), "answer")))
        [connected] = served.server._peers.connections.values()
        wait_until(lambda: connected.connectionState == "connected")
        served.call(served.server.remove, served.live)
        wait_until(lambda: connected.connectionState == "closed")
        assert not served.live.followers
        loop.run(peer.close())
    finally:
        loop.close()


def test_a_peer_that_goes_before_it_is_answered_is_forgotten(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    webrtc = pytest.importorskip("millrace.streaming.webrtc")

    async def never(*_: Any) -> str:
        await asyncio.sleep(60)
        return ""

    monkeypatch.setattr(webrtc, "_negotiate", never)
    served = serve()
    peers = webrtc.Peers(4, True)

    async def come_and_go() -> None:
        asking = asyncio.create_task(peers.watch(served.live, "v=0"))
        while not peers.connections:
            await asyncio.sleep(0.01)
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
        await asyncio.gather(*peers._ending)

    served.loop.run(come_and_go())
    assert not peers.connections and not served.live.followers


def test_who_comes_after_the_end_waits_for_nothing(serve: Serve) -> None:
    served = serve()
    served.feed(13)
    served.call(served.live.end)

    async def left() -> int:
        follower, count = served.live.follow(from_last_key=True), 0
        while await follower.take() is not None:
            count += 1
        served.live.leave(follower)
        return count

    assert served.loop.run(left(), 5) == 1
