"""Calls into FFmpeg that another thread can end.

PyAV ends a call that takes longer than its timeout: FFmpeg asks about ten times a second whether to go on, and PyAV
looks at the clock. It has no way to say "now", so its clock is ours: for a thread that is asked to give up, time
leaps. Without this (a PyAV that keeps time in another way) the timeout ends the call, only later; a test watches.
"""

from __future__ import annotations

import threading
import time
from types import TracebackType
from typing import Any

import av.container.core

_LEAP = 1e12  # seconds; doubled at each look, so that any timeout has passed between two looks
_by_thread: dict[int, Interrupt] = {}


class Interrupt:
    """Around calls into FFmpeg: `with interrupt: av.open(...)`; from another thread: `interrupt.ask()`.

    What was asked holds until `clear()`. The calls then fail with av.error.FFmpegError, whichever it may be.
    """

    def __init__(self) -> None:
        self._asked = threading.Event()
        self._leap = _LEAP
        self._thread = 0

    @property
    def asked(self) -> bool:
        return self._asked.is_set()

    def ask(self) -> None:
        """Any thread: what is called now and from now on gives up."""
        self._asked.set()

    def clear(self) -> None:
        self._asked.clear()
        self._leap = _LEAP

    def sleep(self, seconds: float) -> None:
        """Wait so long, or until asked."""
        self._asked.wait(seconds)

    def __enter__(self) -> Interrupt:
        self._thread = threading.get_ident()
        _by_thread[self._thread] = self
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        _by_thread.pop(self._thread, None)

    def now(self) -> float:
        """Seconds of time.monotonic(), or far beyond."""
        if not self._asked.is_set():
            return time.monotonic()
        self._leap *= 2
        return self._leap


class _Clock:
    """What PyAV's module takes for the module `time`."""

    @staticmethod
    def monotonic() -> float:
        asked = _by_thread.get(threading.get_ident())
        return time.monotonic() if asked is None else asked.now()

    def __getattr__(self, name: str) -> Any:
        return getattr(time, name)


if getattr(av.container.core, "time", None) is time:
    av.container.core.time = _Clock()
