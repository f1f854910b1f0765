"""Brokers that fail half-way: they greet and say no more, let bytes drip, read nothing more."""

from __future__ import annotations

import asyncio
import socket
import struct
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import pytest
from peers import Peer, drip

from millrace.brokers import open_broker
from millrace.brokers.base import Broker, BrokerError, Message
from millrace.brokers.incoming import http as incoming_http
from millrace.brokers.incoming import kafka as incoming_kafka
from millrace.brokers.incoming import open_subscriber
from millrace.brokers.incoming.base import Subscriber
from millrace.brokers.incoming.http import HttpSubscriber
from millrace.testing.brokers import Kafka

ONE = [Message("1", "t", "k", b"{}")]


def in_time(seconds: float, call: Callable[[], object]) -> None:
    begun = time.monotonic()
    call()
    assert time.monotonic() - begun < seconds


def connected(one: Broker | Subscriber) -> None:
    """Connect one whose time is short for what follows; a busy machine may take several attempts."""
    for _ in range(20):
        with suppress(BrokerError):
            return one.connect()
        one.close()
    one.connect()


# AMQP 0-9-1: frames of type 1 (methods), by the specification's class and method numbers


def method(channel: int, klass: int, number: int, rest: bytes = b"") -> bytes:
    payload = struct.pack(">HH", klass, number) + rest
    return struct.pack(">BHI", 1, channel, len(payload)) + payload + b"\xce"


def long_text(text: bytes) -> bytes:
    return struct.pack(">I", len(text)) + text


START = method(0, 10, 10, b"\0\x09" + long_text(b"") + long_text(b"PLAIN") + long_text(b"en_US"))
TUNE = method(0, 10, 30, struct.pack(">HIH", 2047, 131072, 0))  # no heartbeat
OPEN = struct.pack(">HH", 10, 40)
OPEN_OK, CHANNEL_OK = method(0, 10, 41, b"\0"), method(1, 20, 11, long_text(b""))
SELECT_OK, DECLARE_OK = method(1, 90, 11), method(1, 50, 11, b"\1q" + struct.pack(">II", 0, 0))


def rabbit(*answers: bytes) -> Callable[[socket.socket], None]:
    def play(line: socket.socket) -> None:
        line.recv(8)
        for answer in (START, TUNE, OPEN_OK, *answers):
            line.sendall(answer)
            said = line.recv(1 << 16)
            while answer == TUNE and said and OPEN not in said:  # two methods come in answer to it
                said += line.recv(1 << 16)

    return play


@pytest.mark.parametrize("answers", [(), (CHANNEL_OK,), (CHANNEL_OK, SELECT_OK)])
def test_amqp_that_greets_and_says_no_more_is_an_error_in_time(answers: tuple[bytes, ...]) -> None:
    pytest.importorskip("pika")
    with Peer(rabbit(*answers)) as peer:
        broker = open_broker(f"amqp://me:secret@127.0.0.1:{peer.port}/t?timeout=0.5")

        def use() -> None:
            with pytest.raises(BrokerError, match=rf"amqp: 127\.0\.0\.1:{peer.port}: no answer within 0\.5 s"):
                broker.connect()
                broker.send(ONE)
            broker.close()

        in_time(5, use)
        assert peer.all_closed()


def test_amqp_that_answers_no_subscription_is_an_error_in_time() -> None:
    pytest.importorskip("pika")
    with Peer(rabbit(CHANNEL_OK, DECLARE_OK)) as peer:
        subscriber = open_subscriber(f"amqp://127.0.0.1:{peer.port}/t?timeout=0.5")
        with pytest.raises(BrokerError, match=r"no answer within 0\.5 s"):
            in_time(5, subscriber.connect)
        subscriber.close()
        assert peer.all_closed()


def test_amqp_that_does_not_answer_a_goodbye_is_left() -> None:
    pytest.importorskip("pika")
    with Peer(rabbit(CHANNEL_OK, SELECT_OK)) as peer:
        broker = open_broker(f"amqp://127.0.0.1:{peer.port}/t?timeout=0.5")
        connected(broker)
        in_time(5, broker.close)
        assert peer.all_closed()


# MQTT 5


