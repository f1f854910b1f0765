"""Every broker as a real server that is killed and comes back: all arrives, in order, duplicates told by their ids."""

from __future__ import annotations

import os
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from millrace.brokers import open_broker
from millrace.brokers.base import BrokerError, Message, RefusedError, waves
from millrace.brokers.delivery import Delivery
from millrace.brokers.spool import Spool
from millrace.testing.brokers import SERVERS, TOPIC, Mosquitto, Nats, Rabbit, Server
from millrace.testing.ports import free_port

COUNT = 600


@pytest.mark.parametrize("server", list(SERVERS), indirect=True)
def test_nothing_is_lost_over_an_outage(server: Server, tmp_path: Path) -> None:
    spool = Spool(str(tmp_path / "spool.sqlite"))
    said: list[str] = []
    delivery = Delivery(open_broker(server.url), spool, warn=said.append)
    try:
        for n in range(COUNT):
            delivery.accept([Message(f"{n:05}", TOPIC, f"cam{n % 2}", b'{"n":%d}' % n)])
            if n == COUNT // 3:
                server.kill()
                time.sleep(0.3)
            if n == 2 * COUNT // 3:
                server.start()
        assert delivery.drain(60) == 0
    finally:
        delivery.close()
    got = server.received(COUNT)
    assert {each.id for each in got} == {f"{n:05}" for n in range(COUNT)}
    assert all(each.body == b'{"n":%d}' % int(each.id) for each in got)
    for key in ("cam0", "cam1"):
        first = list(dict.fromkeys(each.id for each in got if each.key == key))
        assert first == sorted(first)


def test_rabbitmq_leaves_no_port_mapper_behind(tmp_path: Path) -> None:
    if missing := Rabbit.missing():
        pytest.fail(missing) if os.environ.get("CI") == "true" else pytest.skip(missing)
    server = Rabbit(tmp_path)
    try:
        server.start()
        socket.create_connection(("127.0.0.1", server.epmd), timeout=10).close()
    finally:
        server.close()
    until = time.monotonic() + 10
    with pytest.raises(ConnectionRefusedError):
        while time.monotonic() < until:
            socket.create_connection(("127.0.0.1", server.epmd), timeout=10).close()
            time.sleep(0.1)


@pytest.mark.parametrize("scheme", ["mqtt", "amqp", "redis", "nats", "http"])
def test_nobody_there_is_a_broker_error_that_names_the_place(scheme: str) -> None:
    port = free_port()
    broker = open_broker(f"{scheme}://user:secret@127.0.0.1:{port}/t?timeout=1")
    with pytest.raises(BrokerError) as caught:
        broker.connect()
    broker.close()
    assert scheme in str(caught.value) and "secret" not in str(caught.value)


