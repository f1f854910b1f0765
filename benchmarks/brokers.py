"""Messages through each broker, which is killed and started again in mid-run: what arrives, in which order, how fast.

    python benchmarks/brokers.py --messages 10000 --kills 2

Every broker is a real server in a process of its own on loopback (Kafka: librdkafka's mock cluster, halted instead of
killed). Each message goes through the spool on disk; throughput is of the whole, without and with the outages.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from collections import Counter
from pathlib import Path

from millrace.brokers import open_broker
from millrace.brokers.base import Message
from millrace.brokers.delivery import Delivery
from millrace.brokers.spool import Spool
from millrace.testing.brokers import SERVERS, TOPIC, Received, Server

KEYS = 4
OUTAGE = 1.0  # seconds that the broker is away
BODY = b'{"stream":"cam","frame":1,"objects":[' + b'{"box":[1,2,3,4],"label":"car"},' * 8 + b"{}]}"


def run(server: Server, folder: Path, count: int, kills: int, topic: str = TOPIC) -> tuple[float, Delivery]:
    """Seconds until the last message is acknowledged."""
    spool = Spool(str(folder / f"spool{kills}.sqlite"))
    delivery = Delivery(open_broker(server.url), spool, warn=lambda text: None)
    started = time.perf_counter()
    marks = {count * (n + 1) // (kills + 1) // 10 * 10 for n in range(kills)}
    for n in range(0, count, 10):
        delivery.accept([Message(f"{kills}-{i}", topic, f"cam{i % KEYS}", BODY) for i in range(n, min(n + 10, count))])
        if n in marks:
            server.kill()
            time.sleep(OUTAGE)
            server.start()
    left = delivery.drain(120)
    took = time.perf_counter() - started
    if left:
        raise SystemExit(f"{left} messages were not delivered in time")
    return took, delivery


def measure(name: str, count: int, kills: int) -> str:
    with tempfile.TemporaryDirectory() as text:
        folder = Path(text)
        server = SERVERS[name](folder)
        server.start()
        try:
            server.prepare()
            quick, delivery = run(server, folder, count, 0)
            delivery.close()
            slow, delivery = run(server, folder, count, kills)
            retries = delivery.counts.retries
            delivery.close()
            got = server.received(2 * count, 60)
        finally:
            server.close()
    seen = Counter(each.id for each in got)
    lost = 2 * count - len(seen)
    ordered = all(_ordered(got, f"cam{key}") for key in range(KEYS))
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return (
        f"| {name} | {count / quick:,.0f} | {slow:.1f} s | {retries} | {lost} | {len(got) - len(seen)} | "
        f"{'kept' if ordered else 'BROKEN'} | {memory:.0f} MB |"
    )


def _ordered(got: list[Received], key: str) -> bool:
    """Whether first arrivals of one key are in the order of sending."""
    order = [tuple(map(int, each.id.split("-"))) for each in got if each.key == key]
    return order == sorted(order) or list(dict.fromkeys(order)) == sorted(set(order))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--messages", type=int, default=10_000)
    parser.add_argument("--kills", type=int, default=2)
    parser.add_argument("--only", nargs="+", default=list(SERVERS), choices=list(SERVERS))
    arguments = parser.parse_args()
    print("| broker | messages/s, quiet | with outages | failed attempts | lost | twice | order by key | peak memory |")
    print("| --- | ---: | ---: | ---: | ---: | ---: | --- | ---: |")
    for name in arguments.only:
        print(measure(name, arguments.messages, arguments.kills), flush=True)


if __name__ == "__main__":
    main()
