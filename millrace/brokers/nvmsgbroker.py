"""nvmsgbroker's adapters, connection strings and cfg files → addresses of ours."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

from ..core.errors import ConfigError, did_you_mean
from ..deepstream import Report, Section, read
from ..deepstream.keyfile import parse_keyfile

SHARED = "connections are shared by nobody here: each publisher has its own"
LIBRARIES = ("kafka", "mqtt", "amqp", "azure", "azure_edge", "redis")


def library_kind(library: str) -> str:
    """`/opt/…/libnvds_kafka_proto.so` → `kafka`. Raises ConfigError for an adapter that is none of DeepStream's."""
    match = re.fullmatch(r"libnvds_(\w+?)_proto\.so", Path(library).name)
    if match and match[1] in LIBRARIES:
        return match[1]
    known = [f"libnvds_{name}_proto.so" for name in LIBRARIES]
    raise ConfigError(
        f"{library} is no adapter of DeepStream's.{did_you_mean(library, known)} They are: {', '.join(known)}"
    )


def address(
    library: str, connection: str = "", config: str | None = None, topic: str = "", consume: bool = False
) -> tuple[str, Report]:
    """The address that stands for an adapter (`proto-lib`), its `conn-str`, its cfg file and the `topic`.

    `consume`: to receive from, not to send to. Also the report on the cfg file's keys. As in DeepStream the text after
    the last `;` of the connection string is the topic where none is given. Raises ConfigError for what cannot be
    understood.
    """
    kind = library_kind(library)
    report = Report(read(config) if config else parse_keyfile("", "<no cfg file>"))
    section = report.section("message-broker")
    _settings_of_the_library(report)
    section.ignore(SHARED, "share-connection")
    parts = connection.split(";") if connection else []
    url = (_CONSUMED if consume else {}).get(kind, _KINDS[kind])(section, parts, topic, connection)
    report.finish()
    return url, report


def _settings_of_the_library(report: Report) -> None:
    own = report.section("nvmsgbroker")
    why = "the delivery tries again by itself, with growing pauses, until the broker is back"
    own.ignore(why, "auto-reconnect", "retry-interval", "max-retry-limit", "work-interval")


def _url(
    scheme: str, host: str, port: Any, topic: str, options: dict[str, Any], user: Any = None, word: Any = None
) -> str:
    who = f"{quote(user, safe='')}:{quote(word or '', safe='')}@" if user else ""
    given = {name: value for name, value in options.items() if value not in (None, "")}
    query = f"?{urlencode(given)}" if given else ""
    return f"{scheme}://{who}{host}{f':{port}' if port else ''}/{quote(topic)}{query}"


def _host(parts: list[str], section: Section, kind: str) -> tuple[str, str]:
    host = parts[0].strip() if parts else section.text("hostname", "")
    port = parts[1].strip() if len(parts) > 1 else str(section.integer("port", 0) or "")
    if not host or (port and not port.isdigit()):
        raise ConfigError(f"{kind}: the connection string {';'.join(parts[:2])!r}… is not `host;port`")
    section.ignore("the connection string says it", "hostname", "port") if parts else None
    return host, port


def _topic(parts: list[str], topic: str) -> str:
    return topic or (parts[2].strip() if len(parts) > 2 else "")


def _who(user: str | None, word: str | None, kind: str) -> tuple[str | None, str | None]:
    """User and password; those of the environment win, as in DeepStream."""
    return os.environ.get(f"USER_{kind}") or user, os.environ.get(f"PASSWORD_{kind}") or word


def _librdkafka(section: Section, *keys: str) -> dict[str, Any]:
    """Settings of librdkafka as `"key=value;key=value"`."""
    options: dict[str, Any] = {}
    for key in keys:
        text = (section.text(key, "") or "").strip().strip('"')
        options |= dict(pair.strip().partition("=")[::2] for pair in text.split(";") if pair.strip())
    return options


def _kafka(section: Section, parts: list[str], topic: str, whole: str) -> str:
    host, port = _host(parts, section, "kafka")
    options = _librdkafka(section, "proto-cfg", "producer-proto-cfg")
    section.ignore("it is for consuming", "consumer-group-id", "consumer-proto-cfg")
    if "partition-key" in section:
        section.ignore("messages are keyed by stream; set `key` to change it", "partition-key")
    return _url("kafka", host, port, _topic(parts, topic), options)


def _kafka_consumer(section: Section, parts: list[str], topic: str, whole: str) -> str:
    host, port = _host(parts, section, "kafka")
    own = {"auto.offset.reset": "earliest", "group.id": section.text("consumer-group-id", "test-consumer-group")}
    options = own | _librdkafka(section, "proto-cfg", "consumer-proto-cfg")
    section.ignore("it is for sending", "producer-proto-cfg", "partition-key")
    return _url("kafka", host, port, _topic(parts, topic), options)


