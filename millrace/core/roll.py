"""Which streams an element has still to expect: those that were announced and can reach it, until they have ended."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence


class Roll:
    """Streams in the order in which they were announced; a name that comes back lives once more."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._lives: dict[str, dict[str, int]] = {}  # stream → element → ends that have still to pass there

    def __len__(self) -> int:
        return len(self._lives)

    def announce(self, stream: str, elements: Iterable[str]) -> None:
        """A new stream, the last in order, that will come by these elements."""
        with self._lock:
            lives = self._lives.pop(stream, {})
            for name in elements:
                lives[name] = lives.get(name, 0) + 1
            self._lives[stream] = lives

    def announce_once(self, stream: str, elements: Sequence[str]) -> None:
        """A stream that others are merged into: where it is expected already, it is the same one."""
        if not elements:
            return
        with self._lock:
            lives = self._lives.setdefault(stream, {})
            for name in elements:
                lives.setdefault(name, 1)

    def passed(self, element: str, stream: str) -> bool:
        """An end of the stream has come by; returns whether another life of it is expected."""
        with self._lock:
            lives = self._lives.get(stream)
            if lives is None or element not in lives:
                return False
            lives[element] -= 1
            if lives[element]:
                return True
            del lives[element]
            if not lives:
                del self._lives[stream]
            return False

    def follows(self, element: str, stream: str) -> bool:
        """Whether another life of the stream is expected after the one that comes by now."""
        with self._lock:
            return self._lives.get(stream, {}).get(element, 0) > 1

    def expected(self, element: str) -> tuple[str, ...]:
        with self._lock:
            return tuple(stream for stream, lives in self._lives.items() if element in lives)
