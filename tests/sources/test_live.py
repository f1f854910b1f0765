"""Live sources without a server that streams: what is not there, what never answers, HTTP and HLS, devices."""

from __future__ import annotations

import http.server
import threading
import time
from contextlib import suppress
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import pytest
from peers import Peer
from servers.live import Folder, Silent

from millrace.core import Context
from millrace.core.errors import ConfigError, SourceError
from millrace.core.item import StreamStart
from millrace.media import Packet
from millrace.sources import open_source
from millrace.sources.interrupt import Interrupt
from millrace.sources.live import Reconnect
from millrace.testing.clips import numbered_clip
from millrace.testing.ports import free_port


def read(uri, **options):
    return list(open_source("a", uri, **options).read())


@pytest.fixture(scope="module")
def web(tmp_path_factory):
    import av

    folder: Path = tmp_path_factory.mktemp("web")
    clip = numbered_clip(folder / "clip.mp4", 60, 160, 120, fps=30, gop=15)
    for name, kind in (("vod", "vod"), ("event", "event")):
        options = {"hls_time": "1", "hls_list_size": "0", "hls_playlist_type": kind}
        with av.open(str(clip)) as source, av.open(str(folder / f"{name}.m3u8"), "w", options=options) as out:
            video = out.add_stream_from_template(source.streams.video[0])
            for packet in source.demux(video=0):
                if packet.size:
                    packet.stream = video
                    out.mux(packet)
    (folder / "text.mp4").write_text("this is no video\n" * 50)
    server = Folder(folder)
    yield server
    server.close()


@pytest.mark.parametrize("scheme", ["rtsp", "http"])
def test_nobody_listens(scheme):
    with pytest.raises(SourceError, match=r"a: cannot open .*/x: Connection refused"):
        read(f"{scheme}://127.0.0.1:{free_port()}/x")


@pytest.mark.parametrize("scheme", ["rtsp", "http"])
def test_a_server_that_never_answers(scheme):
    server = Silent()
    began = time.monotonic()
    with pytest.raises(SourceError, match=r"no answer or packet for 0\.4 s"):
        read(f"{scheme}://127.0.0.1:{server.port}/x", timeout=0.4)
    assert time.monotonic() - began < 15, "the bound is for a busy machine"
    server.close()


@pytest.mark.parametrize("scheme", ["rtsp", "http"])
def test_a_blocked_read_can_be_interrupted(scheme):
    """Also the proof that PyAV still keeps time as interrupt.py believes."""
    server = Silent()
    source = open_source("a", f"{scheme}://127.0.0.1:{server.port}/x", timeout=60)
    began = time.monotonic()
    threading.Timer(0.3, source.interrupt).start()
    assert list(source.read()) == []
    assert 0.3 <= time.monotonic() - began < 20, "long before its timeout"
    server.close()


def test_the_pause_between_attempts_can_be_interrupted():
    source = open_source("a", f"rtsp://127.0.0.1:{free_port()}/x", insist=True, reconnect={"backoff": [50, 50]})
    threading.Timer(0.2, source.interrupt).start()
    began = time.monotonic()
    assert list(source.read()) == []
    assert time.monotonic() - began < 20, "long before the next attempt"


def test_attempts_are_counted_and_warned_of_once():
    said = []
    source = open_source(
        "a", f"rtsp://me:secret@127.0.0.1:{free_port()}/x", insist=True, reconnect={"attempts": 3, "backoff": [0.01, 1]}
    )
    source.open(Context("a", warn=lambda message, stream: said.append((message, stream))))
    with pytest.raises(SourceError, match="not reached, given up after 3 attempts: Connection refused") as error:
        list(source.read())
    assert len(said) == 1 and "is not there: Connection refused; trying again 3 times" in said[0][0]
    assert "secret" not in f"{error.value}{said}" and said[0][1] == "a"


def test_back_off_doubles_up_to_its_limit_and_is_the_same_each_time():
    again = Reconnect.parse("a", {"backoff": [1, 30]})
    delays = [again.delay("a", attempt) for attempt in range(1, 9)]
    assert delays == [again.delay("a", attempt) for attempt in range(1, 9)]
    assert all(0.75 * 2**n <= delay <= 1.25 * 2**n for n, delay in enumerate(delays[:4]))
    assert delays[7] == 30 and again.delay("a", 10_000) == 30
    assert delays[0] != again.delay("b", 1)


