"""How nodes are tied together: a link to another thread's channel, the part of it that one stream takes, a fork
that copies for several targets, and a partition that gives each stream to one of several workers."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any, Protocol

from .channel import Channel, Policy, Signal
from .item import StreamEnd, StreamStart
from .node import Target


class Outlet(Protocol):
    """What limits a worker: it takes an item of a stream only when every outlet of its chain has room."""

    def room(self, stream: str | None, waiter: Signal | None = None) -> bool: ...


class Link:
    """The sending end of a channel; holds one of its counted senders.

    `live` is the policy for live streams: a link from a source is their door, where they drop and never wait.
    """

    def __init__(self, channel: Channel, live: Policy | None = None) -> None:
        self.channel = channel
        self.closed = False
        self._live_policy = live
        self._live: set[str] = set()
        channel.add_sender()

    def push(self, item: Any) -> None:
        if self._live_policy is None:
            self.channel.push(item, wait=False)
            return
        if item.__class__ is StreamStart:
            (self._live.add if item.live else self._live.discard)(item.stream)
        self.channel.push(item, wait=False, policy=self._live_policy if item.stream in self._live else None)

    def room(self, stream: str | None, waiter: Signal | None = None) -> bool:
        return stream in self._live or self.channel.room(stream, waiter)

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


class Partition:
    """Each stream goes to one of several links: the one with the fewest streams when it starts.

    A stream that comes back goes where it was before, so that its new life cannot overtake the end of the old one.
    """

    REMEMBERED = 1024  # streams that have ended and whose link is remembered

    def __init__(self, links: Sequence[Link]) -> None:
        self.links = list(links)
        self._lock = threading.Lock()
        self._of: dict[str, Link] = {}
        self._open: set[str] = set()

    def _assign(self, stream: str) -> Link:
        with self._lock:
            link = self._of.pop(stream, None)
            if link is None:
                load = {id(each): 0 for each in self.links}
                for name in self._open:
                    load[id(self._of[name])] += 1
                link = min(self.links, key=lambda each: load[id(each)])
            self._of[stream] = link
            self._open.add(stream)
            if len(self._of) > len(self._open) + self.REMEMBERED:
                del self._of[next(name for name in self._of if name not in self._open)]
            return link

    def push(self, item: Any) -> None:
        stream = item.stream
        if stream is None:
            raise TypeError("a partition takes items of single streams; put `split` before it")
        link = self._assign(stream) if item.__class__ is StreamStart else self._of.get(stream)
        if link is None:
            return
        link.push(item)
        if item.__class__ is StreamEnd:
            with self._lock:
                self._open.discard(stream)

    def room(self, stream: str | None, waiter: Signal | None = None) -> bool:
        link = self._of.get(stream) if stream is not None else None
        if link is None:  # not assigned yet
            return all(each.room(stream, waiter) for each in self.links)
        return link.room(stream, waiter)

    def close(self) -> None:
        for link in self.links:
            link.close()
