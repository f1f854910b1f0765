"""Branches that part and meet again: a window of frames between a fork and its join.

The fork registers what it sends, in order; the join gives it back in that order, each frame once, as `Parts`: what
each branch made of it. A branch may drop a frame; that it will not come is known when something later of the same
stream has come by that branch. The window is bounded, so that a slow branch holds the fork and nothing grows.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from .bundles import Admits
from .channel import Channel
from .element import Element
from .item import StreamEnd, StreamStart
from .node import Host, Node, OnError, Target
from .signal import Signal


@dataclass(slots=True, eq=False)
class Parts:
    """One frame as it came out of every branch, in the order of the links; None where a branch has dropped it.

    `partial`: a branch was too slow for `max_wait` and was not waited for.
    """

    stream: str
    parts: tuple[Any, ...]
    partial: bool = False
    droppable: bool = True

    def fork(self) -> Parts:
        return Parts(self.stream, tuple(None if p is None else p.fork() for p in self.parts), self.partial)


@dataclass(slots=True, eq=False)
class Arrival:
    """An item on its way into a join, with the link by which it came."""

    link: int
    item: Any

    @property
    def stream(self) -> str | None:
        stream: str | None = self.item.stream
        return stream

    @property
    def droppable(self) -> bool:
        return bool(self.item.droppable)

    @property
    def frames(self) -> Any:
        return self.item.frames  # of a bundle

    def fork(self) -> Arrival:
        return Arrival(self.link, self.item.fork())


class Port:
    """One input link of a join."""

    def __init__(self, link: int, target: Target) -> None:
        self.link = link
        self.target = target

    def push(self, item: Any) -> None:
        self.target.push(Arrival(self.link, item))


@dataclass(slots=True, eq=False)
class _Entry:
    key: tuple[Any, ...]  # StreamStart or StreamEnd, or a frame's (epoch, index)
    stream: str
    waiting: set[int]  # links that may still bring it
    since: float
    parts: dict[int, Any] = field(default_factory=dict)

    @property
    def marker(self) -> bool:
        return self.key[0] is StreamStart or self.key[0] is StreamEnd


class Window:
    """What has left a fork and not yet its join.

    It grants the fork `frames` frames of each stream, or as many in all as `batches` of the largest batch where those
    come. When it is full and nothing has come by for STALL seconds, a branch holds or drops more than that: the window
    doubles, up to MOST frames. Beyond that the oldest frame is taken as dropped where it has not come. So a window
    that is too small costs time, once, and does not change what leaves the join.

    What leaves is in the fork's order; only a stream for which there is no room behind the join is passed over. While
    one is, bundles of other streams are granted one each beyond that, where bundles of several ways reach the fork.
    """

    STALL = 0.05
    MOST = 1024

    def __init__(self, links: int, batches: int = 2, max_wait: float | None = None, frames: int = 16) -> None:
        self.links = links
        self.batches = batches
        self.frames = frames
        self.max_wait = max_wait
        self.before: Channel | None = None  # of the fork's thread
        self.reader = Signal()  # wakes the join's thread
        self._lock = threading.Lock()
        self._order: deque[_Entry] = deque()
        self._of: dict[str, deque[_Entry]] = {}
        self._open: dict[str, set[int]] = {}  # links by which more of an open stream may come
        self._live: set[str] = set()
        self._largest = 1
        self._counts: dict[str, int] = {}  # frames under way
        self._moved = time.monotonic()
        self._waiters: set[Signal] = set()
        self._stuck = False  # a stream was passed over

    # the fork's side

    def room(self, stream: str | None, waiter: Signal | None = None, of: Iterable[str] = ()) -> bool:
        with self._lock:
            if stream is not None:
                there = self._counts.get(stream, 0) < self.frames
            else:
                there = sum(self._counts.values()) < max(self.batches * self._largest, self.frames) or self._passes(of)
            if not there and waiter is not None:
                self._waiters.add(waiter)
                self.reader.set()  # the join's thread must look after a stall
            return there

    def _passes(self, of: Iterable[str]) -> bool:
        """Whether a bundle of these streams goes though the window is full: see core/bundles.py."""
        before = self.before
        if not (self._stuck and of and before is not None and before.mixes):
            return False
        return not any(each in self._counts for each in of)

    def gather(self) -> None: ...

    def send(self) -> None: ...

    def idle(self, waiter: Signal | None = None) -> bool:
        return True  # what waits here waits for other parts

    def register(self, item: Any, reach: Mapping[str | None, set[int]]) -> None:
        """`reach`: the join's links that a stream can reach; None: one that is not named."""
        now = time.monotonic()
        with self._lock:
            if isinstance(item, StreamStart):
                links = reach.get(item.stream, reach[None])
                if links:
                    self._open[item.stream] = set(links)
                (self._live.add if item.live else self._live.discard)(item.stream)
                self._add((StreamStart,), item.stream, links, now)
            elif isinstance(item, StreamEnd):
                self._live.discard(item.stream)
                links = self._open.pop(item.stream, reach.get(item.stream, reach[None]))
                self._add((StreamEnd,), item.stream, links, now)
            else:
                frames = [item] if item.stream is not None else item.frames
                self._largest = max(self._largest, len(frames))
                for frame in frames:
                    self._add((frame.epoch, frame.index), frame.stream, self._open.get(frame.stream, set()), now)
            self._moved = now

    def _add(self, key: tuple[Any, ...], stream: str, links: set[int], now: float) -> None:
        if links:  # else no branch will bring it
            entry = _Entry(key, stream, set(links), now)
            if not entry.marker:
                self._counts[stream] = self._counts.get(stream, 0) + 1
            self._order.append(entry)
            self._of.setdefault(stream, deque()).append(entry)

    # the join's side

    def arrive(self, link: int, item: Any) -> int:
        """Note what came by `link`; returns how many frames came too late to be wanted."""
        late = 0
        with self._lock:
            self._moved = time.monotonic()
            if isinstance(item, (StreamStart, StreamEnd)):
                if not self._settle(link, item.stream, (type(item),), item) and isinstance(item, StreamEnd):
                    self._given_up(link, item)
            else:
                for frame in [item] if item.stream is not None else item.frames:
                    late += not self._settle(link, frame.stream, (frame.epoch, frame.index), frame)
        return late

    def _settle(self, link: int, stream: str, key: tuple[Any, ...], part: Any) -> bool:
        """It has come by this link, so nothing earlier of its stream will; False when nobody waits for it."""
        mine = self._of.get(stream, ())
        for entry in mine:
            if entry.key == key and link in entry.waiting:
                break
        else:
            return False
        for earlier in mine:
            earlier.waiting.discard(link)
            if earlier is entry:
                entry.parts[link] = part
                break
        return True

    def _given_up(self, link: int, end: StreamEnd) -> None:
        """The branch has ended the stream before the fork did: nothing of it will come any more."""
        for entry in self._of.get(end.stream, ()):
            entry.waiting.discard(link)
        links = self._open.get(end.stream)
        if links is not None and link in links:
            links.discard(link)
            if not links:  # no branch is left, so the stream ends here
                self._add((StreamEnd,), end.stream, {link}, self._moved)
                self._settle(link, end.stream, (StreamEnd,), end)

    def ready(self, admits: Admits | None, refused: set[str]) -> Iterator[tuple[_Entry, bool]]:
        """What may leave the join now, and whether a branch was not waited for.

        Streams that `admits` says no to are passed over and noted in `refused`.
        """
        left = False
        while True:
            with self._lock:
                entry = self._next(admits, refused)
                if entry is None:
                    break
                left = True
                self._order.remove(entry)
                mine = self._of[entry.stream]
                mine.popleft()
                if not mine:
                    del self._of[entry.stream]
                if not entry.marker:
                    self._counts[entry.stream] -= 1
                    if not self._counts[entry.stream]:
                        del self._counts[entry.stream]
            yield entry, bool(entry.waiting)
        before, self._stuck = self._stuck, bool(refused)
        if left or (self._stuck and not before):
            self._wake_waiters()

    def _next(self, admits: Admits | None, refused: set[str]) -> _Entry | None:
        for entry in self._order:
            if entry.stream in refused:
                continue
            if entry.waiting and not self._overdue(entry):
                return None
            if admits is None or not entry.parts or entry.marker or admits(entry.stream):
                return entry
            refused.add(entry.stream)
        return None

    def _wake_waiters(self) -> None:
        with self._lock:
            waiters, self._waiters = self._waiters, set()
        for waiter in waiters:
            waiter.set()

    def _overdue(self, entry: _Entry) -> bool:
        if self.max_wait is None or entry.stream not in self._live or entry.marker:
            return False
        return time.monotonic() >= entry.since + self.max_wait

    def deadline(self) -> float | None:
        """When to look again, should nothing come by."""
        with self._lock:
            times = [self._moved + self.STALL] if self._waiters and self._stalled() else []
            if self._order and self.max_wait is not None:
                head = self._order[0]
                if head.waiting and head.stream in self._live and not head.marker:
                    times.append(head.since + self.max_wait)
            return min(times, default=None)

    def _stalled(self) -> deque[_Entry] | None:
        """What a stream has under way, if that fills the window and its oldest frame has not come by every branch."""
        total = sum(self._counts.values())
        for stream, count in self._counts.items():
            if (count >= self.frames or total >= self.batches * self._largest) and self._of[stream][0].waiting:
                return self._of[stream]
        return None

    def relieve(self) -> None:
        """Nothing came by for a while: where the window is full, make room."""
        with self._lock:
            stalled = self._stalled() if self._waiters else None
            if stalled is None or time.monotonic() < self._moved + self.STALL:
                return
            self._moved = time.monotonic()
            if self.frames < self.MOST:
                self.frames *= 2
                self.batches *= 2
            else:
                for entry in stalled:
                    entry.waiting.clear()
                    if not entry.marker:
                        break
        self._wake_waiters()


