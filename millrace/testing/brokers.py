"""Real brokers on loopback ports of their own, for tests and benchmarks: started, killed, started again.

Each is the server of a Debian package (mosquitto, redis-server, nats-server, rabbitmq-server); Kafka is the mock
cluster inside librdkafka, a real server of the protocol that keeps its messages in memory: it is halted, not killed.
"""

from __future__ import annotations

import asyncio
import getpass
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

from .ports import free_port

TOPIC = "cams"


class Received(NamedTuple):
    """A message as a receiver sees it."""

    id: str
    key: str
    body: bytes


def wait_for_port(port: int, seconds: float = 60.0) -> None:
    """Raises TimeoutError when nothing listens there in time."""
    until = time.monotonic() + seconds
    while True:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1.0):
            return
        if time.monotonic() > until:
            raise TimeoutError(f"nothing listens on port {port} after {seconds:g} s")
        time.sleep(0.05)


class Server(ABC):
    """A broker's process in a folder of its own."""

    program: ClassVar[str] = ""
    package: ClassVar[str] = ""
    scheme: ClassVar[str] = ""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self.process: subprocess.Popen[bytes] | None = None

    @classmethod
    def missing(cls) -> str | None:
        """What must be installed, None when all is there."""
        there = shutil.which(cls.program) or Path("/usr/sbin", cls.program).exists()
        return None if there else f"{cls.package} is not installed: apt-get install {cls.package}"

    @property
    def url(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.port}/{TOPIC}"

    @abstractmethod
    def command(self) -> list[str]:
        """The server's program and its arguments."""

    def environment(self) -> dict[str, str]:
        return dict(os.environ)

    def start(self) -> None:
        path = os.environ.get("PATH", "") + ":/usr/sbin"
        with open(self.folder / "log.txt", "ab") as log:
            self.process = subprocess.Popen(
                self.command(), cwd=self.folder, env={**self.environment(), "PATH": path}, stdout=log, stderr=log,
                start_new_session=True,
            )  # fmt: skip
        wait_for_port(self.port)

    def kill(self, how: int = signal.SIGKILL) -> None:
        """End the process and all that it started."""
        process, self.process = self.process, None
        if process is not None:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, how)
            process.wait(20)

    def prepare(self) -> None:
        """Make what keeps messages until `received` asks for them; the server runs."""

    @abstractmethod
    def received(self, count: int, seconds: float = 30.0) -> list[Received]:
        """What arrived, in order: at least `count` messages with different ids, or what there is in time."""

    def close(self) -> None:
        self.kill()


class Mosquitto(Server):
    """Keeps the messages of a subscriber with a lasting session; killed by SIGTERM, for it saves when it ends."""

    program, package, scheme = "mosquitto", "mosquitto", "mqtt"

    def command(self) -> list[str]:
        (self.folder / "m.conf").write_text(
            f"listener {self.port} 127.0.0.1\nallow_anonymous true\nmax_queued_messages 0\npersistence true\n"
            f"persistence_location {self.folder}/\nmax_inflight_messages 0\n"
            f"user {getpass.getuser()}\n"  # as root it would become another user, who cannot write here
        )
        return ["mosquitto", "-c", "m.conf"]

    def kill(self, how: int = signal.SIGTERM) -> None:
        super().kill(how)

    def prepare(self) -> None:
        self._subscribed().disconnect()

    def _subscribed(self, got: list[Received] | None = None) -> Any:
        import paho.mqtt.client as paho
        from paho.mqtt.packettypes import PacketTypes
        from paho.mqtt.properties import Properties

        lasting = Properties(PacketTypes.CONNECT)
        lasting.SessionExpiryInterval = 3600
        client = paho.Client(paho.CallbackAPIVersion.VERSION2, client_id="receiver", protocol=5)
        done: list[Any] = []

        def take(_: Any, __: Any, message: Any) -> None:
            user = dict(message.properties.UserProperty)
            if got is not None:
                got.append(Received(user["id"], user["key"], message.payload))

        client.on_message = take
        client.on_subscribe = lambda *_: done.append(True)
        client.connect("127.0.0.1", self.port, clean_start=False, properties=lasting)
        client.subscribe(f"{TOPIC}/#", qos=1)
        until = time.monotonic() + 10
        while not done and time.monotonic() < until:
            client.loop(0.05)
        return client

    def received(self, count: int, seconds: float = 30.0) -> list[Received]:
        got: list[Received] = []
        client = self._subscribed(got)
        until = time.monotonic() + seconds
        while len({each.id for each in got}) < count and time.monotonic() < until:
            client.loop(0.05)
        client.disconnect()
        return got


