"""Processes that share the streams of one run, and the one view of them: what `summary.Run` is for one process."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from multiprocessing.connection import wait
from typing import Any

from ..config.plan import Plan, Stream
from ..core import Message
from ..core.bus import Bus
from ..core.errors import ConfigError, ElementError, MillraceError
from ..meter import Reading
from ..summary import StreamSummary, Summary, on_interrupt
from .cores import cores_of
from .process import PATIENCE, Process
from .shards import check, places, split
from .worker import Told

RESTARTS = 3  # times in a row that a process which died is begun again
FIRST_WAIT = 0.5  # seconds before that; twice as long each time
STEADY = 30.0  # seconds that it must have run for the count to start anew
SILENCE = 60.0  # seconds without a report after which a process that has reported counts as hung


class Fleet:
    """A plan at work in several processes. Their streams are read, worked on and written there; what comes here is
    counts and messages.

    A process that dies (killed, out of memory, a GPU's error) is said, and begun again with its streams: live ones go
    on, files are read from their start and their results written anew, so that nothing stands twice. After `RESTARTS`
    times in a row its streams count as failed; the other processes go on. All methods are for one thread, but `add`,
    `remove`, `drain`: those may be called from any.
    """

    def __init__(
        self, plan: Plan, processes: int | None = None, *, keep_open: bool = False, cores: int | None = None
    ) -> None:
        if cores is not None:
            cores_of(cores)  # before anything has begun
        self.bus = Bus()
        self.interrupted = False
        self._plan = plan
        self._where = places(plan.device, processes)
        plans = split(plan, self._where)
        if keep_open and not plans:
            check(plan)
        if keep_open:  # every process may be given streams later
            plans += [replace(plan, streams=[], device=device, run=()) for device in self._where[len(plans) :]]
        self.processes = [Process(number, each, keep_open, cores) for number, each in enumerate(plans)]
        self._errors: list[Message] = []
        self._began, self._ended = time.monotonic(), 0.0
        self._ending = False  # no process begins again
        self._changing = threading.Lock()  # of the streams, by any thread
        self._out = sys.stdout

    # life

    def run(self, on_tick: Callable[[Fleet], None] | None = None, every: float = 0.1) -> Summary:
        """Run to the end, as `Run.run` does. Raises what ended a process for good: ConfigError, ElementError."""
        interrupts: list[int] = []
        with on_interrupt(lambda: interrupts.append(1)):
            try:
                self.start()
                while self.step(every):
                    if interrupts and not self.interrupted:
                        self.interrupted = True
                        self.drain()
                    if len(interrupts) > 1:
                        break
                    if on_tick:
                        on_tick(self)
            finally:
                self.stop()
        return self.summary()

    def start(self) -> None:
        self._began = time.monotonic()
        for process in self.processes:
            self._begin(process)

    def _begin(self, process: Process) -> None:
        process.start()
        if self._ending:  # `drain` was called meanwhile, and it could not be told
            process.order(("drain",))

    def step(self, seconds: float) -> bool:
        """Listen for so long, begin again what died; False when all have ended."""
        going = [process for process in self.processes if process.runs]
        by_place: dict[Any, Process] = {}
        for process in going:
            by_place[process.connection] = process
            if process.lines >= 0:
                by_place[process.lines] = process
        for place in wait(list(by_place), seconds) if by_place else ():
            process = by_place[place]
            self._print(process) if isinstance(place, int) else self._listen(process)
        now = time.monotonic()
        for process in self.processes:
            if process.runs and process.heard is not None and now - process.heard > SILENCE:
                self._say("error", process, f"nothing heard of it for {SILENCE:g} s: it hangs and is ended")
                process.heard = None
                process.kill()
            elif process.due is not None and now >= process.due:
                self._begin(process)
        if not by_place:
            time.sleep(seconds)
        return any(process.runs or process.due is not None for process in self.processes)

    def drain(self) -> None:
        """Read no more; what is under way goes through to the end."""
        self._ending = True
        for process in self.processes:
            process.due = None
            process.order(("drain",))

    def stop(self) -> None:
        """End now. Safe to call at any time."""
        self._ending = True
        for process in self.processes:
            process.due = None
            process.order(("stop",))
        end = time.monotonic() + PATIENCE
        while any(process.runs for process in self.processes) and time.monotonic() < end:
            self.step(0.1)
        for process in self.processes:
            if process.runs:
                process.kill()
                process.ended()
        self._ended = time.monotonic()

    # streams that come and go

    def add(self, stream: Stream) -> str:
        """Hand a stream to the process that has least to do; returns that process's name. Raises ConfigError."""
        with self._changing:
            if any(stream.name in each.streams for each in self.processes):  # one of the plan may have been removed
                raise ConfigError(f"a stream {stream.name!r} is there already; remove it first or take another name")
            able = [process for process in self.processes if process.runs]
            if not able:
                raise MillraceError("no stream can be added: no process runs")
            process = min(able, key=lambda each: (each.load, each.number))
            process.order(("add", stream), [*process.plan.streams, stream])
        return process.name

    def remove(self, name: str) -> None:
        """End a stream; what it has sent goes through. Raises ConfigError."""
        with self._changing:
            for process in self.processes:
                if name in process.streams:
                    kept = [stream for stream in process.plan.streams if stream.name != name]
                    process.order(("remove", name), kept)
                    return
        raise ConfigError(f"no stream is named {name!r}; there are: {', '.join(self.names) or 'none'}")

    # what comes from the processes

    def _print(self, process: Process, last: bool = False) -> None:
        text = process.printed(last)
        if text:
            self._out.flush()
            with suppress(BrokenPipeError):
                while text:  # a signal may come in the middle
                    text = text[os.write(self._out.fileno(), text) :]

    def _listen(self, process: Process) -> None:
        assert process.connection is not None
        try:
            what = process.connection.recv()
        except (EOFError, OSError):  # OSError: it died in the middle of a message
            self._gone(process)
            return
        if isinstance(what, Told):
            process.told, process.heard = what, time.monotonic()
        elif isinstance(what, Message):
            self._note(what)
        elif isinstance(what, Summary):
            process.summary, process.failure = what, None
        else:
            process.failure = what

    def _gone(self, process: Process) -> None:
        """The connection has closed: it has ended well, or it died."""
        code = process.ended()
        self._print(process, last=True)
        if process.summary is not None:
            return
        if isinstance(process.failure, ConfigError) and not self._ending:
            raise process.failure  # it would be wrong in every process
        why = str(process.failure) if process.failure is not None else _ending(code)
        if time.monotonic() - process.began > STEADY:
            process.starts = 1
        streams = ", ".join(process.streams) or "none"
        if process.starts <= RESTARTS and not self._ending:
            wait_for = FIRST_WAIT * 2 ** (process.starts - 1)
            process.due = time.monotonic() + wait_for
            self._say("warning", process, f"{why}; its streams ({streams}) begin again in {wait_for:g} s")
            return
        if not self._ending:
            why = f"{why}, {RESTARTS + 1} times in a row; given up"
        lost: list[str | None] = [reading.name for reading in process.lost()]
        for stream in lost or [None]:
            self._say("error", process, why, stream)

    def _say(self, kind: Any, process: Process, text: str, stream: str | None = None) -> None:
        error = process.failure or MillraceError(f"{process.name}: {text}")
        self._note(Message(kind, "fleet", f"{process.name}: {text}", stream, error if kind == "error" else None))

    def _note(self, message: Message) -> None:
        if message.kind == "error":
            self._errors.append(message)
        self.bus.post(message)

    # the view

    @property
    def names(self) -> list[str]:
        """Streams of the plan, then those that were added."""
        planned = [stream.name for stream in self._plan.streams]
        return list(dict.fromkeys([*planned, *(name for process in self.processes for name in process.streams)]))

    @property
    def frames(self) -> int:
        return sum(process.told.frames for process in self.processes)

    @property
    def total(self) -> int | None:
        totals = [process.told.total for process in self.processes]
        return None if None in totals or not totals else sum(total for total in totals if total is not None)

    def readings(self) -> list[Reading]:
        """How every stream is doing, as its process said last."""
        known = {reading.name: reading for reading in self._known()}
        blank = Reading("", "starting", 0, 0, 0.0, 0.0, 0, 0, None, None)
        order = dict.fromkeys([*self.names, *known])
        return [known.get(name) or replace(blank, name=name) for name in order]

    def frames_out(self) -> dict[str, int]:
        return {reading.name: reading.frames_out for reading in self.readings()}

    def _known(self) -> Iterator[Reading]:
        for process in self.processes:
            state = None
            if not process.runs and process.summary is None and process.starts:
                state = "reconnecting" if process.due is not None else "failed"
            for reading in process.told.readings:
                yield replace(reading, state=state) if state else reading

    def summary(self) -> Summary:
        """All that the processes counted. Raises the ElementError that ended one of them for good."""
        parts = [process.summary for process in self.processes if process.summary is not None]
        streams = {name: stream for part in parts for name, stream in part.streams.items()}
        for reading in self.readings():  # of processes that are lost
            if reading.name not in streams:
                said = [message.text for message in self._errors if message.stream == reading.name]
                streams[reading.name] = StreamSummary(
                    reading.name, reading.frames_in, reading.frames_out, 0, 0, {}, {}, said, reading.drops
                )
        for process in self.processes:
            if process.summary is None and isinstance(process.failure, ElementError):
                raise process.failure
        return Summary(
            streams={name: streams[name] for name in dict.fromkeys([*self.names, *streams])},
            seconds=(self._ended or time.monotonic()) - self._began,
            drops=sum(part.drops for part in parts),
            skipped=sum(part.skipped for part in parts),
            interrupted=self.interrupted,
            errors=list(self._errors),
        )


def _ending(code: int) -> str:
    """What an exit code says of a process that ended without a word."""
    if code < 0:
        return f"it was ended by signal {-code}" + (" (killed: out of memory, perhaps)" if code == -9 else "")
    return f"it ended with code {code}"
