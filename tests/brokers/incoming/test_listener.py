"""The listener: what goes wrong is told as what it is, and it goes on."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from millrace.brokers.base import BrokerError
from millrace.brokers.incoming import listener as module
from millrace.brokers.incoming.base import Incoming
from millrace.brokers.incoming.listener import Listener


class Fake:
    """A subscriber in this process, which fails first."""

    def __init__(self, *failures: Exception) -> None:
        self.failures = list(failures)
        self.answers: list[str | None] = []

    def connect(self) -> None: ...

    def receive(self, seconds: float) -> list[Incoming]:
        if self.failures:
            raise self.failures.pop(0)
        return [Incoming("t", b"x")]

    def done(self, message: Incoming, error: str | None = None) -> None:
        self.answers.append(error)

    def close(self) -> None:
        raise AttributeError("no socket of mqtt://user:secret@host")


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[str]]:
    monkeypatch.setattr(module, "RETRY", (0.01, 0.05))

    def listen(subscriber: Fake, handle: Callable[[Incoming], None] | None = None) -> list[str]:
        """What is said until the first message was dealt with."""
        said, dealt = list[str](), threading.Event()

        def take(message: Incoming) -> None:
            try:
                (handle or (lambda _: None))(message)
            finally:
                dealt.set()

        listener = Listener(subscriber, take, said.append)
        listener.start()
        assert dealt.wait(30)
        listener.close()
        return said

    return listen


def test_a_broker_that_is_away_is_told_from_a_fault(
    told: Callable[..., list[str]], caplog: pytest.LogCaptureFixture
) -> None:
    away = told(Fake(BrokerError("mqtt://user:secret@host: refused"), BrokerError("again")))
    assert away[0] == "no commands come, the broker is away: mqtt://***@host: refused; trying again"
    fault = told(Fake(AttributeError("no such thing")))
    assert fault[0] == "no commands come, listening fails: AttributeError: no such thing; trying again"
    assert [said[1] for said in (away, fault)] == 2 * ["the broker is back"]
    assert "could not be closed: AttributeError: no socket of mqtt://***@host" in caplog.text


def test_a_message_whose_command_fails_is_answered_with_the_error(told: Callable[..., list[str]]) -> None:
    def handle(message: Incoming) -> None:
        raise TypeError("not this")

    subscriber = Fake()
    assert told(subscriber, handle)[0] == "a message of t did nothing: TypeError: not this"
    assert subscriber.answers[0] == "TypeError: not this"
