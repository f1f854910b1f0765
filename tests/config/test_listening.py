"""Brokers that hold a call when the run ends."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence

import pytest

import millrace
from millrace.brokers.incoming.base import Incoming


class Holding:
    """Its `connect` takes as long as the test."""

    released = threading.Event()
    begun = threading.Semaphore(0)

    def connect(self) -> None:
        self.begun.release()
        self.released.wait(30)

    def receive(self, seconds: float) -> list[Incoming]:
        return []

    def done(self, message: Incoming, error: str | None = None) -> None: ...

    def close(self) -> None: ...


def test_the_end_waits_for_all_together_as_long_as_for_one(monkeypatch: pytest.MonkeyPatch) -> None:
    def opened(broker: str, topics: Sequence[str]) -> Holding:
        return Holding()

    monkeypatch.setattr("millrace.config.listening.open_subscriber", opened)
    monkeypatch.setattr("millrace.config.listening.CLOSING", 1.0)
    flow = millrace.open("pattern:?width=64&height=48&fps=25", pace=True).discard()
    for number in range(5):
        flow = flow.listen(f"redis://host{number}/t")
    run = flow.start()
    try:
        assert all(Holding.begun.acquire(timeout=10) for _ in range(5))
        begun = time.monotonic()
        run.finish()
        assert time.monotonic() - begun < 4
    finally:
        Holding.released.set()
