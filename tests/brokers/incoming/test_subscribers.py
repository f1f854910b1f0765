"""Every broker that can be listened to, as a real server: what is sent comes, in order, also after an outage."""

from __future__ import annotations

import http.client
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from millrace.brokers import open_broker
from millrace.brokers.base import Address, BrokerError, Message
from millrace.brokers.incoming import open_subscriber
from millrace.brokers.incoming.base import Incoming
from millrace.brokers.incoming.http import HttpSubscriber
from millrace.brokers.incoming.listener import Listener
from millrace.core.errors import ConfigError
from millrace.testing.brokers import SERVERS, TOPIC, Server
from millrace.testing.ports import free_port

OPTIONS = {"mqtt": "", "redis": "", "nats": "", "amqp": "", "kafka": "&auto.offset.reset=earliest"}


class Heard:
    """A listener and what it handed on."""

    def __init__(self, url: str, handle: Callable[[Incoming], None] = lambda message: None, topics: Any = ()) -> None:
        self.came: list[Incoming] = []
        self.said: list[str] = []

        def take(message: Incoming) -> None:
            self.came.append(message)
            handle(message)

        self.subscriber = open_subscriber(url, topics)
        self.connected = threading.Event()
        connect = self.subscriber.connect

        def noted() -> None:
            connect()
            self.connected.set()

        self.subscriber.connect = noted  # type: ignore[method-assign]
        self.listener = Listener(self.subscriber, take, self.said.append)
        self.listener.start()

    def wait(self, count: int, seconds: float = 30.0) -> list[bytes]:
        until = time.monotonic() + seconds
        while len(self.came) < count and time.monotonic() < until:
            time.sleep(0.02)
        return [each.body for each in self.came]


@pytest.fixture
def heard() -> Iterator[Callable[..., Heard]]:
    made: list[Heard] = []

    def listen(url: str, **more: Any) -> Heard:
        made.append(Heard(url, **more))
        return made[-1]

    yield listen
    for each in made:
        each.listener.close()


def send(url: str, *bodies: str) -> None:
    broker = open_broker(url)
    broker.connect()
    broker.send([Message(f"id-{body}", TOPIC, "k", body.encode()) for body in bodies])
    broker.close()


@pytest.mark.parametrize("server", list(SERVERS), indirect=True)
def test_what_is_sent_comes_in_order_and_again_after_an_outage(server: Server, heard: Any) -> None:
    url = server.url + OPTIONS[server.scheme]
    hears = heard(url)
    assert hears.connected.wait(20), hears.said
    if server.scheme == "kafka":
        time.sleep(1.0)  # joining a group
    send(server.url, "1", "2", "2", "3")
    assert hears.wait(3) == [b"1", b"2", b"3"], hears.said  # what comes twice with one id is handled once
    assert [each.id for each in hears.came] == ["id-1", "id-2", "id-3"]
    hears.connected.clear()
    server.kill()
    time.sleep(0.5)
    server.start()
    if server.scheme not in ("kafka", "redis"):  # one only stood still; the other's client tries again by itself
        assert hears.connected.wait(30), hears.said
        assert any("the broker is away" in text for text in hears.said)
    send(server.url, "4")
    assert hears.wait(4) == [b"1", b"2", b"3", b"4"], hears.said
    hears.listener.close()


@pytest.mark.parametrize(
    ("server", "options"),
    [("mqtt", "?session=60&client_id=c"), ("redis", ""), ("amqp", "?queue=commands"), ("nats", "?durable=commands"),
     ("kafka", "&auto.offset.reset=earliest&session.timeout.ms=6000")],
    indirect=["server"],
)  # fmt: skip
def test_what_comes_while_nobody_listens_waits_where_that_is_asked(server: Server, options: str, heard: Any) -> None:
    first = heard(server.url + options)
    assert first.connected.wait(20), first.said
    if server.scheme == "kafka":
        time.sleep(1.0)
    send(server.url, "1")
    assert first.wait(1) == [b"1"]
    first.listener.close()  # by then it is acknowledged
    send(server.url, "2")
    second = heard(server.url + options)
    assert second.wait(1) == [b"2"], second.said


