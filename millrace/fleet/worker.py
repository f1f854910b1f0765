"""What a process of a fleet does: it runs its plan and tells the supervisor, over one connection, how that goes.

Comes in: `Work` first, then `("drain",)`, `("stop",)`, `("add", Stream)`, `("remove", name)`. Goes out: `Told`,
`Message`s of the bus, and at the end a `Summary`, or the exception that ended the run. When the supervisor is gone,
the run ends at once: nothing is left behind.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from contextlib import suppress
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection
from typing import Any

from ..config.plan import Plan
from ..core import Message
from ..core.errors import Cancelled, MillraceError, said
from ..meter import Reading
from ..summary import Run

TICK = 0.1  # seconds between looks at the connection
TELL = 0.25  # seconds between two reports


@dataclass(frozen=True, slots=True)
class Work:
    """What a new process is to do; `path` is where its modules are found."""

    plan: Plan
    path: list[str]
    keep_open: bool = False


@dataclass(frozen=True, slots=True)
class Told:
    """How the streams of one process are doing. `total`: frames they will have, None when nobody knows."""

    readings: list[Reading]
    frames: int
    total: int | None


def main() -> None:
    """The process. Interrupts from the keyboard are the supervisor's to hear."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    connection = Connection(int(sys.argv[1]))
    work: Work = connection.recv()
    sys.path[:] = work.path
    code = 0
    with connection:
        try:
            result: Any = _Worker(connection, work).run()
        except Cancelled:
            os._exit(1)  # the supervisor is gone, and nobody would hear of it
        except Exception as error:  # noqa: BLE001  it is raised again in the supervisor
            result, code = portable(error), 1
        connection.send(result)
    sys.exit(code)


class _Worker:
    def __init__(self, connection: Connection, work: Work) -> None:
        self._connection = connection
        self._lock = threading.Lock()  # of sending: messages come in every thread of the pipeline
        self._work = work

    def run(self) -> Any:
        """The run's Summary."""
        run = Run(self._work.plan, keep_open=self._work.keep_open)
        forget = run.pipeline.bus.subscribe(self._heard)
        try:
            run.start()
            told = 0.0
            while not run.pipeline.wait(0):
                if self._connection.poll(TICK) and not self._obey(run, self._received()):
                    break
                told += TICK
                if told >= TELL:
                    told = 0.0
                    self._send(Told(run.readings(), run.frames, run.total))
            self._send(Told(run.readings(), run.frames, run.total))
        finally:
            run.close()
            forget()
        summary = run.summary()
        return replace(summary, errors=[_portable_message(message) for message in summary.errors])

    def _received(self) -> tuple[Any, ...]:
        try:
            order: tuple[Any, ...] = self._connection.recv()
        except (EOFError, ConnectionResetError):
            raise Cancelled("the supervisor is gone") from None
        return order

    def _obey(self, run: Run, order: tuple[Any, ...]) -> bool:
        """Do what the supervisor says; False for `stop`. What cannot be done is said, and the run goes on."""
        try:
            if order[0] == "stop":
                return False
            if order[0] == "drain":
                run.pipeline.drain()
            elif order[0] == "add":
                stream = order[1]
                run.streams.add(stream.name, stream.uri, restart=stream.restart, **stream.options)
            elif order[0] == "remove":
                run.streams.remove(order[1])
        except MillraceError as error:
            name = order[1] if isinstance(order[1], str) else order[1].name
            self._send(Message("error", "fleet", str(error), name, portable(error)))
        return True

    def _heard(self, message: Message) -> None:
        if message.kind != "state":
            with suppress(Cancelled):  # that the supervisor is gone is seen in `run`, too
                self._send(_portable_message(message))

    def _send(self, what: Any) -> None:
        with self._lock:
            try:
                self._connection.send(what)
            except (BrokenPipeError, ConnectionResetError):
                raise Cancelled("the supervisor is gone") from None


def _portable_message(message: Message) -> Message:
    return message if message.error is None else replace(message, error=portable(message.error))


def portable(error: BaseException) -> BaseException:
    """The error itself where it is ours (those can be pickled), else a MillraceError that says the same."""
    if isinstance(error, MillraceError):
        return error
    return MillraceError(said(error))
