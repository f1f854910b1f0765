"""The streams that shall run, as a table, and what keeps a pipeline to it."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Literal

from ..core import Message, Pipeline
from ..core.element import Source
from ..core.errors import ConfigError, MillraceError
from .plan import Restart, Stream
from .sources import source_of, split

State = Literal["waiting", "running", "ended", "failed"]
FIRST_WAIT = 0.5  # seconds before a stream that ended is begun again; twice as long each time it ends at once
LONGEST_WAIT = 30.0
STEADY = 10.0  # seconds that a stream must have run for the waits to start small again


@dataclass(slots=True)
class Row:
    """One stream of the table. `restarts` counts how often it was begun again, `error` is what ended it last."""

    stream: Stream
    state: State = "waiting"
    restarts: int = 0
    error: str | None = None
    due: float | None = 0.0  # time.monotonic() at which it shall begin; None: not again
    began: float = 0.0
    wait: float = 0.0
    unwanted: bool = False

    def comes_again(self, failed: bool) -> bool:
        """Whether it begins again when it ends now, with an error or without."""
        return not self.unwanted and (self.stream.restart == "always" or (self.stream.restart == "on_error" and failed))


class Streams:
    """The desired streams of one pipeline: `streams.add("gate", "rtsp://…", restart="on_error")`.

    `reconcile()` compares the table with what runs and adds, removes and begins again; it is called at every change
    of the table, when a source has ended, and when a wait is over. All methods may be called from any thread but the
    pipeline's own. `drain`: when every stream has ended for good, the pipeline ends. `sound`: somebody saves it, so
    sources that have it shall read it.
    """

    def __init__(
        self, pipeline: Pipeline, into: str, streams: Sequence[Stream] = (), *, drain: bool = False, sound: bool = False
    ) -> None:
        self.pipeline = pipeline
        self.into = into
        self._sound = sound
        self._drain = drain
        self._rows: dict[str, Row] = {}
        self._changed = threading.Condition()  # guards the table; never held while the pipeline is called
        self._working = threading.RLock()  # one reconcile at a time
        self._thread: threading.Thread | None = None
        self._closed = False
        self._news = False  # something happened that reconcile() has not seen
        for stream in streams:
            pipeline.add_source(stream.name, self._source(stream), into)
            self._rows[stream.name] = Row(stream, "running", due=None, began=time.monotonic())
        self._unsubscribe = pipeline.bus.subscribe(self._hear)

    # the table

    def add(self, name: str, uri: str | Source, *, restart: Restart = "never", **options: Any) -> None:
        """A stream more; it begins at once. `options` are settings of its source.

        Raises ConfigError, and MillraceError when the pipeline has begun to end.
        """
        stream = Stream(name, uri, split(options, name)[0], split({"restart": restart}, name)[1])
        if isinstance(uri, Source) and restart != "never":
            raise ConfigError(f"{name}: a source object is read once; give its address for restart={restart!r}")
        source_of(stream)  # what is wrong is said now
        with self._changed:
            if self._closed:
                raise MillraceError(f"{name}: no stream can be added: the pipeline is {self.pipeline.state}")
            if name in self._rows and self._rows[name].state in ("running", "waiting"):
                raise ConfigError(f"a stream {name!r} is there already; remove it first or take another name")
            self._rows[name] = Row(stream)
        try:
            self.reconcile()
        except MillraceError:
            with self._changed:
                self._rows.pop(name, None)
            raise

    def remove(self, name: str) -> None:
        """End a stream; what it has sent goes through. Returns when its source has ended. Raises ConfigError."""
        with self._changed:
            if name not in self._rows:
                raise ConfigError(f"no stream is named {name!r}; there are: {', '.join(self._rows) or 'none'}")
            self._rows[name].unwanted = True
        self.reconcile()

    def apply(self, streams: Sequence[Stream]) -> None:
        """Make this the table: the others end, new ones begin, those that are said otherwise now begin again."""
        wanted = {stream.name: stream for stream in streams}
        for stream in streams:
            source_of(stream)
        with self._changed:
            for name, row in self._rows.items():
                row.unwanted = wanted.get(name) != row.stream
        self.reconcile()
        with self._changed:
            for name, stream in wanted.items():
                self._rows.setdefault(name, Row(stream))
        self.reconcile()

    @property
    def names(self) -> list[str]:
        with self._changed:
            return list(self._rows)

    def rows(self) -> dict[str, Row]:
        """The table as it is now, by name."""
        with self._changed:
            return dict(self._rows)

    def close(self) -> None:
        """Begin nothing again. Streams that run go on."""
        self._unsubscribe()
        with self._changed:
            self._closed = True
            self._changed.notify_all()
            thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join(timeout=15)

    # desired → real

    def reconcile(self) -> float | None:
        """Bring the pipeline to the table; returns the seconds until something more is due, None: nothing is."""
        with self._working:
            for name in self._unwanted():
                if name in self.pipeline.sources():
                    with suppress(ConfigError):  # it ended by itself in between
                        self.pipeline.remove_source(name)
                with self._changed:
                    self._rows.pop(name, None)
            running = set(self.pipeline.sources())
            for name, row in self._due(running):
                self._add(name, row)
            self._end_if_done()
            return self._next()

    def _unwanted(self) -> list[str]:
        with self._changed:
            return [name for name, row in self._rows.items() if row.unwanted]

    def _due(self, running: set[str]) -> list[tuple[str, Row]]:
        now = time.monotonic()
        with self._changed:
            if self._closed:
                return []
            return [
                (name, row)
                for name, row in self._rows.items()
                if row.due is not None and row.due <= now and name not in running
            ]

    def _add(self, name: str, row: Row) -> None:
        again = row.began > 0
        try:
            self.pipeline.add_source(name, self._begin(row), self.into)
        except Exception as error:
            if not again or self.pipeline.state not in ("running", "paused"):
                raise
            self.pipeline.source_failed(name, error)  # nobody waits for it, and the others are to begin again, too
            with self._changed:
                self._ended(row)

    def _begin(self, row: Row) -> Source:
        with self._changed:
            row.restarts += row.began > 0
            row.state, row.due, row.began, row.error = "running", None, time.monotonic(), None
        return self._source(row.stream)

    def _source(self, stream: Stream) -> Source:
        source = source_of(stream)
        if self._sound and hasattr(source, "sound"):
            source.sound = True
        return source

    def _next(self) -> float | None:
        with self._changed:
            due = [row.due for row in self._rows.values() if row.due is not None and not row.unwanted]
        return max(0.0, min(due) - time.monotonic()) if due else None

    def _end_if_done(self) -> None:
        with self._changed:
            busy = any(row.state in ("running", "waiting") for row in self._rows.values())
        if self._drain and not busy and not self._closed:
            self.pipeline.drain()

    # what happens in the pipeline

    def _hear(self, message: Message) -> None:
        """In a thread of the pipeline: note it, and leave the work to ours."""
        if message.kind == "state" and message.text in ("draining", "stopped", "failed"):
            with self._changed:
                self._closed = True
                self._changed.notify_all()
        elif message.stream is not None and message.kind in ("error", "stream-end"):
            if message.kind == "stream-end" and message.stream in self.pipeline.sources():
                return  # the end of an earlier life of this name
            with self._changed:
                row = self._rows.get(message.stream)
                if row is None or row.state != "running":
                    return
                if message.kind == "error":
                    row.error = message.text
                elif message.element == message.stream:
                    self._ended(row)

    def _ended(self, row: Row) -> None:
        """Holds the lock."""
        if row.comes_again(bool(row.error)):
            ran = time.monotonic() - row.began
            row.wait = min(2 * row.wait, LONGEST_WAIT) if row.wait and ran < STEADY else FIRST_WAIT
            row.state, row.due = "waiting", time.monotonic() + row.wait
        else:
            row.state = "failed" if row.error else "ended"
        if (row.due is not None or self._drain) and not self._closed:
            if self._thread is None:
                self._thread = threading.Thread(target=self._watch, name="millrace:streams", daemon=True)
                self._thread.start()
            self._news = True
            self._changed.notify_all()

    def _watch(self) -> None:
        while True:
            with self._changed:
                self._news = False
            try:
                wait = self.reconcile()
            except MillraceError:  # the pipeline has begun to end
                wait = None
            with self._changed:
                self._changed.wait_for(lambda: self._closed or self._news, wait)
                if self._closed:
                    return
