"""Gathers frames of many streams into batches."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence

from millrace.core import Element, Seconds, StreamStart, setting, state
from millrace.media import Batch as Frames
from millrace.media import Frame


class Batch(Element):
    """Gathers frames into batches of `size`, round-robin over the streams.

    While all open streams are files, a batch's composition depends on the order of the streams and the numbers of
    their frames only: each stream gives one frame in turn, and a stream that is slow is waited for. With a live
    stream among them, frames are taken as they come, at most `per_stream` of one stream, and a batch that is not full
    leaves `timeout` seconds after its first frame.

        - batch: {size: 8, timeout: 40ms}
    """

    threaded = True

    size: int = setting(default=8, minimum=1, help="frames in a full batch")
    timeout: Seconds = setting(default=0.04, minimum=0, help="seconds that a frame of a live stream waits for others")
    per_stream: int | None = setting(
        default=None, minimum=1, help="most frames of one stream in a batch; none: no limit"
    )
    held: list[Frame] = state(list)
    turns: list[str] = state(list)
    started: set[str] = state(set)
    live: set[str] = state(set)

    def expect(self, streams: Sequence[str]) -> None:
        """Streams take turns in the order of the configuration; one that will not come is not waited for."""
        waited = [stream for stream in streams if stream not in self.turns]
        self.turns = [turn for turn in self.turns if turn in self.started or turn in streams] + waited
        self.choose()

    def choose(self) -> None:
        """Tell the engine whose turn it is; where that is one stream only, in the form that costs least."""
        one = not self.live and len(self.started) == len(self.turns) > 0
        self.wanted = frozenset(self.turns[:1]) if one else _Turn(self)

    def wants(self, stream: str) -> bool:
        """Whether something of this stream may come now."""
        if stream not in self.started:
            return True
        if self.live:
            return self.per_stream is None or sum(f.stream == stream for f in self.held) < self.per_stream
        return stream == self.turns[0]

    def start_stream(self, start: StreamStart) -> StreamStart:
        self.started.add(start.stream)
        if start.stream not in self.turns:
            self.turns.append(start.stream)
        (self.live.add if start.live else self.live.discard)(start.stream)
        self.choose()
        self.arm()
        return start

    def process(self, frame: Frame) -> Iterator[Frames]:
        self.held.append(frame)
        if not self.live:
            self.turns.remove(frame.stream)
            self.turns.append(frame.stream)
            self.choose()
        if len(self.held) >= self.size:
            yield self.give()
        self.arm()

    def arm(self) -> None:
        """While a stream is live, what is held leaves `timeout` seconds after there was a first frame of it."""
        if not self.live or not self.held:
            self.deadline = None
        elif self.deadline is None:
            self.deadline = time.monotonic() + self.timeout

    def give(self) -> Frames:
        frames, self.held = self.held, []
        self.deadline = None
        return Frames(frames)

    def on_deadline(self) -> Iterator[Frames]:
        if self.held:
            yield self.give()

    def flush(self, stream: str) -> Iterator[Frames]:
        if any(frame.stream == stream for frame in self.held):
            yield self.give()

    def end_stream(self, stream: str) -> Iterator[Frames]:
        yield from self.flush(stream)
        if stream in self.turns:
            self.turns.remove(stream)
        self.started.discard(stream)
        self.live.discard(stream)
        self.choose()
        self.arm()


class _Turn:
    """The streams whose turn it is, as the engine asks for them."""

    def __init__(self, batch: Batch) -> None:
        self.batch = batch

    def __contains__(self, stream: object) -> bool:
        return self.batch.wants(str(stream))
