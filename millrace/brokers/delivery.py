"""From the spool to the broker, in order, until each message is acknowledged."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from ..core.errors import redact
from .base import Broker, BrokerError, Message, RefusedError
from .spool import Spool

Full = Literal["wait", "drop_newest", "drop_oldest"]

BATCH = 200  # messages of one call
RETRY = (0.2, 10.0)  # seconds before the first and between later attempts


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
    with the same ids). `warn` is called from the thread, once for each loss of the broker and once for its return.
    """

    def __init__(
        self, broker: Broker, spool: Spool, full: Full = "drop_newest", warn: Callable[[str], None] = lambda text: None
    ) -> None:
        self.counts = Counts()
        self._broker, self._spool, self._full, self._warn = broker, spool, full, warn
        self._change = threading.Condition()
        self._stopping = False
        self._said_full = False
        self._thread = threading.Thread(target=self._run, name="millrace-delivery", daemon=True)
        self._thread.start()

    def accept(self, messages: list[Message]) -> bool:
        """Take messages for delivery: they are on disk when this returns True. False: dropped, the spool being full.

        With the policy `wait` it waits for room until the delivery is closed. Raises OutputError for a full disk.
        """
        if not messages:
            return True
        while not self._spool.put(messages):
            self._say_full()
            if self._full == "drop_oldest" and len(messages) <= self._spool.most:
                self.counts.dropped += self._spool.drop_oldest(messages)
                continue
            if self._full == "wait":
                with self._change:
                    if self._change.wait_for(lambda: self._stopping, timeout=0.05):
                        break
                continue
            self.counts.dropped += len(messages)
            return False
        else:
            self.counts.accepted += len(messages)
            with self._change:
                self._change.notify_all()
            return True
        self.counts.dropped += len(messages)
        return False

    def drain(self, seconds: float) -> int:
        """Wait until all is delivered, no longer than that; returns how many messages are left."""
        with self._change:
            self._change.wait_for(lambda: not len(self._spool) or self._stopping, timeout=seconds)
        return len(self._spool)

    def interrupt(self) -> None:
        """End waiting calls of `accept` and `drain` soon. Any thread."""
        with self._change:
            self._stopping = True
            self._change.notify_all()

    def close(self) -> None:
        """End the thread and the connection; what is left stays in the spool."""
        self.interrupt()
        self._thread.join()
        self._spool.close()

    def _run(self) -> None:
        away, pause = False, RETRY[0]
        connected = False
        try:
            while self._wait_for_work(pause if away else 0.0):
                try:
                    if not connected:
                        self._broker.connect()
                        connected = True
                    self._deliver()
                except BrokerError as error:
                    connected = False
                    self.counts.retries += 1
                    self._broker.close()
                    if not away:
                        self._warn(f"the broker is away: {redact(str(error))}; messages wait in {self._spool.path}")
                    pause = min(RETRY[1], pause * 2) if away else RETRY[0]
                    away = True
                else:
                    if away:
                        self._warn(f"the broker is back; {len(self._spool)} messages are being sent")
                    away = False
        finally:
            self._broker.close()

    def _wait_for_work(self, pause: float) -> bool:
        """Wait for messages, and for `pause` seconds before; False when it is time to end."""
        until = time.monotonic() + pause
        with self._change:
            self._change.wait_for(lambda: self._stopping, timeout=max(0.0, until - time.monotonic()))
            self._change.wait_for(lambda: self._stopping or len(self._spool) > 0)
            return not self._stopping

    def _deliver(self) -> None:
        batch = self._spool.first(BATCH)
        try:
            self._broker.send([message for _, message in batch])
        except RefusedError as error:
            self.counts.refused += 1
            self._warn(
                f"the broker refused message {batch[error.acknowledged][1].id}, it is dropped: {redact(str(error))}"
            )
            self._done(batch[: error.acknowledged + 1], error.acknowledged)
        except BrokerError as error:
            self._done(batch[: error.acknowledged], error.acknowledged)
            raise
        else:
            self._done(batch, len(batch))

    def _done(self, messages: list[tuple[int, Message]], delivered: int) -> None:
        self._spool.done(messages)
        self.counts.delivered += delivered
        with self._change:
            self._change.notify_all()

    def _say_full(self) -> None:
        if not self._said_full:
            self._said_full = True
            does = {"wait": "the pipeline waits", "drop_newest": "new messages are dropped"}
            self._warn(f"the spool {self._spool.path} is full: {does.get(self._full, 'the oldest are dropped')}")
