"""Webhooks against a real HTTP server."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Iterator

import pytest

from millrace.brokers import open_broker
from millrace.brokers.base import BrokerError, Message, RefusedError
from millrace.core.errors import ConfigError


class Receiver(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        hooks: Hooks = self.server.hooks  # type: ignore[attr-defined]
        hooks.got.append((self.path, body, dict(self.headers)))
        status = hooks.answers.pop(0) if hooks.answers else 204
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None: ...


class Hooks:
    def __init__(self) -> None:
        self.got: list[tuple[str, bytes, dict[str, str]]] = []
        self.answers: list[int] = []
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
        self.server.daemon_threads = True
        self.server.hooks = self  # type: ignore[attr-defined]
        self.url = f"http://me:word@127.0.0.1:{self.server.server_port}/hook?room=1&timeout=5"


@pytest.fixture
def hooks() -> Iterator[Hooks]:
    made = Hooks()
    thread = threading.Thread(target=made.server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield made
    made.server.shutdown()
    made.server.server_close()
    thread.join(5)


BATCH = [Message(str(n), "cams", "gate", b'{"n":%d}' % n) for n in range(3)]


def test_each_message_is_posted_with_its_id(hooks: Hooks) -> None:
    broker = open_broker(hooks.url)
    broker.connect()
    broker.send(BATCH)
    broker.close()
    assert [body for _, body, _ in hooks.got] == [message.body for message in BATCH]
    path, _, headers = hooks.got[0]
    assert path == "/hook?room=1"
    assert headers["Idempotency-Key"] == "0" and headers["X-Millrace-Topic"] == "cams"
    assert headers["Authorization"] == "Basic bWU6d29yZA==" and headers["Content-Type"] == "application/json"


@pytest.mark.parametrize(
    ("status", "error"),
    [(503, BrokerError), (429, BrokerError), (401, BrokerError), (404, BrokerError), (413, RefusedError)],
)
def test_answers_that_are_no_success(hooks: Hooks, status: int, error: type[BrokerError]) -> None:
    hooks.answers = [200, status]
    broker = open_broker(hooks.url)
    broker.connect()
    with pytest.raises(error, match=f"http: 127.0.0.1: {status}") as caught:
        broker.send(BATCH)
    broker.close()
    assert type(caught.value) is error and caught.value.acknowledged == 1


def test_names_of_all_scripts_travel_in_headers(hooks: Hooks) -> None:
    broker = open_broker(hooks.url)
    broker.connect()
    broker.send([Message("1", "cams/門\r\nX: y", "門", b"{}")])
    broker.close()
    headers = hooks.got[0][2]
    assert headers["X-Millrace-Key"] == "%E9%96%80" and headers["X-Millrace-Topic"].startswith("cams/%E9%96%80%0D")


def test_addresses_that_cannot_work() -> None:
    with pytest.raises(ConfigError, match=r"begins with one of amqp:, .* Did you mean 'mqtt'\?"):
        open_broker("mqt://host/x")
    with pytest.raises(ConfigError, match=r"mqtt has no option 'qoss'\. Did you mean 'qos'\?"):
        open_broker("mqtt://host/x?qoss=1")
    with pytest.raises(ConfigError, match="names no host"):
        open_broker("redis:///x")
    with pytest.raises(ConfigError, match="names no file"):
        open_broker("file:")
    with pytest.raises(ConfigError, match="not a URL"):
        open_broker("mqtt://user:secret@host:port/x")
    with pytest.raises(ConfigError, match=r"there is no file /nowhere/ca\.pem \(option ca\)"):
        open_broker("mqtts://host/x?ca=/nowhere/ca.pem")


def test_an_address_that_is_no_url_is_told_without_its_password() -> None:
    with pytest.raises(ConfigError, match="are written %2F") as caught:
        open_broker("mqtt://me:wo#rd@host/t")
    assert "wo" not in str(caught.value).replace("password", "")
