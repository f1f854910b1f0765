"""`push`: servers of others get every picture; one that is away is connected again, and nothing waits for it."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import psutil
import pytest
from servers.live import RtspServer, Silent, need_gstreamer, until_written
from sounds import clip_with_sound

import millrace
from millrace.core import FRAMES, Caps
from millrace.core.errors import ConfigError, ElementError
from millrace.elements.push import Push
from millrace.encoders.libav import open_encoder
from millrace.outputs.container import Server
from millrace.outputs.push import NO_SRT, Pusher, label_of
from millrace.streaming.loop import Loop
from millrace.summary import Run, Summary
from millrace.testing.clips import numbered_clip, read_frame_number
from millrace.testing.ports import free_port

COUNT = 50  # pictures of 40 ms


@pytest.fixture
def clip(tmp_path: Path) -> str:
    return str(numbered_clip(tmp_path / "cam.mp4", COUNT, 160, 120))


class Received(threading.Thread):
    """The numbers of the pictures that come in at an address of FFmpeg's, read in a thread."""

    def __init__(self, url: str, **options: str) -> None:
        super().__init__()
        self.url, self.options = url, options
        self.seen: list[int] = []
        self.start()

    def run(self) -> None:
        until = time.monotonic() + 20
        while not self.seen and time.monotonic() < until:
            try:
                with av.open(self.url, options=self.options, timeout=(20, 5)) as file:
                    for frame in file.decode(video=0):
                        self.seen.append(read_frame_number(frame.to_ndarray(format="gray")))
                        if self.seen[-1] == COUNT - 1:
                            return
            except (av.FFmpegError, OSError):
                continue  # the sender is gone, or not there yet


def pushed(clip: str, url: str, warnings: list[str] | None = None, **settings: Any) -> Push:
    """Sends the clip; returns the element when all of it was sent."""
    element = Push(url=url, **settings)
    run_all(millrace.open(clip).encode(gop=10, quality=4, low_latency=True).add(element), warnings)
    return element


def run_all(flow: millrace.Flow, warnings: list[str] | None = None) -> Summary:
    """Runs it to its end and notes what is said on the way."""
    run = Run(flow.plan)
    if warnings is not None:
        run.pipeline.bus.subscribe(lambda message: message.kind == "warning" and warnings.append(message.text))
    return run.run()


def in_a_row(seen: list[int]) -> bool:
    return seen == list(range(seen[0], seen[0] + len(seen)))


def need(program: str, package: str) -> str:
    found = shutil.which(program) or shutil.which(program, path="/usr/sbin")
    if found is None:
        message = f"{program} is not installed: apt-get install {package}"
        pytest.fail(message) if os.environ.get("CI") == "true" else pytest.skip(message)
    return found


def is_taken(port: int, kind: int) -> bool:
    """Whether this process has the port. Nobody is hindered by the question, as by an attempt to take it."""
    ours = psutil.Process().net_connections("inet4")
    return any(each.type == kind and each.laddr and each.laddr.port == port for each in ours)


def test_rtmp(clip: str) -> None:
    port = free_port()
    url = f"rtmp://127.0.0.1:{port}/live/cam"
    taker = Received(url, listen="1")
    wait_until(lambda: is_taken(port, socket.SOCK_STREAM))
    pushed(clip, url, backoff=0.2)
    taker.join(20)
    assert len(taker.seen) >= COUNT - 10 and in_a_row(taker.seen) and taker.seen[-1] == COUNT - 1


def test_mpegts_over_udp(clip: str) -> None:
    port = free_port()
    taker = Received(f"udp://127.0.0.1:{port}?timeout=20000000&fifo_size=100000")
    wait_until(lambda: is_taken(port, socket.SOCK_DGRAM))
    pushed(clip, f"udp://127.0.0.1:{port}")
    taker.join(20)
    assert len(taker.seen) >= COUNT - 25 and in_a_row(taker.seen) and taker.seen[-1] == COUNT - 1


def test_sound_goes_with_the_pictures(tmp_path: Path) -> None:
    clip = str(clip_with_sound(tmp_path / "cam.mp4", seconds=2.0))
    port = free_port()
    url, kinds = f"rtmp://127.0.0.1:{port}/live/cam", []

    def take() -> None:
        with suppress(OSError), av.open(url, options={"listen": "1"}, timeout=(20, 5)) as file:
            for packet in file.demux():  # it ends with an error: the sender is gone
                kinds.append(packet.stream.type)

    taker = threading.Thread(target=take)
    taker.start()
    wait_until(lambda: is_taken(port, socket.SOCK_STREAM))
    pushed(clip, url, backoff=0.2)
    taker.join(20)
    assert kinds.count("video") >= 45 and kinds.count("audio") >= 60


