"""Kafka with confluent-kafka (librdkafka)."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from ..core.errors import ConfigError, MissingExtraError
from .base import Address, BrokerError, Message, RefusedError


def connection_settings(address: Address) -> dict[str, Any]:
    """librdkafka's settings of an address, for sending and for receiving. Raises ConfigError without a host."""
    if not address.host:
        raise ConfigError("kafka: the broker's address names no host: kafka://HOST:PORT/TOPIC")
    options = {name: value for name, value in address.options.items() if name != "timeout"}
    settings: dict[str, Any] = {
        "bootstrap.servers": options.pop("servers", f"{address.host}:{address.port or 9092}"),
        "log_level": 0,
        "error_cb": lambda error: None,  # what matters comes back with the messages
    }
    if address.username is not None:
        settings |= {"sasl.username": address.username, "sasl.password": address.password or ""}
        settings |= {"sasl.mechanism": "PLAIN", "security.protocol": "SASL_SSL"}
    return settings | options


class Kafka:
    """`kafka://host:9092/topic`; further brokers as `?servers=host:9092,host2:9092`. Messages are partitioned by key,
    so those of one stream keep their order.

    Options are librdkafka's own by name (`kafka://host:9092/topic?security.protocol=SSL&ssl.ca.location=ca.pem`),
    and `timeout` seconds. The producer is idempotent and waits for all replicas. User and password of the address
    become SASL's. The message's id goes along as a header.
    """

    def __init__(self, address: Address) -> None:
        try:
            import confluent_kafka
        except ImportError as error:
            raise MissingExtraError("a broker at kafka:", "confluent-kafka", "kafka") from error
        self.address = address
        self._kafka = confluent_kafka
        self._timeout = address.number("timeout", 10)
        self._settings: dict[str, Any] = {
            "enable.idempotence": True,
            "enable.gapless.guarantee": True,  # after a message that fails none of those behind it is taken
            "acks": "all",
            "linger.ms": 5,
            "message.timeout.ms": int(self._timeout * 1000),
            **connection_settings(address),
        }
        if str(self._settings["enable.idempotence"]).lower() == "false":
            self._settings["enable.gapless.guarantee"] = False  # there is none without
        self._producer: Any = None
        try:
            confluent_kafka.Producer(self._settings)
        except confluent_kafka.KafkaException as error:
            raise ConfigError(f"kafka: {error.args[0].str()}") from error

    def connect(self) -> None:
        self.close()
        self._producer = self._kafka.Producer(self._settings)
        try:
            self._producer.list_topics(timeout=self._timeout)
        except self._kafka.KafkaException as error:
            raise self._error(error.args[0]) from error

    def send(self, messages: Sequence[Message]) -> None:
        answers: list[Any] = [None] * len(messages)
        for index, message in enumerate(messages):
            try:
                self._producer.produce(
                    message.topic,
                    message.body,
                    message.key,
                    headers={"id": message.id, "content-type": message.content_type},
                    on_delivery=_keep(answers, index),
                )
            except self._kafka.KafkaException as error:
                answers[index] = error.args[0]
            except BufferError:
                answers[index] = "the producer's queue is full"
                break
        until = time.monotonic() + self._timeout + 5
        while self._producer.flush(0.5) and time.monotonic() < until:
            pass
        for done, answer in enumerate(answers):
            if answer is not True:
                self._refuse(answer, done)

    def _refuse(self, error: Any, done: int) -> None:
        code = getattr(error, "code", lambda: None)()
        kafka = self._kafka.KafkaError
        if code in (kafka.MSG_SIZE_TOO_LARGE, kafka.INVALID_MSG_SIZE, kafka.TOPIC_EXCEPTION):
            raise RefusedError(f"kafka: {error}", done)
        raise self._error(error, done)

    def _error(self, error: Any, done: int = 0) -> BrokerError:
        text = getattr(error, "str", lambda: str(error or "no acknowledgement"))()
        return BrokerError(f"kafka: {self._settings['bootstrap.servers']}: {text}", done)

    def close(self) -> None:
        producer, self._producer = self._producer, None
        if producer is not None:
            producer.purge()
            producer.flush(1.0)


def _keep(answers: list[Any], index: int) -> Any:
    """A callback that notes the broker's answer to one message: True, or the error."""

    def answered(error: Any, message: Any) -> None:
        answers[index] = True if error is None else error

    return answered
