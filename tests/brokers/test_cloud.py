"""Azure IoT Hub and AWS IoT Core as far as a machine alone can show them: a mosquitto with TLS and certificates."""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs, unquote

import pytest

from millrace.brokers import open_broker
from millrace.brokers.azure import sas_token
from millrace.brokers.base import BrokerError, Message
from millrace.brokers.incoming import open_subscriber
from millrace.core.errors import ConfigError
from millrace.testing.brokers import Mosquitto, wait_for_port

KEY = base64.b64encode(b"a device's key").decode()


def openssl(folder: Path, *arguments: str) -> None:
    subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True, timeout=60)


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """ca.pem, and server and device certificates signed by it."""
    if shutil.which("openssl") is None:
        pytest.fail("openssl is not installed") if os.environ.get("CI") == "true" else pytest.skip("no openssl")
    folder = tmp_path_factory.mktemp("tls")
    new = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    openssl(folder, "req", "-x509", *new, "-keyout", "ca.key", "-out", "ca.pem", "-days", "2", "-subj", "/CN=test ca")
    for name, subject in (("server", "localhost"), ("cam0", "cam0")):
        (folder / "ext").write_text("subjectAltName=DNS:localhost\n")
        openssl(folder, "req", *new, "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", f"/CN={subject}")
        openssl(
            folder, "x509", "-req", "-in", f"{name}.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial",
            "-out", f"{name}.pem", "-days", "2", "-extfile", "ext",
        )  # fmt: skip
    return folder


class Tls(Mosquitto):
    """A plain listener for the receiver and a TLS one, which may ask for a certificate."""

    def __init__(self, folder: Path, certificates: Path, ask: bool) -> None:
        super().__init__(folder)
        from millrace.testing.ports import free_port

        self.secure, self.certificates, self.ask = free_port(), certificates, ask

    def command(self) -> list[str]:
        line = super().command()
        here = self.certificates
        with open(self.folder / "m.conf", "a") as conf:
            conf.write(
                f"listener {self.secure} 127.0.0.1\ncafile {here}/ca.pem\ncertfile {here}/server.pem\n"
                f"keyfile {here}/server.key\nrequire_certificate {'true' if self.ask else 'false'}\n"
            )
        return line


@pytest.fixture
def server(request: pytest.FixtureRequest, tmp_path: Path, certificates: Path) -> Iterator[Tls]:
    if missing := Mosquitto.missing():
        pytest.fail(missing) if os.environ.get("CI") == "true" else pytest.skip(missing)
    made = Tls(tmp_path, certificates, request.param)
    made.start()
    wait_for_port(made.secure)
    yield made
    made.close()


def received_by(server: Tls, broker: object, topic: str) -> list[tuple[str, bytes]]:
    """What a plain subscriber gets of one message sent by `broker`."""
    import paho.mqtt.client as paho

    got: list[tuple[str, bytes]] = []
    ready: list[bool] = []
    client = paho.Client(paho.CallbackAPIVersion.VERSION2)
    client.on_message = lambda _, __, message: got.append((message.topic, message.payload))
    client.on_subscribe = lambda *_: ready.append(True)
    client.connect("127.0.0.1", server.port)
    client.subscribe("#", qos=1)
    for _ in range(200):
        client.loop(0.05)
        if ready:
            break
    broker.connect()  # type: ignore[attr-defined]
    broker.send([Message("id 1", topic, "gate", b"{}")])  # type: ignore[attr-defined]
    broker.close()  # type: ignore[attr-defined]
    for _ in range(200):
        client.loop(0.05)
        if got:
            break
    client.disconnect()
    return got


@pytest.mark.parametrize("server", [False], indirect=True)
def test_azure_with_a_shared_access_key(server: Tls, certificates: Path) -> None:
    broker = open_broker(
        f"azure://localhost:{server.secure}?device=cam0&sas={KEY.replace('=', '%3D')}&properties=site%3Dnorth"
        f"&ca={certificates}/ca.pem"
    )
    ((topic, body),) = received_by(server, broker, "events")
    head, _, bag = topic.rpartition("/")
    assert head == "devices/cam0/messages/events" and body == b"{}"
    fields = {name: values[0] for name, values in parse_qs(bag).items()}
    assert fields == {
        "$.mid": "id 1", "$.ct": "application/json", "$.ce": "utf-8", "topic": "events", "key": "gate", "site": "north",
    }  # fmt: skip


