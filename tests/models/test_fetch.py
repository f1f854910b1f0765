"""Fetching over a real HTTP server on the loopback: interrupted, resumed, wrong, gone, slow, redirected."""

from __future__ import annotations

import hashlib
import os
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from millrace.models import fetch as fetching
from millrace.models.fetch import FetchError, fetch

BODY = os.urandom(300_000)
DIGEST = f"sha256:{hashlib.sha256(BODY).hexdigest()}"


class Server:
    """Serves BODY; `mode` says how badly. Remembers the ranges that were asked for."""

    def __init__(self):
        self.mode, self.ranges, self.body = "well", [], BODY
        self.gone = threading.Event()  # nobody waits for an answer any more
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                outer.answer(self)

            def log_message(self, *args):
                pass

        self.httpd = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.httpd.daemon_threads = False
        self.thread = threading.Thread(target=self.httpd.serve_forever, kwargs={"poll_interval": 0.02})
        self.thread.start()
        self.url = f"http://127.0.0.1:{self.httpd.server_address[1]}/model.onnx"

    def answer(self, request):
        asked = request.headers.get("Range")
        self.ranges.append(asked)
        request.close_connection = True
        mode = self.mode
        if mode in (404, 403, 503):
            return self.head(request, mode, 0)
        if mode == "redirect" and request.path == "/model.onnx":
            request.send_response(302)
            request.send_header("Location", "/elsewhere.onnx")
            request.send_header("Content-Length", "0")
            return request.end_headers()
        if mode == "away":
            request.send_response(302)
            request.send_header("Location", "file:///etc/passwd")
            request.send_header("Content-Length", "0")
            return request.end_headers()
        start = int(asked.removeprefix("bytes=").rstrip("-")) if asked and mode != "no ranges" else 0
        rest = self.body[start:]
        self.head(request, 206 if start else 200, len(rest), start)
        if mode == "breaks off":
            request.wfile.write(rest[:100_000])
        elif mode == "breaks off once":
            self.mode = "no ranges" if self.without_ranges else "well"
            request.wfile.write(rest[:100_000])
        elif mode == "hangs once":
            self.mode = "well"
            request.wfile.write(rest[:1000])
            request.wfile.flush()
            if not self.gone.wait(20):
                self.mode = 404  # who has waited for it gets nothing more
        else:
            request.wfile.write(rest)

    without_ranges = False

    def head(self, request, status, length, start=0):
        request.send_response(status)
        request.send_header("Content-Length", str(length))
        if status == 206:
            request.send_header("Content-Range", f"bytes {start}-{len(self.body) - 1}/{len(self.body)}")
        request.end_headers()

    def close(self):
        self.httpd.shutdown()
        self.httpd.server_close()
        self.thread.join(5)


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setattr(fetching, "PAUSE", 0.01)
    monkeypatch.delenv("MILLRACE_OFFLINE", raising=False)
    serving = Server()
    yield serving
    serving.close()


def test_it_comes_whole_with_its_progress(server, tmp_path):
    seen = []
    path = fetch(
        server.url, tmp_path / "new" / "m.onnx", DIGEST, len(BODY), lambda done, size: seen.append((done, size))
    )
    assert path.read_bytes() == BODY
    assert seen[-1] == (len(BODY), len(BODY)) and seen == sorted(seen)
    assert sorted(each.name for each in path.parent.iterdir()) == ["m.onnx", "m.onnx.lock"]


def test_what_broke_off_goes_on_where_it_stopped(server, tmp_path):
    server.mode = "breaks off once"
    path = fetch(server.url, tmp_path / "m.onnx", DIGEST, len(BODY))
    assert path.read_bytes() == BODY
    assert server.ranges == [None, "bytes=100000-"]


def test_a_later_call_goes_on_too(server, tmp_path):
    (tmp_path / "m.onnx.part").write_bytes(BODY[:1234])
    fetch(server.url, tmp_path / "m.onnx", DIGEST, len(BODY))
    assert server.ranges == ["bytes=1234-"]


def test_a_server_without_ranges_gives_all_again(server, tmp_path):
    server.mode, server.without_ranges = "breaks off once", True
    assert fetch(server.url, tmp_path / "m.onnx", DIGEST, len(BODY)).read_bytes() == BODY


