"""An element at work. Read `push` to know how an item moves.

A node calls its element, catches what the element raises, and pushes what it yields to the next targets. Only the
element's own code stands inside the `try`: what fails downstream is caught there and never blamed on this one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from time import perf_counter
from typing import Any, Literal, Protocol

from .bundles import Admits
from .element import Context, Element
from .errors import Cancelled, ConfigError, ElementError, MillraceError, OutputError, StreamError, said
from .item import Item, StreamEnd, StreamStart
from .stats import NodeStats

OnError = Literal["fail", "skip"]
_END: Any = object()


class Target(Protocol):
    """Where a node's output goes: the next node of the same thread, or a link to another thread's channel."""

    def push(self, item: Any) -> None: ...


class Host(Protocol):
    """What a node needs of the pipeline."""

    def element_failed(self, node: Node, error: ElementError) -> None: ...
    def stream_failed(self, node: Node, error: StreamError) -> None: ...
    def output_failed(self, node: Node, error: OutputError) -> None: ...
    def item_skipped(self, node: Node, error: Exception, stream: str | None) -> None: ...
    def warned(self, node: Node, message: str, stream: str | None) -> None: ...
    def unwanted(self, node: Node, stream: str, again: bool = False) -> None: ...
    def stream_passed(self, node: Node, stream: str) -> bool: ...
    def expected(self, node: Node) -> Sequence[str]: ...


class Node:
    """One element in one thread, with the streams that are open in it."""

    def __init__(self, name: str, element: Element, host: Host, on_error: OnError = "fail") -> None:
        self.name = name
        self.element = element
        self.host = host
        self.on_error: OnError = on_error
        self.targets: list[Target] = []
        self.taps: list[Callable[[Item], None]] = []
        self.stats = NodeStats(name)
        self.started: dict[str, StreamStart] = {}  # open streams, as they came in
        self.open_streams: dict[str, StreamStart] = {}  # open streams, as they went out
        self.refused: set[str] = set()  # streams that ended here with an error, until they start again
        self.woken = False
        self.closed = False
        self.admits: Admits | None = None  # for nodes that release what they hold: is there room?
        self.stuck = False  # it holds something for which there was none
        self.broken = False  # an output that failed: all that comes passes by it
        self._process_frame = getattr(element, "process_frame", None)
        self._finish_item: Any = getattr(element, "finish_item", None)
        cls = type(element)
        self.expects = cls.expect is not Element.expect
        self.timed = cls.on_deadline is not Element.on_deadline
        self.gated = cls.ready is not Element.ready
        self.wakes = cls.on_wake is not Element.on_wake
        self.merges = element.merges

    # life

    def open(self, wake: Callable[[], None]) -> None:
        """Raises ElementError when the element cannot open."""

        def woken() -> None:
            self.woken = True
            wake()

        def warn(text: str, stream: str | None) -> None:
            self.host.warned(self, text, stream)

        finish = partial(self.host.unwanted, self)
        context = Context(self.name, woken, warn, finish, partial(finish, again=True))
        try:
            self.element.open(context)
        except ConfigError:
            raise
        except Exception as error:
            raise ElementError(self.name, error) from error

    def close(self) -> None:
        self.closed = True
        try:
            self.element.close()
        except Exception as error:
            self._failed(error, None)

    def cancel(self) -> None:
        """Any thread: the pipeline stops, and nobody wants what the element may be waiting for."""
        try:
            self.element.cancel()
        except Exception as error:
            self.host.warned(self, f"cancelling it failed: {said(error)}", None)

    def expect(self, streams: Sequence[str] | None = None) -> None:
        """Tell the element which streams are to come (None: those that are still expected); runs in its thread."""
        if not self.closed and not self.broken:
            try:
                self.element.expect(self.host.expected(self) if streams is None else streams)
            except Exception as error:
                self._failed(error, None)

    def end_all(self) -> None:
        """End every stream that is still open: each start has its end."""
        for stream in list(self.started):
            try:
                self.push(StreamEnd(stream))
            except Cancelled:  # the pipeline stops: what is behind the next channel ends its own
                continue
        if self.merges in self.open_streams:
            with suppress(Cancelled):
                self.emit(StreamEnd(self.merges))

    # items

    def push(self, item: Any) -> None:
        """The one method that moves an item through an element."""
        kind = item.__class__
        if self.broken:
            self._pass_by(item)
        elif kind is StreamStart:
            self._start(item)
        elif kind is StreamEnd:
            self._end(item)
        elif self._process_frame is not None:
            self.stats.items_in += 1
            self._frames(item)
        else:
            self.stats.items_in += 1
            if self.refused:
                item = self._without_refused(item)
                if item is None:
                    return
            self._run(self.element.process, item, item.stream)

    def _run(self, function: Callable[..., Iterable[Item]], argument: Any, stream: str | None) -> None:
        """Push what `function(argument)` yields, each before the next is asked for; a list is all there at once."""
        stats = self.stats
        iterator: Iterator[Item] | None = None
        given = False
        while True:
            began = perf_counter()
            try:
                if iterator is None:
                    made = function(argument) if argument is not _END else function()
                    if made.__class__ is list:
                        break
                    iterator = iter(made)
                out = next(iterator, _END)
            except Exception as error:
                stats.time_in += perf_counter() - began
                self._failed(error, stream)
                if self.broken and not given and function == self.element.process:
                    self.emit(argument)  # it was not passed on yet
                return
            stats.time_in += perf_counter() - began
            if out is _END:
                return
            given = True
            self.emit(out)
        stats.time_in += perf_counter() - began
        for out in made:
            self.emit(out)

    def _frames(self, item: Any) -> None:
        """Run `process_frame` on a frame, or on each frame of a bundle, in place."""
        if self.refused:
            item = self._without_refused(item)
            if item is None:
                return
        process_frame = self._process_frame
        assert process_frame is not None
        lost: list[Any] = []
        refusals: dict[str, StreamError] = {}  # these streams end behind what the bundle has of them
        frames = (item,) if item.stream is not None else item.frames
        began = perf_counter()
        for frame in frames:
            if refusals and frame.stream in refusals:
                lost.append(frame)
                continue
            try:
                process_frame(frame)
            except StreamError as error:
                refusals.setdefault(error.stream, error)
                lost.append(frame)
            except Exception as error:
                self.stats.time_in += perf_counter() - began
                self._failed(error, frame.stream)
                began = perf_counter()
                if self.broken:
                    break
                lost.append(frame)
        self.stats.time_in += perf_counter() - began
        self._finish(item.stream)
        if not lost:
            self.emit(item)
        elif item.stream is None:
            item.frames = [frame for frame in item.frames if all(frame is not gone for gone in lost)]
            if item.frames:
                self.emit(item)
        for refusal in refusals.values():
            self._refuse(refusal)

    def _finish(self, stream: str | None) -> None:
        """After all frames of an item. They are as they should be, and go on whatever fails here."""
        if self._finish_item is None or self.broken:
            return
        began = perf_counter()
        try:
            self._finish_item()
        except Exception as error:
            self._failed(error, stream)
        self.stats.time_in += perf_counter() - began

    def emit(self, out: Any) -> None:
        """Push to every target; each target after the first gets a fork."""
        kind = out.__class__
        if kind is StreamStart:
            self.open_streams[out.stream] = out
        elif kind is StreamEnd:
            self.open_streams.pop(out.stream, None)
        else:
            self.stats.items_out += 1
        for tap in self.taps:
            try:
                tap(out)
            except Exception as error:  # of who looks on: those who sent it are not to blame
                failure = MillraceError(f"a tap failed: {said(error)}")
                failure.__cause__ = error
                self.host.element_failed(self, ElementError(self.name, failure, out.stream))
        targets = self.targets
        if len(targets) == 1:
            targets[0].push(out)
        elif targets:
            forks = [out.fork() for _ in targets[1:]]  # before anyone changes it
            targets[0].push(out)
            for target, fork in zip(targets[1:], forks, strict=True):
                target.push(fork)

    def _tell(self, end: StreamEnd) -> None:
        """Pass on the end of a stream that has not started here: whoever waits for it must know."""
        if self.merges:
            return  # nobody behind it waits for that one
        for name in self.element.splits(end.stream):
            for target in self.targets:
                target.push(end if name == end.stream else StreamEnd(name, end.error))

    def _without_refused(self, item: Any) -> Any:
        """The item without what belongs to streams that ended here with an error."""
        if item.stream is not None:
            return None if item.stream in self.refused else item
        item.frames = [frame for frame in item.frames if frame.stream not in self.refused]
        return item if item.frames else None

    # markers

    def _start(self, start: StreamStart) -> None:
        stream = start.stream
        known = self.started.get(stream)
        if known is not None:
            if known == start:
                return
            self._run(self.element.flush, stream, stream)
        self.refused.discard(stream)
        self.started[stream] = start
        try:
            out = self.element.start_stream(start)
        except (Cancelled, StreamError) as error:
            self._failed(error, stream)
            return
        except Exception as error:  # a stream that did not start cannot skip its start only
            refusal = StreamError(stream, said(error))
            refusal.__cause__ = error
            self._failed(refusal if self.on_error == "skip" else error, stream)
            if not self.broken:
                return
            out = start
        if out is not None and self.open_streams.get(stream) != out:
            self.emit(out)

    def _end(self, end: StreamEnd) -> None:
        stream = end.stream
        known = self.started.pop(stream, None) is not None
        if stream in self.refused:
            self.refused.discard(stream)  # its end went on when it was refused
        elif known:
            last = self._closing(end)
            self._run(self.element.end_stream, stream, stream)
            if self.open_streams.pop(stream, None) is not None:  # not if it was refused just now
                self.emit(end if last is end.last else replace(end, last=last))
        else:
            self._tell(end)
        again = self.host.stream_passed(self, stream)  # not before: what is raised until here is of the life that ends
        if self.expects and (again or not known):
            self.expect()

    def _closing(self, end: StreamEnd) -> Any:
        """Tell the element what is over with the stream; what those downstream are told."""
        try:
            return self.element.closing(end.stream, end.last)
        except Exception as error:
            self._failed(error, end.stream)
            return end.last

    # errors

    def _failed(self, error: Exception, stream: str | None) -> None:
        if isinstance(error, Cancelled):
            raise error
        if isinstance(error, StreamError):
            self._refuse(error)
        elif isinstance(error, OutputError) and type(self.element).writes and self.on_error == "fail":
            self._break_off(error)
        elif self.on_error == "skip":
            self.stats.skipped += 1
            self.host.item_skipped(self, error, stream)
        else:
            self.host.element_failed(self, ElementError(self.name, error, stream))

    def _refuse(self, error: StreamError) -> None:
        """End one stream here; the others go on."""
        stream = error.stream
        self.host.stream_failed(self, error)
        if self.started.pop(stream, None) is None:
            return
        self.refused.add(stream)
        self._run(self.element.end_stream, stream, stream)
        known = self.open_streams.pop(stream, None) is not None
        (self.emit if known else self._tell)(StreamEnd(stream, str(error)))

    def _break_off(self, error: OutputError) -> None:
        """This output has failed: finish what it holds; from now on all that comes passes by."""
        if self.broken:
            return  # one error is enough
        self.broken = True
        try:
            self.element.close()
        except Exception as again:  # whatever it is: the output's own error is to be told, and the others go on
            self.host.warned(self, f"closing it failed, too: {said(again)}", None)
        self.host.output_failed(self, error)

    def _pass_by(self, item: Any) -> None:
        kind = item.__class__
        if kind is StreamStart:
            self.started[item.stream] = item
            if self.open_streams.get(item.stream) == item:
                return
        elif kind is StreamEnd:
            self.started.pop(item.stream, None)
            self.host.stream_passed(self, item.stream)
            if self.open_streams.pop(item.stream, None) is None:
                self._tell(item)
                return
        self.emit(item)

    # time and wake-ups

    def release(self) -> None:
        """Try again what was stuck."""

    @property
    def deadline(self) -> float | None:
        return self.element.deadline

    def on_deadline(self) -> None:
        self.element.deadline = None  # it has come; the element may set another
        if self.broken:
            return
        self._run(self.element.on_deadline, _END, None)

    def on_wake(self) -> None:
        self.woken = False
        if self.broken:
            return
        self._run(self.element.on_wake, _END, None)
