"""Messages by NATS, plain or JetStream, with nats-py."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

from ..base import Address
from ..nats import Nats
from .base import Incoming


class NatsSubscriber(Nats):
    """`nats://host:4222/subject` with the options of publishing (see brokers.nats); `*` and `>` are NATS's own.

    What is sent while nobody listens is lost, unless `durable=NAME` asks for a consumer of JetStream, which must cover
    the subjects; it acknowledges what was dealt with. The id is `Nats-Msg-Id`.
    """

    def __init__(self, address: Address, topics: Sequence[str]) -> None:
        options = {name: value for name, value in address.options.items() if name != "durable"}
        super().__init__(replace(address, options=options))
        self._topics = topics
        self._durable = address.options.get("durable", "")
        self._came: Any = None

    def connect(self) -> None:
        super().connect()
        try:
            self._run(self._in_time(self._subscribe()))
        except (OSError, TimeoutError, self._nats.errors.Error, self._nats.js.errors.Error) as error:
            raise self._error(error) from error

    async def _subscribe(self) -> None:
        self._came = asyncio.Queue()
        for number, topic in enumerate(self._topics):
            if self._durable:
                name = f"{self._durable}-{number}" if number else self._durable
                await self._client.jetstream().subscribe(topic, durable=name, cb=self._came.put, manual_ack=True)
            else:
                await self._client.subscribe(topic, cb=self._came.put)
        await self._client.flush()

    def receive(self, seconds: float) -> list[Incoming]:
        found: list[Incoming] = self._run(self._take(seconds))
        if not found and not self._client.is_connected:
            raise self._error(OSError("the connection is lost"))
        return found

    async def _take(self, seconds: float) -> list[Incoming]:
        found = []
        with suppress(TimeoutError, asyncio.QueueEmpty):
            found.append(await asyncio.wait_for(self._came.get(), seconds))
            while True:
                found.append(self._came.get_nowait())
        return [Incoming(each.subject, each.data, (each.headers or {}).get("Nats-Msg-Id"), each) for each in found]

    def done(self, message: Incoming, error: str | None = None) -> None:
        if not self._durable:
            return
        try:
            self._run(message.ticket.ack())
        except (OSError, TimeoutError, self._nats.errors.Error) as broken:
            raise self._error(broken) from broken