def test_a_redirect_is_followed_but_not_to_a_file(server, tmp_path):
    server.mode = "redirect"
    assert fetch(server.url, tmp_path / "m.onnx", DIGEST, len(BODY)).read_bytes() == BODY
    server.mode = "away"
    with pytest.raises(FetchError, match="302"):
        fetch(server.url, tmp_path / "other.onnx", DIGEST, len(BODY))


def test_another_file_of_the_same_size_is_not_kept(server, tmp_path):
    server.body = BODY[:-1] + bytes([BODY[-1] ^ 1])
    with pytest.raises(FetchError, match="gave another file than expected"):
        fetch(server.url, tmp_path / "m.onnx", DIGEST, len(BODY))
    assert [each.name for each in tmp_path.iterdir()] == ["m.onnx.lock"]


def test_a_file_of_another_size_is_not_even_read(server, tmp_path):
    server.body = BODY + b"more"
    with pytest.raises(FetchError, match=r"300004 bytes, expected are 300000"):
        fetch(server.url, tmp_path / "m.onnx", DIGEST, len(BODY))


def test_a_part_of_something_else_is_found_out_and_dropped(server, tmp_path):
    (tmp_path / "m.onnx.part").write_bytes(b"x" * 1000)
    with pytest.raises(FetchError, match="gave another file"):
        fetch(server.url, tmp_path / "m.onnx", DIGEST, len(BODY))
    assert fetch(server.url, tmp_path / "m.onnx", DIGEST, len(BODY)).read_bytes() == BODY


@pytest.mark.parametrize("status", [404, 403])
def test_what_is_gone_is_said_at_once(server, tmp_path, status):
    server.mode = status
    with pytest.raises(FetchError, match=f"the server says {status}"):
        fetch(server.url, tmp_path / "m.onnx", DIGEST, len(BODY))
    assert len(server.ranges) == 1


def test_a_server_in_trouble_is_asked_again_and_then_given_up(server, tmp_path):
    server.mode = 503
    with pytest.raises(FetchError, match="503"):
        fetch(server.url, tmp_path / "m.onnx", DIGEST, len(BODY))
    assert len(server.ranges) == fetching.TRIES


def test_a_silent_server_is_not_waited_for(server, tmp_path, monkeypatch):
    monkeypatch.setattr(fetching, "TIMEOUT", 0.5)
    monkeypatch.setattr(fetching, "TRIES", 1)
    server.mode = "hangs once"
    try:
        assert fetch(server.url, tmp_path / "m.onnx", DIGEST, len(BODY)).read_bytes() == BODY
        assert len(server.ranges) == 2
    finally:
        server.gone.set()


def test_nobody_there(tmp_path, monkeypatch):
    monkeypatch.setattr(fetching, "PAUSE", 0.0)
    with pytest.raises(FetchError, match="cannot be fetched"):
        fetch("http://127.0.0.1:9/m.onnx", tmp_path / "m.onnx", DIGEST, len(BODY))


def test_offline_and_other_schemes_are_refused(server, tmp_path, monkeypatch):
    with pytest.raises(FetchError, match="only http"):
        fetch("file:///etc/passwd", tmp_path / "m.onnx", DIGEST, 1)
    monkeypatch.setenv("MILLRACE_OFFLINE", "1")
    with pytest.raises(FetchError, match="MILLRACE_OFFLINE"):
        fetch(server.url, tmp_path / "m.onnx", DIGEST, len(BODY))
    assert server.ranges == []


def test_passwords_in_addresses_are_not_told(tmp_path, monkeypatch):
    monkeypatch.setenv("MILLRACE_OFFLINE", "1")
    with pytest.raises(FetchError) as error:
        fetch("http://me:secret@127.0.0.1/m.onnx", tmp_path / "m.onnx", DIGEST, 1)
    assert "secret" not in str(error.value)


def test_two_at_a_time_fetch_once(server, tmp_path):
    results = []
    threads = [
        threading.Thread(target=lambda: results.append(fetch(server.url, tmp_path / "m.onnx", DIGEST, len(BODY))))
        for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert len(results) == 3 and len(server.ranges) == 1
