"""Messages from Azure's IoT Hub to a device (cloud to device), by MQTT as in brokers.azure."""

from __future__ import annotations

from collections.abc import Sequence

from ..azure import inner_address, password
from ..base import Address
from .mqtt import MqttSubscriber


def open_azure(address: Address, topics: Sequence[str]) -> MqttSubscriber:
    """`azure://hub.azure-devices.net?device=cam0&sas=KEY`, or `&cert=…&key=…`: the messages for this device.

    The hub keeps them while the device is away. Its topic is Azure's own: `topics` are not asked.
    """
    device = address.options.get("device", "")
    inner = inner_address(address)
    session = {"session": "3600"}
    lasting = Address(
        inner.scheme, inner.host, inner.port, inner.path, inner.username, None, {**inner.options, **session}
    )
    return MqttSubscriber(lasting, [f"devices/{device}/messages/devicebound/#"], password(address))
