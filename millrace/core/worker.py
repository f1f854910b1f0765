"""One thread: a channel or a source, then a chain of nodes.

A worker waits in one place only, between two items: for an item whose result has room, for a wake-up, for a
deadline, for a call of the control lane. So every live change happens between two items, and a worker that is
blocked or paused still serves calls.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future
from typing import Any, Protocol

from .bundles import Admits
from .channel import Channel
from .element import Element
from .errors import Cancelled
from .link import Link, Outlet, Partition
from .node import Host, Node
from .signal import Signal
from .stats import NodeStats

ROUND = 0.001  # seconds in which items follow each other without a look at what else there is to do


class Owner(Host, Protocol):
    """What a worker needs of the pipeline."""

    paused: bool

    def open_failed(self, worker: Worker, error: BaseException) -> None: ...
    def worker_failed(self, worker: Worker, error: BaseException) -> None: ...
    def worker_ended(self, worker: Worker) -> None: ...
    def source_failed(self, name: str, error: BaseException) -> None: ...


class Guest(Protocol):
    """A source that is read in the thread of the element that it feeds (core/reader.py)."""

    stopping: bool

    def streams(self) -> Iterable[str]: ...
    def read_on(self) -> None: ...
    def leave(self) -> None: ...


class Worker:
    """Runs nodes behind a channel. `nodes` stand in the order of the flow; the first one gets the items."""

    def __init__(self, name: str, owner: Owner, nodes: Sequence[Node], channel: Channel | None) -> None:
        self.name = name
        self.owner = owner
        self.nodes = list(nodes)
        self.channel = channel
        self.signal = channel.reader if channel is not None else Signal()
        self.outlets: list[Outlet] = []
        self.merges = next((node.merges for node in nodes if node.merges), None)
        self.splits = [node.element.splits for node in nodes if type(node.element).splits is not Element.splits]
        self.guests: deque[Guest] = deque()  # in the order of their turns
        self.closers: list[Callable[[], None]] = []  # give back the senders that this worker holds
        self.thread = threading.Thread(target=self._main, name=f"millrace:{name}", daemon=True)
        self.opened: Future[None] = Future()
        self.blocked = 0.0
        self.idle = 0.0
        self.cancelled = False
        self.closed = False  # its nodes are closed and it takes no more closers
        self.ended = False  # its thread is at its end, or will never start
        self.left = threading.Event()  # the same, and the pipeline knows
        self._calls: deque[tuple[Callable[[], Any], Future[Any]]] = deque()
        self._calls_lock = threading.Lock()
        self._refused = False
        self._gated = [node.element for node in nodes if node.gated]
        self._tells = type(nodes[0].element).occupied is not Element.occupied
        self._bursts = self.merges is None and not any(node.wakes or node.element.joins for node in nodes)
        self._rounds = self._bursts and not self._gated and not any(node.timed for node in nodes)
        self._fed = False  # the last item came from a guest
        self._fed_for = 0.0  # seconds that it took, and that the channel has now

    # any thread

    def start(self) -> None:
        self.thread.start()

    @property
    def started(self) -> bool:
        return self.thread.ident is not None

    def join(self, timeout: float) -> bool:
        """Wait for its end, also when it has not started yet; whether it has come."""
        if not self.left.wait(timeout):
            return False
        if self.started:
            self.thread.join(timeout)
        return not self.thread.is_alive()

    def call(self, function: Callable[[], Any]) -> Future[Any]:
        """Run `function()` in this worker's thread between two items. At once if the worker has ended."""
        future: Future[Any] = Future()
        with self._calls_lock:
            if not self.ended:
                self._calls.append((function, future))
                self.signal.set()
                return future
        _complete(future, function)
        return future

    def attach(self, node: Node, way: Link | Partition, announce: Callable[[str], None]) -> None:
        """A further target of one of its nodes; it first gets the starts of open streams. Run it by `call`."""
        if self.closed:
            way.close()
            return
        self.outlets.append(way)
        self.closers.append(way.close)
        for start in node.open_streams.values():
            announce(start.stream)
            way.push(start)
        node.targets.append(way)

    def cancel(self) -> None:
        self.cancelled = True
        if self.channel is not None:
            self.channel.cancel()
        for node in self.nodes:
            node.cancel()
        self.signal.set()

    def abandon(self) -> None:
        """In place of a start: give back what it holds, keep nobody waiting."""
        self._give_back()
        self.owner.worker_ended(self)
        self.left.set()

    # its own thread

    def _main(self) -> None:
        opened: list[Node] = []
        try:
            if self._open(opened):
                try:
                    with contextlib.suppress(Cancelled):
                        self._run()
                finally:
                    for guest in list(self.guests):
                        guest.leave()
                    self._end_streams()
        except BaseException as error:  # a bug here must not leave others waiting
            self.owner.worker_failed(self, error)
        finally:
            self._close(opened)
            self._give_back()
            self.owner.worker_ended(self)
            self.left.set()

    def _close(self, opened: Sequence[Node]) -> None:
        for node in self.nodes:
            if node in opened:
                try:
                    node.close()
                except BaseException as error:  # what a node lets through, sys.exit() say: the thread still has to end
                    self.owner.worker_failed(self, error)

    def _open(self, opened: list[Node]) -> bool:
        """Open the nodes, receivers first; those that did are noted in `opened`."""
        try:
            for node in reversed(self.nodes):
                node.open(self.signal.set)
                opened.append(node)
        except BaseException as error:
            self.owner.open_failed(self, error)
            self.opened.set_exception(error)
            return False
        self.opened.set_result(None)
        return True

    def _give_back(self) -> None:
        self.closed = True
        for close in self.closers:
            close()
        with self._calls_lock:
            self.ended = True
        self._serve_calls()

    def _end_streams(self) -> None:
        for node in self.nodes:
            node.end_all()

    def _run(self) -> None:
        assert self.channel is not None
        channel, head = self.channel, self.nodes[0]
        admits: Admits | None = self._admits
        if head.element.joins:  # it takes all that comes, its window bounds it, and asks for room when it releases
            admits, head.admits = None, admits
        if not self.outlets:
            admits = None
        while True:
            if self._tells and head.element.occupied is not channel.occupied:
                channel.tell(not channel.occupied)
            self._attend()
            if not self.owner.paused and self._ready():
                self._refused = False
                if self._bring(head, channel, admits):
                    continue
            if not self._calls and not head.stuck and channel.exhausted():
                return
            self._wait(len(channel) > 0)

    def _bring(self, head: Node, channel: Channel, admits: Admits | None) -> bool:
        """Push some items, guests and the channel in turn; False when there is none that may come now.

        The channel has as long as the guest before it, one item at least, for a guest that begins may take its time;
        where an element has its own times to be asked at, one item.
        """
        began = time.perf_counter()
        skip = self._fed and len(channel) > 0
        self._fed = not skip and len(self.guests) > 0 and self._feed(head, channel, admits)
        if self._fed:
            self._fed_for = time.perf_counter() - began if self._rounds else 0.0
            return True
        late, came = began + (self._fed_for if skip else 0.0 if self.guests else ROUND), False
        while (item := channel.take(head.element.wanted, admits, head.element.enough)) is not None:
            if self._calls:  # asked for before this item was sent, perhaps: which streams are to come
                self._serve_calls()
            head.push(item)
            came = True
            if not self._bursts or self._interrupted(late) or not self._ready():
                return True
        if channel.unpacked and head.element.deadline is None:
            channel.starve(head.element.wanted)
        return skip or (came and len(self.guests) > 0)  # what has come may have been in a guest's way

    def _ready(self) -> bool:
        for element in self._gated:  # noqa: SIM110 - asked for every item
            if not element.ready:
                return False
        return True

    def _interrupted(self, late: float) -> bool:
        """Whether something other than items is to be looked at."""
        return bool(self._calls) or self.cancelled or self.owner.paused or time.perf_counter() >= late

    def _feed(self, head: Node, channel: Channel, admits: Admits | None) -> bool:
        """Read each guest that is wanted and admitted once, in turn, and send together what comes of it.

        A round ends early when something else is to be done, or has become late. Where an element has its own times
        to be asked at, a round is one guest.
        """
        fed, late = False, 0.0
        guests: Iterable[Guest] = self.guests
        outlets: Sequence[Outlet] = ()
        if self._rounds:
            guests, outlets, late = tuple(guests), self.outlets, time.perf_counter() + ROUND
        for outlet in outlets:
            outlet.gather()
        try:
            for guest in guests:
                wanted = head.element.wanted
                for stream in guest.streams():
                    if wanted is not None and stream not in wanted:
                        break
                    if (channel.turns and channel.holds(stream)) or (admits is not None and not admits(stream)):
                        break
                else:
                    self.guests.remove(guest)
                    self.guests.append(guest)
                    fed = True
                    guest.read_on()
                    if not self._rounds or channel.turns or self._interrupted(late):
                        break
        finally:
            for outlet in outlets:
                outlet.send()
        return fed

    def _attend(self) -> None:
        """Calls, wake-ups and deadlines: what comes before items."""
        if self._calls:
            self._serve_calls()
        if self.cancelled:
            raise Cancelled
        for guest in [guest for guest in self.guests if guest.stopping] if self.guests else ():
            guest.leave()
        if self.owner.paused:
            return
        for node in self.nodes:
            if node.woken:
                node.on_wake()
            if node.stuck:
                node.release()
        if self._clock_runs():
            for node in self.nodes:
                if node.timed:
                    deadline = self._due(node)
                    if deadline is not None and time.monotonic() >= deadline:
                        self._expire(node)

    def _expire(self, node: Node) -> None:
        """A node's deadline has come. What it was not woken for comes first; then the deadline is looked at again."""
        if node.element.enough > 1 and self.channel is not None and self.channel.turns:
            node.element.enough = 1
        else:
            node.on_deadline()

    def _due(self, node: Node) -> float | None:
        """When a node's deadline comes. None: never, or not before what it gave has been taken, which wakes us."""
        deadline = node.deadline
        if deadline is None or not node.element.patient or time.monotonic() < deadline:
            return deadline
        return deadline if all(outlet.idle(self.signal) for outlet in self.outlets) else None

    def _wait(self, has_items: bool) -> None:
        """Until something changes or the next deadline."""
        deadlines = [due for node in self.nodes if node.timed and (due := self._due(node)) is not None]
        timeout = None
        if deadlines and not self.owner.paused and self._clock_runs():
            timeout = min(deadlines) - time.monotonic()
        began = time.perf_counter()
        self.signal.wait(timeout)
        waited = time.perf_counter() - began
        if has_items or self._refused:
            self.blocked += waited
        else:
            self.idle += waited

    def _admits(self, stream: str | None, of: Iterable[str] = ()) -> bool:
        """Whether everything that this chain pushes to has room for what it makes of an item of this stream.

        Of one that spans streams (None): `of` these.
        """
        signal = self.signal
        if self.merges:
            stream, of = self.merges, ()
        if self.splits:
            return self._admits_parts(stream, of)
        for outlet in self.outlets:
            if not outlet.room(stream, signal, of):
                self._refused = True
                return False
        return True

    def _admits_parts(self, stream: str | None, of: Iterable[str]) -> bool:
        """The same where the chain makes several streams of one."""
        made = [*of] if stream is None else [stream]
        for splits in self.splits:
            made = [part for name in made for part in splits(name)]
        asked = [(None, made)] if stream is None else [(name, ()) for name in made]
        if all(outlet.room(name, self.signal, parts) for outlet in self.outlets for name, parts in asked):
            return True
        self._refused = True
        return False

    def _clock_runs(self) -> bool:
        """Whether deadlines count: what makes pictures by the clock must not outrun those behind it."""
        return self.merges is None or not self.outlets or self._admits(self.merges)

    def _serve_calls(self) -> None:
        while True:
            with self._calls_lock:
                if not self._calls:
                    return
                function, future = self._calls.popleft()
            _complete(future, function)


def _complete(future: Future[Any], function: Callable[[], Any]) -> None:
    try:
        future.set_result(function())
    except BaseException as error:  # sys.exit(), too: whoever called waits for it
        future.set_exception(error)


def stats_of(node: Node, worker: Worker, head: bool) -> NodeStats:
    """A copy of a node's counts, with its thread's and channel's when it heads the thread."""
    stats = NodeStats(node.name)
    stats.add(node.stats)
    stats.away = getattr(node.element, "away", False)
    if head:
        stats.time_blocked, stats.time_idle = worker.blocked, worker.idle
        if worker.channel is not None:
            stats.drops, stats.peak_depth, stats.depth = (
                worker.channel.drops,
                worker.channel.peak,
                len(worker.channel),
            )
            stats.waiting, stats.lost = worker.channel.depths(), worker.channel.losses()
    return stats
