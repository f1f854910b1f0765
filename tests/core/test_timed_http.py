"""Answers that drip, against a socket of our own."""

from __future__ import annotations

import http.client
import time
from types import SimpleNamespace

import pytest
from peers import Peer

from millrace.core import timed_http


def test_the_timeout_is_that_of_a_whole_answer_and_each_answer_has_all_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """By a clock on which each byte takes a second."""
    whole, now = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n", [0.0]
    monkeypatch.setattr(timed_http, "time", SimpleNamespace(monotonic=lambda: now[0]))

    def drip(line, data: bytes) -> None:
        for byte in data:
            now[0] += 1
            line.sendall(bytes([byte]))
            time.sleep(0.01)

    def play(line) -> None:
        for _ in range(3):
            line.recv(1 << 16)
            line.sendall(whole)
            drip(line, b"1234")
        line.recv(1 << 16)
        drip(line, whole[:-4])  # and no more

    with Peer(play) as peer:
        connection = http.client.HTTPConnection("127.0.0.1", peer.port, timeout=10)
        connection.response_class = timed_http.TimedResponse
        for _ in range(3):  # 12 s together
            connection.request("GET", "/")
            assert connection.getresponse().read() == b"1234"
        connection.request("GET", "/")
        begun = time.monotonic()
        with pytest.raises(TimeoutError, match="timed out"):
            connection.getresponse()
        assert time.monotonic() - begun < 9, "not for want of a byte"
        connection.close()
        assert peer.all_closed()