class Fork:
    """Several targets, some of whose branches meet again: registers with the windows, then copies and pushes."""

    def __init__(self, targets: Sequence[Target]) -> None:
        self.targets = list(targets)
        self.windows: list[tuple[Window, Mapping[str | None, set[int]]]] = []  # and what reaches the join's links

    def push(self, item: Any) -> None:
        for window, reach in self.windows:
            window.register(item, reach)
        forks = [item, *(item.fork() for _ in self.targets[1:])]
        for target, fork in zip(self.targets, forks, strict=True):
            target.push(fork)


class JoinNode(Node):
    """A node whose element gets `Parts`."""

    def __init__(self, name: str, element: Element, host: Host, window: Window, on_error: OnError = "fail") -> None:
        super().__init__(name, element, host, on_error)
        self.window = window
        self.timed = True

    def push(self, item: Any) -> None:
        if isinstance(item, Arrival):
            self.stats.skipped += self.window.arrive(item.link, item.item)
            self.release()
        else:
            super().push(item)

    def release(self) -> None:
        refused: set[str] = set()
        for entry, partial in self.window.ready(self.admits, refused):
            if entry.marker:
                if entry.parts:
                    super().push(entry.parts[min(entry.parts)])
            elif entry.parts:
                parts = tuple(entry.parts.get(link) for link in range(self.window.links))
                super().push(Parts(entry.stream, parts, partial))
        self.stuck = bool(refused)

    @property
    def deadline(self) -> float | None:
        mine, window = self.element.deadline, self.window.deadline()
        return min(mine, window) if mine is not None and window is not None else mine or window

    def on_deadline(self) -> None:
        self.window.relieve()
        self.release()
        mine = self.element.deadline
        if mine is not None and time.monotonic() >= mine:
            super().on_deadline()