class Redis(Server):
    """Every entry is forced to its log."""

    program, package, scheme = "redis-server", "redis-server", "redis"

    def command(self) -> list[str]:
        return ["redis-server", "--bind", "127.0.0.1", "--port", str(self.port), "--save", "", "--appendonly", "yes",
                "--appendfsync", "always"]  # fmt: skip

    def received(self, count: int, seconds: float = 30.0) -> list[Received]:
        import redis

        with redis.Redis(port=self.port) as client:
            entries: Any = client.xrange(TOPIC)
        return [Received(f[b"id"].decode(), f[b"key"].decode(), f[b"metadata"]) for _, f in entries]


class Nats(Server):
    """JetStream on files; the server itself drops messages with an id that it has."""

    program, package, scheme = "nats-server", "nats-server", "nats"

    def command(self) -> list[str]:
        return ["nats-server", "-a", "127.0.0.1", "-p", str(self.port), "-js", "-sd", str(self.folder / "js")]

    def prepare(self) -> None:
        async def make(client: Any) -> None:
            await client.jetstream().add_stream(name="cams", subjects=[f"{TOPIC}.>", TOPIC])

        self._with_client(make)

    def received(self, count: int, seconds: float = 30.0) -> list[Received]:
        async def fetch(client: Any) -> list[Received]:
            consumer = await client.jetstream().pull_subscribe(TOPIC, durable="reader")
            got: list[Received] = []
            until = time.monotonic() + seconds
            while len(got) < count and time.monotonic() < until:
                with suppress(TimeoutError):
                    for message in await consumer.fetch(500, timeout=2):
                        got.append(Received(message.headers["Nats-Msg-Id"], message.headers["key"], message.data))
                        await message.ack()
            return got

        found: list[Received] = self._with_client(fetch)
        return found

    def stored(self, stream: str) -> list[str]:
        """The ids of the messages that a stream of the server holds, in order."""

        async def read(client: Any) -> list[str]:
            context = client.jetstream()
            state = (await context.stream_info(stream)).state
            found = [await context.get_msg(stream, n) for n in range(state.first_seq, state.last_seq + 1)]
            return [each.headers["Nats-Msg-Id"] for each in found]

        ids: list[str] = self._with_client(read)
        return ids

    def _with_client(self, work: Any) -> Any:
        import nats

        async def run() -> Any:
            client = await nats.connect(f"nats://127.0.0.1:{self.port}")
            try:
                return await work(client)
            finally:
                await client.close()

        return asyncio.run(run())