def test_a_message_that_is_wrong_is_one_sentence_and_the_next_is_heard(tmp_path: Path, heard: Any) -> None:
    def handle(message: Incoming) -> None:
        if message.body == b"bad":
            raise ConfigError("it is bad: rtsp://me:secret@host/x")
        if message.body == b"worse":
            raise KeyError("nobody expected this")

    path = tmp_path / "commands.jsonl"
    hears = heard(f"file:{path}", handle=handle)
    assert hears.connected.wait(30)  # what is there before that does not count
    with open(path, "a") as file:
        file.write("bad\ngo")
        file.flush()
        assert hears.wait(1) == [b"bad"]
        file.write("od\n")
    assert hears.wait(2) == [b"bad", b"good"]
    assert hears.said == [f"a message of {path} did nothing: it is bad: rtsp://***@host/x"]
    with open(path, "a") as file:
        file.write("worse\nlast\n")
    assert hears.wait(4)[2:] == [b"worse", b"last"]
    assert hears.said[1:] == [f"a message of {path} did nothing: KeyError: 'nobody expected this'"]


def test_only_what_is_appended_to_a_file_counts(tmp_path: Path, heard: Any) -> None:
    path = tmp_path / "commands.jsonl"
    path.write_text("old\n")
    hears = heard(f"file:{path}")
    assert hears.connected.wait(30)
    with open(path, "a") as file:
        file.write("new\n")
    assert hears.wait(1) == [b"new"]
    path.rename(tmp_path / "commands.1")
    path.write_text("rotated\n")
    assert hears.wait(2) == [b"new", b"rotated"]
    path.write_text("anew\n")  # shorter than what was read
    assert hears.wait(3) == [b"new", b"rotated", b"anew"]


def test_the_last_line_of_a_file_that_is_replaced_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "commands.jsonl"
    path.write_text("old\n")
    subscriber: Any = open_subscriber(f"file:{path}")
    subscriber.connect()
    look = subscriber._is_another

    def late(file: Any) -> bool:
        """The writer is quicker: between two looks it writes its last line and begins a new file."""
        monkeypatch.setattr(subscriber, "_is_another", look)
        with open(path, "a") as old:
            old.write("last\n")
        path.rename(tmp_path / "commands.1")
        path.write_text("first\n")
        return bool(look(file))

    monkeypatch.setattr(subscriber, "_is_another", late)
    came = [each.body for _ in range(2) for each in subscriber.receive(10.0)]
    subscriber.close()
    assert came == [b"last", b"first"]


class Posts:
    """A client of our own server."""

    def __init__(self, port: int) -> None:
        self.port = port

    def __call__(self, body: bytes = b"{}", path: str = "/commands", method: str = "POST", **headers: str) -> Any:
        client = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            client.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
            answer = client.getresponse()
            return answer.status, json.loads(answer.read())
        finally:
            client.close()


