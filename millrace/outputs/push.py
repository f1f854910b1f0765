"""Packets → somebody else's server: RTMP, RTSP, RTP, MPEG-TS over UDP (FFmpeg's muxers), with reconnection."""

from __future__ import annotations

import contextlib
import pickle
import re
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import replace
from urllib.parse import urlsplit

from ..core.caps import Caps
from ..core.errors import ConfigError, OutputError, redact, said
from ..media import Packet
from .container import Server

FORMATS = {
    "rtmp": "flv", "rtmps": "flv", "rtmpt": "flv", "rtsp": "rtsp", "rtsps": "rtsp", "udp": "mpegts", "tcp": "mpegts",
    "srt": "mpegts", "rtp": "rtp",
}  # fmt: skip
OPTIONS: Mapping[str, Mapping[str, str]] = {
    "flv": {"flvflags": "no_duration_filesize"},
    "mpegts": {"mpegts_flags": "resend_headers"},
}
BUFFERED = 8 << 20  # bytes that may wait for a slow server before pictures are dropped up to the next key picture
BEGUN = 20.0  # seconds that its process may take to begin, on a machine that is busy
FAREWELL = 5.0  # seconds that a server has for what is left at the end
CHILD = [sys.executable, "-m", "millrace.outputs.push_child"]
PERMANENT = "! "  # before an error that trying again does not mend
NO_SRT = (
    "PyAV's FFmpeg has no SRT: send it by GStreamer (gstout: {launch: 'h264parse ! mpegtsmux ! srtsink uri=srt://…'}), "
    "or build PyAV against an FFmpeg with libsrt"
)


class _Lost(Exception):
    """The server is away, or never was there."""


def server_of(url: str, transport: str, options: Mapping[str, str]) -> Server:
    """How FFmpeg is told to push to an address. Raises ConfigError for one that is none."""
    scheme = urlsplit(url).scheme.lower()
    if scheme not in FORMATS:
        raise ConfigError(f"{label_of(url)} cannot be pushed to: the address begins with {', '.join(FORMATS)}, http(s)")
    format = FORMATS[scheme]
    more = {"rtsp_transport": transport} if format == "rtsp" else {}
    if scheme == "udp" and "pkt_size" not in url:
        url += ("&" if "?" in url else "?") + "pkt_size=1316"  # seven packets of MPEG-TS
    return Server(url, format, {**OPTIONS.get(format, {}), **more, **options})


def label_of(url: str) -> str:
    """The address as logs may show it: without passwords, and without the key that ends an RTMP address."""
    text = redact(url)
    if text.lower().startswith("rtmp"):
        head, _, query = text.partition("?")
        return re.sub(r"(?<=[^/:])/[^/]*$", "/***", head) + ("?***" if query else "")
    return text


