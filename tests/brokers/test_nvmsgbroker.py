"""nvmsgbroker's adapters, connection strings and cfg files."""

from __future__ import annotations

from pathlib import Path

import pytest

from millrace.brokers import open_broker
from millrace.brokers.nvmsgbroker import address
from millrace.core.errors import ConfigError

LIB = "/opt/nvidia/deepstream/deepstream/lib/libnvds_{}_proto.so"


@pytest.fixture
def cfg(tmp_path: Path):
    def write(text: str) -> str:
        path = tmp_path / "cfg.txt"
        path.write_text("[message-broker]\n" + text)
        return str(path)

    return write


def test_kafka(cfg) -> None:
    given = cfg('proto-cfg="message.max.bytes=2000000;queue.buffering.max.messages=200000"\npartition-key=sensor.id\n')
    url, report = address(LIB.format("kafka"), "localhost;9092;topic1", given)
    assert url == (
        "kafka://localhost:9092/topic1?message.max.bytes=2000000&queue.buffering.max.messages=200000"
    )  # fmt: skip
    assert report.counts() == {"applied": 1, "ignored": 1}
    assert address(LIB.format("kafka"), "h;1;a", topic="mine")[0] == "kafka://h:1/mine"


def test_mqtt(cfg) -> None:
    url, report = address(
        LIB.format("mqtt"), "host;1883;t", cfg("username=me\npassword=a b\nclient-id=x\nkeep-alive=30\n")
    )
    assert url == "mqtt://me:a%20b@host:1883/t?qos=1&client_id=x&keepalive=30"
    assert not report.warnings()
    url, _ = address(LIB.format("mqtt"), "host;8883;t", cfg("enable-tls=1\ntls-cafile=/ca.pem\n"))
    assert url == "mqtts://host:8883/t?qos=1&ca=%2Fca.pem"


def test_amqp(cfg) -> None:
    given = "hostname=localhost\nport=5672\nusername=guest\npassword=guest\nexchange=amq.topic\ntopic=topicname\n"
    url, _ = address(LIB.format("amqp"), "", cfg(given + "amqp-framesize=131072\n"))
    assert url == "amqp://guest:guest@localhost:5672/topicname?exchange=amq.topic&frame_max=131072"
    assert address(LIB.format("amqp"), "h;5672;me;word")[0] == "amqp://me:word@h:5672/deepstream_topic"


def test_redis_and_azure(cfg) -> None:
    url, _ = address(LIB.format("redis"), "localhost;6379;topic1", cfg("payloadkey=message\nstreamsize=10000\n"))
    assert url == "redis://localhost:6379/topic1?payload=message&maxlen=10000"
    url, _ = address(
        LIB.format("azure"), "HostName=h.net;DeviceId=cam0;SharedAccessKey=QUJD", cfg("custom_msg_properties=a=1;\n")
    )
    assert url == "azure://h.net/?device=cam0&sas=QUJD&properties=a%3D1%3B"


@pytest.mark.parametrize("kind", ["kafka", "mqtt", "amqp", "redis"])
def test_the_addresses_can_be_opened(kind: str) -> None:
    open_broker(address(LIB.format(kind), "localhost;1234;topic")[0]).close()


def test_what_cannot_be_understood(cfg) -> None:
    with pytest.raises(ConfigError, match=r"is no adapter of DeepStream's\. Did you mean 'libnvds_kafka_proto\.so'"):
        address("libnvds_kafak_proto.so", "h;1")
    with pytest.raises(ConfigError, match="'nonsense;port'… is not `host;port`"):
        address(LIB.format("kafka"), "nonsense;port")
    with pytest.raises(ConfigError, match="IoT Edge"):
        address(LIB.format("azure_edge"))
    with pytest.raises(ConfigError, match=r"cfg\.txt:2: \[message-broker\] enable-tls: 'maybe'"):
        address(LIB.format("mqtt"), "h;1", cfg("enable-tls=maybe\n"))
    _, report = address(LIB.format("mqtt"), "h;1", cfg("usernam=me\n"))
    assert "Did you mean 'username'?" in report.warnings()[0]


def test_every_file_of_the_corpus(deepstream_corpus: Path) -> None:
    seen = 0
    for path in sorted(deepstream_corpus.rglob("cfg_*.txt")) + sorted(deepstream_corpus.rglob("config_mqtt.txt")):
        kind = next((k for k in ("kafka", "mqtt", "amqp", "redis", "azure") if k in path.name), "kafka")
        text = "HostName=h;DeviceId=d;SharedAccessKey=QUJD" if kind == "azure" else "localhost;1234"
        _, report = address(LIB.format(kind), text, str(path))
        assert not report.warnings(), path
        seen += 1
    assert seen >= 11


def test_a_wrong_connection_string_is_told_without_its_password() -> None:
    with pytest.raises(ConfigError) as caught:
        address("libnvds_amqp_proto.so", "host;port;me;secret")
    assert "secret" not in str(caught.value)


def test_user_and_password_of_the_environment_win(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cfg = tmp_path / "cfg.txt"
    cfg.write_text("[message-broker]\nusername=file\npassword=file\n")
    url, _ = address("libnvds_mqtt_proto.so", "host;1883;topic", str(cfg))
    assert url.startswith("mqtt://file:file@host:1883/topic")
    for name in ("USER_MQTT", "PASSWORD_MQTT", "PASSWORD_REDIS"):
        monkeypatch.setenv(name, "e")
    url, _ = address("libnvds_mqtt_proto.so", "host;1883;topic", str(cfg))
    assert url.startswith("mqtt://e:e@host:1883/topic")
    url, _ = address("libnvds_redis_proto.so", "host;6379;topic", str(cfg))
    assert url.startswith("redis://default:e@host:6379/topic")
