"""The loop that servers run in."""

from __future__ import annotations

import asyncio
import threading

import pytest

from millrace.core.errors import Cancelled
from millrace.streaming.loop import WAITING, Loop


def test_who_feeds_a_loop_that_is_busy_waits() -> None:
    loop, gate, made = Loop("test-loop"), threading.Event(), []
    loop.soon(gate.wait, 10)

    def feed() -> None:
        for n in range(WAITING * 3):
            loop.soon(made.append, n)

    feeder = threading.Thread(target=feed)
    feeder.start()
    feeder.join(0.2)
    assert feeder.is_alive() and len(loop._loop._ready) <= WAITING + 5  # type: ignore[attr-defined]
    gate.set()
    feeder.join(10)
    assert not feeder.is_alive()

    async def nothing() -> None: ...

    loop.run(nothing())
    assert made == list(range(WAITING * 3))
    loop.close()


def test_who_feeds_a_loop_that_another_closes_is_neither_held_up_nor_hurt() -> None:
    loop, entered, made = Loop("test-loop"), threading.Event(), []
    told: list[str] = []

    async def waits() -> None:
        entered.set()
        await asyncio.sleep(60)

    def ask() -> None:
        try:
            loop.run(waits(), 30)
        except Cancelled:
            told.append("cancelled")

    asking = threading.Thread(target=ask)
    asking.start()
    assert entered.wait(20)
    loop.close()
    asking.join(20)
    assert told == ["cancelled"]
    for n in range(WAITING * 2):
        loop.soon(made.append, n)
    with pytest.raises(Cancelled):
        loop.run(waits())
    loop.close()
    assert made == []
