"""MQTT 5 and 3.1.1 with paho-mqtt."""

from __future__ import annotations

import os
import socket
import threading
import time
import uuid
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from ..core.errors import ConfigError, MissingExtraError
from ._tls import TLS_OPTIONS, ClosingSocket, tls_context
from .base import Address, BrokerError, Message, RefusedError, waves

OPTIONS = ("qos", "retain", "client_id", "version", "keepalive", "timeout", *TLS_OPTIONS)
FAREWELL = 1.0  # seconds that a broker has to take our goodbye
NEVER = (0x90, 0x99)  # reasons that lie in the message: topic name invalid, payload format invalid
VERSIONS = {"5": 5, "3.1.1": 4}


class Mqtt:
    """`mqtt://user:password@host:1883/topic`, `mqtts://…` with TLS; user and password also from USER_MQTT and
    PASSWORD_MQTT.

    Options: `qos` (1; 0 is not acknowledged: what is under way when the connection breaks is lost), `retain`,
    `client_id` (random), `version` (5 or 3.1.1), `keepalive` and `timeout` in seconds, `ca`, `cert`, `key`, `alpn`.
    In version 5 the message's id and key go along as user properties `id` and `key`.
    """

    def __init__(self, address: Address, password: Callable[[], str | None] | None = None) -> None:
        """`password` is asked at every connection, for those that expire."""
        try:
            import paho.mqtt.client as paho
        except ImportError as error:
            raise MissingExtraError("a broker at mqtt:", "paho-mqtt", "mqtt") from error
        address.check(*OPTIONS)
        self.address = address
        self.qos = int(address.number("qos", 1))
        version = address.options.get("version", "5")
        if version not in VERSIONS or self.qos not in (0, 1, 2):
            raise ConfigError("mqtt: version is 5 or 3.1.1, qos 0, 1 or 2")
        self._paho, self._version = paho, VERSIONS[version]
        self._client_id = address.options.get("client_id") or f"millrace-{uuid.uuid4().hex[:12]}"
        self._timeout = address.number("timeout", 10)
        self._tls = tls_context(address) if address.scheme == "mqtts" else None
        if self._tls is not None:
            self._tls.sslsocket_class = ClosingSocket
        self._username = address.username or os.environ.get("USER_MQTT")
        self._password = password or (lambda: address.password or os.environ.get("PASSWORD_MQTT"))
        self._client: Any = None
        self._state = threading.Condition()
        self._answer: str | None = None  # of the broker to our connect: "" is welcome
        self._acknowledged: set[int] = set()
        self._refused: dict[int, Any] = {}  # reason codes by packet: MQTT 5 acknowledges and refuses in one

    @property
    def is_version_5(self) -> bool:
        return self._version == 5

    def client_options(self) -> dict[str, Any]:
        """What a subscriber asks of its client beyond what publishing needs."""
        return {}

    def connect_options(self) -> dict[str, Any]:
        """The same for its connection."""
        return {}

    def prepare(self, client: Any) -> None:
        """Called with each client before it connects."""

    def connect(self) -> None:
        self.close()
        paho = self._paho
        client = paho.Client(
            paho.CallbackAPIVersion.VERSION2, client_id=self._client_id, protocol=self._version,
            reconnect_on_failure=False,  # the delivery decides what is sent again
            **self.client_options(),
        )  # fmt: skip
        client.max_inflight_messages_set(0)  # bounded by the delivery's batch
        if self._tls is not None:
            client.tls_set_context(self._tls)
        if self._username is not None:
            client.username_pw_set(self._username, self._password())
        client.on_connect, client.on_disconnect = self._on_connect, self._on_disconnect
        client.on_publish = self._on_publish
        self.prepare(client)
        self._answer = None
        self._acknowledged.clear()
        self._refused.clear()
        port = self.address.port or (8883 if self._tls is not None else 1883)
        client.connect_timeout = self._timeout
        try:
            keepalive = int(self.address.number("keepalive", 60))
            client.connect(self.address.host, port, keepalive=keepalive, **self.connect_options())
        except (OSError, ValueError) as error:
            raise BrokerError(f"mqtt: {self.address.host}:{port}: {error}") from error
        self._client = client
        client.loop_start()
        with self._state:
            self._state.wait_for(lambda: self._answer is not None, timeout=self._timeout)
        if self._answer != "":
            raise BrokerError(f"mqtt: {self.address.host}:{port}: {self._answer or 'no answer'}")

    def send(self, messages: Sequence[Message]) -> None:
        done = 0
        for wave in waves(messages):
            try:
                self._send(wave)
            except BrokerError as error:
                error.acknowledged += done
                raise
            done += len(wave)

    def _send(self, messages: Sequence[Message]) -> None:
        numbers: list[int] = []
        for message in messages:
            try:
                info = self._client.publish(
                    message.topic, message.body, self.qos, self.address.flag("retain"), self._properties(message)
                )
            except ValueError as error:  # no legal topic, or a body beyond the protocol's limit
                self._wait(numbers)
                raise RefusedError(f"mqtt: {error}", len(numbers)) from error
            numbers.append(info.mid)
            if info.rc != self._paho.MQTT_ERR_SUCCESS:
                break
        self._wait(numbers, len(messages))

    def _wait(self, numbers: list[int], wanted: int | None = None) -> None:
        """Wait until the broker has acknowledged these packets; BrokerError says how many of the first it has."""
        until = time.monotonic() + self._timeout
        with self._state:
            while self._answer == "" and not all(n in self._acknowledged or n in self._refused for n in numbers):
                if not self._state.wait(until - time.monotonic()) and time.monotonic() >= until:
                    break
            done = next((n for n, number in enumerate(numbers) if number not in self._acknowledged), len(numbers))
            self._acknowledged.difference_update(numbers)
            reason = self._refused.get(numbers[done]) if done < len(numbers) else None
        if reason is not None:
            text = f"mqtt: {self.address.host}: {reason}"
            raise (RefusedError if reason.value in NEVER else BrokerError)(text, done)
        if done < (len(numbers) if wanted is None else wanted):
            raise BrokerError(f"mqtt: {self.address.host}: {self._answer or 'no acknowledgement'}", done)

    def _properties(self, message: Message) -> Any:
        if self._version != 5:
            return None
        from paho.mqtt.packettypes import PacketTypes
        from paho.mqtt.properties import Properties

        properties = Properties(PacketTypes.PUBLISH)
        properties.ContentType = message.content_type
        properties.UserProperty = [("id", message.id), ("key", message.key)]
        return properties

    def close(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            client.disconnect()
            # one that reads no more would hold up paho's thread, and us, for the keepalive's time
            cutting = threading.Timer(FAREWELL, _cut, [client.socket()])
            cutting.start()
            client.loop_stop()
            cutting.cancel()
            cutting.join()

    def _on_connect(self, client: Any, data: Any, flags: Any, reason: Any, properties: Any) -> None:
        with self._state:
            self._answer = str(reason) if reason.is_failure else ""
            self._state.notify_all()

    def _on_disconnect(self, client: Any, data: Any, flags: Any, reason: Any, properties: Any) -> None:
        with self._state:
            if client is self._client or self._answer is None:
                self._answer = f"disconnected: {reason}"
            self._state.notify_all()

    def _on_publish(self, client: Any, data: Any, number: int, reason: Any, properties: Any) -> None:
        with self._state:
            if reason is not None and reason.is_failure:
                self._refused[number] = reason
            else:
                self._acknowledged.add(number)
            self._state.notify_all()


def _cut(line: socket.socket | None) -> None:
    with suppress(OSError):  # it is closed already
        if line is not None:
            line.shutdown(socket.SHUT_RDWR)