def test_rtp_with_its_description(clip: str, tmp_path: Path) -> None:
    port, sdp = free_port() & ~1, tmp_path / "cam.sdp"
    run = millrace.open(clip, loop=0).encode(gop=10, quality=4)
    element = Push(url=f"rtp://127.0.0.1:{port}", sdp=str(tmp_path / "{stream}.sdp"))
    running = run.add(element).start()
    try:
        wait_until(sdp.exists)
        seen: list[int] = []
        options = {"protocol_whitelist": "file,udp,rtp"}
        with av.open(str(sdp), options=options, timeout=(10, 5)) as file:
            for frame in file.decode(video=0):
                seen.append(read_frame_number(frame.to_ndarray(format="gray")))
                if len(seen) == 15:
                    break
    finally:
        running.pipeline.stop()
    assert in_a_row([each for each in seen if each >= seen[0]])


def test_a_description_is_replaced_as_a_whole(clip: str, tmp_path: Path) -> None:
    """One who waits for it, or has the old one open, never reads half of the new one."""
    sdp, old = tmp_path / "cam.sdp", tmp_path / "old.sdp"
    old.write_text("of the run before")
    os.link(old, sdp)
    pushed(clip, f"rtp://127.0.0.1:{free_port() & ~1}", sdp=str(sdp), sync=False)
    assert old.read_text() == "of the run before" and sdp.read_bytes().startswith(b"v=0\r\n")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cam.mp4", "cam.sdp", "old.sdp"]


@pytest.mark.parametrize("transport", ["tcp", "udp"])
def test_rtsp_to_gstreamer(clip: str, tmp_path: Path, transport: str) -> None:
    need_gstreamer()
    out = tmp_path / "out.ts"
    server = RtspServer(pub=f"rtph264depay name=depay0 ! h264parse ! mpegtsmux ! filesink sync=false location={out}")
    try:
        element = pushed(clip, server.url("pub"), transport=transport)
        assert not element.pushers
        until_written(out)
    finally:
        server.kill()
    seen: list[int] = []
    with av.open(str(out)) as file:
        for packet in file.demux(video=0):
            with suppress(av.InvalidDataError):  # before the first key picture: the server did not listen yet
                seen += [read_frame_number(frame.to_ndarray(format="gray")) for frame in packet.decode()]
    assert len(seen) >= COUNT - 22 and in_a_row(seen)


NGINX = """
daemon off; master_process off; pid {folder}/pid; error_log {folder}/error.log;
load_module /usr/lib/nginx/modules/ngx_rtmp_module.so;
events {{}}
rtmp {{ server {{ listen 127.0.0.1:{port}; application live {{ live on; record all;\nrecord_path {folder}; }} }} }}
"""


def test_rtmp_to_nginx_which_comes_late_and_is_killed(clip: str, tmp_path: Path) -> None:
    nginx = need("nginx", "nginx-light libnginx-mod-rtmp")
    if not Path("/usr/lib/nginx/modules/ngx_rtmp_module.so").exists():
        need("ngx_rtmp_module", "libnginx-mod-rtmp")
    port = free_port()
    folder = tmp_path / "nginx"
    folder.mkdir(mode=0o777)
    folder.chmod(0o777)
    (folder / "nginx.conf").write_text("user root;" + NGINX.format(folder=folder, port=port))
    command = [nginx, "-p", str(folder), "-c", str(folder / "nginx.conf"), "-e", str(folder / "error.log")]
    warnings: list[str] = []
    element = Push(url=f"rtmp://127.0.0.1:{port}/live/secret", backoff=0.1, timeout=20.0)
    run = Run(millrace.open(clip, loop=0).encode(gop=5, quality=4).add(element).plan, keep_open=True)
    run.pipeline.bus.subscribe(lambda message: message.kind == "warning" and warnings.append(message.text))
    run.start()
    server: subprocess.Popen[bytes] | None = None

    def times(said: str) -> int:
        return sum(said in text for text in warnings)

    try:
        wait_until(lambda: any("Connection refused" in text for text in warnings))
        for number in (1, 2):
            server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            wait_until(lambda: any(len(recorded(path)) >= 5 for path in folder.glob("*.flv")))
            wait_until(lambda: times("connected again") == number)  # noqa: B023
            server.kill()
            server.wait(10)
            wait_until(lambda: times("it is tried again") == number + 1)  # noqa: B023
            for path in folder.glob("*.flv"):
                path.unlink()
    finally:
        run.pipeline.stop()
        if server is not None:
            server.kill()
            server.wait(10)
    assert not any("secret" in text for text in warnings)
    assert times("connected again") == 2 and times("it is tried again") == 3


