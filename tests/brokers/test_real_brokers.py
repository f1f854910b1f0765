"""Every broker as a real server that is killed and comes back: all arrives, in order, duplicates told by their ids."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from millrace.brokers import open_broker
from millrace.brokers.base import BrokerError, Message
from millrace.brokers.delivery import Delivery
from millrace.brokers.spool import Spool
from millrace.testing.brokers import SERVERS, TOPIC, Server, free_port

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


@pytest.mark.parametrize("scheme", ["mqtt", "amqp", "redis", "nats", "http"])
def test_nobody_there_is_a_broker_error_that_names_the_place(scheme: str) -> None:
    port = free_port()
    broker = open_broker(f"{scheme}://user:secret@127.0.0.1:{port}/t?timeout=1")
    with pytest.raises(BrokerError) as caught:
        broker.connect()
    broker.close()
    assert scheme in str(caught.value) and "secret" not in str(caught.value)
