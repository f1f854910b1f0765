"""Messages from Azure's IoT Hub to a device (cloud to device), by MQTT as in brokers.azure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qs

from ..azure import inner_address, password
from ..base import Address
from .base import Incoming
from .mqtt import MqttSubscriber

SESSION = "3600"  # any time: the hub itself keeps messages for an hour, or as long as it is told


def open_azure(address: Address, topics: Sequence[str]) -> AzureSubscriber:
    """`azure://hub.azure-devices.net?device=cam0&sas=KEY`, or `&cert=…&key=…`: the messages for this device.

    The hub keeps them while the device is away. The topic is Azure's own: `topics` are not asked.
    """
    return AzureSubscriber(address)


class AzureSubscriber(MqttSubscriber):
    """An MQTT subscriber whose topic, user and password are Azure's. The id is the system property `$.mid`."""

    def __init__(self, address: Address) -> None:
        inner = inner_address(address)
        lasting = replace(inner, options={**inner.options, "session": SESSION})
        topic = f"devices/{address.options['device']}/messages/devicebound/#"
        super().__init__(lasting, [topic], password(address))

    def _incoming(self, client: Any, message: Any) -> Incoming:
        topic, _, bag = message.topic.rpartition("/")
        ids = parse_qs(bag).get("$.mid")
        return replace(super()._incoming(client, message), topic=topic, id=ids[0] if ids else None)
