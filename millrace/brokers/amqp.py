"""AMQP 0-9-1 (RabbitMQ) with pika."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from ..core.errors import MissingExtraError
from ._tls import TLS_OPTIONS, tls_context
from .base import Address, BrokerError, Message

OPTIONS = ("exchange", "vhost", "heartbeat", "frame_max", "timeout", *TLS_OPTIONS)
FAREWELL = 2.0  # seconds that the server has to answer that we leave
PERSISTENT = 2  # delivery mode: queues keep the message on disk


class Amqp:
    """`amqp://user:password@host:5672/topic`, `amqps://…` with TLS; user and password also from USER_AMQP and
    PASSWORD_AMQP.

    The topic is the routing key. Options: `exchange` (amq.topic), `vhost` (/), `heartbeat` seconds, `frame_max`
    bytes, `timeout` seconds, `ca`, `cert`, `key`. Messages are persistent and carry their id as `message_id`. Each call
    is one transaction: a round trip for all its messages, not one for each. A message that no queue takes is
    acknowledged, too: RabbitMQ forgets it, so bind a durable queue before.
    """

    def __init__(self, address: Address) -> None:
        try:
            import pika
            from pika.adapters.utils.connection_workflow import AMQPConnectorException
        except ImportError as error:
            raise MissingExtraError("a broker at amqp:", "pika", "amqp") from error
        address.check(*OPTIONS)
        self.address = address
        self._pika = pika
        # a server that accepts and does not answer is no AMQPError
        self._failures = (pika.exceptions.AMQPError, AMQPConnectorException, OSError)
        user = address.username or os.environ.get("USER_AMQP") or "guest"
        password = address.password or os.environ.get("PASSWORD_AMQP") or "guest"
        secure = address.scheme == "amqps"
        timeout = self._timeout = address.number("timeout", 10)
        heartbeat = address.options.get("heartbeat")
        self._parameters = pika.ConnectionParameters(
            host=address.host,
            port=address.port or (5671 if secure else 5672),
            virtual_host=address.options.get("vhost", "/"),
            credentials=pika.PlainCredentials(user, password, erase_on_connect=False),
            heartbeat=None if heartbeat is None else int(address.number("heartbeat", 0)),
            frame_max=int(address.number("frame_max", 131072)),
            socket_timeout=timeout,
            stack_timeout=timeout,
            blocked_connection_timeout=timeout,
            ssl_options=pika.SSLOptions(tls_context(address), address.host) if secure else None,
        )
        self._exchange = address.options.get("exchange", "amq.topic")
        self._connection: Any = None
        self._channel: Any = None

    def connect(self) -> None:
        self.close()
        try:
            self._connection = self._pika.BlockingConnection(self._parameters)
            with self._in_time():
                self._channel = self._connection.channel()
                self._channel.tx_select()
        except self._failures as error:
            raise self._error(error) from error

    def send(self, messages: Sequence[Message]) -> None:
        try:
            for message in messages:
                properties = self._pika.BasicProperties(
                    message_id=message.id, content_type=message.content_type, delivery_mode=PERSISTENT,
                    headers={"key": message.key},
                )  # fmt: skip
                with self._in_time():
                    self._channel.basic_publish(self._exchange, message.topic, message.body, properties)
            with self._in_time():
                self._channel.tx_commit()
        except self._failures as error:
            raise self._error(error) from error

    @contextmanager
    def _in_time(self, connection: Any = None, seconds: float | None = None) -> Iterator[None]:
        """pika waits for an answer as long as a connection stands: cut it after so many seconds (`timeout`)."""
        inner = (connection or self._connection)._impl
        within = self._timeout if seconds is None else seconds
        late = TimeoutError(f"no answer within {within:g} s")
        timer = inner.ioloop.call_later(within, lambda: inner._terminate_stream(late))
        try:
            yield
        finally:
            inner.ioloop.remove_timeout(timer)

    def _error(self, error: Exception) -> BrokerError:
        text = str(error) or type(error).__name__
        return BrokerError(f"amqp: {self._parameters.host}:{self._parameters.port}: {text}")

    def close(self) -> None:
        connection, self._connection, self._channel = self._connection, None, None
        if connection is not None and connection.is_open:
            try:
                with self._in_time(connection, min(FAREWELL, self._timeout)):
                    connection.close()
            except self._failures:  # it broke while closing: closed it is
                return
