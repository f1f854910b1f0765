"""Answers over HTTP that have come as a whole in time, however slowly their bytes drip."""

from __future__ import annotations

import http.client
import io
import socket
import time
from contextlib import suppress
from typing import Any


class TimedResponse(http.client.HTTPResponse):
    """For `HTTPConnection.response_class`: the connection's timeout is that of a whole answer, not of each read.

    Reading raises TimeoutError when it is over.
    """

    def __init__(self, sock: socket.socket, *args: Any, **options: Any) -> None:
        super().__init__(sock, *args, **options)
        self.fp.close()
        self.fp = io.BufferedReader(_Within(sock))


class _Within(io.RawIOBase):
    """A socket's bytes, as long as its timeout lasts."""

    def __init__(self, line: socket.socket) -> None:
        self._line, self._seconds = line, line.gettimeout()
        self._until = None if self._seconds is None else time.monotonic() + self._seconds
        self._raw = line.makefile("rb", buffering=0)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        if self._until is not None:
            left = self._until - time.monotonic()
            if left <= 0:
                raise TimeoutError("timed out")
            self._line.settimeout(left)
        return self._raw.readinto(buffer)

    def close(self) -> None:
        if not self.closed:
            with suppress(OSError):  # closed meanwhile; else it has all its time for the next request
                self._line.settimeout(self._seconds)
            self._raw.close()
        super().close()
