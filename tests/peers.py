"""Peers that do not behave: they accept a connection, say some of what they should, and no more."""

from __future__ import annotations

import http.client
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType


class Peer:
    """A TCP server on loopback: `play(line)` for each connection, then it waits for the other side to close it.

    `play` may raise OSError: the connection has ended. With `deaf` nothing is read behind `play`.
    """

    def __init__(self, play: Callable[[socket.socket], None] = lambda line: None, deaf: bool = False) -> None:
        self._play, self._deaf = play, deaf
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._server.getsockname()[1]
        self.came = self.open = 0  # connections
        self._lines: list[socket.socket] = []
        self._changed = threading.Condition()
        self._end = threading.Event()
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def _accept(self) -> None:
        with suppress(OSError):  # closed: the end
            while True:
                line, _ = self._server.accept()
                with self._changed:
                    self.came, self.open = self.came + 1, self.open + 1
                self._lines.append(line)
                self._threads.append(threading.Thread(target=self._serve, args=(line,)))
                self._threads[-1].start()

    def _serve(self, line: socket.socket) -> None:
        with suppress(OSError):
            self._play(line)
            if self._deaf:
                self._end.wait(30)
            while line.recv(1 << 16):
                pass
        line.close()
        with self._changed:
            self.open -= 1
            self._changed.notify_all()

    def all_closed(self, seconds: float = 20.0) -> bool:
        """Whether the other side closes, or has closed, all connections."""
        with self._changed:
            return self._changed.wait_for(lambda: not self.open, seconds)

    def __enter__(self) -> Peer:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._end.set()
        with suppress(OSError):
            self._server.shutdown(socket.SHUT_RDWR)  # else `accept` waits on
        self._server.close()
        for line in self._lines:
            with suppress(OSError):
                line.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(10)


def hurry(connection: http.client.HTTPConnection, seconds: float) -> None:
    """From now on an answer has so long: what came before it had all the time that a busy machine takes."""
    connection.timeout = seconds
    if connection.sock is not None:
        connection.sock.settimeout(seconds)


def drip(line: socket.socket, data: bytes, pause: float = 0.1) -> None:
    """Send a byte at a time."""
    for byte in data:
        line.sendall(bytes([byte]))
        time.sleep(pause)