@pytest.mark.parametrize("scheme", ["mqtt", "amqp", "redis", "nats"])
def test_a_server_that_accepts_and_says_nothing_is_a_broker_error_in_time(scheme: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        broker = open_broker(f"{scheme}://127.0.0.1:{server.getsockname()[1]}/t?timeout=0.5")
        begun = time.monotonic()
        with pytest.raises(BrokerError, match=scheme):
            broker.connect()
        broker.close()
    assert time.monotonic() - begun < 5


INFO = b'INFO {"server_id":"x","version":"2.10.0","max_payload":1048576,"headers":true}\r\n'


@pytest.mark.parametrize(
    ("said", "timeout", "why"),
    [
        ([], 0.5, "no answer within 0.5 s"),
        ([INFO], 0.5, "no answer within 0.5 s"),
        ([INFO, b"-ERR 'Authorization Violation'\r\n"], 20, "Authorization Violation"),
        ([b"HTTP/1.1 400 Bad Request\r\n"], 20, "empty response from server"),
    ],
)
def test_a_connection_to_nats_that_fails_half_way_is_closed_and_says_why(
    said: list[bytes], timeout: float, why: str
) -> None:
    pytest.importorskip("nats")
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(20)
        broker = open_broker(f"nats://127.0.0.1:{server.getsockname()[1]}/t?timeout={timeout}")
        with ThreadPoolExecutor(1) as other:
            connecting = other.submit(broker.connect)
            peer, _ = server.accept()
            with peer:
                peer.settimeout(20)
                for line in said:
                    with suppress(ConnectionResetError, BrokenPipeError):  # a slow machine: it has given up already
                        peer.sendall(line)
                with pytest.raises(BrokerError, match=why):
                    connecting.result(20)
                with suppress(ConnectionResetError):
                    while peer.recv(4096):  # it ends only because the broker closed it
                        pass
        broker.close()


@pytest.mark.parametrize("server", ["nats"], indirect=True)
def test_a_client_of_nats_that_gets_no_time_to_close_is_no_error_and_ends_later(
    server: Nats, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("millrace.brokers.nats.CLOSING", 0.02)
    broker: Any = open_broker(server.url)
    broker.connect()
    loop, thread, go_on = broker._loop, broker._thread, threading.Event()
    loop.call_soon_threadsafe(go_on.wait, 20)  # as a machine that is too busy
    broker.close()
    assert thread.is_alive()
    go_on.set()
    thread.join(20)
    assert not thread.is_alive() and loop.is_closed()


def test_nats_is_refused_at_once_where_nobody_listens() -> None:
    pytest.importorskip("nats")
    broker = open_broker(f"nats://127.0.0.1:{free_port()}/t?timeout=60")
    begun = time.monotonic()
    with pytest.raises(BrokerError, match="Connect call failed"):
        broker.connect()
    broker.close()
    assert time.monotonic() - begun < 10


class Forbidding(Mosquitto):
    """Lets everybody write to one topic only, and says so in its acknowledgement."""

    def command(self) -> list[str]:
        command = super().command()
        (self.folder / "acl").write_text(f"topic write {TOPIC}/open\ntopic read {TOPIC}/#\n")
        with open(self.folder / "m.conf", "a") as file:
            file.write(f"acl_file {self.folder}/acl\n")
        return command


def test_what_mqtt_acknowledges_as_refused_is_not_delivered(tmp_path: Path) -> None:
    if missing := Forbidding.missing():
        pytest.fail(missing) if os.environ.get("CI") == "true" else pytest.skip(missing)
    server = Forbidding(tmp_path)
    server.start()
    server.prepare()
    broker = open_broker(server.url)
    try:
        broker.connect()
        told = [Message(str(n), f"{TOPIC}/{where}", "k", b"{}") for n, where in enumerate(("open", "closed", "open"))]
        with pytest.raises(BrokerError, match="Not authorized") as caught:
            broker.send(told)
        assert type(caught.value) is BrokerError and caught.value.acknowledged == 1
        broker.connect()
        broker.send([Message("3", f"{TOPIC}/open", "k", b"{}")])
        assert [each.id for each in server.received(2)] == ["0", "3"]  # what came behind it must not overtake it
    finally:
        broker.close()
        server.close()


@pytest.mark.parametrize("server", ["redis"], indirect=True)
def test_a_right_that_is_missing_in_redis_loses_nothing(server: Server) -> None:
    import redis

    with redis.Redis(port=server.port) as admin:
        admin.execute_command("ACL SETUSER me on >word ~* +ping +client +multi +exec")
        broker = open_broker(f"redis://me:word@127.0.0.1:{server.port}/t")
        broker.connect()
        message = Message("1", "t", "k", b"{}")
        with pytest.raises(BrokerError, match="permission") as caught:
            broker.send([message])
        assert type(caught.value) is BrokerError
        admin.execute_command("ACL SETUSER me +xadd")
        broker.send([message])
        admin.set("u", "1")
        with pytest.raises(RefusedError, match="u: WRONGTYPE"):
            broker.send([Message("2", "u", "k", b"{}")])
        broker.close()


@pytest.mark.parametrize("server", ["redis"], indirect=True)
def test_redis_stores_none_behind_one_that_it_refuses(server: Server) -> None:
    import redis

    with redis.Redis(port=server.port) as admin:
        admin.execute_command("ACL SETUSER me on >word ~a* +@all")
        broker = open_broker(f"redis://me:word@127.0.0.1:{server.port}/t")
        broker.connect()
        told = [Message(str(n), topic, "k", b"{}") for n, topic in enumerate(("a", "b", "a"))]
        with pytest.raises(BrokerError, match="permission") as caught:
            broker.send(told)
        assert caught.value.acknowledged == 0 and admin.xlen("a") == 0
        admin.execute_command("ACL SETUSER me ~*")
        broker.send(told)
        assert (admin.xlen("a"), admin.xlen("b")) == (2, 1)
        broker.close()


@pytest.mark.parametrize("server", ["nats"], indirect=True)
def test_nats_stores_none_behind_one_that_it_refuses(server: Nats) -> None:
    async def small(client: Any) -> None:
        await client.jetstream().add_stream(name="small", subjects=["small"], max_bytes=4000, discard="new")

    server._with_client(small)
    broker = open_broker(server.url)
    broker.connect()
    broker.send([Message("0", "small", "k", b"x" * 1000)])
    with pytest.raises(BrokerError, match="maximum bytes") as caught:
        broker.send([Message(str(n), "small", "k", b"x" * size) for n, size in enumerate((9, 9, 4000, 9, 9), 1)])
    broker.close()
    assert caught.value.acknowledged == 2 and type(caught.value) is BrokerError
    assert server.stored("small") == ["0", "1", "2"]


@pytest.mark.parametrize("server", ["nats"], indirect=True)
def test_two_who_send_to_one_stream_of_nats_both_keep_their_order(server: Nats) -> None:
    async def shared(client: Any) -> None:
        await client.jetstream().add_stream(name="both", subjects=["both.>"])

    server._with_client(shared)
    failed: list[BaseException] = []

    def send(who: str) -> None:
        broker = open_broker(server.url)
        try:
            broker.connect()
            for n in range(0, 200, 20):
                broker.send([Message(f"{who}{m:03}", f"both.{who}", who, b"{}") for m in range(n, n + 20)])
        except BaseException as error:
            failed.append(error)
        finally:
            broker.close()

    threads = [threading.Thread(target=send, args=(who,)) for who in "ab"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert failed == []
    stored = server.stored("both")
    for who in "ab":
        assert [id for id in stored if id.startswith(who)] == [f"{who}{n:03}" for n in range(200)]


def test_waves_end_where_a_key_goes_to_another_topic() -> None:
    def cut(*pairs: str) -> list[str]:
        return ["".join(m.key + m.topic for m in wave) for wave in waves([Message("", p[1], p[0], b"") for p in pairs])]

    assert cut() == [] and cut("k1", "k1", "j2", "j2") == ["k1k1j2j2"]
    assert cut("k1", "k2", "k2", "k1", "j1") == ["k1", "k2k2", "k1j1"]


@pytest.mark.parametrize("server", ["nats"], indirect=True)
def test_what_is_no_subject_of_nats_is_refused(server: Server) -> None:
    broker = open_broker(server.url)
    broker.connect()
    with pytest.raises(RefusedError, match="'front door' is no subject") as caught:
        broker.send([Message("1", TOPIC, "k", b"{}"), Message("2", "front door", "k", b"{}")])
    broker.close()
    assert caught.value.acknowledged == 1 and [each.id for each in server.received(1)] == ["1"]


def test_a_line_that_was_cut_off_does_not_spoil_the_next(tmp_path: Path) -> None:
    path = tmp_path / "m.jsonl"
    path.write_text('{"id":"1"}\n{"id":')
    broker = open_broker(f"file:{path}")
    broker.connect()
    broker.send([Message("2", "t", "k", b"{}")])
    broker.close()
    assert path.read_text().splitlines()[1:] == ['{"id":', '{"id":"2","topic":"t","key":"k","body":{}}']
