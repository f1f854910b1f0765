"""The only place where threads meet: a bounded channel with counted senders.

A channel is bounded per stream: each stream has a share of `size` items, so a fast stream can neither starve nor
evict a slow one. Workers look for room before they take an item (`room`), so they never wait with an item in hand;
a push by anyone else waits, or drops, by the channel's policy.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Container, Iterable, Mapping, Set
from typing import Any, Literal

from .bundles import NOTHING, Admits, choose, only_of, sharing
from .errors import Cancelled, Closed
from .item import Item, StreamStart, leads, streams_of
from .signal import Signal

Policy = Literal["wait", "drop_oldest", "drop_newest"]

OVERRUN = 32  # items that one step of a worker may push beyond `size` (a decoder's flush) before it must wait
FIRST = 8  # items of each stream that runs come before one that begins: a GPU's decoder takes 0.1 s to be made
REMEMBERED = 1024  # streams whose drops are kept apart
BEHIND = 1024  # items of a stream that may wait where what the reader lacks comes behind them
_AWAKE: Any = object()  # the reader is at work and will look again by itself


class Channel:
    """Items on their way to one reader, first in first out within a stream.

    Among streams the oldest item comes first; with `rotate`, the stream that has waited longest for its turn: senders
    bring several items at a time, and a decoder that gets them in a row leaves the other streams' engines idle. Streams
    that begin come last then, so that those that are running do not stand still while many are added.
    """

    def __init__(
        self, size: int = 4, policy: Policy = "wait", reader: Signal | None = None, rotate: bool = False
    ) -> None:
        self.size = size
        self.rotate = rotate
        self.policy: Policy = policy
        self.reader = reader or Signal()
        self.drops = 0
        self.lost: dict[str | None, int] = {}  # drops of each stream that had some; the latest REMEMBERED
        self.peak = 0  # most items that one stream has had waiting
        self.senders = 0
        self.meets = False  # several ways have led here: what comes by one may be waited for before what waits
        self.bundles = False  # items that span streams have come
        self.unpacked = False  # what comes was in bundles of one way: what the reader lacks comes behind what waits
        self.occupied = False  # the reader has enough to do: see `Element.occupied`
        self.eased = False  # the pipeline pauses: who stands in a push finishes its item, for nobody takes any
        self._lock = threading.Lock()
        self._shares: dict[str | None, deque[Item]] = {}
        self.turns: deque[str | None] = deque()  # the stream of each waiting item, in order of arrival; look only
        self._depth: dict[str | None, int] = {}  # waiting items of a stream, without markers
        self._broken: set[str | None] = set()  # streams that wait for an item that leads
        self._waiters: dict[str | None, set[Signal]] = {}  # who found no room for an item of which stream
        self._before = 0  # items that were taken since a stream began
        self._cancelled = False
        self._closed = False
        self._starves = False  # nothing is here that the reader wants; known where `unpacked`
        self._behind = 0  # items of a stream that may wait beyond the others: BEHIND since the reader first starved
        self._enough = 1  # items that must wait before the reader is woken for them
        self._rests: Any = None  # the one stream whose items the reader rests for, None: any, or _AWAKE

    def __len__(self) -> int:
        return len(self.turns)

    def depth(self, stream: str | None = None) -> int:
        """How many items of one stream wait; markers do not count."""
        return self._depth.get(stream, 0)

    def holds(self, stream: str) -> bool:
        """Whether something of this stream waits, markers too."""
        return stream in self._shares

    @property
    def mixes(self) -> bool:
        """Whether bundles have come, and by other ways bundles or single items."""
        return self.meets and self.bundles

    # senders

    def idle(self, waiter: Signal | None = None) -> bool:
        """Whether nothing waits and the reader is not occupied; if not, `waiter` is set when that may have changed."""
        if not self.turns and not self.occupied:
            return True
        if waiter is not None:
            with self._lock:  # look again: it may have been taken in between
                if not self.turns and not self.occupied:
                    return True
                self._waiters.setdefault(None, set()).add(waiter)
        return False

    def add_sender(self) -> None:
        """Raises Closed when the reader has ended already."""
        with self._lock:
            if self._closed:
                raise Closed
            self.senders += 1
            self.meets = self.meets or self.senders > 1

    def remove_sender(self) -> None:
        """When the last one goes, the reader learns it after the last item."""
        with self._lock:
            self.senders -= 1
        self.reader.set()

    def room(
        self, stream: str | None, waiter: Signal | None = None, of: Iterable[str] = (), packs: bool = True
    ) -> bool:
        """Whether an item of `stream` may be pushed now; if not, `waiter` is set when that may have changed.

        An item that spans streams (stream None) needs room for those that it is `of`, for it may be unpacked on its
        way here; others do not hold it up: the reader may be waiting for it before it takes what it has of them. Where
        the sender `packs`, any item needs room for one that spans streams, for as such it may come.
        """
        if self.policy != "wait" or self._lacking(stream, of, packs) is NOTHING or self._cancelled:
            return True
        if waiter is None:
            return False
        with self._lock:  # look again: it may have come in between
            lacking = self._lacking(stream, of, packs)
            if lacking is None and self._passes({stream, *of} - {None}):
                lacking = self._lacking(stream, of, packs=False)
            elif lacking is not NOTHING and self._starves and self._rests is not _AWAKE:
                lacking = next((each for each in {stream, *of} if self.depth(each) >= BEHIND), NOTHING)
            if self._cancelled or lacking is NOTHING:
                return True
            for each in {stream, lacking}:
                self._waiters.setdefault(each, set()).add(waiter)
            return False

    def _lacking(self, stream: str | None, of: Iterable[str], packs: bool) -> Any:
        """A share that is full and should not be, or NOTHING."""
        depth, size = self._depth, self.size
        if packs and depth.get(None, 0) >= size:
            return None
        if stream is not None and depth.get(stream, 0) >= size:
            return stream
        return next((each for each in of if depth.get(each, 0) >= size), NOTHING) if of else NOTHING

    def _passes(self, streams: Set[Any]) -> bool:
        """Whether a bundle of these streams may come though as many as may wait do: see core/bundles.py."""
        rests = self.meets and self._rests is not _AWAKE
        return rests and len(streams) > 0 and not sharing(self._shares.get(None, ()), streams)

    def push(self, item: Item, wait: bool = True, policy: Policy | None = None, size: int | None = None) -> None:
        """Add an item. Full: wait, or drop by policy; a marker is never dropped and never waits.

        `wait=False` is for workers, who have looked for room before: they may run over by OVERRUN. `policy` and
        `size` stand in for the channel's own: at its door a live stream drops where a file waits.
        Raises Cancelled when the pipeline stops.
        """
        policy = policy or self.policy
        if policy == "wait" and item.droppable:
            limit = self.size if wait else self.size + OVERRUN + self._behind
            if self._depth.get(item.stream, 0) >= limit:
                self._wait_for_room(item, limit)
        with self._lock:
            if self._cancelled:
                raise Cancelled
            self._add(item, policy, size or self.size)
            waits = self._enough > 1 and policy == "wait" and item.droppable and self._may_rest_on(item.stream)
            wake = not waits and self._rouse((item.stream,))
        if wake:
            self.reader.set()

    def push_all(self, items: Mapping[str | None, Item]) -> None:
        """Add one item of each of some streams, for which there is room, as `push` does, and wake the reader once."""
        with self._lock:
            if self._cancelled:
                raise Cancelled
            for item in items.values():
                self._add(item, self.policy, self.size)
            wake = self._rouse(items)
        if wake:
            self.reader.set()

    def _rouse(self, streams: Container[str | None]) -> bool:
        """Whether the reader rests, and for something of these streams: it then counts as awake and must be woken."""
        rests = self._rests
        if rests is _AWAKE or (rests is not None and rests not in streams and None not in streams):
            return False
        self._rests = _AWAKE
        return True

    def _may_rest_on(self, stream: str | None) -> bool:
        """Whether what waits is less than the reader's `enough`, and of this stream less than half of what may wait:
        no sender shall find no room for it."""
        return stream is not None and len(self.turns) < self._enough and self.depth(stream) < self.size >> 1

    def _add(self, item: Item, policy: Policy, size: int) -> None:
        stream = item.stream
        share = self._shares.get(stream) or deque()
        if item.droppable:
            if (policy != "wait" or stream in self._broken) and not self._make_room(item, share, policy, size):
                self._lose(stream)
                return
            depth = self._depth.get(stream, 0) + 1
            self._depth[stream] = depth
            self.peak = max(self.peak, depth)
        else:
            self._broken.discard(stream)
        share.append(item)
        self._shares[stream] = share  # not before: what is dropped leaves nothing that waits
        self.turns.append(stream)

    def _make_room(self, item: Item, share: deque[Item], policy: Policy, size: int) -> bool:
        """Whether the item may come in, perhaps in place of older ones.

        Dropping never leaves an item that needs a dropped one: the oldest go up to the next that leads (a key
        picture; a decoded frame needs no other). Where none has come yet, what waits is still good, and new items
        are dropped until one leads.
        """
        stream, leading = item.stream, leads(item)
        if stream in self._broken:
            if not leading:
                return False
            self._broken.discard(stream)
        if policy == "wait" or self._depth.get(stream, 0) < size:
            return True
        if policy == "drop_newest":
            self._broken.add(stream)
            return False
        waiting = [n for n, each in enumerate(share) if each.droppable]
        stop = next((n for n in waiting[1:] if leads(share[n])), None)
        if stop is None and not leading:
            self._broken.add(stream)
            return False
        for n in reversed(waiting if stop is None else waiting[: waiting.index(stop)]):
            del share[n]
            self.turns.remove(stream)
            self._depth[stream] -= 1
            self._lose(stream)
        return True

    def _lose(self, stream: str | None) -> None:
        """Count an item that is dropped."""
        self.drops += 1
        self.lost[stream] = self.lost.pop(stream, 0) + 1
        if len(self.lost) > REMEMBERED:
            del self.lost[next(iter(self.lost))]

    def _wait_for_room(self, item: Item, limit: int) -> None:
        signal, stream = Signal(), item.stream
        while True:
            with self._lock:
                waiting = self._depth.get(stream, 0)
                if stream is None and self.meets and waiting >= limit:  # those of others do not count
                    waiting = sharing(self._shares[None], streams_of(item))
                if self._cancelled or self.eased or waiting < limit:
                    return
                self._waiters.setdefault(stream, set()).add(signal)
            signal.wait()

    # the reader

    def take(self, wanted: Container[str] | None = None, admits: Admits | None = None, enough: int = 1) -> Item | None:
        """The next item, or None when there is none now.

        `wanted`: only items and markers of these streams (items that span streams come all the same).
        `admits(stream)`: only streams that it says yes to. `enough`: see `Element.enough`.
        """
        with self._lock:
            stream = self._choose(wanted, admits)
            if stream is NOTHING:
                # a reader looks here before it rests: only a push of what it lacks need wake it
                item, self._rests, self._enough = None, only_of(wanted), enough
                self._starves = False
            else:
                item, self._rests = self._remove(stream), _AWAKE
        if self._waiters:
            if item is None:
                self.wake((None,))  # before the reader rests: a bundle may have had room for long
            elif self._depth.get(stream, 0) <= self.size >> 1:
                # not for every single place: a sender that is woken brings several items
                self.wake((stream,) if self.turns else (stream, None))  # who waits until it is idle, too
        return item

    def starve(self, wanted: Container[str] | None) -> None:
        """The reader rests, and goes on only when something that is wanted comes: what comes before that has room."""
        with self._lock:
            if wanted is None or any(stream is None or stream in wanted for stream in self._shares):
                return
            self._starves, self._behind = self._rests is not _AWAKE, BEHIND
        self.wake()

    def tell(self, occupied: bool) -> None:
        """The reader says whether it has enough to do."""
        with self._lock:
            before, self.occupied = self.occupied, occupied
        if before and not occupied:
            self.wake((None,))

    def _choose(self, wanted: Container[str] | None, admits: Admits | None) -> Any:
        """The stream whose turn it is among those that are wanted and admitted."""
        only = only_of(wanted)
        if only is not None and None not in self._shares:  # a usual case, made quick
            return only if only in self._shares and (admits is None or admits(only)) else NOTHING
        if not self.turns:
            return NOTHING
        if self.rotate and None not in self._shares:
            return self._in_turn(wanted, admits)
        oldest = self.turns[0]  # it mostly may come
        if oldest is not None and (wanted is None or oldest in wanted) and (admits is None or admits(oldest)):
            return oldest
        return choose(self._shares, self.turns, wanted, admits, self.meets)

    def _in_turn(self, wanted: Container[str] | None, admits: Admits | None) -> Any:
        """Shares stand in the order of their turns: see _remove. What begins lets the others go first for a while."""
        begins: Any = NOTHING
        for stream, share in self._shares.items():
            starts = share[0].__class__ is StreamStart
            if starts and begins is not NOTHING:
                continue  # one begins at a time: the others need not be asked for
            if (wanted is None or stream in wanted) and (admits is None or admits(stream)):
                if not starts:
                    self._before += 1
                    return stream
                begins = stream
                if self._before >= FIRST * self._running():
                    break
        self._before = 0
        return begins

    def _running(self) -> int:
        """How many streams have something waiting and do not begin with it."""
        return sum(share[0].__class__ is not StreamStart for share in self._shares.values())

    def _remove(self, stream: str | None) -> Item:
        share = self._shares[stream]
        item = share.popleft()
        if self.turns[0] == stream:
            self.turns.popleft()
        else:
            self.turns.remove(stream)
        if item.droppable:
            self._depth[stream] -= 1
        if not share:  # streams come and go: keep nothing of those that are gone
            del self._shares[stream]
            self._depth.pop(stream, None)
        elif self.rotate:
            self._shares[stream] = self._shares.pop(stream)  # the last in turn
        return item

    def get(self, deadline: float | None = None) -> Item | None:
        """Wait for the next item; None when `deadline` (time.monotonic seconds) passed.

        Raises Closed when every sender is gone and nothing is left, Cancelled when the pipeline stops.
        """
        while True:
            item = self.take()
            if item is not None:
                return item
            if self._cancelled:
                raise Cancelled
            if self.exhausted():
                raise Closed
            if not self.reader.wait(None if deadline is None else deadline - time.monotonic()):
                return None

    def exhausted(self) -> bool:
        """No sender and nothing waiting. Once it has said so to its reader, nobody can become a sender."""
        if self.senders > 0 or self.turns:
            return False
        with self._lock:
            self._closed = self.senders <= 0 and not self.turns
            return self._closed

    def cancel(self) -> None:
        """Throw away what waits, refuse what comes, wake everyone."""
        with self._lock:
            self._cancelled = True
            self._shares.clear()
            self.turns.clear()
            self._depth.clear()
        self.reader.set()
        self.wake()

    def wake(self, streams: Iterable[str | None] | None = None) -> None:
        """Wake those who wait for room for these streams (None: all), and no others: streams may be many."""
        with self._lock:
            keys = list(self._waiters) if streams is None else streams
            waiters = [waiter for key in keys for waiter in self._waiters.pop(key, ())]
        for waiter in waiters:
            waiter.set()

    def depths(self) -> dict[str | None, int]:
        """How many items of each stream wait."""
        with self._lock:
            return dict(self._depth)

    def losses(self) -> dict[str | None, int]:
        """How many items of each stream were dropped."""
        with self._lock:
            return dict(self.lost)
