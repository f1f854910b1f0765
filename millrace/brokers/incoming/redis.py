"""Messages by Redis streams."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from ..base import Address
from ..redis import Redis
from .base import Incoming

GROUP = "millrace"


class RedisSubscriber(Redis):
    """`redis://:password@host:6379/stream` with the options of publishing (see brokers.redis).

    Options of its own: `group` (millrace) and `consumer` (this machine's name). The group begins with what comes after
    it was made; what comes while nobody listens waits in the stream. The message is the field that `payload` names
    (metadata), else `value`, else the only one; the id is the field `id`.
    """

    def __init__(self, address: Address, topics: Sequence[str]) -> None:
        options = {name: value for name, value in address.options.items() if name not in ("group", "consumer")}
        super().__init__(replace(address, options=options))
        self._topics = topics
        self._group = address.options.get("group", GROUP)
        self._consumer = address.options.get("consumer") or socket.gethostname()
        self._again = True  # what an earlier life received and did not finish comes first

    def connect(self) -> None:
        super().connect()
        self._again = True
        for topic in self._topics:
            try:
                self._client.xgroup_create(topic, self._group, id="$", mkstream=True)
            except self._redis.ResponseError as error:
                if not str(error).startswith("BUSYGROUP"):
                    raise self._error(error) from error
            except self._redis.RedisError as error:
                raise self._error(error) from error

    def receive(self, seconds: float) -> list[Incoming]:
        wanted = dict.fromkeys(self._topics, "0" if self._again else ">")
        block = None if self._again else max(1, round(seconds * 1000))
        try:
            answer: Any = self._client.xreadgroup(self._group, self._consumer, wanted, count=100, block=block)
        except self._redis.RedisError as error:
            raise self._error(error) from error
        found = [
            self._incoming(topic.decode(), number, fields)
            for topic, entries in (answer.items() if isinstance(answer, dict) else answer or ())
            for number, fields in entries
            if fields
        ]
        self._again = self._again and bool(found)
        return found

    def _incoming(self, topic: str, number: bytes, fields: dict[bytes, bytes]) -> Incoming:
        rest = [value for name, value in fields.items() if name not in (b"id", b"key")]
        body = fields.get(self._payload.encode(), fields.get(b"value", rest[0] if rest else b""))
        id = fields.get(b"id")
        return Incoming(topic, body, None if id is None else id.decode(errors="replace"), number)

    def done(self, message: Incoming, error: str | None = None) -> None:
        try:
            self._client.xack(message.topic, self._group, message.ticket)
        except self._redis.RedisError as broken:
            raise self._error(broken) from broken