class Rabbit(Server):
    """A durable queue bound to amq.topic; it takes some seconds to start."""

    program, package, scheme = "rabbitmq-server", "rabbitmq-server", "amqp"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.inner = free_port()
        self.epmd = free_port()

    def command(self) -> list[str]:
        (self.folder / "rabbitmq.conf").write_text(f"listeners.tcp.default = 127.0.0.1:{self.port}\n")
        (self.folder / "plugins").write_text("[].")
        return ["/usr/lib/rabbitmq/bin/rabbitmq-server"]

    def environment(self) -> dict[str, str]:
        here = str(self.folder)
        return {
            **os.environ,
            "HOME": here,
            "RABBITMQ_CONFIG_FILE": f"{here}/rabbitmq.conf",
            "RABBITMQ_NODENAME": f"t{self.port}@localhost",
            "RABBITMQ_DIST_PORT": str(self.inner),
            "RABBITMQ_MNESIA_BASE": here,
            "RABBITMQ_LOG_BASE": here,
            "RABBITMQ_ENABLED_PLUGINS_FILE": f"{here}/plugins",
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "ERL_EPMD_PORT": str(self.epmd),  # a port mapper of its own, which ends with it
            "ERL_EPMD_RELAXED_COMMAND_CHECK": "true",  # also before it has noticed that the server is gone
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1}",
        }

    def start(self) -> None:
        import pika

        super().start()
        until = time.monotonic() + 30
        while True:  # the port listens before the server can be talked to
            try:
                with self._channel():
                    return
            except (pika.exceptions.AMQPError, OSError):
                if time.monotonic() > until:
                    raise
                time.sleep(0.2)

    @contextmanager
    def _channel(self) -> Iterator[Any]:
        import pika

        connection = pika.BlockingConnection(pika.ConnectionParameters("127.0.0.1", self.port))
        try:
            yield connection.channel()
        finally:
            connection.close()

    def prepare(self) -> None:
        with self._channel() as channel:
            channel.queue_declare("reader", durable=True)
            channel.queue_bind("reader", "amq.topic", f"{TOPIC}.#")

    def received(self, count: int, seconds: float = 30.0) -> list[Received]:
        import pika

        got: list[Received] = []
        until = time.monotonic() + seconds
        while True:  # after a kill it takes a while to find its queue again: it is asked anew
            with suppress(pika.exceptions.AMQPError), self._channel() as channel:
                while (found := channel.basic_get("reader", auto_ack=True))[0] is not None:
                    _, properties, body = found
                    got.append(Received(properties.message_id, properties.headers["key"], body))
            if len({each.id for each in got}) >= count or time.monotonic() > until:
                return got
            time.sleep(0.2)

    def close(self) -> None:
        self.kill()
        subprocess.run(["epmd", "-port", str(self.epmd), "-kill"], capture_output=True, timeout=10, check=False)


class Kafka(Server):
    """librdkafka's mock cluster of three brokers in a process of its own."""

    scheme = "kafka"
    SCRIPT = (
        "import sys, confluent_kafka\n"
        "p = confluent_kafka.Producer({'test.mock.num.brokers': 3, 'bootstrap.servers': 'x'})\n"
        "print(','.join(f'{b.host}:{b.port}' for b in p.list_topics(timeout=10).brokers.values()), flush=True)\n"
        "sys.stdin.read()\n"
    )
    servers = ""

    @classmethod
    def missing(cls) -> str | None:
        from importlib.util import find_spec

        return None if find_spec("confluent_kafka") else "confluent-kafka is an extra: pip install 'millrace[kafka]'"

    @property
    def url(self) -> str:
        host = self.servers.split(",")[0]
        return f"kafka://{host}/{TOPIC}?servers={self.servers}&timeout=4"

    def command(self) -> list[str]:
        return [sys.executable, "-c", self.SCRIPT]

    def start(self) -> None:
        if self.process is not None:  # it was halted
            os.killpg(self.process.pid, signal.SIGCONT)
            return
        self.process = subprocess.Popen(
            self.command(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
        )
        assert self.process.stdout is not None
        self.servers = self.process.stdout.readline().decode().strip()

    def kill(self, how: int = signal.SIGSTOP) -> None:
        if self.process is not None:
            os.killpg(self.process.pid, how)

    def received(self, count: int, seconds: float = 30.0) -> list[Received]:
        import confluent_kafka

        consumer = confluent_kafka.Consumer(
            {"bootstrap.servers": self.servers, "group.id": "reader", "auto.offset.reset": "earliest", "log_level": 0}
        )
        consumer.subscribe([TOPIC])
        got: list[Received] = []
        until = time.monotonic() + seconds
        while len({each.id for each in got}) < count and time.monotonic() < until:
            for message in consumer.consume(500, timeout=0.5):
                if message.error() is None:
                    headers = dict(message.headers())
                    got.append(Received(headers["id"].decode(), message.key().decode(), message.value()))
        consumer.close()
        return got

    def close(self) -> None:
        process, self.process = self.process, None
        if process is not None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait(10)
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    pipe.close()


SERVERS: dict[str, type[Server]] = {
    "mqtt": Mosquitto, "redis": Redis, "nats": Nats, "amqp": Rabbit, "kafka": Kafka,
}  # fmt: skip
