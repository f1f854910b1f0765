"""Servers that fail half-way while packets are pushed to them."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from fractions import Fraction

import pytest
from peers import Peer

from millrace.core import FRAMES, Caps
from millrace.core.errors import OutputError
from millrace.encoders.libav import open_encoder
from millrace.outputs.container import Server
from millrace.outputs.push import Pusher


@pytest.fixture(scope="module")
def caps() -> Caps:
    encoder = open_encoder(Caps(FRAMES, width=160, height=120, fps=Fraction(25), time_base=Fraction(1, 90000)))
    found = encoder.caps
    encoder.close()
    return found


@pytest.fixture
def silent() -> Iterator[Peer]:
    with Peer() as peer:
        yield peer


def until(true: object, seconds: float = 20.0) -> bool:
    end = time.monotonic() + seconds
    while not true() and time.monotonic() < end:  # type: ignore[operator]
        time.sleep(0.02)
    return bool(true())  # type: ignore[operator]


def test_the_end_waits_for_a_silent_server_no_longer_than_its_timeout(
    caps: Caps, silent: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("millrace.outputs.push.FAREWELL", 30.0)
    said: list[str] = []
    pusher = Pusher(Server(f"rtmp://127.0.0.1:{silent.port}/live/cam", "flv"), caps, said.append, timeout=0.5)
    assert until(lambda: silent.came)
    begun = time.monotonic()
    pusher.end()
    assert time.monotonic() - begun < 5
    assert silent.all_closed()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends a process with its parent")
def test_a_process_that_connects_does_not_outlive_a_parent_that_is_killed(silent: Peer) -> None:
    code = (
        "import millrace\n"
        "flow = millrace.open('pattern:?width=160&height=120&fps=25', pace=True).encode(low_latency=True, gop=10)\n"
        f"flow.push(url='rtmp://127.0.0.1:{silent.port}/live/cam', timeout=60.0).run()\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", code])
    try:
        assert until(lambda: silent.came)
    finally:
        parent.kill()
        parent.wait(10)
    assert silent.all_closed(), "its process is still there"


def test_whatever_ends_the_thread_is_told_to_who_gives(caps: Caps, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_process(*_: object, **__: object) -> None:
        raise OSError(11, "Resource temporarily unavailable")

    monkeypatch.setattr("millrace.outputs.push.subprocess.Popen", no_process)
    pusher = Pusher(Server("rtmp://127.0.0.1:1/live/cam", "flv"), caps, print)
    assert until(lambda: pusher.failed is not None)
    assert isinstance(pusher.failed.__cause__, BlockingIOError)
    with pytest.raises(OutputError, match=r"BlockingIOError: .* temporarily unavailable"):
        pusher.end()
