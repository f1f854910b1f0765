"""Messages that others POST to us."""

from __future__ import annotations

import base64
import hmac
import json
import logging
import queue
import socket
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from ...core.errors import ConfigError, said
from ...core.hosts import is_loopback
from ..base import Address, BrokerError
from .base import Incoming

LARGEST = 1 << 20  # bytes of a message
PATIENCE = 10.0  # seconds for a client to send, and for a message to be dealt with
LEFT = 1.0  # seconds for what a client sends on after its answer
CLIENTS = 32  # at once
NOBODY = "nobody takes messages at the moment"
OPTIONS = ()


class HttpSubscriber:
    """`http://user:password@127.0.0.1:8090/commands`: a small server; each POST to that path is a message.

    It listens on the address that is given, and only there. The answer is 200 when the message was dealt with, 422 and
    the reason when something is wrong with it; the id is the header Idempotency-Key. Beyond loopback it wants user and
    password, for whoever reaches the port could command. What a page in a browser sends is refused.
    """

    def __init__(self, address: Address, topics: Sequence[str]) -> None:
        address.check(*OPTIONS)
        if not is_loopback(address.host) and not (address.username and address.password):
            where = f"http://USER:PASSWORD@{address.host}:{address.port or 80}{address.path}"
            raise ConfigError(f"http: whoever reaches {address.host} could send commands: give {where}, or 127.0.0.1")
        self.address = address
        self._path = address.path or "/"
        self._came: queue.Queue[Incoming] = queue.Queue(maxsize=CLIENTS)
        self._server: _Server | None = None
        self._thread: threading.Thread | None = None

    @property
    def port(self) -> int:
        """The port that it listens on, which the system chose where the address says 0."""
        return int(self._server.server_address[1]) if self._server is not None else 0

    def connect(self) -> None:
        self.close()
        port = self.address.port if self.address.port is not None else 80
        try:
            self._server = _Server((self.address.host, port), _Handler)
        except OSError as error:
            raise BrokerError(f"http: cannot listen on {self.address.host}:{port}: {error}") from error
        self._server.path, self._server.came = self._path, self._came
        if self.address.username is not None:
            pair = f"{self.address.username}:{self.address.password or ''}".encode()
            self._server.secret = b"Basic " + base64.b64encode(pair)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.1,), name="millrace-http-in")
        self._thread.daemon = True
        self._thread.start()

    def receive(self, seconds: float) -> list[Incoming]:
        with suppress(queue.Empty):
            return [self._came.get(timeout=seconds)]
        return []

    def done(self, message: Incoming, error: str | None = None) -> None:
        message.ticket.put(error)

    def close(self) -> None:
        server, thread, self._server, self._thread = self._server, self._thread, None, None
        if server is not None and thread is not None:
            server.shutdown()
            server.server_close()
            with suppress(queue.Empty):
                while True:
                    self._came.get_nowait().ticket.put(NOBODY)
            server.cut(float("inf"))
            thread.join(5.0)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    path = "/"
    secret: bytes | None = None
    came: queue.Queue[Incoming]

    def __init__(self, where: tuple[str, int], handler: type[BaseHTTPRequestHandler]) -> None:
        self.free = threading.Semaphore(CLIENTS)
        self.due = dict[Any, float]()  # when each connection is cut
        super().__init__(where, handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        if not self.free.acquire(blocking=False):
            self.close_request(request)
            return
        self.due[request] = time.monotonic() + PATIENCE
        super().process_request(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self.due.pop(request, None)
            self.free.release()

    def service_actions(self) -> None:
        """Now and then: a client that sends a byte at a time shall not keep its place."""
        self.cut(time.monotonic())

    def cut(self, now: float) -> None:
        """Read no more from the connections that are due then: that ends them; an answer goes out still."""
        for request, due in list(self.due.items()):
            if due <= now:
                with suppress(OSError):  # it ends by itself
                    request.shutdown(socket.SHUT_RD)

    def shutdown_request(self, request: Any) -> None:
        """What was refused is read to its end first: else the system resets the connection, and the answer is lost."""
        with suppress(OSError):
            request.shutdown(socket.SHUT_WR)
            request.settimeout(LEFT)
            for _ in range(LARGEST >> 16):
                if not request.recv(1 << 16):
                    break
        self.close_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that goes away in the middle is its own affair; anything else is ours."""
        error = sys.exception()
        if error is not None and not isinstance(error, OSError):
            logging.getLogger("millrace").error("a message over HTTP was not answered: %s", said(error))


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    timeout = PATIENCE
    server_version, sys_version = "millrace", ""

    def do_POST(self) -> None:
        key = self.headers.get("Authorization", "").encode("utf-8", "replace")
        if self.server.secret is not None and not hmac.compare_digest(key, self.server.secret):
            self._answer(401, "user and password are wanted", {"WWW-Authenticate": "Basic"})
        elif "Origin" in self.headers:  # a page in this machine's browser reaches loopback, too
            self._answer(403, "pages of web sites may not send messages")
        elif self.path.partition("?")[0] != self.server.path:
            self._answer(404, f"messages are posted to {self.server.path}")
        elif not (length := self.headers.get("Content-Length", "")).isascii() or not length.isdigit():
            self._answer(411, "Content-Length is wanted")
        elif len(length) > 20 or int(length) > LARGEST:  # Python reads no number of thousands of digits
            self._answer(413, f"a message has at most {LARGEST} bytes")
        elif len(body := self.rfile.read(int(length))) == int(length):
            self._take(body)
        else:
            self._answer(400, "the message ends too early")

    def do_GET(self) -> None:
        self._answer(405, "messages are posted", {"Allow": "POST"})

    def _take(self, body: bytes) -> None:
        answer: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self.server.due[self.request] = time.monotonic() + 3 * PATIENCE
        message = Incoming(self.server.path, body, self.headers.get("Idempotency-Key"), answer)
        try:
            self.server.came.put(message, timeout=PATIENCE)
            error = answer.get(timeout=PATIENCE)
        except (queue.Full, queue.Empty):
            error = NOBODY
        self._answer(503 if error == NOBODY else 422 if error else 200, error)

    def _answer(self, status: int, error: str | None, headers: dict[str, str] | None = None) -> None:
        body = json.dumps({"error": error} if error else {"status": "done"}).encode()
        self.send_response(status)
        for name, value in {
            "Content-Type": "application/json",
            "Content-Length": str(len(body)),
            **(headers or {}),
        }.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)
        self.close_connection = True

    def log_message(self, format: str, *args: Any) -> None:
        """Requests are not logged: what is wrong with a message is said on the bus."""
