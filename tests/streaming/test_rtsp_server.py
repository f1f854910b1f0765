"""The RTSP server against what no player sends: it refuses, and goes on serving the others."""

from __future__ import annotations

import asyncio
import base64
import errno
import hashlib
import re
import socket
import time
from collections.abc import Callable, Iterator

import pytest

from millrace.media import CodecParameters
from millrace.streaming.loop import Loop
from millrace.streaming.mount import Mount
from millrace.streaming.rtsp import RtspServer

CODEC = CodecParameters("h264", 64, 48)
KEY = [b"\x67sps", b"\x68pps", b"\x65" + bytes(2000)]


class Served:
    """A server with one mount, /cam, in a loop of its own."""

    def __init__(self, **settings: object) -> None:
        self.loop = Loop("test-rtsp")
        self.server = RtspServer("127.0.0.1", 0, **settings)  # type: ignore[arg-type]
        self.mount = Mount("cam", CODEC)
        self.server.mounts["cam"] = self.mount
        self.loop.run(self.server.start())
        self.url = f"rtsp://127.0.0.1:{self.server.port}/cam"

    def feed(self, units: list[bytes], key: bool = True, pts: int = 0) -> None:
        async def now() -> None:
            self.mount.feed(units, pts, key)

        self.loop.run(now())

    def close(self) -> None:
        self.loop.run(self.server.stop())
        self.loop.close()


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Served]]:
    monkeypatch.setattr("millrace.streaming.rtsp.REPORTS", 1000.0)  # on a busy machine they would come between
    made: list[Served] = []

    def start(**settings: object) -> Served:
        made.append(Served(**settings))
        return made[-1]

    yield start
    for each in made:
        each.close()


