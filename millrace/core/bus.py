"""What a pipeline tells the application: errors, warnings, changes of state, streams that come and go."""

from __future__ import annotations

import logging
import threading
from collections import deque
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
    """Hands every message to every subscriber, one at a time and in order, in a thread that posted one.

    No lock is held while a subscriber runs, so it may ask and stop the pipeline.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._subscribers: list[Callable[[Message], None]] = []
        self._messages: deque[Message] = deque()
        self._delivering = False

    def subscribe(self, callback: Callable[[Message], None]) -> Callable[[], None]:
        """Call `callback(message)` from now on; returns a function that ends it.

        It must be quick. What it raises is logged (logger `millrace`) and goes no further.
        """
        with self._lock:
            self._subscribers.append(callback)

        def unsubscribe() -> None:
            with self._lock:
                if callback in self._subscribers:
                    self._subscribers.remove(callback)

        return unsubscribe

    def add(self, message: Message) -> None:
        """Note a message; `deliver` hands it over."""
        self._messages.append(message)

    def deliver(self) -> None:
        """Hand over what was noted; if another thread does so now, it goes on with ours. Hold no lock."""
        while True:
            with self._lock:
                if self._delivering or not self._messages:
                    return
                self._delivering = True
                message = self._messages.popleft()
                subscribers = list(self._subscribers)
            try:
                for callback in subscribers:
                    _tell(callback, message)
            finally:
                with self._lock:
                    self._delivering = False

    def post(self, message: Message) -> None:
        self.add(message)
        self.deliver()


def _tell(callback: Callable[[Message], None], message: Message) -> None:
    try:
        callback(message)
    except (Exception, SystemExit):  # a listener's fault must not stop what it listens to, nor may sys.exit()
        logging.getLogger("millrace").exception("a listener of the bus failed on %r", message.text)
