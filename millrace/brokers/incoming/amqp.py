"""Messages by AMQP 0-9-1 (RabbitMQ) with pika."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ..amqp import Amqp
from ..base import Address
from .base import Incoming


class AmqpSubscriber(Amqp):
    """`amqp://user:password@host:5672/topic` with the options of publishing (see brokers.amqp); `*` and `#` in topics
    are AMQP's own.

    A queue of its own is bound to the exchange and goes when the connection does; with `queue=NAME` it is a durable
    one, which keeps what comes while nobody listens. The id is `message_id`.
    """

    def __init__(self, address: Address, topics: Sequence[str]) -> None:
        options = {name: value for name, value in address.options.items() if name != "queue"}
        super().__init__(replace(address, options=options))
        self._topics = topics
        self._queue = address.options.get("queue", "")

    def connect(self) -> None:
        self.close()
        try:
            self._connection = self._pika.BlockingConnection(self._parameters)
            with self._in_time():
                self._channel = self._connection.channel()
                lasting = bool(self._queue)
                declared = self._channel.queue_declare(self._queue, durable=lasting, exclusive=not lasting)
                self._name = declared.method.queue
                for topic in self._topics:
                    self._channel.queue_bind(self._name, self._exchange, topic)
                self._channel.basic_qos(prefetch_count=100)
        except self._failures as error:
            raise self._error(error) from error

    def receive(self, seconds: float) -> list[Incoming]:
        try:
            with self._in_time(seconds=seconds + self._timeout):
                for method, properties, body in self._channel.consume(self._name, inactivity_timeout=seconds):
                    if method is None:
                        return []
                    return [Incoming(method.routing_key, body, properties.message_id, method.delivery_tag)]
        except self._failures as error:
            raise self._error(error) from error
        return []

    def done(self, message: Incoming, error: str | None = None) -> None:
        try:
            with self._in_time():
                self._channel.basic_ack(message.ticket)
        except self._failures as broken:
            raise self._error(broken) from broken
