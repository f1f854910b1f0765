"""What came of a run: counts for each stream, taken as the frames pass."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from .config.build import build
from .config.plan import Plan
from .core import Message
from .core.element import Element
from .core.item import StreamStart
from .media import Batch, Frame


@dataclass(slots=True)
class Tally:
    """One stream at one place. `total` is how many frames its file says it has, None when it does not say."""

    frames: int = 0
    objects: int = 0
    identities: set[int] = field(default_factory=set)
    labels: dict[str, int] = field(default_factory=dict)
    events: dict[tuple[str, str, str], int] = field(default_factory=dict)  # kind, line or zone, direction
    total: int | None = None


class Counter:
    """Counts what passes a node, for each stream: a function for `Pipeline.tap`."""

    def __init__(self) -> None:
        self.tallies: dict[str, Tally] = {}

    def __call__(self, item: Any) -> None:
        if isinstance(item, StreamStart):
            self.tallies.setdefault(item.stream, Tally()).total = item.caps.get("frames")
        elif isinstance(item, Frame):
            self.count(item)
        elif isinstance(item, Batch):
            for frame in item.frames:
                self.count(frame)

    def count(self, frame: Frame) -> None:
        tally = self.tallies.setdefault(frame.stream, Tally())
        tally.frames += 1
        tally.objects += len(frame.objects)
        for found in frame.objects:
            tally.labels[found.label] = tally.labels.get(found.label, 0) + 1
            if found.id is not None:
                tally.identities.add(found.id)
        for event in frame.events:
            key = (event.kind, event.name, event.direction or "")
            tally.events[key] = tally.events.get(key, 0) + 1


@dataclass(frozen=True, slots=True)
class StreamSummary:
    """One stream of a finished run. `objects` sums up over frames; `identities` counts each tracked one once."""

    name: str
    frames_in: int  # decoded
    frames_out: int  # at the end of the line
    objects: int
    identities: int
    labels: dict[str, int]
    events: dict[tuple[str, str, str], int]  # (kind, line or zone, direction) → how often
    errors: list[str]

    def lines(self) -> dict[str, dict[str, int]]:
        """Crossings for each line and direction: `{"door": {"in": 3, "out": 1}}`."""
        out: dict[str, dict[str, int]] = {}
        for (kind, name, direction), count in sorted(self.events.items()):
            if kind == "line":
                out.setdefault(name, {})[direction] = count
        return out


@dataclass(frozen=True, slots=True)
class Summary:
    """A finished run. `seconds` is wall time from start to end."""

    streams: dict[str, StreamSummary]
    seconds: float
    drops: int  # frames lost in channels, by their policy
    skipped: int  # frames lost to errors under on_error: skip
    interrupted: bool
    errors: list[Message]

    @property
    def frames(self) -> int:
        return sum(stream.frames_out for stream in self.streams.values())

    @property
    def fps(self) -> float:
        return self.frames / self.seconds if self.seconds > 0 else 0.0


class Run:
    """A plan at work, with its counts. `run()` once, or start and stop `pipeline` yourself."""

    def __init__(self, plan: Plan, pull: Element | None = None, *, keep_open: bool = False) -> None:
        self.pipeline, first, last, self.streams = build(plan, pull, keep_open=keep_open)
        self._first, self._last = Counter(), Counter()
        self.pipeline.tap(first, self._first)
        self.pipeline.tap(last, self._last)
        self._planned = [stream.name for stream in plan.streams]
        self._began = time.monotonic()
        self._ended: float | None = None
        self._interrupted = False

    def start(self) -> None:
        self._began = time.monotonic()
        self.pipeline.start()

    def run(self, on_tick: Callable[[Run], None] | None = None, every: float = 0.1) -> Summary:
        """Run to the end. Ctrl+C drains, a second one stops. Raises ElementError when an element failed.

        `on_tick(run)` is called every so many seconds. Interrupts are only noted by the signal's handler, so that
        none of them can strike inside a lock; in threads other than the main one they are not heard.
        """
        interrupts: list[int] = []
        with _on_interrupt(lambda: interrupts.append(1)):
            try:
                self.start()
                while not self.pipeline.wait(every):
                    if interrupts and not self._interrupted:
                        self._interrupted = True
                        self.pipeline.drain()
                    if len(interrupts) > 1:
                        break  # what is in flight is given up
                    if on_tick:
                        on_tick(self)
            finally:
                self.pipeline.stop()
                self.streams.close()
                self._ended = time.monotonic()
        return self.summary()

    def finish(self, timeout: float | None = None) -> Summary:
        """End a run that was started: read no more, let what is under way through. Raises TimeoutError."""
        try:
            self.pipeline.drain()
            if not self.pipeline.wait(timeout):
                raise TimeoutError(f"the pipeline has not ended within {timeout:g} s")
        finally:
            self.pipeline.stop()
            self.streams.close()
            self._ended = time.monotonic()
        return self.summary()

    @property
    def names(self) -> list[str]:
        """Streams of the plan, and those that were added."""
        return list(dict.fromkeys([*self._planned, *self.streams.names, *list(self._first.tallies)]))

    @property
    def frames(self) -> int:
        """Frames that have come to the end of the line so far."""
        return sum(tally.frames for tally in list(self._last.tallies.values()))

    @property
    def total(self) -> int | None:
        """Frames that all streams together say they have; None when one does not say, or has not begun."""
        totals = [tally.total for tally in list(self._first.tallies.values())]
        if len(totals) < len(self.names) or not totals:
            return None
        return sum(total for total in totals if total is not None) if None not in totals else None

    def summary(self) -> Summary:
        errors = [message for message in self.pipeline.errors if message.kind == "error"]
        stats = self.pipeline.stats().values()
        return Summary(
            streams={name: self._stream(name, errors) for name in self.names},
            seconds=(self._ended or time.monotonic()) - self._began,
            drops=sum(node.drops for node in stats),
            skipped=sum(node.skipped for node in stats),
            interrupted=self._interrupted,
            errors=errors,
        )

    def _stream(self, name: str, errors: list[Message]) -> StreamSummary:
        first = self._first.tallies.get(name, Tally())
        last = self._last.tallies.get(name, Tally())
        said = [message.text for message in errors if message.stream == name]
        return StreamSummary(
            name, first.frames, last.frames, last.objects, len(last.identities), dict(last.labels), dict(last.events),
            said,
        )  # fmt: skip


@contextmanager
def _on_interrupt(note: Callable[[], None]) -> Iterator[None]:
    """Call `note` at Ctrl+C instead of raising KeyboardInterrupt."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, lambda number, frame: note())
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def raise_first(errors: list[Any]) -> None:
    """Raise the first error that ended a stream; nothing when there is none."""
    for message in errors:
        if message.error is not None:
            raise message.error
