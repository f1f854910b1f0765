"""How nodes are tied together: a link to another thread's channel, the part of it that one stream takes, a fork
that copies for several targets, and a partition that gives each stream to one of several workers."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Sequence
from typing import Any, Protocol

from .channel import Channel, Policy
from .item import StreamEnd, StreamStart
from .node import Target
from .signal import Signal


class Outlet(Protocol):
    """What limits a worker: it takes an item of a stream only when every outlet of its chain has room."""

    def room(self, stream: str | None, waiter: Signal | None = None, of: Iterable[str] = ()) -> bool: ...

    def gather(self) -> None:
        """Keep what is pushed, as far as it may wait, until `send`."""

    def send(self) -> None: ...

    def idle(self, waiter: Signal | None = None) -> bool:
        """Whether what is pushed will not wait; if it will, `waiter` is set when that may have changed.

        Who drops needs no patience, and of what waits in a channel of several senders nobody knows whose it is.
        """


class Link:
    """The sending end of a channel; holds one of its counted senders.

    `live` is the policy for live streams: a link from a source is their door, where they drop and never wait.
    `burst` items of each wait there before one is dropped (default: the channel's size). What is not worked off is no
    burst: where BACKLOG or more of a stream have been waiting for LASTING seconds, and for as long afterwards, only
    BACKLOG may wait, so that what comes through is not late by all of it.

    Behind an element that sheds, `inlets` are the channel before it and those before that. There a live stream waits
    as a file does, so that a burst after a stall of the network loses nothing, until it is late: more than LOW items
    of it have been waiting in the inlets for PATIENCE seconds. Then it drops, so that it stays LOW items behind, until
    it has been in time for as long. One that begins has STARTING seconds for what came before it could: many GPU
    decoders are made one after the other.
    """

    LOW = 4
    PATIENCE = 1.0
    STARTING = 5.0
    BACKLOG = 32
    LASTING = 10.0

    def __init__(
        self,
        channel: Channel,
        live: Policy | None = None,
        burst: int | None = None,
        inlets: Sequence[Channel] = (),
        before: Channel | None = None,
    ) -> None:
        self.channel = channel
        self.closed = False
        self._live_policy = live
        self._burst = burst
        self._inlets = inlets
        self._begins: dict[str, float] = {}  # until when a stream that has begun has time for what came before
        self._before = before
        self._behind: dict[str, float] = {}  # since when a stream has had too much waiting
        self._late: dict[str, float] = {}  # until when a stream counts as late
        self._live: set[str] = set()
        self._packs = False  # bundles have come by here: what its sender takes may leave as one
        self._gathers = False
        self._held: dict[str | None, Any] = {}  # one item of each stream, for which there was room
        channel.add_sender()

    def gather(self) -> None:
        self._gathers = True

    def send(self) -> None:
        self._gathers = False
        self._send_held()

    def idle(self, waiter: Signal | None = None) -> bool:
        channel = self.channel
        return channel.policy != "wait" or channel.senders > 1 or channel.idle(waiter)

    def _send_held(self) -> None:
        if self._held:
            held, self._held = self._held, {}
            self.channel.push_all(held)

    def push(self, item: Any) -> None:
        if item.stream is None:
            self._packs = self.channel.bundles = True
            if self._before is not None and self._before.mixes:
                self.channel.meets = True  # what met before the sender comes by this one link
        if self._gathers:
            if item.droppable and item.stream not in self._held and item.stream not in self._live:
                self._held[item.stream] = item
                return
            self._send_held()
        if self._live_policy is None:
            self.channel.push(item, wait=False)
            return
        if item.__class__ is StreamStart:
            if item.live and item.stream not in self._live and self._inlets:
                self._begins[item.stream] = time.monotonic() + self.STARTING
            (self._live.add if item.live else self._live.discard)(item.stream)
        elif item.__class__ is StreamEnd:
            self._live.discard(item.stream)
            for known in (self._begins, self._behind, self._late):
                known.pop(item.stream, None)
        if item.stream in self._live and (not self._inlets or self._is_late(item.stream)):
            self.channel.push(item, wait=False, policy=self._live_policy, size=self._may_wait(item.stream))
        else:
            self.channel.push(item, wait=False)

    def room(self, stream: str | None, waiter: Signal | None = None, of: Iterable[str] = ()) -> bool:
        if stream not in self._live:
            return self.channel.room(stream, waiter, of, self._packs) or (
                self._unpacks() and self.channel.room(stream, waiter, of, self._packs)
            )
        if not self._inlets:
            return True
        if not self.channel.room(stream, waiter, of, self._packs):
            return self._drops(stream)
        if stream in self._behind and self._waiting(stream) <= self.LOW:
            del self._behind[stream]  # it has caught up: the next burst has its own time
        return True

    def _may_wait(self, stream: str) -> int | None:
        """How many items of a live stream may wait at its door; None: as many as the channel says."""
        most = self._burst
        if most is None or most <= self.BACKLOG:
            return most
        waiting = self.channel.depth(stream)
        if waiting <= self.LOW:
            self._behind.pop(stream, None)
        elif waiting >= self.BACKLOG:
            now = time.monotonic()
            if now - self._behind.setdefault(stream, now) >= self.LASTING:
                self._late[stream] = now + self.LASTING
        return self.BACKLOG if self._is_late(stream) else most

    def _is_late(self, stream: str) -> bool:
        until = self._late.get(stream)
        return until is not None and time.monotonic() < until

    def _waiting(self, stream: str) -> int:
        return sum(inlet.depth(stream) for inlet in self._inlets)

    def _unpacks(self) -> bool:
        """Whether it shows now that all that comes by here was in bundles of one way."""
        channel, before = self.channel, self._before
        if before is None or channel.unpacked or channel.meets or before.meets:
            return False
        channel.unpacked = before.unpacked or (before.bundles and not channel.bundles)
        if channel.unpacked:
            channel.reader.set()  # it may rest and not have said what for
        return channel.unpacked

    def _drops(self, stream: str) -> bool:
        """Whether a live stream that finds no room is so late that it drops."""
        now = time.monotonic()
        waiting = self._waiting(stream)
        if waiting <= self.LOW:
            self._begins.pop(stream, None)
            self._behind.pop(stream, None)
            return False
        since = self._behind.setdefault(stream, now)
        begins = now < self._begins.get(stream, 0.0)
        most = self._inlets[0].size * (28 if begins else 16)  # at 32 packets are dropped before a decoder
        if (begins or now - since < self.PATIENCE) and now >= self._late.get(stream, 0.0) and waiting < most:
            return False
        self._late[stream] = now + self.PATIENCE
        return True

    def close(self) -> None:
        if not self.closed:
            self.closed = True
            self.channel.remove_sender()


class Select:
    """Only what belongs to one stream passes: a demux."""

    def __init__(self, stream: str, target: Target) -> None:
        self.stream = stream
        self.target = target

    def push(self, item: Any) -> None:
        if item.stream == self.stream:
            self.target.push(item)
        elif item.stream is None:
            chosen = item.select(self.stream)
            if chosen is not None:
                self.target.push(chosen)


class Only:
    """Only items of one kind pass, and no markers: a side way."""

    def __init__(self, kind: str, target: Target) -> None:
        self.kind = kind
        self.target = target

    def push(self, item: Any) -> None:
        if getattr(item, "kind", None) == self.kind:
            self.target.push(item)


class Seats:
    """Which of several links each stream goes by: the one with the fewest streams when it starts.

    Shared by all who send into the same element: many sources each have a partition of their own. A stream that
    comes back goes where it was before, so that its new life cannot overtake the end of the old one.
    """

    REMEMBERED = 1024  # streams that have ended and whose link is remembered

    def __init__(self, count: int) -> None:
        self.count = count
        self._lock = threading.Lock()
        self._of: dict[str, int] = {}
        self._open: set[str] = set()

    def of(self, stream: str) -> int | None:
        return self._of.get(stream)

    def assign(self, stream: str) -> int:
        with self._lock:
            seat = self._of.pop(stream, None)
            if seat is None:
                load = [[0, 0] for _ in range(self.count)]
                for name, taken in self._of.items():
                    load[taken][0] += name in self._open
                    load[taken][1] += 1
                seat = load.index(min(load))  # among equals the one that has had the fewest
            self._of[stream] = seat
            self._open.add(stream)
            if len(self._of) > len(self._open) + self.REMEMBERED:
                del self._of[next(name for name in self._of if name not in self._open)]
            return seat

    def leave(self, stream: str) -> None:
        with self._lock:
            self._open.discard(stream)


class Partition:
    """Each stream goes to one of several links, as `seats` say."""

    def __init__(self, links: Sequence[Link], seats: Seats | None = None) -> None:
        self.links = list(links)
        self.seats = seats or Seats(len(self.links))

    def push(self, item: Any) -> None:
        stream = item.stream
        if stream is None:
            raise TypeError("a partition takes items of single streams; put `split` before it")
        kind = item.__class__
        seat = self.seats.of(stream)
        if kind is StreamStart or (kind is StreamEnd and seat is None):
            seat = self.seats.assign(stream)  # to one that ends without a start, too: it may start after all
        if seat is not None:
            self.links[seat].push(item)
        if kind is StreamEnd:
            self.seats.leave(stream)

    def room(self, stream: str | None, waiter: Signal | None = None, of: Iterable[str] = ()) -> bool:
        seat = self.seats.of(stream) if stream is not None else None
        if seat is None:  # not assigned yet
            return all(each.room(stream, waiter, of) for each in self.links)
        return self.links[seat].room(stream, waiter, of)

    def gather(self) -> None:
        for link in self.links:
            link.gather()

    def send(self) -> None:
        for link in self.links:
            link.send()

    def idle(self, waiter: Signal | None = None) -> bool:
        return all(link.idle(waiter) for link in self.links)

    def close(self) -> None:
        for link in self.links:
            link.close()
