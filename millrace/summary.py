"""What came of a run: counts for each stream, taken as the frames pass."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from .config.build import build
from .config.plan import Plan
from .core import Message, NodeStats
from .core.bus import Bus
from .core.element import Element
from .meter import Counter, Meter, Reading, Tally


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
    drops: int = 0  # frames or packets lost in channels, by their policy
    latency: tuple[float, float] | None = None  # p50 and p99, seconds from a frame's arrival to the end of the line

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
        self.pipeline, first, last, self.streams, self._listening = build(plan, pull, keep_open=keep_open)
        self._first, self._last = Counter(), Counter()
        self._meter = Meter()
        self.pipeline.tap(first, self._first)
        self.pipeline.tap(last, self._last)
        self._planned = [stream.name for stream in plan.streams]
        self._began = time.monotonic()
        self._ended: float | None = None
        self.interrupted = False  # by Ctrl+C: what is in flight is being finished

    def start(self) -> None:
        self._began = time.monotonic()
        self.pipeline.start()
        self._listening.start()

    def run(self, on_tick: Callable[[Run], None] | None = None, every: float = 0.1) -> Summary:
        """Run to the end. Ctrl+C drains, a second one stops. Raises ElementError when an element failed.

        `on_tick(run)` is called every so many seconds. Interrupts are only noted by the signal's handler, so that
        none of them can strike inside a lock; in threads other than the main one they are not heard.
        """
        interrupts: list[int] = []
        with on_interrupt(lambda: interrupts.append(1)):
            try:
                self.start()
                while not self.pipeline.wait(every):
                    if interrupts and not self.interrupted:
                        self.interrupted = True
                        self.pipeline.drain()
                    if len(interrupts) > 1:
                        break  # what is in flight is given up
                    if on_tick:
                        on_tick(self)
            finally:
                self.close()
        return self.summary()

    def finish(self, timeout: float | None = None) -> Summary:
        """End a run that was started: read no more, let what is under way through. Raises TimeoutError."""
        try:
            self.pipeline.drain()
            if not self.pipeline.wait(timeout):
                raise TimeoutError(f"the pipeline has not ended within {timeout:g} s")
        finally:
            self.close()
        return self.summary()

    def close(self) -> None:
        """End at once, and all that belongs to it; after the end it does nothing."""
        self.pipeline.stop()
        self.streams.close()
        self._listening.close()
        self._ended = self._ended or time.monotonic()

    @property
    def bus(self) -> Bus:
        """Where errors, warnings and changes of state are told."""
        return self.pipeline.bus

    @property
    def names(self) -> list[str]:
        """Streams of the plan, and those that were added."""
        return list(dict.fromkeys([*self._planned, *self.streams.names, *list(self._first.tallies)]))

    @property
    def frames(self) -> int:
        """Frames that have come to the end of the line so far."""
        return sum(tally.frames for tally in list(self._last.tallies.values()))

    def frames_out(self) -> dict[str, int]:
        """Frames of every stream that have come to the end of the line so far; streams of the plan first."""
        tallies = self._last.tallies
        return {name: tallies[name].frames if name in tallies else 0 for name in dict.fromkeys([*self.names, *tallies])}

    @property
    def total(self) -> int | None:
        """Frames that all streams together say they have; None when one does not say, or has not begun."""
        totals = [tally.total for tally in list(self._first.tallies.values())]
        if len(totals) < len(self.names) or not totals:
            return None
        return sum(total for total in totals if total is not None) if None not in totals else None

    def readings(self) -> list[Reading]:
        """How every stream is doing now: those of the plan, then those that were added.

        Rates and latencies are those of the last seconds, so call it more than once.
        """
        going = self.pipeline.sources()
        rows = self.streams.rows()
        begins = self.pipeline.state in ("starting", "running", "paused")  # else nothing is begun anew
        again = {name for name, row in rows.items() if begins and row.state == "waiting" and row.began}
        lasting = {name for name, row in rows.items() if row.state in ("running", "waiting")} if begins else set()
        well = {name for name, row in rows.items() if row.restarts and not row.error}  # begun anew, and nothing since
        failed = {message.stream for message in list(self.pipeline.errors)} - well
        nodes = self.pipeline.stats()
        stats = nodes.values()
        out = []
        for name in dict.fromkeys([*self.names, *going, *list(self._last.tallies)]):
            first, last = self._first.tallies.get(name, Tally()), self._last.tallies.get(name, Tally())
            waiting, drops = (sum(counts.get(name, 0) for counts in kind) for kind in _by_stream(stats))
            source = nodes.get(name) if name in going else None
            state = "reconnecting" if name in again else _state(name, first, last, source, failed)
            if state in ("failed", "ended") and name in lasting and rows[name].comes_again(state == "failed"):
                state = "reconnecting"  # its end is through the line; its source is not closed yet
            out.append(self._meter.read(name, state, first, last, waiting, drops))
        return out

    def summary(self) -> Summary:
        errors = [message for message in self.pipeline.errors if message.kind == "error"]
        made = [name for name in self._last.tallies if name not in self.names]  # of others, by `tile`
        stats = self.pipeline.stats().values()
        _, lost = _by_stream(stats)
        return Summary(
            streams={name: self._stream(name, errors, lost) for name in [*self.names, *made]},
            seconds=(self._ended or time.monotonic()) - self._began,
            drops=sum(node.drops for node in stats),
            skipped=sum(node.skipped for node in stats),
            interrupted=self.interrupted,
            errors=errors,
        )

    def _stream(self, name: str, errors: list[Message], lost: list[dict[str | None, int]]) -> StreamSummary:
        first = self._first.tallies.get(name, Tally())
        last = self._last.tallies.get(name, Tally())
        said = [message.text for message in errors if message.stream == name]
        p50, p99 = last.latencies.quantiles(0.5, 0.99)
        return StreamSummary(
            name, first.frames, last.frames, last.objects, len(last.identities), dict(last.labels), dict(last.events),
            said, sum(counts.get(name, 0) for counts in lost), None if p50 is None or p99 is None else (p50, p99),
        )  # fmt: skip


def _by_stream(stats: Iterable[NodeStats]) -> tuple[list[dict[str | None, int]], list[dict[str | None, int]]]:
    """What waits before each node and what was dropped there, by stream."""
    nodes = list(stats)
    return [node.waiting for node in nodes], [node.lost for node in nodes]


def _state(name: str, first: Tally, last: Tally, source: NodeStats | None, failed: Collection[str | None]) -> str:
    """In one word, from what has come to both ends of the line and from its source, None when that has ended."""
    if source is not None and source.away:
        return "reconnecting"
    if last.open:
        return "running"
    if name in failed:
        return "failed"
    if source is None:
        return "ended"
    return "running" if first.open and first.frames else "starting"  # it may go on under another name (`tile`)


@contextmanager
def on_interrupt(note: Callable[[], None]) -> Iterator[None]:
    """Call `note` at Ctrl+C instead of raising KeyboardInterrupt, and when the process is asked to end (SIGTERM)."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    asked = (signal.SIGINT, signal.SIGTERM)
    before = [signal.signal(number, lambda number, frame: note()) for number in asked]
    try:
        yield
    finally:
        for number, handler in zip(asked, before, strict=True):
            signal.signal(number, handler)


def raise_first(errors: list[Any]) -> None:
    """Raise the first error that ended a stream; nothing when there is none."""
    for message in errors:
        if message.error is not None:
            raise message.error
