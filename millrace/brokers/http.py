"""Webhooks: each message is POSTed."""

from __future__ import annotations

import base64
import http.client
from collections.abc import Sequence
from urllib.parse import quote, urlencode

from ..core.timed_http import TimedResponse
from ._tls import TLS_OPTIONS, tls_context
from .base import Address, BrokerError, Message, RefusedError

OPTIONS = ("timeout", *TLS_OPTIONS)
LARGEST = 1 << 16  # bytes of an answer that are read, so that the connection can be used again
NEVER = (400, 409, 410, 413, 415, 422)  # answers that lie in the message; others (401, 404, …) may go away


class Http:
    """`https://user:password@host/path`; the topic goes along as the header X-Millrace-Topic.

    A message is acknowledged by any 2xx answer and refused for good by 400, 409, 410, 413, 415 and 422; after any other
    answer it is sent again. The id is the header Idempotency-Key; topic and key are percent-encoded. Options:
    `timeout` seconds, `ca`, `cert`, `key`; others are the receiver's and stay in the address.
    """

    def __init__(self, address: Address) -> None:
        Address(address.scheme, address.host).check()
        self.address = address
        theirs = {name: value for name, value in address.options.items() if name not in OPTIONS}
        self._target = (quote(address.path) or "/") + (f"?{urlencode(theirs)}" if theirs else "")
        self._tls = tls_context(address) if address.scheme == "https" else None
        self._headers = {}
        if address.username is not None:
            pair = f"{address.username}:{address.password or ''}".encode()
            self._headers["Authorization"] = "Basic " + base64.b64encode(pair).decode()
        self._connection: http.client.HTTPConnection | None = None
        self._answered = False  # the connection has carried an answer

    def connect(self) -> None:
        self.close()
        host, port, timeout = self.address.host, self.address.port, self.address.number("timeout", 10)
        self._connection = (
            http.client.HTTPSConnection(host, port, timeout=timeout, context=self._tls)
            if self._tls is not None
            else http.client.HTTPConnection(host, port, timeout=timeout)
        )
        self._connection.response_class = TimedResponse
        self._answered = False
        try:
            self._connection.connect()
        except OSError as error:
            raise BrokerError(f"{self.address.scheme}: {host}: {error}") from error

    def send(self, messages: Sequence[Message]) -> None:
        for done, message in enumerate(messages):
            status, reason = self._post(message, done)
            if 200 <= status < 300:
                continue
            text = f"{self.address.scheme}: {self.address.host}: {status} {reason}"
            raise (RefusedError if status in NEVER else BrokerError)(text, done)

    def _post(self, message: Message, done: int) -> tuple[int, str]:
        headers = {
            **self._headers, "Content-Type": message.content_type, "Idempotency-Key": message.id,
            "X-Millrace-Topic": quote(message.topic), "X-Millrace-Key": quote(message.key),
        }  # fmt: skip
        try:
            try:
                return self._exchange(message.body, headers)
            except ConnectionError:
                if not self._answered or self._connection is None:
                    raise
                self._connection.close()  # a server closes a connection that rests: once more, on a new one
                return self._exchange(message.body, headers)
        except (OSError, http.client.HTTPException) as error:
            text = str(error) or type(error).__name__
            raise BrokerError(f"{self.address.scheme}: {self.address.host}: {text}", done) from error

    def _exchange(self, body: bytes, headers: dict[str, str]) -> tuple[int, str]:
        assert self._connection is not None
        self._connection.request("POST", self._target, body, headers)
        with self._connection.getresponse() as answer:
            self._answered = True
            answer.read(LARGEST)
            if not answer.isclosed():  # there is more of it
                self._connection.close()
            return answer.status, answer.reason

    def close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()
