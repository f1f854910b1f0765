"""One process of a fleet, as the supervisor sees it: begun, listened to, given orders, and ended."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field, replace
from multiprocessing.connection import Connection, Pipe
from typing import Any

from ..config.plan import Plan, Stream
from ..meter import Reading
from ..summary import Summary
from .cores import on_cores
from .worker import Told, Work

_MAIN = "from millrace.fleet.worker import main; main()"
PATIENCE = 10.0  # seconds that a process has to end by itself


@dataclass(slots=True, eq=False)
class Process:
    """A plan in a process of its own. `told` is what it said of itself last, `summary` or `failure` what came of it."""

    number: int
    plan: Plan
    keep_open: bool = False
    cores: int | None = None  # of its own; None: all of this process's
    told: Told = field(default_factory=lambda: Told([], 0, None))
    summary: Summary | None = None
    failure: BaseException | None = None
    starts: int = 0
    began: float = 0.0
    heard: float | None = None  # time.monotonic() of its last report; None: it opens its elements still
    due: float | None = None  # when it shall begin again
    connection: Connection | None = None
    lines: int = -1  # the file descriptor of what it prints
    _child: subprocess.Popen[bytes] | None = None
    _rest: bytes = b""
    _sending: threading.Lock = field(default_factory=threading.Lock)  # orders come from any thread

    @property
    def name(self) -> str:
        return f"process {self.number} ({self.plan.device})"

    @property
    def runs(self) -> bool:
        return self.connection is not None

    @property
    def pid(self) -> int | None:
        return self._child.pid if self._child is not None else None

    @property
    def streams(self) -> list[str]:
        return [stream.name for stream in self.plan.streams]

    @property
    def load(self) -> float:
        """Frames a second that it takes now, and its streams: what a new stream is placed by."""
        return sum(reading.fps_in for reading in self.told.readings) + len(self.plan.streams)

    def start(self) -> None:
        """Begin the process. Nothing that it had written of these streams counts: files are read from their start."""
        ours, theirs = Pipe()
        read, write = os.pipe()
        with theirs, on_cores(self.cores, self.number):  # inherited: importing numpy begins threads already
            self._child = subprocess.Popen(
                [sys.executable, "-c", _MAIN, str(theirs.fileno())],
                stdin=subprocess.DEVNULL, stdout=write, pass_fds=[theirs.fileno()], close_fds=True,
                env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            )  # fmt: skip
        os.close(write)
        os.set_blocking(read, False)
        self.starts += 1
        self.began, self.heard, self.due = time.monotonic(), None, None
        with self._sending:
            with suppress(OSError):
                ours.send(Work(self.plan, list(sys.path), self.keep_open))  # before any order
            self.connection, self.lines = ours, read

    def order(self, what: Any, streams: list[Stream] | None = None) -> None:
        """Send an order; one that cannot be sent any more is seen as the process's end.

        `streams`: those of its plan from now on, also where it has to be begun again.
        """
        with self._sending, suppress(OSError):
            if streams is not None:
                self.plan = replace(self.plan, streams=streams)
            if self.connection is not None:
                self.connection.send(what)

    def printed(self, last: bool = False) -> bytes:
        """Whole lines that it has printed since. What processes print is not mixed within a line.

        `last`: it has ended, so no more will come, even where a process of its own still holds the pipe.
        """
        while self.lines >= 0:
            try:
                chunk = os.read(self.lines, 1 << 16)
            except BlockingIOError:
                if not last:
                    break
                chunk = b""
            if not chunk:
                os.close(self.lines)
                self.lines = -1
                out, self._rest = self._rest, b""
                return out + b"\n" if out and not out.endswith(b"\n") else out  # it died within a line
            self._rest += chunk
        end = self._rest.rfind(b"\n") + 1
        out, self._rest = self._rest[:end], self._rest[end:]
        return out

    def kill(self) -> None:
        """End it now."""
        if self._child is not None:
            self._child.kill()

    def ended(self) -> int:
        """Close the connection, wait for the process's end and return its exit code (-9: killed)."""
        assert self._child is not None
        if self.connection is not None:
            self.connection.close()
            self.connection = None
        try:
            return self._child.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self._child.kill()
            return self._child.wait(PATIENCE)

    def lost(self) -> list[Reading]:
        """The readings of streams that it has not ended."""
        return [reading for reading in self.told.readings if reading.state not in ("ended", "failed")]
