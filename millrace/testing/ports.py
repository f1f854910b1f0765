"""Ports of their own for servers in tests and benchmarks."""

from __future__ import annotations

import random
import socket
from contextlib import suppress

_given: set[int] = set()


def free_port() -> int:
    """A TCP port of the loopback interface that nobody listens on now, and that no connection is given by itself.

    (Linux gives those from 32768 on to whoever connects: such a one may be taken before a server gets to it.)
    A process is given each port once, for a server that needs several asks for all before it takes one.
    """
    while True:
        port = random.randrange(20_000, 32_000)
        with socket.socket() as taken, suppress(OSError):
            taken.bind(("127.0.0.1", port))
            if port not in _given:
                _given.add(port)
                return port