def recorded(path: Path) -> list[int]:
    """The numbers of the pictures that nginx has written so far."""
    seen: list[int] = []
    with suppress(av.FFmpegError, OSError), av.open(str(path)) as file:
        for frame in file.decode(video=0):
            seen.append(read_frame_number(frame.to_ndarray(format="gray")))
    return seen


def test_what_is_beside_it_does_not_wait_for_a_server_that_never_answers(clip: str, tmp_path: Path) -> None:
    silent, out = Silent(), tmp_path / "out.mp4"
    warnings: list[str] = []
    try:
        began = time.monotonic()
        element = Push(url=f"rtmp://127.0.0.1:{silent.port}/live/cam", timeout=60.0, sync=False)
        run_all(millrace.open(clip).encode(gop=10).add(element).file(path=str(out)), warnings)
        assert time.monotonic() - began < 20  # the server's time is 60 s
    finally:
        silent.close()
    with av.open(str(out)) as file:
        assert sum(1 for _ in file.decode(video=0)) == COUNT


def test_it_gives_up_after_its_attempts_and_the_others_go_on(clip: str, tmp_path: Path) -> None:
    out = tmp_path / "out.mp4"
    element = Push(url=f"rtmp://user:word@127.0.0.1:{free_port()}/live/key?token=abc", attempts=1)
    texts: list[str] = []
    run = Run(millrace.open(clip).encode(gop=10).add(element).file(path=str(out)).plan)
    run.pipeline.bus.subscribe(lambda message: message.kind == "error" and texts.append(message.text))
    run.run()
    assert len(texts) == 1 and "Connection refused" in texts[0] and "rtmp://***@127.0.0.1" in texts[0]
    assert not any(secret in texts[0] for secret in ("word", "key", "abc"))
    with av.open(str(out)) as file:
        assert sum(1 for _ in file.decode(video=0)) == COUNT