@pytest.mark.parametrize(
    ("given", "message"),
    [({"tries": 3}, "no 'tries'"), ({"attempts": -1}, "attempts=-1"), ({"backoff": [3, 1]}, r"backoff=\[3, 1\]")],
)
def test_wrong_settings_of_reconnect(given, message):
    with pytest.raises(ConfigError, match=message):
        open_source("a", "rtsp://x/y", reconnect=given)


def test_a_file_of_a_web_server_is_read_like_a_file(web):
    start, *packets = read(web.url("clip.mp4"))
    assert isinstance(start, StreamStart) and not start.live and start.caps["frames"] == 60
    assert len(packets) == 60 and packets[0].key


def test_hls_on_demand(web):
    start, *packets = read(web.url("vod.m3u8"))
    assert not start.live and len(packets) == 60


def test_live_hls_that_ends_is_not_begun_again(web):
    folder = Path(web.folder)
    text = (folder / "vod.m3u8").read_text()
    growing = folder / "live.m3u8"
    growing.write_text(text.replace("#EXT-X-ENDLIST\n", "").replace("#EXT-X-PLAYLIST-TYPE:VOD\n", ""))
    whole = folder / "whole.m3u8"
    whole.write_text(text)
    timer = threading.Timer(0.7, whole.replace, (growing,))
    items = open_source("a", web.url("live.m3u8"), timeout=20, reconnect={"backoff": [0.1, 0.2]}).read()
    start = next(items)
    timer.start()
    packets = list(items)
    assert start.live and 30 < len(packets) <= 60
    came, due = packets[30].arrived - packets[0].arrived, packets[30].dts - packets[0].dts
    # the bound above is for a busy machine
    assert due * 0.8 < came < due + 5e9, "pieces of a second are given out at their own pace"
    assert {packet.epoch for packet in packets} == {0}
    timer.join()


def test_a_page_that_is_not_there_and_one_that_is_no_video(web):
    with pytest.raises(SourceError, match="404 Not Found"):
        read(web.url("nothing.mp4"))
    with pytest.raises(SourceError, match="not a video stream that FFmpeg can read"):
        read(web.url("text.mp4"))


@pytest.mark.parametrize("last", ["", "OPTIONS", "DESCRIBE", "SETUP"])
@pytest.mark.parametrize("hangs_up", [True, False])
def test_a_camera_that_fails_half_way_says_why(last, hangs_up):
    """It answers up to the request of this name."""
    sdp = "v=0\r\ns=x\r\nt=0 0\r\nm=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\na=control:1\r\n"
    more = {
        "DESCRIBE": f"Content-Type: application/sdp\r\nContent-Length: {len(sdp)}\r\n\r\n{sdp}",
        "SETUP": "Session: 1\r\nTransport: RTP/AVP/TCP;unicast;interleaved=0-1\r\n\r\n",
    }

    def play(line):
        requests = ["OPTIONS", "DESCRIBE", "SETUP"]
        for name in requests[: requests.index(last) + 1] if last else []:
            asked = line.recv(1 << 16).decode()
            if not asked:
                return  # on a busy machine its half a second was over before
            number = asked.lower().partition("cseq:")[2].split()[0]
            line.sendall(f"RTSP/1.0 200 OK\r\nCSeq: {number}\r\n{more.get(name, chr(13) + chr(10))}".encode())
        line.recv(1 << 16)
        if hangs_up:
            line.close()

    with Peer(play) as peer:
        begun = time.monotonic()
        why = "the server hangs up, or what it answers" if hangs_up else r"no answer or packet for 0\.5 s"
        with pytest.raises(SourceError, match=rf"a: cannot open rtsp://\*\*\*@127\.0\.0\.1:\d+/x: {why}"):
            read(f"rtsp://me:secret@127.0.0.1:{peer.port}/x", timeout=60 if hangs_up else 0.5, transport="tcp")
        assert time.monotonic() - begun < 20, "the bound is for a busy machine"
        assert peer.all_closed()