def welcome(line: socket.socket) -> None:
    line.recv(1 << 12)
    line.sendall(b"\x20\x03\x00\x00\x00")


def test_mqtt_that_reads_no_more_does_not_hold_up_the_end() -> None:
    pytest.importorskip("paho.mqtt")
    with Peer(welcome, deaf=True) as peer:
        broker = open_broker(f"mqtt://127.0.0.1:{peer.port}/t?timeout=0.5")
        connected(broker)
        with pytest.raises(BrokerError, match="no acknowledgement"):
            broker.send([Message(str(n), "t", "k", bytes(1 << 17)) for n in range(100)])
        in_time(10, broker.close)


@pytest.mark.filterwarnings("error")
def test_mqtts_closes_its_socket_when_the_handshake_fails() -> None:
    pytest.importorskip("paho.mqtt")
    with Peer() as peer:
        broker = open_broker(f"mqtts://127.0.0.1:{peer.port}/t?timeout=0.3")
        with pytest.raises(BrokerError, match="timed out") as caught:
            broker.connect()
        assert peer.all_closed()  # while the error, and with it all that it saw, is there still
        assert caught.value.__traceback__ is not None


# NATS

INFO = b'INFO {"server_id":"x","version":"2.10.0","max_payload":1048576,"headers":true}\r\n'


def nats(pongs: int) -> Callable[[socket.socket], None]:
    def play(line: socket.socket) -> None:
        line.sendall(INFO)
        given = 0
        while given < pongs and (said := line.recv(1 << 16)):
            count = said.count(b"PING\r\n")
            line.sendall(b"PONG\r\n" * count)
            given += count

    return play


def test_nats_that_answers_no_subscription_is_an_error_in_time() -> None:
    pytest.importorskip("nats")
    with Peer(nats(1)) as peer:
        subscriber = open_subscriber(f"nats://127.0.0.1:{peer.port}/t?timeout=0.5")
        with pytest.raises(BrokerError, match=r"no answer within 0\.5 s"):
            in_time(4, subscriber.connect)
        subscriber.close()
        assert peer.all_closed()


def test_nats_that_falls_silent_is_noticed_by_one_who_only_listens() -> None:
    pytest.importorskip("nats")
    with Peer(nats(2)) as peer:
        subscriber = open_subscriber(f"nats://127.0.0.1:{peer.port}/t?timeout=0.5")
        connected(subscriber)
        until = time.monotonic() + 10
        with pytest.raises(BrokerError, match="the connection is lost"):
            while time.monotonic() < until:
                subscriber.receive(0.1)
        subscriber.close()
        assert peer.all_closed()


# Kafka


def test_kafka_that_falls_silent_holds_up_neither_acknowledgements_nor_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if (why := Kafka.missing()) is not None:
        pytest.skip(why)
    monkeypatch.setattr(incoming_kafka, "FAREWELL", 0.3)
    server = Kafka(tmp_path)
    server.start()
    try:
        broker: Broker = open_broker(server.url)
        broker.connect()
        broker.send([Message("1", "cams", "k", b"{}")])
        broker.close()
        subscriber = open_subscriber(f"{server.url}&auto.offset.reset=earliest")
        subscriber.connect()
        until = time.monotonic() + 30
        while not (came := subscriber.receive(0.25)) and time.monotonic() < until:
            pass
        server.kill()  # it stands still
        in_time(5, lambda: subscriber.done(came[0]))
        in_time(5, subscriber.close)
    finally:
        server.start()  # and goes on, so that what leaves in the background can
        for thread in threading.enumerate():
            if thread.name == "millrace-kafka-leaves":
                thread.join(20)
        server.close()


# webhooks


@pytest.mark.parametrize(
    "answer", [b"HTTP/1.1 200 OK\r\nX-Slow: aaaaaaaaaaaaaaaa", b"HTTP/1.1 200 OK\r\n\r\n" + bytes(40)]
)
def test_an_answer_that_drips_is_given_up_in_time(answer: bytes) -> None:
    def play(line: socket.socket) -> None:
        line.recv(1 << 16)
        drip(line, answer)

    with Peer(play) as peer:
        broker = open_broker(f"http://me:secret@127.0.0.1:{peer.port}/t?timeout=0.5")
        broker.connect()
        with pytest.raises(BrokerError, match=r"http: 127\.0\.0\.1: timed out"):
            in_time(3, lambda: broker.send(ONE))
        broker.close()
        assert peer.all_closed()