class Pusher:
    """One stream on its way to a server: a thread feeds a process that connects, sends, and is begun anew.

    `tell(text)` is called from the thread, once when the server is lost and once when it is back. What comes while it
    is away is dropped up to the last key picture, and counted.
    """

    def __init__(
        self,
        server: Server,
        caps: Caps,
        tell: Callable[[str], None],
        *,
        timeout: float = 5.0,
        backoff: tuple[float, float] = (1.0, 30.0),
        attempts: int = 0,
        sound: bool = True,
    ) -> None:
        self.label = label_of(server.url)
        self.sent = self.dropped = self.connections = 0
        self.failed: OutputError | None = None  # it has given up
        self._beginning = (self.label, caps, caps.get("sound") if sound else None, server)
        self._tell, self._timeout, self._backoff, self._attempts = tell, timeout, backoff, attempts
        self._packets: deque[Packet] = deque()
        self._bytes = 0
        self._lost_at: float | None = None
        self._dropped_before = 0
        self._ending = self._stopping = False
        self._waits_for_key = True
        self._news = threading.Condition()
        self._child: subprocess.Popen[bytes] | None = None
        self._since: float | None = None  # it waits for its process since then, which waits for the server
        self._thread = threading.Thread(target=self._work, name="millrace-push", daemon=True)
        self._thread.start()

    def give(self, packet: Packet) -> None:
        """Take a packet, without waiting. Raises OutputError once it has given up."""
        if self.failed is not None:
            raise self.failed
        if self._is_stuck:
            self._kill()  # the thread sees to the rest
        size = memoryview(packet.data).nbytes
        with self._news:
            if self._bytes + size > BUFFERED:
                self._drop(len(self._packets))
            if self._waits_for_key and not packet.leads:
                self.dropped += packet.kind == "video"
                return
            self._waits_for_key = False
            self._packets.append(packet)
            self._bytes += size
            self._news.notify()

    def end(self) -> None:
        """No more will come: what waits is sent, if the server takes all in FAREWELL seconds, some in `timeout`.

        Raises OutputError where it has given up.
        """
        with self._news:
            self._ending = True
            self._news.notify()
        until = time.monotonic() + FAREWELL
        while self._thread.is_alive() and not self._is_stuck and time.monotonic() < until:
            self._thread.join(0.05)
        self.stop()
        if self.failed is not None:
            raise self.failed

    def stop(self) -> None:
        """End at once. May be called from any thread, and more than once."""
        with self._news:
            self._ending = self._stopping = True
            self._news.notify()
        self._kill()
        self._thread.join(FAREWELL)

    @property
    def _is_stuck(self) -> bool:
        """Whether the server has taken nothing for too long."""
        since = self._since
        return since is not None and time.monotonic() - since > self._timeout

    def _kill(self) -> None:
        child = self._child
        if child is not None:
            child.kill()

    # the thread

    def _work(self) -> None:
        try:
            self._keep_sending()
        except Exception as error:  # noqa: BLE001  nobody waits for this thread: whoever gives must hear of it
            self.failed = OutputError(self.label, OSError(0, said(error)))
            self.failed.__cause__ = error

    def _keep_sending(self) -> None:
        wait, tried = self._backoff[0], 0
        while not self._stopping:
            before = self.sent
            try:
                self._serve()
                return
            except _Lost as error:
                if self.sent > before:
                    wait, tried = self._backoff[0], 0
                tried += 1
                if self._stopping or self._gives_up(str(error), tried):
                    return
            self._pause(wait)
            wait = min(2 * wait, self._backoff[1])

    def _serve(self) -> None:
        """Connect and send until the end. Raises _Lost."""
        child = subprocess.Popen(
            CHILD, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, start_new_session=True
        )
        assert child.stdin is not None and child.stdout is not None
        self._child = child
        try:
            if self._stopping:  # `stop` found no process to end
                return
            self._expect(child, "ready", BEGUN)
            self._write(child, self._beginning)
            self._expect(child, "connected")
            self.connections += 1
            while (packet := self._next()) is not None:
                self._write(child, replace(packet, data=bytes(packet.data)))
                self.sent += packet.kind == "video"
                self._back()
            self._write(child, None)
            if not self._stopping:
                self._expect(child, "sent")
        finally:
            self._child, self._since = None, None
            child.kill()
            child.wait()
            child.stdout.close()
            with contextlib.suppress(OSError):  # what it did not read
                child.stdin.close()

    def _write(self, child: subprocess.Popen[bytes], item: object) -> None:
        assert child.stdin is not None
        self._since = time.monotonic()
        try:
            pickle.dump(item, child.stdin)
            child.stdin.flush()
        except OSError:
            self._expect(child, "")  # it has ended, and said why
        self._since = None

    def _expect(self, child: subprocess.Popen[bytes], word: str, more: float = 0.0) -> None:
        """Wait for what it says. Raises _Lost for anything else."""
        assert child.stdout is not None
        began = self._since = time.monotonic() + more
        said = ""
        while (said := child.stdout.readline().decode(errors="replace").strip()) and said != word:
            if said.startswith("error "):
                raise _Lost(said.removeprefix("error "))
        self._since = None
        if not said and not self._stopping:
            slow = time.monotonic() - began >= self._timeout * 0.9
            raise _Lost(f"it takes nothing for {self._timeout:g} s" if slow else "the process that sends has ended")

    def _next(self) -> Packet | None:
        with self._news:
            while not self._packets and not self._ending:
                self._news.wait()
            if self._stopping or not self._packets:
                return None
            packet = self._packets.popleft()
            self._bytes -= memoryview(packet.data).nbytes
            return packet

    def _gives_up(self, reason: str, tried: int) -> bool:
        """Tell of a failure, once; whether it is the last one."""
        permanent = reason.startswith(PERMANENT)
        reason = redact(reason.removeprefix(PERMANENT))
        if permanent and self._beginning[3].url.lower().startswith("srt"):
            reason = NO_SRT
        hopeless = permanent or bool(self._attempts and tried >= self._attempts)
        last = hopeless or self._ending
        if hopeless:
            self.failed = OutputError(self.label, OSError(0, reason))
        elif self._lost_at is None:
            self._lost_at, self._dropped_before = time.monotonic(), self.dropped
            first, most = self._backoff
            again = "the stream has ended" if self._ending else f"it is tried again after {first:g} to {most:g} s"
            self._tell(f"{self.label}: {reason}; {again}")
        return last

    def _pause(self, seconds: float) -> None:
        """Wait; of what comes meanwhile only what follows the last key picture is kept."""
        until = time.monotonic() + seconds
        with self._news:
            while not self._ending and (left := until - time.monotonic()) > 0:
                self._news.wait(left)
            self._drop(max((n for n, each in enumerate(self._packets) if each.leads), default=len(self._packets)))

    def _drop(self, count: int) -> None:
        for _ in range(count):
            packet = self._packets.popleft()
            self._bytes -= memoryview(packet.data).nbytes
            self.dropped += packet.kind == "video"
        self._waits_for_key = not self._packets

    def _back(self) -> None:
        """Tell that the server takes packets again."""
        if self._lost_at is not None:
            away, lost = time.monotonic() - self._lost_at, self.dropped - self._dropped_before
            self._lost_at = None
            self._tell(f"{self.label}: connected again after {away:.1f} s; {lost} pictures were not sent")
