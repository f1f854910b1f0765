"""`rtsp`: what is served is played by other programs, over TCP and UDP, early and late."""

from __future__ import annotations

import os
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from itertools import islice, pairwise
from pathlib import Path
from typing import Any

import av
import pytest

import millrace
from millrace.core import PACKETS, Caps, Context, StreamStart
from millrace.core.errors import MillraceError, StreamError
from millrace.elements.rtsp import Rtsp
from millrace.media import CodecParameters, Packet
from millrace.sources import open_source
from millrace.summary import Run
from millrace.testing.clips import numbered_clip, read_frame_number

COUNT = 150  # pictures of 40 ms


@pytest.fixture
def serving(tmp_path: Path) -> Iterator[Callable[..., tuple[Rtsp, Run]]]:
    """Starts to serve a clip of COUNT numbered pictures, paced and again and again, and ends it."""
    runs: list[Run] = []

    def start(codec: str = "h264", stream: str = "cam", **settings: object) -> tuple[Rtsp, Run]:
        path = numbered_clip(tmp_path / f"{stream}.mp4", COUNT, 160, 120)
        element = Rtsp(port=0, **settings)  # type: ignore[arg-type]
        run = millrace.open(str(path), name=stream, loop=0).encode(codec=codec, gop=10, quality=4).add(element).start()
        runs.append(run)
        until = time.monotonic() + 20
        while not element.server.mounts and time.monotonic() < until:
            time.sleep(0.01)
        assert element.server.mounts  # before that nobody finds it
        return element, run

    yield start
    for run in runs:
        run.pipeline.stop()


def played(url: str, transport: str, count: int) -> list[int]:
    """The numbers of the first pictures that a player sees."""
    seen = []
    with av.open(url, options={"rtsp_transport": transport}, timeout=(10, 10)) as file:
        for frame in file.decode(video=0):
            seen.append(read_frame_number(frame.to_ndarray(format="gray")))
            if len(seen) == count:
                break
    return seen


def in_a_row(seen: list[int]) -> bool:
    """Whether no picture is left out and none comes twice."""
    return all(after == (before + 1) % COUNT for before, after in pairwise(seen))


@pytest.mark.parametrize("codec", ["h264", "hevc"])
def test_every_picture_arrives_over_tcp_and_udp_also_at_those_who_come_late(serving, codec: str) -> None:
    element, _ = serving(codec)
    url = f"rtsp://127.0.0.1:{element.listens_on}/cam"
    seen: dict[str, list[int]] = {}
    threads = []
    for name, transport, wait in (("tcp", "tcp", 0.0), ("udp", "udp", 0.0), ("late", "tcp", 1.0)):
        time.sleep(wait)
        thread = threading.Thread(target=lambda n=name, t=transport: seen.update({n: played(url, t, 25)}))
        thread.start()
        threads.append(thread)
    for thread in threads:
        thread.join(30)
    assert set(seen) == {"tcp", "udp", "late"}
    for name, frames in seen.items():
        assert len(frames) == 25 and in_a_row(frames), (name, frames)


def test_it_is_a_source_for_us_too(serving) -> None:
    element, _ = serving()
    frames = []
    for frame in millrace.open(f"rtsp://127.0.0.1:{element.listens_on}/cam").limit(20):
        frames.append(read_frame_number(frame.image.planes[0]))
    assert len(frames) == 20 and in_a_row(frames)


