"""From the spool to the broker, in order, until each message is acknowledged."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from ..core.errors import redact, said
from .base import Broker, BrokerError, Message, RefusedError, why
from .spool import Spool

Full = Literal["wait", "drop_newest", "drop_oldest"]

BATCH = 200  # messages of one call
RETRY = (0.2, 10.0)  # seconds before the first and between later attempts
CLOSING = 5.0  # seconds that the end waits for a call that is under way


@dataclass(slots=True)
class Counts:
    """What became of the messages."""

    accepted: int = 0
    delivered: int = 0
    dropped: int = 0  # by the policy, the spool being full
    refused: int = 0  # by the broker, for good
    retries: int = 0  # attempts that failed


class Delivery:
    """A thread that empties a spool into a broker. What `accept` took is delivered, now or in a later run.

    Messages go out in the order of acceptance; after an error those not acknowledged are sent again (at least once,
    with the same ids). `warn` is called from the thread, once for each loss of the broker and once for its return;
    `on_room` after messages have left the spool.
    """

    def __init__(
        self,
        broker: Broker,
        spool: Spool,
        full: Full = "drop_newest",
        warn: Callable[[str], None] = lambda text: None,
        on_room: Callable[[], None] = lambda: None,
    ) -> None:
        self.counts = Counts()
        self._broker, self._spool, self._full, self._warn, self._on_room = broker, spool, full, warn, on_room
        self._change = threading.Condition()
        self._stopping = False
        self._busy = False  # the thread is at work: what it has delivered it has not yet counted and told
        self._said_full = False
        self._thread = threading.Thread(target=self._run, name="millrace-delivery", daemon=True)
        self._thread.start()

    @property
    def has_room(self) -> bool:
        """Whether messages may come: with the policy `wait` not while the spool is full."""
        return self._full != "wait" or not self._spool.full

    def accept(self, messages: list[Message]) -> bool:
        """Take messages for delivery: they are on disk when this returns True. False: dropped, the spool being full.

        Never waits: with the policy `wait` whoever calls it waits for `has_room` before, which `on_room` tells; what
        comes all the same is taken. Raises OutputError for a full disk.
        """
        if not messages:
            return True
        taken = self._spool.put(messages, all_at_once=self._full == "wait")
        if not taken and self._full == "drop_oldest":
            self.counts.dropped += self._spool.drop_oldest(messages)
            taken = self._spool.put(messages)
        if not taken or not self.has_room:
            self._say_full()
        if not taken:
            self.counts.dropped += len(messages)
            return False
        self.counts.accepted += len(messages)
        with self._change:
            self._change.notify_all()
        return True

    def drain(self, seconds: float) -> int:
        """Wait until all is delivered, counted and told, no longer than that; returns how many messages are left."""
        with self._change:
            self._change.wait_for(lambda: self._stopping or not (self._busy or len(self._spool)), timeout=seconds)
        return len(self._spool)

    def close(self) -> None:
        """End the thread and the connection; what is left stays in the spool.

        A broker that holds a call longer than CLOSING seconds is left to itself: its thread ends when the call does.
        """
        with self._change:
            self._stopping = True
            self._change.notify_all()
        self._thread.join(CLOSING)
        self._spool.close()

    def _run(self) -> None:
        away, pause = False, RETRY[0]
        connected = False
        while self._wait_for_work(pause if away else 0.0):
            try:
                if not connected:
                    self._broker.connect()
                    connected = True
                self._deliver()
            except Exception as error:  # noqa: BLE001 of any library, of the spool: the thread must go on
                connected = False
                self.counts.retries += 1
                self._hang_up()
                if not away:
                    self._say(f"{why(error, 'sending')}; messages wait in {self._spool.path}")
                pause = min(RETRY[1], pause * 2) if away else RETRY[0]
                away = True
            else:
                if away:
                    self._say(f"the broker is back; {len(self._spool)} messages are being sent")
                away = False
        self._hang_up()

    def _hang_up(self) -> None:
        try:
            self._broker.close()
        except Exception as error:  # noqa: BLE001 a broker sees itself to what breaks meanwhile: this one has a fault
            logging.getLogger("millrace").error("the connection to the broker could not be closed: %s", said(error))

    def _say(self, text: str) -> None:
        if not self._stopping:  # nobody may listen any more
            self._warn(text)

    def _wait_for_work(self, pause: float) -> bool:
        """Wait for messages, and for `pause` seconds before; False when it is time to end."""
        until = time.monotonic() + pause
        with self._change:
            self._busy = False
            self._change.notify_all()
            self._change.wait_for(lambda: self._stopping, timeout=max(0.0, until - time.monotonic()))
            self._change.wait_for(lambda: self._stopping or len(self._spool) > 0)
            self._busy = not self._stopping
            return self._busy

    def _deliver(self) -> None:
        batch = self._spool.first(BATCH)
        try:
            self._broker.send([message for _, message in batch])
        except RefusedError as error:
            self._done(batch[: error.acknowledged + 1], refused=1)
            self.counts.refused += 1
            if str(self.counts.refused).strip("0") == "1":  # the first, the tenth, the hundredth, …
                name = batch[error.acknowledged][1].id
                self._say(f"the broker refused message {name}, it is dropped: {redact(str(error))}")
        except BrokerError as error:
            self._done(batch[: error.acknowledged])
            raise
        else:
            self._done(batch)

    def _done(self, messages: list[tuple[int, Message]], refused: int = 0) -> None:
        self.counts.delivered += max(0, self._spool.done(messages) - refused)
        if self._full == "wait":
            self._on_room()

    def _say_full(self) -> None:
        if not self._said_full:
            self._said_full = True
            does = {"wait": "the pipeline waits", "drop_newest": "new messages are dropped"}
            self._say(f"the spool {self._spool.path} is full: {does.get(self._full, 'the oldest are dropped')}")
