"""Azure IoT Hub for devices: MQTT 3.1.1 over TLS, with a shared access key or an X.509 certificate.

The protocol is described in "Communicate with an IoT hub using the MQTT protocol" (Microsoft Learn, API version
2021-04-12): user `{host}/{device}/?api-version=…`, a SAS token as password, and the topic
`devices/{device}/messages/events/` with the message's properties at its end.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from urllib.parse import quote, urlencode

from ..core.errors import ConfigError
from ._tls import TLS_OPTIONS
from .base import Address, Message
from .mqtt import Mqtt

API = "2021-04-12"
LIFE = 3600  # seconds that a token is good for; a new one is made at each connection
OPTIONS = ("device", "sas", "timeout", "keepalive", "properties", *TLS_OPTIONS)


def open_azure(address: Address) -> AzureDevice:
    """`azure://hub.azure-devices.net?device=cam0&sas=KEY`, or `&cert=cam0.pem&key=cam0.key` instead of `sas`.

    `properties` (`a=1;b=2`) go along with every message. The topic is Azure's own.
    """
    return AzureDevice(address)


def inner_address(address: Address) -> Address:
    """The MQTT address that stands for a device's. Raises ConfigError for what is missing."""
    address.check(*OPTIONS)
    device, key = address.options.get("device"), address.options.get("sas")
    if not device:
        raise ConfigError("azure: the option device is missing: azure://HUB?device=NAME&sas=KEY")
    if bool(key) == bool(address.options.get("cert")):
        raise ConfigError("azure: give either sas (the device's shared access key) or cert and key (X.509)")
    if key is not None:
        sas_token("", key)  # a key that is none is an error now
    options = {name: value for name, value in address.options.items() if name not in ("device", "sas", "properties")}
    return replace(
        address, scheme="mqtts", port=address.port or 8883, username=f"{address.host}/{device}/?api-version={API}",
        options={**options, "version": "3.1.1", "client_id": device},
    )  # fmt: skip


def password(address: Address) -> Callable[[], str | None]:
    """What gives a new token for each connection, or nothing where a certificate speaks for the device."""
    device, key = address.options.get("device"), address.options.get("sas")
    return lambda: None if key is None else sas_token(f"{address.host}/devices/{device}", key)


class AzureDevice:
    """An MQTT broker whose topic, user and password are Azure's."""

    def __init__(self, address: Address) -> None:
        inner = inner_address(address)
        extra = address.options.get("properties", "")
        self._properties = dict(pair.partition("=")[::2] for pair in extra.split(";") if pair)
        self._topic = f"devices/{address.options['device']}/messages/events/"
        self._mqtt = Mqtt(inner, password(address))

    def connect(self) -> None:
        self._mqtt.connect()

    def send(self, messages: Sequence[Message]) -> None:
        self._mqtt.send([replace(message, topic=self._topic + self._bag(message)) for message in messages])

    def _bag(self, message: Message) -> str:
        system = {"$.mid": message.id, "$.ct": message.content_type, "$.ce": "utf-8"}
        return urlencode({**system, "topic": message.topic, "key": message.key, **self._properties}, quote_via=quote)

    def close(self) -> None:
        self._mqtt.close()


def sas_token(resource: str, key: str, now: float | None = None) -> str:
    """A shared access signature for a resource: HMAC-SHA256 of `{resource}\\n{expiry}` with the decoded key."""
    expiry = int((time.time() if now is None else now) + LIFE)
    target = quote(resource, safe="")
    try:
        secret = base64.b64decode(key, validate=True)
    except binascii.Error as error:
        raise ConfigError("azure: the shared access key is not base64") from error
    digest = hmac.new(secret, f"{target}\n{expiry}".encode(), hashlib.sha256).digest()
    signature = quote(base64.b64encode(digest).decode(), safe="")
    return f"SharedAccessSignature sr={target}&sig={signature}&se={expiry}"
