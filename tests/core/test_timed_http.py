"""Answers that drip, against a socket of our own."""

from __future__ import annotations

import http.client
import time

import pytest
from peers import Peer, drip

from millrace.core.timed_http import TimedResponse


def test_the_timeout_is_that_of_a_whole_answer_and_each_answer_has_all_of_it() -> None:
    whole = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n"

    def play(line) -> None:
        for _ in range(3):
            line.recv(1 << 16)
            line.sendall(whole)
            drip(line, b"1234", 0.15)
        line.recv(1 << 16)
        drip(line, whole, 0.15)

    with Peer(play) as peer:
        connection = http.client.HTTPConnection("127.0.0.1", peer.port, timeout=1.5)
        connection.response_class = TimedResponse
        for _ in range(3):  # 1.8 s together
            connection.request("GET", "/")
            assert connection.getresponse().read() == b"1234"
        connection.request("GET", "/")
        begun = time.monotonic()
        with pytest.raises(TimeoutError, match="timed out"):
            connection.getresponse()
        assert 1.4 < time.monotonic() - begun < 3
        connection.close()
        assert peer.all_closed()