@pytest.mark.parametrize("server", [True], indirect=True)
def test_azure_with_a_certificate(server: Tls, certificates: Path) -> None:
    files = f"cert={certificates}/cam0.pem&key={certificates}/cam0.key&ca={certificates}/ca.pem"
    broker = open_broker(f"azure://localhost:{server.secure}?device=cam0&{files}")
    assert received_by(server, broker, "events")[0][0].startswith("devices/cam0/messages/events/")


@pytest.mark.parametrize("server", [False], indirect=True)
def test_azure_s_messages_to_a_device_are_received(server: Tls, certificates: Path) -> None:
    import paho.mqtt.client as paho

    options = f"device=cam0&sas={KEY.replace('=', '%3D')}&ca={certificates}/ca.pem"
    subscriber = open_subscriber(f"azure://localhost:{server.secure}?{options}")
    subscriber.connect()
    try:
        hub = paho.Client(paho.CallbackAPIVersion.VERSION2)
        hub.connect("127.0.0.1", server.port)
        hub.publish("devices/cam1/messages/devicebound/%24.mid=m0", b"for another", qos=1)
        topic = "devices/cam0/messages/devicebound/%24.mid=m%201&%24.to=%2Fdevices%2Fcam0"
        sent = hub.publish(topic, b"record", qos=1)
        for _ in range(200):
            hub.loop(0.05)
            if sent.is_published():
                break
        [message] = subscriber.receive(10)
        subscriber.done(message)
        hub.disconnect()
    finally:
        subscriber.close()
    assert (message.topic, message.body, message.id) == ("devices/cam0/messages/devicebound", b"record", "m 1")


@pytest.mark.parametrize("server", [True], indirect=True)
def test_aws_is_mqtt_with_a_certificate_and_a_protocol_name(server: Tls, certificates: Path) -> None:
    files = f"cert={certificates}/cam0.pem&key={certificates}/cam0.key&ca={certificates}/ca.pem"
    broker = open_broker(f"mqtts://localhost:{server.secure}/site/cam0?{files}&alpn=x-amzn-mqtt-ca&client_id=cam0")
    assert received_by(server, broker, "site/cam0") == [("site/cam0", b"{}")]


@pytest.mark.parametrize("server", [True], indirect=True)
def test_without_the_certificate_the_server_refuses(server: Tls, certificates: Path) -> None:
    broker = open_broker(f"mqtts://localhost:{server.secure}/x?ca={certificates}/ca.pem&timeout=20")
    with pytest.raises(BrokerError, match="mqtt: localhost"):
        broker.connect()
    broker.close()


@pytest.mark.parametrize("server", [False], indirect=True)
def test_a_server_that_nobody_vouches_for_is_refused(server: Tls) -> None:
    broker = open_broker(f"mqtts://localhost:{server.secure}/x?timeout=20")
    with pytest.raises(BrokerError, match=r"(?i)certificate"):
        broker.connect()
    broker.close()


def test_the_token_is_the_documented_signature() -> None:
    token = sas_token("hub.azure-devices.net/devices/cam0", KEY, now=1_000_000)
    fields = dict(part.split("=", 1) for part in token.removeprefix("SharedAccessSignature ").split("&"))
    signed = f"{fields['sr']}\n{fields['se']}".encode()
    assert fields["se"] == "1003600" and unquote(fields["sr"]) == "hub.azure-devices.net/devices/cam0"
    wanted = base64.b64encode(hmac.new(b"a device's key", signed, hashlib.sha256).digest()).decode()
    assert unquote(fields["sig"]) == wanted
    with pytest.raises(ConfigError, match="not base64"):
        sas_token("x", "not base64!")


def test_azure_says_what_is_missing() -> None:
    with pytest.raises(ConfigError, match="option device is missing"):
        open_broker("azure://hub")
    with pytest.raises(ConfigError, match="either sas"):
        open_broker("azure://hub?device=cam0")
