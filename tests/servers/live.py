"""Real servers and a bad network for the tests of live sources."""

from __future__ import annotations

import http.server
import os
import re
import selectors
import socket
import subprocess
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from millrace.testing.ports import free_port

PYTHON = "/usr/bin/python3"  # Debian's: GStreamer's bindings are there and not in an environment of pip's
PACKAGES = "python3-gi gir1.2-gst-rtsp-server-1.0 gstreamer1.0-plugins-base gstreamer1.0-plugins-good gstreamer1.0-plugins-bad gstreamer1.0-plugins-ugly"  # noqa: E501
SCRIPT = Path(__file__).with_name("rtsp_server.py")
PROBE = "import gi; gi.require_version('GstRtspServer', '1.0'); from gi.repository import GstRtspServer"


def need_gstreamer() -> None:
    """Skips a test on a machine without gst-rtsp-server; under CI that is a failure."""
    if (
        os.path.exists(PYTHON)
        and subprocess.run([PYTHON, "-c", PROBE], capture_output=True, timeout=20).returncode == 0
    ):
        return
    message = f"gst-rtsp-server is not installed: apt-get install -y --no-install-recommends {PACKAGES}"
    pytest.fail(message) if os.environ.get("CI") == "true" else pytest.skip(message)


def plays(path: Path) -> str:
    """The launch line of a mount that plays an H.264 MP4 from its start, in its own time."""
    return f"filesrc location={path} ! qtdemux ! h264parse ! rtph264pay name=pay0 pt=96 config-interval=-1"


BALL = (
    "videotestsrc is-live=true pattern=ball ! video/x-raw,width=160,height=120,framerate=30/1 ! "
    "x264enc tune=zerolatency speed-preset=ultrafast key-int-max=10 threads=1 ! "
    "rtph264pay name=pay0 pt=96 config-interval=-1"
)
FROZEN = BALL.replace("pattern=ball", "pattern=black")


class RtspServer:
    """gst-rtsp-server in a process of its own, which can be killed and come back on the same port."""

    def __init__(self, **mounts: str) -> None:
        self.port = free_port()
        self.mounts = [f"{name if '@' in name else '/' + name}={launch}" for name, launch in mounts.items()]
        self.process: subprocess.Popen[str] | None = None
        self.start()

    def start(self) -> None:
        self.process = subprocess.Popen(
            [PYTHON, str(SCRIPT), str(self.port), *self.mounts], stdout=subprocess.PIPE, text=True
        )
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == "READY\n"

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait(10)
            assert self.process.stdout is not None
            self.process.stdout.close()
            self.process = None

    def url(self, name: str, login: str = "", port: int = 0) -> str:
        return f"rtsp://{login}{'@' if login else ''}127.0.0.1:{port or self.port}/{name}"


class Silent:
    """Accepts connections and never answers."""

    def __init__(self) -> None:
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.port = int(self.socket.getsockname()[1])

    def close(self) -> None:
        self.socket.close()


class Folder:
    """A plain web server for a folder, without byte ranges."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

        class Quiet(http.server.SimpleHTTPRequestHandler):
            def log_message(self, *arguments: Any) -> None: ...

            def copyfile(self, source: Any, outputfile: Any) -> None:
                with suppress(BrokenPipeError, ConnectionResetError):  # the reader has gone
                    super().copyfile(source, outputfile)

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder)))
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        self.thread.start()

    def url(self, name: str) -> str:
        return f"http://127.0.0.1:{self.server.server_address[1]}/{name}"

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join(5)


class Relay:
    """A bad network before an RTSP server: what it sends passes `stall` (TCP and RTSP's own talk) and `lose` (UDP).

    `stall(bytes)` may take its time; `lose()` says whether this UDP packet gets lost. The client's UDP ports are
    replaced by ports of the relay as the request passes.
    """

    def __init__(
        self, port: int, stall: Callable[[int], None] = lambda size: None, lose: Callable[[], bool] = lambda: False
    ) -> None:
        self.target, self.stall, self.lose = port, stall, lose
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self.listener.getsockname()[1])
        self.stopped = False
        self.sockets = [self.listener]
        self.threads = [threading.Thread(target=self._accept, daemon=True)]
        self.threads[0].start()

    def _accept(self) -> None:
        while not self.stopped:
            try:
                here, _ = self.listener.accept()
                there = socket.create_connection(("127.0.0.1", self.target), 5)
            except OSError:
                return
            self.sockets += [here, there]
            self._run(self._carry, here, there)

    def _run(self, function: Callable[..., None], *arguments: Any) -> None:
        thread = threading.Thread(target=function, args=arguments, daemon=True)
        self.threads.append(thread)
        thread.start()

    def _carry(self, here: socket.socket, there: socket.socket) -> None:
        with selectors.DefaultSelector() as watched:
            watched.register(here, selectors.EVENT_READ, there)
            watched.register(there, selectors.EVENT_READ, here)
            while not self.stopped:
                for key, _ in watched.select(0.1):
                    source: Any = key.fileobj
                    try:
                        data = source.recv(1000)
                        if not data:
                            key.data.shutdown(socket.SHUT_RDWR)
                            return
                        if source is there:
                            self.stall(len(data))
                        else:
                            data = re.sub(rb"client_port=(\d+)-(\d+)", self._own_ports, data)
                        key.data.sendall(data)
                    except OSError:
                        return

    def _own_ports(self, found: re.Match[bytes]) -> bytes:
        own = []
        for client in found.groups():
            udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            udp.bind(("127.0.0.1", 0))
            udp.settimeout(0.1)
            self.sockets.append(udp)
            own.append(udp.getsockname()[1])
            self._run(self._pass_on, udp, int(client))
        return b"client_port=%d-%d" % tuple(own)

    def _pass_on(self, udp: socket.socket, client: int) -> None:
        while not self.stopped:
            try:
                data = udp.recv(65536)
            except TimeoutError:
                continue
            except OSError:
                return
            if not self.lose():
                udp.sendto(data, ("127.0.0.1", client))

    def close(self) -> None:
        self.stopped = True
        self.listener.shutdown(socket.SHUT_RDWR)
        for thread in self.threads:
            thread.join(5)
        for each in self.sockets:
            each.close()


def until(condition: Callable[[], Any], seconds: float = 30.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come about in time"
        time.sleep(0.01)


def until_written(path: Path, seconds: float = 30.0) -> None:
    """Wait until the server has closed the file: it is there and grows no more."""
    end, size, same = time.monotonic() + seconds, 0, 0
    while not size or same < 20:  # looks, not seconds: a machine that stands still is no server that has ended
        assert time.monotonic() < end, "the server has written nothing"
        now = path.stat().st_size if path.exists() else 0
        size, same = now, same + 1 if now == size else 0
        time.sleep(0.05)
