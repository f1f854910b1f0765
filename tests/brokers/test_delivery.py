"""The delivery: everything once more after an error, in order, counted."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from millrace.brokers import delivery as module
from millrace.brokers.base import BrokerError, Message, RefusedError
from millrace.brokers.delivery import Delivery
from millrace.brokers.spool import Spool


class Fake:
    """A broker in this process: away when told, fails after some messages when told."""

    def __init__(self) -> None:
        self.away = False
        self.fail_after: int | None = None
        self.poison: set[str] = set()
        self.got: list[str] = []
        self.gate = threading.Event()
        self.gate.set()

    def connect(self) -> None:
        if self.away:
            raise BrokerError("mqtt://user:secret@host: refused")

    def send(self, messages: Sequence[Message]) -> None:
        self.gate.wait(10)
        for done, message in enumerate(messages):
            if self.away or self.fail_after == 0:
                self.fail_after = None
                raise BrokerError("it broke", done)
            if message.id in self.poison:
                raise RefusedError("too large", done)
            if self.fail_after is not None:
                self.fail_after -= 1
            self.got.append(message.id)

    def close(self) -> None: ...


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    return Spool(str(tmp_path / "spool.sqlite"), most=20)


@pytest.fixture
def started(spool: Spool, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., tuple[Fake, Delivery, list[str]]]]:
    monkeypatch.setattr(module, "RETRY", (0.01, 0.05))
    made: list[Delivery] = []

    def start(full: str = "drop_newest", **state: object) -> tuple[Fake, Delivery, list[str]]:
        fake, said = Fake(), []
        for name, value in state.items():
            setattr(fake, name, value)
        delivery = Delivery(fake, spool, full, said.append)  # type: ignore[arg-type]
        made.append(delivery)
        return fake, delivery, said

    yield start
    for delivery in made:
        delivery.close()


def batch(*numbers: int) -> list[Message]:
    return [Message(str(number), "t", "k", b"x") for number in numbers]


def test_all_arrives_in_order(started: Callable[..., tuple[Fake, Delivery, list[str]]]) -> None:
    fake, delivery, said = started()
    for n in range(10):
        assert delivery.accept(batch(n))
    assert delivery.drain(10) == 0
    assert fake.got == [str(n) for n in range(10)] and said == []
    assert delivery.counts.accepted == delivery.counts.delivered == 10


def test_after_an_error_only_what_was_not_acknowledged_is_sent_again(started: Callable[..., object]) -> None:
    fake, delivery, said = started(fail_after=3)
    delivery.accept(batch(*range(6)))
    assert delivery.drain(10) == 0
    assert fake.got == ["0", "1", "2", "3", "4", "5"]
    assert len(said) == 2 and "the broker is away: it broke; messages wait in" in said[0] and "is back" in said[1]
    assert delivery.counts.retries == 1 and delivery.counts.delivered == 6


def test_when_all_is_delivered_all_is_counted_and_told(
    started: Callable[..., tuple[Fake, Delivery, list[str]]], spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, delivery, said = started(fail_after=1)
    emptied, done = threading.Event(), spool.done

    def slowly(*messages: Any) -> int:
        count = done(*messages)
        if not len(spool):
            emptied.set()
            time.sleep(0.2)  # the thread is held up at the worst moment
        return count

    monkeypatch.setattr(spool, "done", slowly)
    delivery.accept(batch(1, 2))
    assert emptied.wait(20) and delivery.drain(20) == 0
    assert delivery.counts.delivered == 2 and "the broker is back" in said[-1]


def test_messages_wait_while_the_broker_is_away_and_the_password_is_not_told(started: Callable[..., object]) -> None:
    fake, delivery, said = started(away=True)
    delivery.accept(batch(1, 2, 3))
    assert delivery.drain(0.2) == 3 and fake.got == []
    until = time.monotonic() + 20
    while delivery.counts.retries < 2 and time.monotonic() < until:
        time.sleep(0.01)
    fake.away = False
    assert delivery.drain(10) == 0 and fake.got == ["1", "2", "3"]
    assert "secret" not in "".join(said) and len(said) == 2  # said once, however often it was tried
    assert delivery.counts.retries > 1


def test_a_message_that_can_never_be_taken_does_not_hold_up_the_others(started: Callable[..., object]) -> None:
    fake, delivery, said = started(poison={"2"})
    delivery.accept(batch(1, 2, 3))
    assert delivery.drain(10) == 0
    assert fake.got == ["1", "3"] and delivery.counts.refused == 1 and delivery.counts.delivered == 2
    assert said == ["the broker refused message 2, it is dropped: too large"]


def test_a_full_spool_drops_the_newest(started: Callable[..., object]) -> None:
    fake, delivery, said = started(away=True)
    assert delivery.accept(batch(*range(20))) and not delivery.accept(batch(20))
    fake.away = False
    assert delivery.drain(10) == 0 and fake.got == [str(n) for n in range(20)]
    assert delivery.counts.dropped == 1 and any("new messages are dropped" in text for text in said)


def test_a_full_spool_drops_the_oldest(started: Callable[..., object]) -> None:
    fake, delivery, _ = started("drop_oldest", away=True)
    assert delivery.accept(batch(*range(20))) and delivery.accept(batch(20, 21))
    fake.away = False
    assert delivery.drain(10) == 0 and fake.got == [str(n) for n in range(2, 22)]
    assert delivery.counts.dropped == 2


def test_a_full_spool_asks_the_pipeline_to_wait(started: Callable[..., object]) -> None:
    room = threading.Event()
    fake, delivery, said = started("wait", away=True)
    delivery._on_room = room.set
    delivery.accept(batch(*range(19)))
    assert delivery.has_room and delivery.accept(batch(19, 20, 21))  # what belongs together is taken together
    assert not delivery.has_room and any("the pipeline waits" in text for text in said)
    fake.away = False
    assert room.wait(10) and delivery.drain(10) == 0 and delivery.has_room
    assert fake.got == [str(n) for n in range(22)] and delivery.counts.dropped == 0


def test_more_messages_at_once_than_the_spool_holds_are_dropped(started: Callable[..., object]) -> None:
    _, delivery, _ = started("drop_oldest", away=True)
    assert not delivery.accept(batch(*range(21))) and delivery.accept(batch(1))
    assert delivery.counts.dropped == 21


def test_messages_dropped_while_they_are_sent_are_counted_once(started: Callable[..., object], spool: Spool) -> None:
    fake, delivery, _ = started("drop_oldest")
    fake.gate.clear()
    delivery.accept(batch(*range(20)))  # these are under way
    for n in range(20, 30):
        delivery.accept(batch(n))
    fake.gate.set()
    assert delivery.drain(10) == 0
    assert len(spool) == 0 == spool._bytes and spool.first(10) == []
    assert fake.got[-1] == "29"
    counts = delivery.counts
    assert counts.delivered + counts.dropped == counts.accepted == 30


def test_whatever_a_library_raises_is_tried_again(started: Callable[..., object], monkeypatch) -> None:
    fake, delivery, said = started()
    send, failures = fake.send, iter([UnicodeError("a host of too many letters"), KeyError("x")])

    def fails(messages: Sequence[Message]) -> None:
        for failure in failures:
            raise failure
        send(messages)

    monkeypatch.setattr(fake, "send", fails)
    delivery.accept(batch(1, 2))
    assert delivery.drain(10) == 0 and fake.got == ["1", "2"]
    assert said[0].startswith("sending fails: UnicodeError: a host of too many letters; messages wait in ")


def test_a_fault_while_closing_is_logged_and_the_thread_goes_on(
    started: Callable[..., object], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    fake, delivery, _ = started(fail_after=1)

    def close() -> None:
        raise AttributeError("no socket of mqtt://user:secret@host")

    monkeypatch.setattr(fake, "close", close)
    delivery.accept(batch(1, 2))
    assert delivery.drain(10) == 0 and fake.got == ["1", "2"]
    assert "could not be closed: AttributeError: no socket of mqtt://***@host" in caplog.text


def test_a_flood_of_refusals_is_not_a_flood_of_warnings(started: Callable[..., object]) -> None:
    _, delivery, said = started(poison={str(n) for n in range(15)})
    for n in range(15):
        delivery.accept(batch(n))
    assert delivery.drain(10) == 0
    assert delivery.counts.refused == 15 and len(said) == 2


def test_a_broker_that_never_answers_does_not_hold_up_the_end(
    spool: Spool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(module, "CLOSING", 0.1)
    fake = Fake()
    fake.gate.clear()
    delivery = Delivery(fake, spool)
    delivery.accept(batch(1, 2))
    ending = threading.Thread(target=delivery.close)
    ending.start()
    ending.join(5)
    assert not ending.is_alive()
    fake.gate.set()
    delivery._thread.join(5)
    assert not delivery._thread.is_alive()
    again = Spool(str(tmp_path / "spool.sqlite"))
    assert len(again) == 2  # sent, but that was too late: they come once more
    again.close()


def test_closing_keeps_what_is_left(started: Callable[..., object], tmp_path: Path) -> None:
    _, delivery, _ = started(away=True)
    delivery.accept(batch(*range(20)))
    delivery.close()
    again = Spool(str(tmp_path / "spool.sqlite"))
    assert len(again) == 20
    again.close()
