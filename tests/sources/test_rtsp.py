"""RTSP against a real server (gst-rtsp-server), over TCP and UDP, and over a bad network."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator
from itertools import islice, pairwise
from pathlib import Path

import av
import pytest
from servers.live import BALL, FROZEN, Relay, RtspServer, need_gstreamer, plays, until

from millrace.core import Context, Message, Source, SourceError, StreamStart
from millrace.elements.pull import Pull
from millrace.flow import Flow
from millrace.flow import open as flow
from millrace.media import Frame, Packet
from millrace.sources import open_source
from millrace.summary import Run, Summary
from millrace.testing.clips import numbered_clip, read_frame_number

FRAMES = 45


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    need_gstreamer()
    return numbered_clip(tmp_path_factory.mktemp("rtsp") / "clip.mp4", FRAMES, 160, 120, fps=30, gop=15)


@pytest.fixture(scope="module")
def server(clip: Path) -> Iterator[RtspServer]:
    made = RtspServer(clip=plays(clip), ball=BALL, frozen=FROZEN)
    yield made
    made.kill()


class Live:
    """A flow at work in the background: its frames, its messages, its summary."""

    def __init__(self, what: Flow) -> None:
        self.frames: list[Frame] = []
        self.starts: list[StreamStart] = []
        self.messages: list[Message] = []
        pull = Pull()
        self.work = Run(what.plan, pull)
        self.work.pipeline.bus.subscribe(self.messages.append)
        self.work.pipeline.tap("decode", lambda item: self.starts.append(item) if isinstance(item, StreamStart) else 0)
        self.thread = threading.Thread(target=lambda: [self.frames.append(each) for each in pull.frames()], daemon=True)
        self.work.start()
        self.thread.start()

    def of(self, stream: str) -> list[Frame]:
        return [frame for frame in self.frames if frame.stream == stream]

    def said(self, kind: str = "warning") -> list[str]:
        return [message.text for message in self.messages if message.kind == kind]

    def end(self, wait: float = 0.0) -> Summary:
        if wait:
            assert self.work.pipeline.wait(wait), "it did not end in time"
        self.work.pipeline.stop()
        self.thread.join(30)
        return self.work.summary()


@pytest.fixture
def live() -> Iterator[Callable[[Flow], Live]]:
    made: list[Live] = []

    def start(what: Flow) -> Live:
        made.append(Live(what))
        return made[-1]

    yield start
    for each in made:
        each.end()


@pytest.mark.parametrize("transport", ["tcp", "udp", "auto"])
def test_every_frame_of_a_clip_arrives(server: RtspServer, transport: str, live: Callable[[Flow], Live]) -> None:
    # over UDP the server's goodbye goes by another port and may overtake the last packets, which are not the last
    # pictures: those are reordered; on a machine that stands still, all packets that wait
    sure = FRAMES - 8 if transport == "udp" else FRAMES
    for _ in range(3 if transport == "udp" else 1):
        run = live(flow(server.url("clip"), name="a", transport=transport))
        summary = run.end(wait=30)
        numbers = [read_frame_number(frame.image.planes[0]) for frame in run.frames]
        if len(numbers) >= sure:
            break
    assert numbers[:sure] == list(range(sure)) and numbers == sorted(set(numbers)) and numbers[-1] < FRAMES
    assert [frame.index for frame in run.frames] == list(range(len(numbers)))
    times = [frame.pts for frame in run.frames[:sure]]
    assert all(30_000_000 < after - before < 37_000_000 for before, after in pairwise(times))
    assert all(abs(frame.arrived - time.monotonic_ns()) < 20e9 for frame in run.frames)
    assert not summary.errors and summary.drops == 0 and run.starts[0].live


def test_the_cameras_clock_gives_wall_time(server: RtspServer) -> None:
    source = open_source("a", server.url("ball"), transport="udp")
    began, wall = time.monotonic(), None
    for item in source.read():
        if isinstance(item, Packet) and item.wall is not None:
            wall = item.wall
            break
        assert time.monotonic() - began < 30
    assert wall is not None and abs(wall - time.time_ns()) < 20e9  # since 1900 it is counted there, not since 1970


def test_user_and_password_are_used_and_never_told(clip: Path) -> None:
    server = RtspServer(**{"me:secret@/shut": plays(clip)})
    try:
        assert isinstance(next(iter(open_source("a", server.url("shut", "me:secret")).read())), StreamStart)
        for login in ("", "me:wrong"):
            with pytest.raises(SourceError, match=r"wants a user name and a password.*\(401\)") as error:
                list(open_source("a", server.url("shut", login)).read())
            assert "wrong" not in str(error.value)
    finally:
        server.kill()


def test_a_path_that_is_not_there(server: RtspServer) -> None:
    with pytest.raises(SourceError, match="404 Not Found"):
        list(open_source("a", server.url("nothing")).read())


def test_stalls_of_200_ms_lose_nothing_over_tcp(server: RtspServer, live: Callable[[Flow], Live]) -> None:
    passed = [0]

    def stall(size: int) -> None:
        passed[0] += size
        if passed[0] > 4000:  # a few times in a clip, in the middle of packets
            passed[0] = 0
            time.sleep(0.2)

    relay = Relay(server.port, stall)
    run = live(flow(server.url("clip", port=relay.port), name="a", transport="tcp"))
    summary = run.end(wait=30)
    relay.close()
    assert [read_frame_number(frame.image.planes[0]) for frame in run.frames] == list(range(FRAMES))
    assert not summary.errors and summary.drops == 0 and not run.said()


def test_lost_udp_packets_cost_pictures_but_not_the_stream(server: RtspServer, live: Callable[[Flow], Live]) -> None:
    chance = random.Random(5)
    lost = [0]

    def lose() -> bool:
        lost[0] += (gone := chance.random() < 0.1)
        return gone

    relay = Relay(server.port, lose=lose)
    run = live(flow(server.url("ball", port=relay.port), name="a", transport="udp", jitter=0.05))
    until(lambda: lost[0] >= 8 and len(run.frames) > 50)
    run.end()
    relay.close()
    times = [frame.pts for frame in run.frames]
    assert times == sorted(set(times))
    assert all(after.index > before.index for before, after in pairwise(run.frames))
    assert not run.said("error")


def test_a_camera_that_dies_and_comes_back(clip: Path, live: Callable[[Flow], Live]) -> None:
    server = RtspServer(ball=BALL)
    options = {"timeout": 10, "reconnect": {"backoff": [0.1, 0.3]}}  # a process that is killed hangs up at once
    run = live(flow(server.url("ball"), name="a", **options))
    try:
        until(lambda: len(run.frames) > 10)
        server.kill()
        until(lambda: len(run.said()) == 1)
        time.sleep(0.8)
        before = len(run.frames)
        server.start()
        until(lambda: len(run.frames) > before + 10)
    finally:
        server.kill()
    run.end()
    lost, back = run.said()[:2]
    assert "is lost: " in lost and "trying again for ever" in lost and "is back after" in back
    assert [(start.epoch, start.discontinuity, start.live) for start in run.starts] == [
        (0, False, True),
        (1, True, True),
    ]
    assert {frame.epoch for frame in run.frames} == {0, 1}
    assert all(after.index > before.index for before, after in pairwise(run.frames))
    first = next(n for n, frame in enumerate(run.frames) if frame.epoch == 1)
    gap = run.frames[first].pts - run.frames[first - 1].pts
    away = run.frames[first].arrived - run.frames[first - 1].arrived
    # packets that a busy machine reads late are stamped late, so this compares only roughly
    assert gap > 0.8e9 and away / 3 < gap < away * 3, "stream time goes on by the clock"
    assert not run.said("error")


def test_a_camera_that_never_comes_back_is_given_up(live: Callable[[Flow], Live]) -> None:
    need_gstreamer()
    server = RtspServer(ball=BALL)
    options = {"timeout": 10, "reconnect": {"attempts": 2, "backoff": [0.05, 0.1]}}
    run = live(flow(server.url("ball"), name="a", **options))
    try:
        until(lambda: len(run.frames) > 5)
    finally:
        server.kill()
    summary = run.end(wait=30)
    assert [str(message.error) for message in summary.errors] == [
        f"a: {server.url('ball')} is lost, given up after 2 attempts: Connection refused"
    ]
    assert len(run.said()) == 1, "one message when it was lost"


def test_a_server_that_hangs_is_noticed(live: Callable[[Flow], Live]) -> None:
    """The connection stays, no packet comes."""
    import signal

    need_gstreamer()
    server = RtspServer(ball=BALL)
    # on a busy machine the camera may be late now and then without that: it is waited for again
    run = live(flow(server.url("ball"), name="a", timeout=1.2, insist=True, reconnect={"backoff": [0.1, 0.2]}))
    try:
        until(lambda: len(run.frames) > 5 and run.work.readings()[0].state == "running")
        assert server.process is not None
        server.process.send_signal(signal.SIGSTOP)
        until(lambda: run.said() and "no answer or packet for 1.2 s" in run.said()[-1])
        epoch = run.frames[-1].epoch
        server.process.send_signal(signal.SIGCONT)
        until(lambda: run.frames[-1].epoch > epoch)
    finally:
        server.kill()
    run.end()


def test_a_frozen_picture_is_noticed_and_its_camera_opened_anew(
    server: RtspServer, live: Callable[[Flow], Live]
) -> None:
    run = live(flow(server.url("frozen"), name="a", reconnect={"backoff": [0.05, 0.1]}).watch(frozen=0.5))
    until(lambda: any(frame.epoch for frame in run.frames))
    run.end()
    assert "watch: the picture has been the same for 0.5 s; it is opened anew" in run.said()[0]
    moving = live(flow(server.url("ball"), name="a").watch(frozen=0.5))
    until(lambda: len(moving.frames) > 40)
    moving.end()
    assert not moving.said()


def test_a_camera_without_key_pictures_is_told_and_when_pictures_come(
    clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, live: Callable[[Flow], Live]
) -> None:
    """The key pictures of the first 6 s are withheld: packets come, and none of them gives a picture."""
    monkeypatch.setattr("millrace.elements._unseen.PATIENCE", 10**9)
    whole = numbered_clip(tmp_path / "whole.mp4", 240, 160, 120, fps=30, gop=15)
    with av.open(str(whole)) as given, av.open(str(tmp_path / "keyless.mp4"), "w") as made:
        track = made.add_stream_from_template(given.streams.video[0])
        for number, packet in enumerate(given.demux(video=0)):
            if packet.size and not (packet.is_keyframe and number < 180):
                packet.stream = track
                made.mux(packet)
    server = RtspServer(keyless=plays(tmp_path / "keyless.mp4"))

    def said() -> list[str]:
        return [text for text in run.said() if text.startswith("decode: ")]

    try:
        # a busy machine may be late to open it: then it is opened again, and plays from its start
        run = live(flow(server.url("keyless"), name="a", transport="tcp", timeout=2, insist=True))
        until(lambda: said())
        assert not run.frames
        until(lambda: run.frames)
        until(lambda: len(said()) > 1)
    finally:
        server.kill()
    first, second = said()[:2]
    assert "decode: no picture for " in first and "0 key pictures" in first and "interval of key pictures" in first
    assert "decode: pictures come again after " in second
    run.end()


def test_interrupt_is_quick_while_packets_come(server: RtspServer) -> None:
    for transport in ("tcp", "udp"):
        source = open_source("a", server.url("ball"), transport=transport, timeout=30)
        source.open(Context("a"))
        items = source.read()
        first, *packets = islice(items, 6)
        assert isinstance(first, StreamStart) and len(packets) == 5
        asked: list[float] = []

        def ask(source: Source = source, asked: list[float] = asked) -> None:
            asked.append(time.monotonic())
            source.interrupt()

        timer = threading.Timer(0.2, ask)
        timer.start()
        list(items)
        assert time.monotonic() - asked[0] < 20, "sooner than its timeout, also on a busy machine"
        timer.join()