def test_webhooks_are_answered_and_what_is_malformed_refused(heard: Any) -> None:
    def handle(message: Incoming) -> None:
        if message.body == b"bad":
            raise ConfigError("it is bad")

    port = free_port()
    hears = heard(f"http://me:word@127.0.0.1:{port}/commands", handle=handle)
    assert hears.connected.wait(30)
    post, key = Posts(port), "Basic bWU6d29yZA=="
    assert post(b"ok", Authorization=key, Idempotency_Key="a") == (200, {"status": "done"})
    assert post(b"ok", Authorization=key, Idempotency_Key="a") == (200, {"status": "done"})
    assert post(b"bad", Authorization=key) == (422, {"error": "it is bad"})
    assert post(b"ok")[0] == 401 and post(b"ok", Authorization="Basic eDp5")[0] == 401
    assert post(b"ok", "/../etc/passwd", Authorization=key)[0] == 404
    assert post(b"", method="GET")[0] == 405
    assert post(b"evil", Authorization=key, Origin="http://evil.example")[0] == 403  # a page in this machine's browser
    known = b"POST /commands HTTP/1.1\r\nAuthorization: Basic bWU6d29yZA==\r\n"
    for raw in (
        known + b"\r\n",
        known + b"Content-Length: 9999999\r\n\r\n",
        known + b"Content-Length: " + b"9" * 5000 + b"\r\n\r\n",
        b"nonsense\r\n\r\n",
        b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\n\r\n",
        b"POST / HTTP/1.1\r\n" + b"a: b\r\n" * 500,
    ):
        with socket.create_connection(("127.0.0.1", port), timeout=10) as client:
            client.sendall(raw)
            with suppress(OSError):  # it may have hung up already
                client.shutdown(socket.SHUT_WR)
            with client.makefile("rb") as answer:
                assert b" 4" in answer.read(), raw[:40]
    assert post(b"still here", Authorization=key)[0] == 200
    assert [each.body for each in hears.came] == [b"ok", b"bad", b"still here"]


def test_a_fault_in_a_webhook_is_logged_and_a_client_that_goes_away_is_not(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    subscriber = open_subscriber("http://127.0.0.1:0/x")
    subscriber.connect()
    assert isinstance(subscriber, HttpSubscriber)
    post = Posts(subscriber.port)
    try:
        for error in (ConnectionResetError("it has gone"), AttributeError("no such thing")):

            def take(self: Any, body: bytes, error: Exception = error) -> None:
                raise error

            monkeypatch.setattr("millrace.brokers.incoming.http._Handler._take", take)
            with pytest.raises((http.client.HTTPException, OSError)):
                post(path="/x")
    finally:
        subscriber.close()
    assert [each.getMessage() for each in caplog.records if each.name == "millrace"] == [
        "a message over HTTP was not answered: AttributeError: no such thing"
    ]


def test_the_webhook_listens_where_it_is_told_and_nowhere_else() -> None:
    subscriber = open_subscriber("http://127.0.0.1:0/x")
    assert isinstance(subscriber, HttpSubscriber)
    subscriber.connect()
    try:
        assert subscriber.port > 0
        with pytest.raises(OSError), socket.create_connection(("127.0.0.2", subscriber.port), timeout=1):
            pass
        other = open_subscriber(f"http://127.0.0.1:{subscriber.port}/x")
        with pytest.raises(BrokerError, match="cannot listen on"):
            other.connect()
    finally:
        subscriber.close()


def test_addresses_that_cannot_work_are_errors() -> None:
    for url, said in (
        ("mqtt://host", "names no topic to listen to"),
        ("mqtt://host/t?session=60", "needs a client_id"),
        ("mqtt://host/t?sesion=60", "has no option 'sesion'"),
        ("https://host/x", "messages come from one of amqp"),
        ("kafka://host/t?nonsense=1", "No such configuration property"),
        ("azure://hub?sas=a2V5", "the option device is missing"),
        ("file:", "names no file"),
        ("http://127.0.0.1:1/x?a=b", "has no option 'a'"),
        ("http://0.0.0.0:80/x", r"whoever reaches 0\.0\.0\.0 could send commands: give http://USER:PASSWORD@"),
        ("http://me@cam.local/x", "whoever reaches cam.local could send"),
    ):
        with pytest.raises(ConfigError, match=said):
            open_subscriber(url)


def test_azure_listens_to_the_devices_own_topic() -> None:
    subscriber: Any = open_subscriber("azure://hub.example?device=cam0&sas=a2V5")
    assert subscriber._topics == ["devices/cam0/messages/devicebound/#"]
    assert subscriber.address == Address(
        "mqtts", "hub.example", 8883, "", "hub.example/cam0/?api-version=2021-04-12", None,
        {"version": "3.1.1", "client_id": "cam0"},
    )  # fmt: skip