def test_gstreamer_plays_it_to_the_end(serving, tmp_path: Path) -> None:
    if shutil.which("gst-launch-1.0") is None:
        said = "gst-launch-1.0 is not installed: apt-get install gstreamer1.0-tools"
        pytest.fail(said) if os.environ.get("CI") == "true" else pytest.skip(said)
    element, _ = serving()
    out = tmp_path / "out.h264"
    line = f"rtspsrc location=rtsp://127.0.0.1:{element.listens_on}/cam protocols=tcp latency=200 ! rtph264depay ! "
    line += f"h264parse ! video/x-h264,stream-format=byte-stream ! filesink location={out}"
    player = subprocess.Popen(["gst-launch-1.0", "-q", *line.split()], stderr=subprocess.DEVNULL)
    try:
        until = time.monotonic() + 30
        while (not out.exists() or out.stat().st_size < 20_000) and player.poll() is None and time.monotonic() < until:
            time.sleep(0.05)
    finally:
        player.terminate()
        player.wait(10)
    with av.open(str(out), format="h264") as file:
        frames = [read_frame_number(frame.to_ndarray(format="gray")) for frame in file.decode(video=0)]
    assert len(frames) >= 20 and in_a_row(frames[:-10])  # the last ones are cut off


def test_a_password_is_asked_for(serving) -> None:
    element, _ = serving(users={"me": "word"})
    with pytest.raises(av.HTTPUnauthorizedError):
        played(f"rtsp://127.0.0.1:{element.listens_on}/cam", "tcp", 1)
    assert len(played(f"rtsp://me:word@127.0.0.1:{element.listens_on}/cam", "tcp", 3)) == 3


def test_a_port_that_is_taken_is_one_error(serving, clip) -> None:
    element, _ = serving()
    other = millrace.open(str(clip("b.mp4", 3))).encode().add(Rtsp(port=element.listens_on))
    with pytest.raises(MillraceError, match=rf"cannot write rtsp://127\.0\.0\.1:{element.listens_on}: .*in use"):
        other.run()


def test_a_codec_without_rtp_is_refused(clip) -> None:
    flow = millrace.open(str(clip("a.mp4", 5))).encode(codec="mjpeg").add(Rtsp(port=0, sync=False))
    with pytest.raises(MillraceError, match="RTP is there for h264, hevc, not for mjpeg: encode with one of them"):
        flow.run()


def test_two_streams_need_two_names() -> None:
    element = Rtsp(port=0, name="cam")
    element.open(Context("rtsp"))
    caps = Caps(PACKETS, parameters=CodecParameters("h264", 64, 48))
    element.start_stream(StreamStart("a", caps))
    with pytest.raises(StreamError, match=r"b: rtsp: another stream is served as /cam: put \{stream\} into name"):
        element.start_stream(StreamStart("b", caps))
    assert list(element.end_stream("a")) == []
    element.start_stream(StreamStart("b", caps))
    element.close()


def test_a_slow_stream_is_given_out_at_its_own_speed() -> None:
    element = Rtsp(port=0)
    element.open(Context("rtsp"))
    element.start_stream(StreamStart("a", Caps(PACKETS, parameters=CodecParameters("h264", 64, 48))))
    second = 1_000_000_000
    packets = [Packet("a", b"\0\0\1\x65x", n * second, n * second, key=True) for n in range(2)]
    began = time.monotonic()
    assert list(element.process(packets[0])) == packets[:1] and element.ready
    assert list(element.process(packets[1])) == [] and not element.ready  # the engine brings nothing until it is due
    assert element.deadline is not None and 0.9 < element.deadline - began < 10
    assert list(element.on_deadline()) == packets[1:] and element.ready
    assert list(element.end_stream("a")) == []
    element.close()


def test_every_packet_says_when_it_is_decoded_so_that_the_first_can_be_recorded(serving: Callable[..., Any]) -> None:
    """FFmpeg leaves it out of the first packets of a session where pictures are reordered."""
    element, _ = serving()
    source: Any = open_source("cam", f"rtsp://127.0.0.1:{element.listens_on}/cam")
    source.open(Context("cam"))
    reading = source.read()
    packets = list(islice(reading, 1, 31))
    source.interrupt()
    reading.close()
    times = [(packet.dts, packet.pts) for packet in packets]
    assert all(dts is not None and dts <= pts for dts, pts in times)
    assert all(before < after for (before, _), (after, _) in pairwise(times))
    assert any(after < before for (_, before), (_, after) in pairwise(times))  # pictures are reordered