def test_srt_says_what_to_do_instead(clip: str) -> None:
    with pytest.raises(ElementError, match=re.escape(NO_SRT)):
        millrace.open(clip).encode().add(Push(url="srt://127.0.0.1:9")).run()


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"url": "ftp://host/x"}, "begins with rtmp"),
        ({"url": "live/cam"}, "an address such as"),
        ({"url": "me:word@host/live"}, re.escape("url='***@host/live' is not allowed")),
        ({"url": "rtmp://host/x", "transport": "carrier pigeon"}, "transport"),
    ],
)
def test_wrong_settings(clip: str, settings: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        millrace.open(clip).encode().push(**settings).run()


def test_two_streams_need_two_addresses(clip: str) -> None:
    url = f"udp://127.0.0.1:{free_port()}"
    both = millrace.open(clip, clip, name=["a", "b"], loop=0)  # neither has ended when the other begins
    run = both.encode().push(url=url, sync=False).start()
    try:
        wait_until(lambda: bool(run.pipeline.errors))
    finally:
        run.close()
    assert ["put {stream} into url" in message.text for message in run.summary().errors] == [True]


def test_one_that_is_stopped_while_its_process_begins_leaves_none_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    begins, stopped, begun = threading.Event(), threading.Event(), []
    begin = subprocess.Popen

    def late(*arguments: Any, **options: Any) -> Any:
        begins.set()
        assert stopped.wait(20)
        begun.append(begin(*arguments, **options))
        return begun[0]

    monkeypatch.setattr("millrace.outputs.push.subprocess.Popen", late)
    frames = Caps(FRAMES, width=160, height=120, fps=Fraction(25), time_base=Fraction(1, 90000))
    encoder = open_encoder(frames)
    caps = encoder.caps
    encoder.close()
    silent = Silent()
    try:
        server = Server(f"rtmp://127.0.0.1:{silent.port}/live/cam", "flv")
        pusher = Pusher(server, caps, lambda text: None)
        assert begins.wait(20)
        stopping = threading.Thread(target=pusher.stop)
        stopping.start()
        wait_until(lambda: pusher._stopping)
        stopped.set()
        wait_until(lambda: bool(begun) and begun[0].poll() is not None)
        stopping.join(20)
    finally:
        silent.close()


def test_labels_keep_secrets() -> None:
    assert label_of("rtmp://me:pw@host/app/key?sig=1") == "rtmp://***@host/app/***?***"
    assert label_of("rtsp://me:pw@host/app?token=1") == "rtsp://***@host/app?token=***"
    assert label_of("udp://host:5000") == "udp://host:5000"


class Endpoint:
    """A WHIP server: aiortc's peer, which decodes what it gets."""

    def __init__(self, token: str) -> None:
        self.loop, self.token = Loop("test-whip"), token
        self.seen: list[int] = []
        self.deleted = 0
        self.port = free_port()
        self.refusals = 2
        self.loop.run(self._start())

    async def _start(self) -> None:
        from aiohttp import web

        app = web.Application()
        app.add_routes([web.post("/whip", self._take), web.delete("/whip/1", self._delete)])
        self.runner = web.AppRunner(app, access_log=None)
        await self.runner.setup()
        await web.TCPSite(self.runner, "127.0.0.1", self.port).start()
        self.peers: list[Any] = []
        self.tasks: list[asyncio.Task[None]] = []

    async def _take(self, request: Any) -> Any:
        from aiohttp import web
        from aiortc import RTCConfiguration, RTCPeerConnection, RTCSessionDescription

        from millrace.streaming.webrtc import _only_loopback

        if request.headers.get("Authorization") != f"Bearer {self.token}":
            return web.Response(status=401)
        if self.refusals:
            self.refusals -= 1
            return web.Response(status=503, text="not yet")
        _only_loopback.set(True)
        peer = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        self.peers.append(peer)

        def track(track: Any) -> None:
            self.tasks.append(asyncio.get_running_loop().create_task(self._watch(track)))

        peer.on("track", track)
        await peer.setRemoteDescription(RTCSessionDescription(await request.text(), "offer"))
        await peer.setLocalDescription(await peer.createAnswer())
        return web.Response(
            status=201, text=peer.localDescription.sdp, content_type="application/sdp", headers={"Location": "/whip/1"}
        )

    async def _watch(self, track: Any) -> None:
        from aiortc.mediastreams import MediaStreamError

        try:
            while True:
                frame = await track.recv()
                self.seen.append(read_frame_number(frame.to_ndarray(format="gray")))
        except MediaStreamError:
            return

    async def _delete(self, request: Any) -> Any:
        from aiohttp import web

        self.deleted += 1
        return web.Response()

    async def _stop(self) -> None:
        for peer in self.peers:
            await peer.close()
        await self.runner.cleanup()

    def close(self) -> None:
        self.loop.run(self._stop())
        self.loop.close()


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    pytest.importorskip("aiortc")
    made = Endpoint("word")
    yield made
    made.close()


def test_whip(tmp_path: Path, endpoint: Endpoint) -> None:
    clip = str(numbered_clip(tmp_path / "cam.mp4", 150, 160, 120))
    warnings: list[str] = []
    url = f"http://127.0.0.1:{endpoint.port}/whip"
    element = Push(url=url, token="word", backoff=0.1)
    run_all(millrace.open(clip).encode(gop=10, quality=4, low_latency=True).add(element), warnings)
    assert len(endpoint.seen) >= 60 and in_a_row(endpoint.seen) and endpoint.deleted == 1
    assert any("503 not yet" in text for text in warnings) and any("connected again" in text for text in warnings)
    assert len(warnings) == 2 and not any("word" in text for text in warnings)


def test_a_run_that_is_stopped_while_a_picture_is_given_to_whip_has_not_failed(
    clip: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("aiortc")
    from millrace.streaming.whip import Whip

    given, closed, give, stop = threading.Event(), threading.Event(), Whip.give, Whip.stop

    def late(self: Whip, packet: Any) -> None:
        given.set()
        assert closed.wait(20)
        give(self, packet)

    def ended(self: Whip) -> None:
        stop(self)
        closed.set()

    monkeypatch.setattr(Whip, "give", late)
    monkeypatch.setattr(Whip, "stop", ended)
    run = millrace.open(clip, loop=0).encode(gop=10).push(f"http://127.0.0.1:{free_port()}/whip").start()
    assert given.wait(20)
    run.pipeline.stop()
    assert run.pipeline.failure is None, run.pipeline.failure


def test_whip_that_is_not_allowed_gives_up(clip: str, endpoint: Endpoint) -> None:
    element = Push(url=f"http://127.0.0.1:{endpoint.port}/whip", token="wrong", attempts=2, backoff=0.01)
    with pytest.raises(ElementError, match="401"):
        millrace.open(clip).encode(gop=10).add(element).run()


def wait_until(true: Callable[[], bool], seconds: float = 20.0) -> None:
    until = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < until, "it did not come true in time"
        time.sleep(0.02)