def test_an_answer_without_an_end_is_not_read_to_its_end() -> None:
    def play(line: socket.socket) -> None:
        line.recv(1 << 16)
        line.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            line.sendall(bytes(1 << 16))

    with Peer(play) as peer:
        broker = open_broker(f"http://127.0.0.1:{peer.port}/t?timeout=30")
        broker.connect()
        in_time(10, lambda: broker.send(ONE * 2))
        broker.close()
        assert peer.all_closed() and peer.came == 2


def test_a_connection_that_was_closed_while_it_rested_is_made_anew() -> None:
    def play(line: socket.socket) -> None:
        line.recv(1 << 16)
        line.sendall(b"HTTP/1.1 204 No Content\r\n\r\n")
        line.close()

    with Peer(play) as peer:
        broker = open_broker(f"http://127.0.0.1:{peer.port}/t?timeout=5")
        broker.connect()
        for _ in range(3):
            broker.send(ONE)
            assert peer.all_closed()
        broker.close()
        assert peer.came == 3


# what others POST to us


def posted(line: socket.socket, seconds: float = 10.0) -> bytes:
    """What is answered, up to the end of the connection."""
    line.settimeout(seconds)
    said = b""
    with suppress(ConnectionResetError):
        while chunk := line.recv(1 << 16):
            said += chunk
    return said


def test_a_message_that_ends_half_way_is_none() -> None:
    subscriber = open_subscriber("http://127.0.0.1:0/t")
    assert isinstance(subscriber, HttpSubscriber)
    subscriber.connect()
    with socket.create_connection(("127.0.0.1", subscriber.port)) as client:
        client.sendall(b"POST /t HTTP/1.1\r\nContent-Length: 20\r\n\r\n{}")
        client.shutdown(socket.SHUT_WR)
        assert posted(client).startswith(b"HTTP/1.0 400 ")
    assert subscriber.receive(0.1) == []
    subscriber.close()


def test_a_client_whose_request_drips_does_not_keep_its_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(incoming_http, "PATIENCE", 0.5)
    subscriber = open_subscriber("http://127.0.0.1:0/t")
    assert isinstance(subscriber, HttpSubscriber)
    subscriber.connect()
    with socket.create_connection(("127.0.0.1", subscriber.port)) as client, pytest.raises(OSError):
        drip(client, b"POST /t HTTP/1.1\r\nX-Slow: " + b"a" * 100)  # for ten seconds
    subscriber.close()


def test_nobody_is_left_when_the_listening_ends() -> None:
    """The fixture `no_thread_leaks` looks for their threads."""
    subscriber = open_subscriber("http://127.0.0.1:0/t")
    assert isinstance(subscriber, HttpSubscriber)
    subscriber.connect()
    with ExitStack() as clients:
        idle, half, waiting = (
            clients.enter_context(socket.create_connection(("127.0.0.1", subscriber.port))) for _ in range(3)
        )
        half.sendall(b"POST /t HT")
        waiting.sendall(b"POST /t HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}")
        until = time.monotonic() + 5
        while (len(subscriber._server.due) < 3 or subscriber._came.empty()) and time.monotonic() < until:  # type: ignore[union-attr]
            time.sleep(0.01)
        in_time(3, subscriber.close)
        for client in (idle, half):
            posted(client)
        assert posted(waiting).startswith(b"HTTP/1.0 503 ")


def test_a_message_to_nats_whose_call_is_cancelled_is_not_acknowledged(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("nats")
    broker = open_broker("nats://127.0.0.1:1/t")

    async def cancelled(messages: Sequence[Message]) -> list[Any]:
        return [None, asyncio.CancelledError(), None]

    monkeypatch.setattr(broker, "_publish", cancelled)
    monkeypatch.setattr(broker, "_run", asyncio.run)
    with pytest.raises(BrokerError) as caught:
        broker.send([Message(str(n), "t", "k", b"x") for n in range(3)])
    assert caught.value.acknowledged == 1