class Talk:
    """A client that says exactly what it is told."""

    def __init__(self, served: Served) -> None:
        self.socket = socket.create_connection(("127.0.0.1", served.server.port), timeout=20)
        self.url, self.count, self.buffer = served.url, 0, b""

    def send(self, text: str | bytes) -> None:
        self.socket.sendall(text if isinstance(text, bytes) else text.encode())

    def ask(self, method: str, url: str | None = None, **headers: str) -> tuple[int, dict[str, str], str]:
        self.count += 1
        lines = [f"{method} {url or self.url} RTSP/1.0", f"CSeq: {self.count}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        self.send("\r\n".join(lines) + "\r\n\r\n")
        return self.answer()

    def answer(self) -> tuple[int, dict[str, str], str]:
        while b"\r\n\r\n" not in self.buffer:
            if not (more := self.socket.recv(65536)):
                raise EOFError(self.buffer)
            self.buffer += more
        head, _, self.buffer = self.buffer.partition(b"\r\n\r\n")
        first, *rest = head.decode().split("\r\n")
        headers = dict(line.split(": ", 1) for line in rest)
        length = int(headers.get("Content-Length", 0))
        while len(self.buffer) < length:
            self.buffer += self.socket.recv(65536)
        body, self.buffer = self.buffer[:length].decode(), self.buffer[length:]
        return int(first.split(" ")[1]), headers, body

    def ended(self) -> bool:
        """Whether the server hangs up."""
        try:
            while self.socket.recv(65536):
                pass
        except ConnectionResetError:
            return True
        return True

    def play(self) -> None:
        status, headers, _ = self.ask("SETUP", f"{self.url}/track1", Transport="RTP/AVP/TCP;unicast;interleaved=0-1")
        assert status == 200
        assert self.ask("PLAY", Session=headers["Session"].partition(";")[0])[0] == 200

    def choke(self, served: Served) -> None:
        """Play, and take none of 20 MB."""
        self.play()
        for n in range(20):
            served.feed([b"\x65" + bytes(1 << 20)], pts=n * 40_000_000)

    def packet(self) -> bytes:
        """The next interleaved packet."""
        while len(self.buffer) < 4 or len(self.buffer) < 4 + int.from_bytes(self.buffer[2:4], "big"):
            if not (more := self.socket.recv(65536)):
                raise EOFError
            self.buffer += more
        size = 4 + int.from_bytes(self.buffer[2:4], "big")
        packet, self.buffer = self.buffer[:size], self.buffer[size:]
        return packet

    def close(self) -> None:
        self.socket.close()


def wait_until(true: Callable[[], bool], seconds: float = 30.0) -> None:
    until = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < until, "it did not come true in time"
        time.sleep(0.01)


def test_a_whole_conversation(serve: Callable[..., Served], talk: Callable[[Served], Talk]) -> None:
    served = serve()
    client = talk(served)
    assert "PLAY" in client.ask("OPTIONS")[1]["Public"]
    status, headers, sdp = client.ask("DESCRIBE", Accept="application/sdp")
    assert status == 200 and headers["Content-Base"] == served.url + "/"
    assert "m=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\n" in sdp and "a=control:track1" in sdp
    client.play()
    served.feed([b"\x41between"], key=False)  # not before a key picture
    served.feed(KEY)
    packets = [client.packet() for _ in range(4)]
    assert [packet[1] for packet in packets] == [0] * 4 and packets[0][16:] == KEY[0]
    assert client.ask("GET_PARAMETER")[0] == 200
    assert client.ask("PAUSE", Session=headers.get("Session", "wrong"))[0] == 454
    assert client.ask("TEARDOWN")[0] == 200 and client.ended()
    wait_until(lambda: not served.server.clients and not served.mount.watchers)


@pytest.mark.parametrize(
    ("said", "status"),
    [
        ("nonsense\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: x\r\n\r\n", 400),
        ("DESCRIBE rtsp://x/cam RTSP/9.9\r\nCSeq: 1\r\n\r\n", 505),
        ("OPTIONS * RTSP/1.0\r\nno colon\r\n\r\n", 400),
        ("OPTIONS * RTSP/1.0\r\n" + "".join(f"A{n}: b\r\n" for n in range(100)) + "\r\n", 400),
        ("OPTIONS * RTSP/1.0\r\nA: " + "b" * 100_000 + "\r\n\r\n", 413),
        ("OPTIONS * RTSP/1.0\r\nContent-Length: minus one\r\n\r\n", 400),
        ("SET_PARAMETER * RTSP/1.0\r\nContent-Length: 99999999\r\n\r\n", 413),
        (b"\x80\x00\xff\xfe" * 10 + b"\r\n\r\n", 400),
        ("OPTIONS * RTSP/1.0\r\nContent-Length: ²\r\n\r\n", 400),
        ("OPTIONS * RTSP/1.0\r\nContent-Length: " + "9" * 5000 + "\r\n\r\n", 400),
        ("PLAY rtsp://x/cam\r\n", None),  # and then nothing
        (b"", None),
    ],
)
def test_what_is_no_request_ends_the_connection_and_no_other(
    serve: Callable[..., Served], talk: Callable[[Served], Talk], said: str | bytes, status: int | None
) -> None:
    served = serve()
    good, bad = talk(served), talk(served)
    good.play()
    bad.send(said)
    if status is None:
        bad.socket.shutdown(socket.SHUT_WR)
    else:
        assert bad.answer()[0] == status
    assert bad.ended()
    served.feed(KEY)
    assert good.packet()[16:] == KEY[0]
    wait_until(lambda: len(served.server.clients) == 1)


@pytest.mark.parametrize(
    ("method", "path", "headers", "status"),
    [
        ("DESCRIBE", "/../../etc/passwd", {}, 404),
        ("DESCRIBE", "/%2e%2e/%2fetc", {}, 404),
        ("DESCRIBE", "/other", {}, 404),
        ("SETUP", "/cam/track1", {"Transport": "RTP/AVP;multicast"}, 461),
        ("SETUP", "/cam/track1", {"Transport": "RTP/AVP;unicast;client_port=9-70000"}, 461),
        ("SETUP", "/cam/track1", {"Transport": "RTP/AVP/TCP;interleaved=300-301"}, 461),
        ("SETUP", "/cam/track1", {}, 461),
        ("PLAY", "/cam", {"Session": "deadbeef"}, 454),
        ("SETUP", "/cam/track1", {"Transport": "RTP/AVP/TCP;interleaved=" + "9" * 5000 + "-1"}, 400),
        ("RECORD", "/cam", {}, 501),
    ],
)
def test_what_cannot_be_done_is_refused(
    serve: Callable[..., Served], talk: Callable[[Served], Talk], method: str, path: str, headers: dict, status: int
) -> None:
    served = serve()
    client = talk(served)
    assert client.ask(method, served.url.removesuffix("/cam") + path, **headers)[0] == status
    assert client.ask("OPTIONS")[0] == 200  # the connection goes on


def test_a_url_that_is_none_is_refused(serve: Callable[..., Served], talk: Callable[[Served], Talk]) -> None:
    client = talk(serve())
    assert client.ask("DESCRIBE", "rtsp://[::1/cam")[0] == 400
    assert client.ask("OPTIONS")[0] == 200


def test_passwords(serve: Callable[..., Served], talk: Callable[[Served], Talk]) -> None:
    served = serve(users={"me": "word"})
    client = talk(served)
    status, headers, _ = client.ask("DESCRIBE")
    assert status == 401 and "WWW-Authenticate" in headers
    for pair, wanted in (("me:word", 200), ("me:wrong", 401), ("you:word", 401), ("me", 401)):
        secret = base64.b64encode(pair.encode()).decode()
        assert client.ask("DESCRIBE", Authorization=f"Basic {secret}")[0] == wanted
    assert client.ask("DESCRIBE", Authorization="Basic ???")[0] == 401
    nonce = re.search(r'nonce="(\w+)"', served.server.authentication.challenges[0])[1]  # type: ignore[index]

    def digest(password: str, nonce: str = nonce) -> str:
        def md5(text: str) -> str:
            return hashlib.md5(text.encode()).hexdigest()

        response = md5(f"{md5(f'me:millrace:{password}')}:{nonce}:{md5(f'DESCRIBE:{served.url}')}")
        return f'Digest username="me", realm="millrace", nonce="{nonce}", uri="{served.url}", response="{response}"'

    assert client.ask("DESCRIBE", Authorization=digest("word"))[0] == 200
    assert client.ask("DESCRIBE", Authorization=digest("wrong"))[0] == 401
    assert client.ask("DESCRIBE", Authorization=digest("word", "stale"))[0] == 401


def test_the_end_of_a_stream_is_told(serve: Callable[..., Served], talk: Callable[[Served], Talk]) -> None:
    served = serve()
    tcp, udp = talk(served), talk(served)
    tcp.play()

    async def end() -> None:
        served.mount.end()

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taker:
        taker.bind(("127.0.0.1", 0))
        taker.settimeout(20)
        port = taker.getsockname()[1]
        headers = udp.ask("SETUP", f"{served.url}/track1", Transport=f"RTP/AVP;unicast;client_port={port}-{port}")[1]
        assert udp.ask("PLAY", Session=headers["Session"].partition(";")[0])[0] == 200
        served.loop.run(end())
        assert taker.recv(2000)[-7] == 203
    assert tcp.ended() and udp.ended()


def test_a_client_that_does_not_read_loses_pictures_and_holds_up_nobody(
    serve: Callable[..., Served], talk: Callable[[Served], Talk]
) -> None:
    served = serve()
    slow, good = talk(served), talk(served)
    slow.play()
    good.play()
    large = [b"\x65" + bytes(1 << 20)]
    for n in range(20):
        served.feed(large, pts=n * 40_000_000)
        for _ in range(len(large[0]) // 1386 + 1):
            good.packet()
    assert served.server.dropped > 5
    assert len(served.mount.watchers) == 2


def test_a_client_that_does_not_read_does_not_hold_up_the_end(
    serve: Callable[..., Served], talk: Callable[[Served], Talk]
) -> None:
    served = serve()
    slow, other = talk(served), talk(served)
    slow.choke(served)
    assert served.server.dropped > 0  # what was written before waits in its connection

    async def end() -> None:
        served.mount.end()

    served.loop.run(end())
    wait_until(lambda: len(served.server.clients) == 1)  # not for ever among them
    assert other.ask("OPTIONS")[0] == 200
    slow = talk(served)
    slow.choke(served)
    served.loop.run(served.server.stop(), 8)
    assert not served.server.clients


def test_on_a_machine_that_stands_still_while_it_stops_nobody_is_left(
    serve: Callable[..., Served], talk: Callable[[Served], Talk], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("millrace.streaming.rtsp.FAREWELL", 0.1)
    served = serve()
    slow = talk(served)
    slow.choke(served)

    async def stop() -> int:
        asyncio.get_running_loop().call_later(0.01, time.sleep, 0.4)
        await served.server.stop()
        return len(served.server.clients)

    assert served.loop.run(stop(), 20) == 0


def test_udp_that_the_network_does_not_take_is_dropped(
    serve: Callable[..., Served], talk: Callable[[Served], Talk], monkeypatch: pytest.MonkeyPatch
) -> None:
    served = serve()
    client = talk(served)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taker:
        taker.bind(("127.0.0.1", 0))
        taker.settimeout(20)
        port = taker.getsockname()[1]
        headers = client.ask("SETUP", f"{served.url}/track1", Transport=f"RTP/AVP;unicast;client_port={port}-{port}")[1]
        assert client.ask("PLAY", Session=headers["Session"].partition(";")[0])[0] == 200
        served.feed([b"\x65first"])
        assert taker.recv(2000)[12:] == b"\x65first"
        with monkeypatch.context() as patch:
            patch.setattr(type(served.server), "udp_is_full", True)
            served.feed([b"\x65lost"])
        served.feed([b"\x41needs it"], key=False)
        served.feed([b"\x65again"])
        assert taker.recv(2000)[12:] == b"\x65again" and served.server.dropped == 1


def test_a_hundred_clients_come_and_go(serve: Callable[..., Served]) -> None:
    served = serve(most=10)
    for _ in range(20):
        clients = [Talk(served) for _ in range(5)]
        for client in clients:
            client.play()
        served.feed(KEY)
        for client in clients:
            assert client.packet()[16:] == KEY[0]
            client.close()
        wait_until(lambda: not served.server.clients)
    assert not served.mount.watchers
    crowd = [Talk(served) for _ in range(11)]
    assert [client.ask("OPTIONS")[0] for client in crowd[:10]] == [200] * 10
    assert crowd[10].answer()[0] == 453
    for client in crowd:
        client.close()


def test_who_vanishes_or_says_nothing_is_forgotten(
    serve: Callable[..., Served], talk: Callable[[Served], Talk], monkeypatch: pytest.MonkeyPatch
) -> None:
    served = serve()
    silent, gone, there = talk(served), talk(served), talk(served)
    there.play()
    headers = gone.ask("SETUP", f"{served.url}/track1", Transport="RTP/AVP;unicast;client_port=9-9")[1]
    assert gone.ask("PLAY", Session=headers["Session"].partition(";")[0])[0] == 200
    assert len(served.mount.watchers) == 2
    monkeypatch.setattr("millrace.streaming.rtsp.TIMEOUT", 0.5)  # from their next request on
    assert gone.ask("OPTIONS")[0] == silent.ask("OPTIONS")[0] == 200
    silent.send("OPTIONS * RTSP/1.0\r\n")  # and no more
    wait_until(lambda: len(served.server.clients) == 1)
    served.feed(KEY)
    assert there.packet()[16:] == KEY[0] and len(served.mount.watchers) == 1


@pytest.mark.skipif(not hasattr(socket, "TCP_USER_TIMEOUT"), reason="Linux only")
def test_a_client_whose_machine_is_gone_is_forgotten_without_a_word(
    serve: Callable[..., Served], talk: Callable[[Served], Talk]
) -> None:
    served = serve()
    talk(served).ask("OPTIONS")
    (client,) = served.server.clients
    told: list[dict[str, object]] = []

    async def vanish() -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda loop, context: told.append(context))
        client._reader.set_exception(OSError(errno.EHOSTUNREACH, "No route to host"))
        await asyncio.wait([client.task], timeout=5)
        await asyncio.sleep(0.05)  # what the task raised would be told behind it

    served.loop.run(vanish())
    assert not served.server.clients and not told


def test_who_takes_nothing_for_long_is_cut_off(
    serve: Callable[..., Served], talk: Callable[[Served], Talk], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("millrace.streaming.rtsp.TIMEOUT", 1.0)
    served = serve()
    slow = talk(served)
    slow.choke(served)
    assert served.server.dropped > 0 or not served.server.clients  # on a machine that stands still it is so already
    wait_until(lambda: not served.server.clients, 30)
    assert not served.mount.watchers
