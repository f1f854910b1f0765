"""What a pipeline tells the application: errors, warnings, changes of state, streams that come and go."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

Kind = Literal["error", "warning", "state", "stream-start", "stream-end", "info"]


@dataclass(frozen=True, slots=True)
class Message:
    """One thing that happened: `element` is where, `text` a sentence fit for a log."""

    kind: Kind
    element: str
    text: str
    stream: str | None = None
    error: BaseException | None = None


class Bus:
    """Hands every message to every subscriber, in the thread that posted it, one at a time."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._subscribers: list[Callable[[Message], None]] = []

    def subscribe(self, callback: Callable[[Message], None]) -> Callable[[], None]:
        """Call `callback(message)` from now on; returns a function that ends it. It must be quick."""
        with self._lock:
            self._subscribers.append(callback)

        def unsubscribe() -> None:
            with self._lock:
                if callback in self._subscribers:
                    self._subscribers.remove(callback)

        return unsubscribe

    def post(self, message: Message) -> None:
        with self._lock:
            for callback in list(self._subscribers):
                callback(message)
