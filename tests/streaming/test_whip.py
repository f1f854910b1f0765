"""WHIP's connection to a server that has gone when it is to be told that we leave."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import pytest
from peers import Peer

pytest.importorskip("aiortc")

from millrace.core import FRAMES, Caps
from millrace.encoders.libav import open_encoder
from millrace.streaming import whip
from millrace.streaming.webrtc import OfferError


class Publisher:
    """Connected at once; `finished` says how that ends."""

    finish: Callable[[], None]

    def __init__(self, live: Any, only_loopback: bool) -> None:
        self.connected = False

    async def offer(self) -> str:
        return "v=0"

    async def accept(self, answer: str, seconds: float) -> None:
        self.connected = True

    async def finished(self) -> None:
        await asyncio.sleep(0.1)
        type(self).finish()

    async def close(self) -> None: ...


def created(line: socket.socket) -> None:
    if line.recv(1 << 16).startswith(b"POST"):
        line.sendall(b"HTTP/1.1 201 Created\r\nLocation: /1\r\nConnection: close\r\nContent-Length: 3\r\n\r\nv=0")
    line.close()  # of DELETE


@pytest.mark.parametrize("why", ["", "the connection is failed"])
def test_that_it_cannot_be_told_is_no_reason(why: str, monkeypatch: pytest.MonkeyPatch) -> None:
    encoder = open_encoder(Caps(FRAMES, width=160, height=120, fps=Fraction(25), time_base=Fraction(1, 90000)))
    caps = encoder.caps
    encoder.close()
    said: list[str] = []

    def finish() -> None:
        if why:
            raise OfferError(why)

    Publisher.finish = staticmethod(finish)
    monkeypatch.setattr(whip, "Publisher", Publisher)
    with Peer(created) as peer:
        sender = whip.Whip(f"http://127.0.0.1:{peer.port}/whip", caps, None, said.append, backoff=30.0)
        until = time.monotonic() + 20
        while not (said if why else sender._task.done()):
            assert time.monotonic() < until, "it did not come about in time"
            time.sleep(0.01)
        sender.stop()
        assert peer.came >= 2
    assert len(said) == bool(why) and all(why in each for each in said)
