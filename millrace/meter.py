"""What is counted of each stream as its frames pass, and what is told of it while it runs."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from .core.item import StreamEnd, StreamStart
from .media import Batch, Frame

SPAN = 3.0  # seconds over which rates and latencies are taken while a pipeline runs
REMEMBERED = 1024  # streams, at most, whose counts are kept when they come and go
_STEPS = 16  # buckets of a doubling: a latency is known to 1/16, its middle to 1/32
_BUCKETS = _STEPS * 42  # up to 2^45 us
_UNIT = 10  # latencies are counted in 2^10 ns, about a microsecond


class Latencies:
    """How long frames took, in buckets that grow with the value: a fixed size, any quantile to within 4 %.

    `since` an earlier copy of `counts`, quantiles are of what came after it.
    """

    __slots__ = ("counts",)

    def __init__(self) -> None:
        self.counts = [0] * _BUCKETS

    def add(self, ns: int) -> None:
        """One frame took so many ns."""
        value = ns >> _UNIT
        shift = value.bit_length() - 5
        if shift > 0:
            value = (shift << 4) + (value >> shift)
        self.counts[value if 0 <= value < _BUCKETS else 0 if value < 0 else -1] += 1

    def quantiles(self, *shares: float, since: list[int] | None = None) -> list[float | None]:
        """Seconds below which these shares (0 to 1, growing) of the frames lie; None where no frame was counted."""
        counts = list(self.counts)
        if since is not None:
            counts = [now - before for now, before in zip(counts, since, strict=True)]
        total = sum(counts)
        if not total:
            return [None for _ in shares]
        out: list[float | None] = []
        passed, bucket = 0, -1
        for share in shares:
            while passed < max(1, share * total) and bucket < _BUCKETS - 1:
                bucket += 1
                passed += counts[bucket]
            out.append(_middle(bucket))
        return out


def _middle(bucket: int) -> float:
    """The middle of a bucket in seconds."""
    shift = max(0, bucket // _STEPS - 1)
    return ((bucket - shift * _STEPS + 0.5) * (1 << shift)) * (1 << _UNIT) / 1e9


@dataclass(slots=True)
class Tally:
    """One stream at one place. `total` is how many frames its file says it has, None when it does not say."""

    frames: int = 0
    objects: int = 0
    identities: set[Any] = field(default_factory=set)
    labels: dict[str, int] = field(default_factory=dict)
    events: dict[tuple[str, str, str], int] = field(default_factory=dict)  # kind, line or zone, direction
    total: int | None = None
    open: bool = False  # it has started here and not ended
    latencies: Latencies = field(default_factory=Latencies)  # from a frame's arrival to here


class Counter:
    """Counts what passes a node, for each stream: a function for `Pipeline.tap`."""

    def __init__(self, clock: Callable[[], int] = time.monotonic_ns) -> None:
        self.tallies: dict[str, Tally] = {}
        self.clock = clock

    def __call__(self, item: Any) -> None:
        if isinstance(item, Frame):
            self.count(item)
        elif isinstance(item, Batch):
            for frame in item.frames:
                self.count(frame)
        elif isinstance(item, StreamStart):
            tally = self.tallies.setdefault(item.stream, Tally())
            tally.total, tally.open = item.caps.get("frames"), True
            if len(self.tallies) > REMEMBERED:
                self._forget_one()
        elif isinstance(item, StreamEnd) and item.stream in self.tallies:
            self.tallies[item.stream].open = False

    def _forget_one(self) -> None:
        """Streams come and go: the one that ended longest ago gives way."""
        ended = next((name for name, tally in self.tallies.items() if not tally.open), None)
        if ended is not None:
            del self.tallies[ended]

    def count(self, frame: Frame) -> None:
        tally = self.tallies.get(frame.stream)
        if tally is None:
            tally = self.tallies[frame.stream] = Tally()
        tally.frames += 1
        if frame.arrived:
            tally.latencies.add(self.clock() - frame.arrived)
        if frame.objects:
            tally.objects += len(frame.objects)
            for found in frame.objects:
                tally.labels[found.label] = tally.labels.get(found.label, 0) + 1
                if found.id is not None:
                    tally.identities.add((found.extras.get("stream"), found.id))  # `tile` mixes streams
        for event in frame.events:
            if event.phase == "update" or (event.phase == "end" and event.direction is None):
                continue  # told again, not happened again
            key = (event.kind, event.name, event.direction or "")
            tally.events[key] = tally.events.get(key, 0) + 1


@dataclass(frozen=True, slots=True)
class Reading:
    """One stream at this moment; rates and latencies are those of the last SPAN seconds."""

    name: str
    state: str  # starting, running, reconnecting, ended, failed
    frames_in: int  # decoded
    frames_out: int  # at the end of the line
    fps_in: float
    fps_out: float
    drops: int  # items that channels dropped by their policy
    waiting: int  # items in channels now; frames in batches are not told apart
    p50: float | None  # seconds from a frame's arrival to the end of the line
    p99: float | None


@dataclass(slots=True)
class _Mark:
    at: float
    frames_in: int
    frames_out: int
    latencies: list[int]


class Meter:
    """Turns counts that only grow into rates: `mark` a few times a second, or whenever a reading is wanted."""

    def __init__(self, span: float = SPAN, clock: Callable[[], float] = time.monotonic) -> None:
        self.span = span
        self.clock = clock
        self._marks: dict[str, list[_Mark]] = {}

    def read(self, name: str, state: str, first: Tally, last: Tally, waiting: int, drops: int) -> Reading:
        """A reading of one stream from its tallies after decoding and at the end of the line."""
        now = self.clock()
        marks = self._marks.setdefault(name, [])
        if not marks or now - marks[-1].at >= self.span / 8:
            marks.append(_Mark(now, first.frames, last.frames, list(last.latencies.counts)))
        while len(marks) > 2 and marks[1].at <= now - self.span:
            marks.pop(0)
        then = marks[0]
        passed = now - then.at
        p50, p99 = last.latencies.quantiles(0.5, 0.99, since=then.latencies)
        return Reading(
            name, state, first.frames, last.frames,
            (first.frames - then.frames_in) / passed if passed > 0 else 0.0,
            (last.frames - then.frames_out) / passed if passed > 0 else 0.0,
            drops, waiting, p50, p99,
        )  # fmt: skip

    def forget(self, name: str) -> None:
        """The stream has gone for good."""
        self._marks.pop(name, None)