def test_a_host_that_does_not_exist():
    with pytest.raises(SourceError, match=r"there is no host 'no-such-host\.invalid'"):
        read("rtsp://no-such-host.invalid/x")


@pytest.mark.parametrize("uri", ["77", "/dev/video77", "camera://77"])
def test_a_camera_that_is_not_there(uri):
    with pytest.raises(SourceError, match=r"cannot open .*77: No such file or directory"):
        read(uri)


def test_no_screen():
    with pytest.raises(SourceError, match=r"cannot open screen://:77: there is no display ':77'"):
        read("screen://:77")


def test_an_interrupt_of_one_thread_does_not_touch_another():
    import av.container.core

    clock = av.container.core.time
    mine, other = Interrupt(), Interrupt()
    other.ask()
    with mine:
        assert time.monotonic() <= clock.monotonic() <= time.monotonic()
        mine.ask()
        assert clock.monotonic() * 1.5 < clock.monotonic()
    assert time.monotonic() <= clock.monotonic() <= time.monotonic()


class Jpegs(http.server.BaseHTTPRequestHandler):
    """A camera of the old kind: one answer that never ends, a JPEG after the other; its second life is shorter."""

    pictures: list[bytes] = []
    lives: list[int] = []

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=next")
        self.end_headers()
        try:
            for _ in range(self.lives.pop(0) if self.lives else 0):
                for jpeg in self.pictures:
                    self.wfile.write(
                        b"--next\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n" % len(jpeg) + jpeg + b"\r\n"
                    )
                time.sleep(0.03)
        except OSError:
            pass  # the reader has gone

    def log_message(self, *arguments: object) -> None: ...


def test_a_camera_that_sends_jpegs_over_http_and_begins_anew():
    import av
    import numpy as np

    encoder = av.CodecContext.create("mjpeg", "w")
    encoder.width, encoder.height, encoder.pix_fmt, encoder.time_base = 64, 48, "yuvj420p", Fraction(1, 25)
    frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), 90, np.uint8), format="rgb24").reformat(format="yuvj420p")
    Jpegs.pictures, Jpegs.lives = [bytes(packet) for packet in encoder.encode(frame)], [30, 20]
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Jpegs)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    said = []
    options = {"timeout": 20, "reconnect": {"attempts": 1, "backoff": [0.05, 0.1]}}
    source = open_source("a", f"http://127.0.0.1:{server.server_address[1]}/video", **options)
    source.open(Context("a", warn=lambda message, stream: said.append(message)))
    items = []
    with pytest.raises(SourceError, match="is lost, given up after 1 attempt"):
        for item in source.read():
            items.append(item)  # what came before the error is looked at
    server.shutdown()
    server.server_close()
    thread.join()
    packets = [item for item in items if isinstance(item, Packet)]
    assert [(item.epoch, item.live) for item in items if isinstance(item, StreamStart)] == [(0, True), (1, True)]
    assert [sum(packet.epoch == epoch for packet in packets) for epoch in (0, 1)] == [30, 20]
    assert all(after.pts > before.pts for before, after in pairwise(packets))
    assert len(said) == 3, "lost, back, and lost again"


class Cut(http.server.BaseHTTPRequestHandler):
    """Says how long a file is, and sends the first half of it."""

    content = b""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(self.content)))
        self.end_headers()
        with suppress(OSError):
            self.wfile.write(self.content[: len(self.content) // 2])
        self.close_connection = True

    def log_message(self, *arguments: object) -> None: ...


def test_a_transfer_that_breaks_off_is_an_error_and_not_begun_again(tmp_path):
    import av

    clip = numbered_clip(tmp_path / "clip.mp4", 60, 160, 120, fps=30, gop=15)
    with av.open(str(clip)) as source, av.open(str(tmp_path / "a.mkv"), "w") as out:
        video = out.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.size:
                packet.stream = video
                out.mux(packet)
    Cut.content = (tmp_path / "a.mkv").read_bytes()
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Cut)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    packets = []
    try:
        with pytest.raises(SourceError, match=r"a\.mkv cannot be read further"):
            for item in open_source("a", f"http://127.0.0.1:{server.server_address[1]}/a.mkv", timeout=20).read():
                packets.append(item)
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
    assert 10 < len(packets) < 60 and {packet.epoch for packet in packets} == {0}