def _mqtt_consumer(section: Section, parts: list[str], topic: str, whole: str) -> str:
    url = _mqtt(section, parts, topic, whole)
    section.ignore("it is the publisher's: a broker knows one client by it", "client-id")
    return re.sub(r"client_id=[^&]*&?", "", url)


def _redis_consumer(section: Section, parts: list[str], topic: str, whole: str) -> str:
    host, port = _host(parts, section, "redis")
    options = {
        "payload": section.text("payloadkey", None), "group": section.text("consumergroup", "redis-consumer-group"),
        "consumer": section.text("consumername", "redis-consumer"),
    }  # fmt: skip
    section.ignore("it is for sending", "streamsize", "flush-timeout", "sensorid")
    _, word = _who(None, section.text("password", None), "REDIS")
    return _url("redis", host, port, _topic(parts, topic), options, "default" if word else None, word)


def _mqtt(section: Section, parts: list[str], topic: str, whole: str) -> str:
    host, port = _host(parts, section, "mqtt")
    secure = section.boolean("enable-tls", False)
    options: dict[str, Any] = {
        "qos": 1, "client_id": section.text("client-id", None), "keepalive": section.integer("keep-alive", None),
    }  # fmt: skip
    ca, folder = section.path("tls-cafile", None), section.path("tls-capath", None)
    cert, key = section.path("tls-certfile", None), section.path("tls-keyfile", None)
    if secure:
        options |= {"ca": ca or folder, "cert": cert, "key": key}
    section.ignore("the client has a thread of its own", "loop-timeout", "set-threaded")
    user, word = _who(section.text("username", None), section.text("password", None), "MQTT")
    return _url("mqtts" if secure else "mqtt", host, port, _topic(parts, topic), options, user, word)


def _amqp(section: Section, parts: list[str], topic: str, whole: str) -> str:
    host, port = _host(parts, section, "amqp")
    user = parts[2].strip() if len(parts) > 2 else section.text("username", None)
    word = parts[3].strip() if len(parts) > 3 else section.text("password", None)
    user, word = _who(user, word, "AMQP")
    options = {
        "exchange": section.text("exchange", None), "frame_max": section.integer("amqp-framesize", None),
        "heartbeat": section.integer("amqp-heartbeat", None),
    }  # fmt: skip
    given = section.text("topic", "deepstream_topic")
    return _url("amqp", host, port, topic or given, options, user, word)


def _redis(section: Section, parts: list[str], topic: str, whole: str) -> str:
    host, port = _host(parts, section, "redis")
    options = {"payload": section.text("payloadkey", None), "maxlen": section.integer("streamsize", None)}
    section.ignore("it is for consuming", "consumergroup", "consumername")
    section.ignore("every batch is flushed and acknowledged", "flush-timeout")
    section.ignore("the payload names the sensor", "sensorid")
    _, word = _who(None, section.text("password", None), "REDIS")
    return _url("redis", host, port, _topic(parts, topic), options, "default" if word else None, word)


def _azure(section: Section, parts: list[str], topic: str, whole: str) -> str:
    text = whole or section.text("connection_str", "")
    pairs = dict(part.partition("=")[::2] for part in text.split(";") if part)
    if not {"HostName", "DeviceId"} <= set(pairs):
        raise ConfigError("azure: the connection string is not `HostName=…;DeviceId=…;SharedAccessKey=…`")
    options = {
        "device": pairs["DeviceId"], "sas": pairs.get("SharedAccessKey"),
        "properties": section.text("custom_msg_properties", None),
    }  # fmt: skip
    section.ignore("the end waits for the last messages as `linger` says", "cleanup-timeout")
    return _url("azure", pairs["HostName"], None, topic, options)


def _azure_edge(section: Section, parts: list[str], topic: str, whole: str) -> str:
    raise ConfigError("azure_edge: IoT Edge modules need Azure's edge runtime: use azure (a device) or mqtt instead")


_KINDS: dict[str, Callable[[Section, list[str], str, str], str]] = {
    "kafka": _kafka, "mqtt": _mqtt, "amqp": _amqp, "redis": _redis, "azure": _azure, "azure_edge": _azure_edge,
}  # fmt: skip
_CONSUMED: dict[str, Callable[[Section, list[str], str, str], str]] = {
    "kafka": _kafka_consumer, "mqtt": _mqtt_consumer, "redis": _redis_consumer,
}  # fmt: skip
