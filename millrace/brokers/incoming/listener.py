"""A thread that receives messages and hands them on, one after the other, as long as it is wanted."""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict
from collections.abc import Callable

from ...core.errors import said
from ..base import why
from .base import Incoming, Subscriber

PATIENCE = 0.25  # seconds of one look for messages: so soon an end is noticed
RETRY = (0.2, 10.0)  # seconds before the first and between later attempts
CLOSING = 5.0  # seconds that the end waits for a call that is under way
REMEMBERED = 4096  # ids of messages, by which one that comes twice is known


class Listener:
    """Calls `handle(message)` for each message; what it raises is said and answered, no more.

    A message counts as received when `handle` has returned. One that comes again with the same id is acknowledged and
    not handled again. `warn` is called from the thread: for each message that is wrong, once for each loss of the
    broker and once for its return.
    """

    def __init__(
        self, subscriber: Subscriber, handle: Callable[[Incoming], None], warn: Callable[[str], None], name: str = ""
    ) -> None:
        self._subscriber, self._handle, self._warn = subscriber, handle, warn
        self._seen: OrderedDict[str, str | None] = OrderedDict()  # id → what was wrong with it
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"millrace-listener{name and f':{name}'}", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Let it end soon; waits for nothing."""
        self._stopping.set()

    def close(self, timeout: float = CLOSING) -> None:
        """End the thread and the connection. A broker that holds a call longer is left to itself, as by `Delivery`."""
        self._stopping.set()
        if self._thread.ident is not None and self._thread is not threading.current_thread():
            self._thread.join(timeout)

    def _run(self) -> None:
        away, pause, connected = False, RETRY[0], False
        try:
            while not self._stopping.is_set():
                try:
                    if not connected:
                        self._subscriber.connect()
                        connected = True
                        if away:
                            self._say("the broker is back")
                        away = False
                    self._work()
                except Exception as error:  # noqa: BLE001 of any library: the thread must go on
                    connected = False
                    self._hang_up()
                    if not away:
                        self._say(f"no commands come, {why(error, 'listening')}; trying again")
                    pause = min(RETRY[1], pause * 2) if away else RETRY[0]
                    away = True
                    self._stopping.wait(pause)
        finally:
            self._hang_up()

    def _work(self) -> None:
        for message in self._subscriber.receive(PATIENCE):
            if self._stopping.is_set():
                return
            if message.id is not None and message.id in self._seen:
                self._subscriber.done(message, self._seen[message.id])
                continue
            error = None
            try:
                self._handle(message)
            except Exception as wrong:  # noqa: BLE001 or the message would come again for ever
                error = said(wrong)
                self._say(f"a message of {message.topic} did nothing: {error}")
            if message.id is not None:
                self._seen[message.id] = error
                if len(self._seen) > REMEMBERED:
                    self._seen.popitem(last=False)
            self._subscriber.done(message, error)

    def _hang_up(self) -> None:
        try:
            self._subscriber.close()
        except Exception as error:  # noqa: BLE001 a subscriber sees itself to what breaks meanwhile: it has a fault
            logging.getLogger("millrace").error("the connection to the broker could not be closed: %s", said(error))

    def _say(self, text: str) -> None:
        if not self._stopping.is_set():
            self._warn(text)
