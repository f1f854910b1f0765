"""How one thread wakes another."""

from __future__ import annotations

import contextlib
import threading


class Signal:
    """Wakes one waiting thread; a wake-up that comes first is not lost. A lock is the cheapest binary semaphore."""

    __slots__ = ("_lock",)

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._lock.acquire()

    def set(self) -> None:
        if self._lock.locked():
            with contextlib.suppress(RuntimeError):  # another thread was quicker
                self._lock.release()

    def wait(self, timeout: float | None = None) -> bool:
        """True when it was set, and then it is clear again; False when `timeout` seconds passed."""
        return self._lock.acquire(timeout=-1 if timeout is None else max(0.0, timeout))
