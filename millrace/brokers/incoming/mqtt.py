"""Messages by MQTT 5 and 3.1.1 with paho-mqtt."""

from __future__ import annotations

import queue
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

from ...core.errors import ConfigError
from ..base import Address, BrokerError
from ..mqtt import Mqtt
from .base import Incoming


class MqttSubscriber(Mqtt):
    """`mqtt://user:password@host:1883/topic` with the options of publishing (see brokers.mqtt); `+` and `#` in topics
    are MQTT's own.

    What is sent while nobody listens is lost, unless `session` says for how many seconds the broker shall keep it;
    that needs a `client_id`. A message is acknowledged when it was dealt with (QoS 1). Its id is the user property
    `id`, where the sender gives one.
    """

    def __init__(
        self, address: Address, topics: Sequence[str], password: Callable[[], str | None] | None = None
    ) -> None:
        self._lasts = int(address.number("session", 0))
        if self._lasts and not address.options.get("client_id"):
            raise ConfigError("mqtt: a session that lasts needs a client_id: ?session=3600&client_id=NAME")
        options = {name: value for name, value in address.options.items() if name != "session"}
        super().__init__(replace(address, options=options), password)
        self._topics = topics
        self._came: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._granted: list[Any] | None = None  # the broker's reasons, topic by topic

    def client_options(self) -> dict[str, Any]:
        options: dict[str, Any] = {"manual_ack": True}
        return options if self.is_version_5 else {**options, "clean_session": not self._lasts}

    def connect_options(self) -> dict[str, Any]:
        if not self.is_version_5:
            return {}
        from paho.mqtt.packettypes import PacketTypes
        from paho.mqtt.properties import Properties

        properties = Properties(PacketTypes.CONNECT)
        properties.SessionExpiryInterval = self._lasts
        return {"clean_start": not self._lasts, "properties": properties}

    def prepare(self, client: Any) -> None:
        client.on_message = lambda _, __, message: self._came.put((client, message))
        client.on_subscribe = self._on_subscribe

    def connect(self) -> None:
        self._granted = None
        super().connect()
        self._client.subscribe([(topic, min(1, self.qos)) for topic in self._topics])
        with self._state:
            self._state.wait_for(lambda: self._granted is not None or self._answer != "", timeout=self._timeout)
        granted: list[Any] = self._granted or []
        refused = [str(reason) for reason in granted if reason.is_failure]
        if self._granted is None or refused:
            why = refused[0] if refused else self._answer or "no answer"
            raise BrokerError(f"mqtt: {self.address.host}: {', '.join(self._topics)} cannot be subscribed to: {why}")

    def _on_subscribe(self, client: Any, data: Any, number: int, reasons: Any, properties: Any) -> None:
        with self._state:
            self._granted = list(reasons)
            self._state.notify_all()

    def receive(self, seconds: float) -> list[Incoming]:
        found = []
        with suppress(queue.Empty):
            found.append(self._incoming(*self._came.get(timeout=seconds)))
            while True:
                found.append(self._incoming(*self._came.get_nowait()))
        if not found and self._answer != "":
            raise BrokerError(f"mqtt: {self.address.host}: {self._answer or 'no connection'}")
        return found

    def _incoming(self, client: Any, message: Any) -> Incoming:
        user = dict(getattr(message.properties, "UserProperty", ())) if message.properties else {}
        return Incoming(message.topic, bytes(message.payload), user.get("id"), (client, message.mid, message.qos))

    def done(self, message: Incoming, error: str | None = None) -> None:
        client, number, qos = message.ticket
        if client is self._client:  # else the connection broke, and it comes again
            client.ack(number, qos)
