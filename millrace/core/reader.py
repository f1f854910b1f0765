"""A source at work, in a thread of its own, or as a guest in the thread of the element that it feeds.

A thread of its own lets a source wait for the world. One that never waits (`Source.quick`: files) costs less as a
guest: no item of it changes threads, and 64 files need no 64 threads.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from typing import Any

from .element import Source
from .errors import Cancelled, ElementError, SourceError, said
from .item import StreamEnd, StreamStart
from .link import Link
from .node import Node
from .worker import Owner, Worker


class SourceWorker(Worker):
    """Reads a source; its first node stands for the source and pushes what it yields."""

    def __init__(self, name: str, owner: Owner, source: Source, nodes: Sequence[Node]) -> None:
        super().__init__(name, owner, nodes, None)
        self.source = source
        self.into = ""  # the element that it feeds
        self.stopping = False
        self.seen: set[str] = set()  # streams that it has started
        self._items: Iterator[Any] | None = None

    def stop_reading(self) -> None:
        """End the source and its streams soon; what it has sent goes on."""
        self.stopping = True
        self._interrupt()
        self.signal.set()

    def cancel(self) -> None:
        super().cancel()
        self._interrupt()

    def _interrupt(self) -> None:
        if not self.started:
            return  # it has not begun, and will see that it should not
        try:
            self.source.interrupt()
        except Exception as error:
            self.owner.warned(self.nodes[0], f"interrupt() failed: {said(error)}", self.name)

    def _open(self, opened: list[Node]) -> bool:
        if super()._open(opened):
            return True
        self._end_streams()  # somebody may wait for it
        return False

    def _run(self) -> None:
        try:
            while not self.stopping:
                self._attend()
                if self.owner.paused:
                    self._wait(False)
                elif self.outlets and not all(self._admits(stream) for stream in self.streams()):
                    self._wait(True)
                elif not self._read():
                    break
        finally:
            self._close_items()

    def streams(self) -> Iterable[str]:
        """Those that it has open; before the first its own name."""
        return self.nodes[0].open_streams or (self.name,)

    def _read(self) -> bool:
        """Push what the source yields next; False at its end."""
        node = self.nodes[0]
        began = time.perf_counter()
        try:
            if self._items is None:
                self._items = iter(self.source.read())
            item = next(self._items, None)
            is_marker = item is not None and not item.droppable  # what is no item is the source's own error
        except Exception as error:
            if not self.stopping and not self.cancelled:  # an interrupted read may fail in its own way
                self._fail(error)
            return False
        finally:
            node.stats.time_in += time.perf_counter() - began
        if item is None:
            return False
        if is_marker:
            self._mark(node, item)
        else:
            node.emit(item)
        return True

    def _close_items(self) -> None:
        close = getattr(self._items, "close", None)
        if close is not None:
            try:
                close()
            except Exception as error:
                if not self.cancelled:
                    with suppress(Cancelled):  # the host's channel was, before we are
                        self._fail(error)

    def _mark(self, node: Node, item: Any) -> None:
        """Push a marker that changes something."""
        kind = item.__class__
        if kind is StreamStart:
            if not self.seen and item.stream != self.name:
                node.push(StreamEnd(self.name))  # the stream that was announced will not come
            self.seen.add(item.stream)
            node.started[item.stream] = item
            if node.open_streams.get(item.stream) == item:
                return
        elif kind is StreamEnd:
            node.started.pop(item.stream, None)
            if node.open_streams.pop(item.stream, None) is None:
                return
        node.emit(item)

    def _fail(self, error: Exception) -> None:
        self.owner.source_failed(self.name, error)
        node = self.nodes[0]
        for stream in list(node.open_streams):
            self._mark(node, StreamEnd(stream, str(error)))

    def _end_streams(self) -> None:
        node = self.nodes[0]
        try:
            for stream in list(node.open_streams):
                self._mark(node, StreamEnd(stream))
            if not self.seen:
                node.push(StreamEnd(self.name))  # it never started, and somebody may wait for it
        except Cancelled:
            pass
        super()._end_streams()


class GuestWorker(SourceWorker):
    """The same without a thread: `host`, the worker of the element that it feeds, reads it between two items.

    `link` is its way into the host's channel. Only ends go by it, because they may come when the host is paused or
    blocked; the host reads no guest of whose stream something waits there.
    """

    def __init__(self, name: str, owner: Owner, source: Source, node: Node, host: Worker, link: Link) -> None:
        super().__init__(name, owner, source, [node])
        self.host = host
        self.thread, self.signal = host.thread, host.signal
        self.closers.append(link.close)
        node.targets = [_Doorstep(host, link)]
        self._begun = False

    @property
    def started(self) -> bool:
        return self._begun

    def join(self, timeout: float) -> bool:
        return self.left.wait(timeout)

    def start(self) -> None:
        self._begun = True
        self.host.call(self._arrive)

    def _arrive(self) -> None:
        opened: list[Node] = []
        if self.host.closed:
            self.abandon()
        elif self._open(opened):
            self.host.guests.append(self)
        else:
            self._end(opened)

    def read_on(self) -> None:
        """Push the next item; runs, as all that follows, in the host's thread."""
        if not self._read():
            self.leave()

    def leave(self) -> None:
        self.host.guests.remove(self)
        try:
            self._close_items()
            self._end_streams()
        finally:
            self._end(self.nodes)

    def _end(self, opened: Sequence[Node]) -> None:
        self._close(opened)
        self.abandon()

    def abandon(self) -> None:
        super().abandon()
        if not self.opened.done():
            self.opened.set_result(None)  # nobody reads it, and somebody may wait


class _Doorstep:
    """Items go to the host's first node by a call."""

    def __init__(self, host: Worker, link: Link) -> None:
        self.head = host.nodes[0]
        self.link = link

    def push(self, item: Any) -> None:
        (self.link if item.__class__ is StreamEnd else self.head).push(item)


def source_error(name: str, error: BaseException) -> SourceError | ElementError:
    """The error of a source as a user should read it."""
    return error if isinstance(error, (SourceError, ElementError)) else ElementError(name, error)
