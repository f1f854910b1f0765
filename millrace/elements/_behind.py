"""Calls that no frame waits for: their answers are put onto later frames of the same objects."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from ..core.element import Context
from ._units import Call

_MOST = 16  # calls of a live stream that are under way


@dataclass(slots=True, eq=False)
class _Stream:
    live: bool
    lag: int
    frames: int = 0  # that came by
    calls: deque[tuple[int, str, Call]] = field(default_factory=deque)  # when it is due, in frames


class Behind:
    """The calls under way, by stream.

    In a live stream an answer is taken when it is there. In a file's it is taken a fixed number of frames after it was
    asked for, and waited for then, so that two runs give the same labels to the same frames.
    """

    def __init__(self) -> None:
        self._streams: dict[str, _Stream] = {}
        self._warned: set[str] = set()

    def start(self, stream: str, live: bool, lag: int) -> None:
        self._streams.setdefault(stream, _Stream(live, lag))

    def add(self, call: Call) -> None:
        """A call that was started for objects of one or several streams; the first one's frames tell when it is due."""
        for stream in dict.fromkeys(unit.frame.stream for unit in call.units):
            own = self._streams.setdefault(stream, _Stream(False, 2))
            own.calls.append((own.frames + own.lag, stream, call))

    def full(self, stream: str) -> bool:
        """Whether so much of a live stream is under way that more would only wait."""
        own = self._streams.get(stream)
        return own is not None and own.live and len(own.calls) >= _MOST

    def due(self, stream: str) -> Iterator[Call]:
        """A frame of the stream came by: the calls whose answers shall be taken now, each once."""
        own = self._streams.setdefault(stream, _Stream(False, 2))
        own.frames += 1
        while own.calls and (own.calls[0][2].done() if own.live else own.calls[0][0] <= own.frames):
            call = own.calls.popleft()[2]
            if call.future is not None:  # else taken already, for another stream
                yield call

    def untracked(self, context: Context, stream: str) -> None:
        """Say once that objects without identity get no answer where nobody waits for it."""
        if stream not in self._warned:
            self._warned.add(stream)
            context.warn("objects without identity are passed over where wait is false: put track before", stream)

    def forget(self, stream: str) -> None:
        self._streams.pop(stream, None)
        self._warned.discard(stream)

    def futures(self) -> list[Any]:
        """What is under way."""
        return [call.future for own in self._streams.values() for _, _, call in own.calls]

    def drop(self, stream: str | None = None) -> None:
        """Forget what is under way, of one stream or of all: its answers would be about something else."""
        for name, own in self._streams.items():
            if stream in (None, name):
                own.calls.clear()

    def clear(self) -> None:
        self._streams.clear()
