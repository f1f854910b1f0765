"""Messages → brokers: one file for each kind; `delivery` sees that nothing that was accepted is lost."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from ..core.errors import ConfigError, did_you_mean
from .base import Address, Broker

__all__ = ["SCHEMES", "open_broker"]

SCHEMES = {
    "amqp": "amqp:Amqp",
    "amqps": "amqp:Amqp",
    "azure": "azure:open_azure",
    "file": "file:File",
    "http": "http:Http",
    "https": "http:Http",
    "kafka": "kafka:Kafka",
    "mqtt": "mqtt:Mqtt",
    "mqtts": "mqtt:Mqtt",
    "nats": "nats:Nats",
    "redis": "redis:Redis",
    "rediss": "redis:Redis",
}
GROUP = "millrace.brokers"


def open_broker(url: str) -> Broker:
    """The broker of a URL, not connected yet.

    Other packages add kinds by entry points of the group `millrace.brokers`: the name is the scheme, the value a
    function or class that takes an `Address`. Raises ConfigError for an address that cannot work and
    MissingExtraError where its library is not installed.
    """
    address = Address.parse(url)
    if address.scheme in SCHEMES:
        module, _, name = SCHEMES[address.scheme].partition(":")
        broker: Broker = getattr(import_module(f".{module}", __package__), name)(address)
        return broker
    others = _entry_points()
    if address.scheme in others:
        made: Broker = others[address.scheme].load()(address)
        return made
    known = sorted({*SCHEMES, *others})
    said = f"a broker's address begins with one of {', '.join(f'{name}:' for name in known)}"
    raise ConfigError(f"{said}; this one with {address.scheme!r}.{did_you_mean(address.scheme, known)}")


def _entry_points() -> dict[str, Any]:
    from importlib.metadata import entry_points  # slow to import, and seldom needed

    return {point.name: point for point in entry_points(group=GROUP)}
