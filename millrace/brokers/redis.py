"""Redis streams."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from ..core.errors import MissingExtraError
from ._tls import TLS_OPTIONS, tls_context
from .base import Address, BrokerError, Message, RefusedError

OPTIONS = ("db", "payload", "maxlen", "timeout", *TLS_OPTIONS)


class Redis:
    """`redis://user:password@host:6379/stream`, `rediss://…` with TLS; the password also from PASSWORD_REDIS.

    Options: `db`, `payload` (name of the field with the message: metadata), `maxlen` (the stream is cut to about so
    many entries; none: never), `timeout` seconds, `ca`, `cert`, `key`. Entries carry the fields `id` and `key`, too.
    Each call is one transaction: the user needs the rights to XADD, MULTI and EXEC.
    """

    def __init__(self, address: Address) -> None:
        try:
            import redis
            from redis.backoff import NoBackoff
            from redis.retry import Retry
        except ImportError as error:
            raise MissingExtraError("a broker at redis:", "redis", "redis") from error
        address.check(*OPTIONS)
        self.address = address
        self._redis = redis
        timeout = address.number("timeout", 10)
        secure: dict[str, Any] = {}
        if address.scheme == "rediss":
            tls_context(address)  # says what is wrong with the files
            names = {"ca": "ssl_ca_certs", "cert": "ssl_certfile", "key": "ssl_keyfile"}
            secure = {"ssl": True} | {names[k]: v for k, v in address.options.items() if k in names}
        # no tries of its own, which multiply the timeout by eleven: who sends tries again
        self._client = redis.Redis(
            host=address.host, port=address.port or 6379, db=int(address.number("db", 0)), username=address.username,
            password=address.password or os.environ.get("PASSWORD_REDIS"), socket_timeout=timeout,
            socket_connect_timeout=timeout, retry=Retry(NoBackoff(), 0), **secure,
        )  # fmt: skip
        self._payload = address.options.get("payload", "metadata")
        self._maxlen = int(address.number("maxlen", 0)) or None

    def connect(self) -> None:
        try:
            self._client.ping()
        except self._redis.RedisError as error:
            raise self._error(error) from error

    def send(self, messages: Sequence[Message]) -> None:
        pipe = self._client.pipeline(transaction=True)  # all or none: none is stored before one that was refused
        for message in messages:
            fields = {self._payload: message.body, "id": message.id, "key": message.key}
            pipe.xadd(message.topic, fields, maxlen=self._maxlen, approximate=True)
        try:
            answers = pipe.execute(raise_on_error=False)
        except self._redis.RedisError as error:
            raise self._error(error) from error
        for done, answer in enumerate(answers):
            if isinstance(answer, Exception):  # a right, room or a setting that is missing: it may be given
                wrong_key = str(answer).startswith("WRONGTYPE")
                raise (
                    RefusedError(f"redis: {messages[done].topic}: {answer}", done)
                    if wrong_key
                    else self._error(answer, done)
                )

    def _error(self, error: Exception, done: int = 0) -> BrokerError:
        return BrokerError(f"redis: {self.address.host}:{self.address.port or 6379}: {error}", done)

    def close(self) -> None:
        self._client.close()
