"""Branches that part and meet again: a window of frames between a fork and its join.

The fork registers what it sends, in order; the join gives it back in that order, each frame once, as `Parts`: what
each branch made of it. A branch may drop a frame; that it will not come is known when something later of the same
stream has come by that branch. The window is bounded, so that a slow branch holds the fork and nothing grows.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from .channel import Signal
from .element import Element
from .item import StreamEnd, StreamStart
from .node import Host, Node, OnError, Target


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
    key: tuple[Any, ...]
    stream: str
    waiting: set[int]  # links that may still bring it
    since: float
    parts: dict[int, Any] = field(default_factory=dict)


class Window:
    """What has left a fork and not yet its join."""

    def __init__(self, links: int, batches: int = 2, max_wait: float | None = None) -> None:
        self.links = links
        self.batches = batches
        self.max_wait = max_wait
        self._lock = threading.Lock()
        self._order: deque[_Entry] = deque()
        self._by_key: dict[tuple[Any, ...], _Entry] = {}
        self._of: dict[str, deque[_Entry]] = {}
        self._ended: dict[str, set[int]] = {}  # links on which a stream ended early, by an error in the branch
        self._live: set[str] = set()
        self._largest = 1
        self._frames = 0
        self._markers = 0
        self._waiters: set[Signal] = set()

    # the fork's side

    def room(self, stream: str | None, waiter: Signal | None = None) -> bool:
        if self._frames < self.batches * self._largest:
            return True
        if waiter is None:
            return False
        self._waiters.add(waiter)
        return self._frames < self.batches * self._largest

    def register(self, item: Any, links: set[int]) -> None:
        """`links`: those of the join that the item can reach."""
        now = time.monotonic()
        with self._lock:
            if isinstance(item, (StreamStart, StreamEnd)):
                if isinstance(item, StreamStart):
                    self._ended.pop(item.stream, None)
                    (self._live.add if item.live else self._live.discard)(item.stream)
                self._markers += 1
                self._add(_Entry((type(item), item.stream, self._markers), item.stream, set(links), now))
                return
            frames = [item] if item.stream is not None else item.frames
            self._largest = max(self._largest, len(frames))
            for frame in frames:
                self._frames += 1
                waiting = links - self._ended.get(frame.stream, set())
                key = (frame.stream, frame.epoch, frame.index)
                self._add(_Entry(key, frame.stream, waiting, now))

    def _add(self, entry: _Entry) -> None:
        self._order.append(entry)
        self._by_key[entry.key] = entry
        self._of.setdefault(entry.stream, deque()).append(entry)

    # the join's side

    def arrive(self, link: int, item: Any) -> int:
        """Note what came by `link`; returns how many frames came too late to be wanted."""
        late = 0
        with self._lock:
            if isinstance(item, (StreamStart, StreamEnd)):
                self._marker(link, item)
            else:
                for frame in [item] if item.stream is not None else item.frames:
                    entry = self._by_key.get((frame.stream, frame.epoch, frame.index))
                    if entry is None:
                        late += 1
                    else:
                        self._settle(link, entry, frame)
        return late

    def _marker(self, link: int, item: StreamStart | StreamEnd) -> None:
        for entry in self._of.get(item.stream, ()):
            if entry.key[0] is type(item) and link in entry.waiting:
                self._settle(link, entry, item)
                return
        if isinstance(item, StreamEnd):  # the branch gave the stream up: nothing of it will come any more
            self._ended.setdefault(item.stream, set()).add(link)
            for entry in self._of.get(item.stream, ()):
                entry.waiting.discard(link)

    def _settle(self, link: int, entry: _Entry, part: Any) -> None:
        """It has come by this link, so nothing earlier of its stream will."""
        for earlier in self._of[entry.stream]:
            earlier.waiting.discard(link)
            if earlier is entry:
                entry.parts[link] = part
                return

    def ready(self) -> Iterator[tuple[_Entry, bool]]:
        """What may leave the join now, in the fork's order, and whether a branch was not waited for."""
        while True:
            with self._lock:
                if not self._order:
                    break
                entry = self._order[0]
                overdue = entry.waiting and self._overdue(entry)
                if entry.waiting and not overdue:
                    break
                self._order.popleft()
                del self._by_key[entry.key]
                mine = self._of[entry.stream]
                mine.popleft()
                if not mine:
                    del self._of[entry.stream]
                    if entry.key[0] is StreamEnd:
                        self._ended.pop(entry.stream, None)
                        self._live.discard(entry.stream)
                if entry.key[0] not in (StreamStart, StreamEnd):
                    self._frames -= 1
            yield entry, bool(overdue)
        waiters, self._waiters = self._waiters, set()
        for waiter in waiters:
            waiter.set()

    def _overdue(self, entry: _Entry) -> bool:
        if self.max_wait is None or entry.stream not in self._live or entry.key[0] in (StreamStart, StreamEnd):
            return False
        return time.monotonic() >= entry.since + self.max_wait

    def deadline(self) -> float | None:
        with self._lock:
            if self.max_wait is None or not self._order or self._order[0].stream not in self._live:
                return None
            return self._order[0].since + self.max_wait


class Fork:
    """Several targets, some of whose branches meet again: registers with the windows, then copies and pushes."""

    def __init__(self, targets: Sequence[Target], streams: Sequence[str | None]) -> None:
        self.targets = list(targets)
        self.streams = list(streams)  # what the link to each target selects; None: everything
        self.windows: list[tuple[Window, list[set[int]]]] = []  # and the join's links behind each target

    def push(self, item: Any) -> None:
        for window, reach in self.windows:
            links: set[int] = set()
            for selected, behind in zip(self.streams, reach, strict=True):
                if selected is None or item.stream is None or item.stream == selected:
                    links |= behind
            if links:
                window.register(item, links)
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
            self._release()
        else:
            super().push(item)

    def _release(self) -> None:
        for entry, partial in self.window.ready():
            kind = entry.key[0]
            if kind is StreamStart or kind is StreamEnd:
                if entry.parts:
                    super().push(entry.parts[min(entry.parts)])
            elif entry.parts:
                parts = tuple(entry.parts.get(link) for link in range(self.window.links))
                super().push(Parts(entry.stream, parts, partial))

    @property
    def deadline(self) -> float | None:
        mine, window = self.element.deadline, self.window.deadline()
        return min(mine, window) if mine is not None and window is not None else mine or window

    def on_deadline(self) -> None:
        self._release()
        if self.element.deadline is not None:
            super().on_deadline()
