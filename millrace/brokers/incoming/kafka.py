"""Messages by Kafka with confluent-kafka (librdkafka)."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

from ...core.errors import ConfigError, MissingExtraError
from ..base import Address, BrokerError
from ..kafka import connection_settings
from .base import Incoming

GROUP = "millrace"
FAREWELL = 3.0  # seconds that the broker has for what is to be committed still, when we leave


class KafkaSubscriber:
    """`kafka://host:9092/topic`; further brokers as `?servers=host:9092,host2:9092`, other options are librdkafka's.

    `group.id` is `millrace` unless it is given; a new group begins with what comes from then on
    (`auto.offset.reset=earliest`: with all that is there). A message counts as received when it was dealt with. The id
    is the header `id`.
    """

    def __init__(self, address: Address, topics: Sequence[str]) -> None:
        try:
            import confluent_kafka
        except ImportError as error:
            raise MissingExtraError("a broker at kafka:", "confluent-kafka", "kafka") from error
        self._kafka, self._topics = confluent_kafka, list(topics)
        self._timeout = address.number("timeout", 10)
        own = {"group.id": GROUP, "auto.offset.reset": "latest", "enable.auto.commit": False}
        self._settings = {**own, **connection_settings(address)}
        self._consumer: Any = None
        self._failed = list[Any]()  # why commits of this connection did
        try:
            confluent_kafka.Consumer(self._settings).close()
        except confluent_kafka.KafkaException as error:
            raise ConfigError(f"kafka: {error.args[0].str()}") from error

    def connect(self) -> None:
        self.close()
        self._failed = failed = list[Any]()
        tell = {"on_commit": lambda error, partitions: failed.append(error) if error is not None else None}
        self._consumer = self._kafka.Consumer({**self._settings, **tell})
        try:
            self._consumer.list_topics(timeout=self._timeout)
            self._consumer.subscribe(self._topics)
        except self._kafka.KafkaException as error:
            raise self._error(error.args[0]) from error

    def receive(self, seconds: float) -> list[Incoming]:
        found = []
        try:
            came = self._consumer.consume(100, timeout=seconds)
        except self._kafka.KafkaException as broken:
            raise self._error(broken.args[0]) from broken
        for message in came:
            if (error := message.error()) is not None:
                if error.code() in (
                    self._kafka.KafkaError._PARTITION_EOF,
                    self._kafka.KafkaError.UNKNOWN_TOPIC_OR_PART,
                ):
                    continue  # nothing more at the moment; a topic that is to come
                raise self._error(error)
            headers = dict(message.headers() or ())
            id = headers.get("id")
            found.append(
                Incoming(message.topic(), message.value() or b"", id.decode(errors="replace") if id else None, message)
            )
        if not found and self._failed:
            raise self._error(self._failed[0])
        return found

    def done(self, message: Incoming, error: str | None = None) -> None:
        """Does not wait for the broker, which takes minutes where it is silent: that it failed `receive` tells."""
        try:
            self._consumer.commit(message=message.ticket, asynchronous=True)
        except self._kafka.KafkaException as broken:
            raise self._error(broken.args[0]) from broken

    def _error(self, error: Any) -> BrokerError:
        return BrokerError(f"kafka: {self._settings['bootstrap.servers']}: {error.str()}")

    def close(self) -> None:
        consumer, self._consumer = self._consumer, None
        if consumer is not None:
            leaving = threading.Thread(target=consumer.close, name="millrace-kafka-leaves", daemon=True)
            leaving.start()
            leaving.join(FAREWELL)  # one that is silent holds it up as long as a session lasts: 45 s
