"""Messages from brokers: one file for each kind; `listener` keeps the connection and hands them on."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module

from ...core.errors import ConfigError, did_you_mean
from ..base import Address
from .base import Subscriber

__all__ = ["SCHEMES", "open_subscriber"]

SCHEMES = {
    "amqp": "amqp:AmqpSubscriber",
    "amqps": "amqp:AmqpSubscriber",
    "azure": "azure:open_azure",
    "file": "file:FileSubscriber",
    "http": "http:HttpSubscriber",
    "kafka": "kafka:KafkaSubscriber",
    "mqtt": "mqtt:MqttSubscriber",
    "mqtts": "mqtt:MqttSubscriber",
    "nats": "nats:NatsSubscriber",
    "redis": "redis:RedisSubscriber",
    "rediss": "redis:RedisSubscriber",
}


def open_subscriber(url: str, topics: Sequence[str] = ()) -> Subscriber:
    """What receives the messages of a broker's URL, not connected yet.

    `topics` stand for the one in the address. Raises ConfigError for an address that cannot work, MissingExtraError
    where its library is not installed.
    """
    address = Address.parse(url)
    if address.scheme not in SCHEMES:
        known = ", ".join(f"{name}:" for name in SCHEMES)
        near = did_you_mean(address.scheme, SCHEMES)
        raise ConfigError(f"messages come from one of {known} and this address begins with {address.scheme!r}.{near}")
    wanted = tuple(topics) or ((address.topic,) if address.topic else ())
    if not wanted and address.scheme not in ("azure", "file", "http"):
        raise ConfigError(f"{address.scheme}: the address names no topic to listen to: {address.scheme}://HOST/TOPIC")
    module, _, name = SCHEMES[address.scheme].partition(":")
    made: Subscriber = getattr(import_module(f".{module}", __package__), name)(address, wanted)
    return made
