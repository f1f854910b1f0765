"""Gathers frames of many streams into batches."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence

from millrace.core import Context, Element, Seconds, StreamStart, setting, state
from millrace.media import Batch as Frames
from millrace.media import Frame


class Batch(Element):
    """Gathers frames into batches of `size`, round-robin over the streams.

    While all open streams are files, a batch's composition depends on the order of the streams and the numbers of
    their frames only: each stream gives one frame in turn, and a stream that is slow is waited for. With a live
    stream among them, frames are taken as they come, and a batch that is not full leaves `timeout` seconds after its
    first frame, or when a model behind it has time again, if that is later. Where every stream has given `per_stream`
    frames the batch is full, too.

        - batch: {size: 8, timeout: 40ms}

    `config` names a file of DeepStream's new nvstreammux (its config-file-path), which then says all of this.
    """

    threaded = True

    size: int = setting(default=8, minimum=1, help="frames in a full batch")
    timeout: Seconds = setting(default=0.04, minimum=0, help="seconds that a frame of a live stream waits for others")
    per_stream: int | None = setting(
        default=None, minimum=1, help="most frames of one stream in a batch; none: no limit"
    )
    adaptive: bool = setting(default=False, help="a full batch has as many frames as streams are open, not `size`")
    max_fps: float | None = setting(default=None, minimum=0.001, help="most batches a second, by the clock; none: all")
    config: str | None = setting(default=None, help="a file of DeepStream's new nvstreammux")

    held: list[Frame] = state(list)
    counts: dict[str, int] = state(dict)  # frames of each stream that are held
    turns: list[str] = state(list)
    started: set[str] = state(set)
    live: set[str] = state(set)
    numbers: dict[str, int] = state(dict)  # streams in the order in which they were first heard of
    limits: dict[int, int] = state(dict)  # most frames of the stream of a number
    due: float = state(float)  # time.monotonic() before which no batch leaves

    def validate(self) -> None:
        if self.config:
            from ._streammux import read_streammux

            found = read_streammux(self.config)
            self.adaptive, self.size = found.size is None, found.size or self.size
            self.timeout, self.max_fps = 1 / found.min_fps, found.max_fps
            self.per_stream, self.limits = found.per_stream, found.sources

    def open(self, context: Context) -> None:
        self.validate()

    @property
    def patient(self) -> bool:
        """While those behind it are occupied a batch fills up; for a full one they may wait themselves."""
        return not self.full()

    @property
    def ready(self) -> bool:
        """Not while a full batch waits for its time, or for the engine to look: it was full with one stream less."""
        return not (self.held and self.full())

    def expect(self, streams: Sequence[str]) -> None:
        """Streams take turns in the order of the configuration; one that will not come is not waited for."""
        for stream in streams if self.limits else ():
            self.numbers.setdefault(stream, len(self.numbers))
        waited = [stream for stream in streams if stream not in self.turns]
        self.turns = [turn for turn in self.turns if turn in self.started or turn in streams] + waited
        self.choose()
        self.arm()  # with one stream less it may be full

    def choose(self) -> None:
        """Tell the engine whose turn it is; where that is one stream only, in the form that costs least."""
        one = not self.live and not self.bounded and len(self.started) == len(self.turns) > 0
        self.wanted = frozenset(self.turns[:1]) if one else _Turn(self)

    def wants(self, stream: str) -> bool:
        """Whether something of this stream may come now."""
        if stream not in self.started:
            return True
        if self.live:
            return not self.sated(stream)
        turn = next((each for each in self.turns if not self.sated(each)), None) if self.bounded else self.turns[0]
        return stream == turn

    @property
    def bounded(self) -> bool:
        """Whether a stream may give only so many frames to a batch."""
        return self.per_stream is not None or bool(self.limits)

    def sated(self, stream: str) -> bool:
        """Whether the batch has as many frames of this stream as it may have."""
        most = self.limits.get(self.numbers.get(stream, -1), self.per_stream)
        return most is not None and self.counts.get(stream, 0) >= most

    @property
    def lacking(self) -> int:
        """How many frames the batch has room for."""
        return (max(1, len(self.turns)) if self.adaptive else self.size) - len(self.held)

    def full(self) -> bool:
        """Whether the batch can leave: it has enough frames, or no stream may add one."""
        return self.lacking <= 0 or bool(self.bounded and self.held and all(map(self.sated, self.turns)))

    def start_stream(self, start: StreamStart) -> StreamStart:
        self.started.add(start.stream)
        if self.limits:
            self.numbers.setdefault(start.stream, len(self.numbers))
        if start.stream not in self.turns:
            self.turns.append(start.stream)
        (self.live.add if start.live else self.live.discard)(start.stream)
        self.choose()
        self.arm()
        return start

    def process(self, item: Frame | Frames) -> list[Frames]:
        full: list[Frames] = []
        for frame in item.frames if isinstance(item, Frames) else [item]:  # of an earlier batch: in its order
            self.held.append(frame)
            self.counts[frame.stream] = self.counts.get(frame.stream, 0) + 1
            if not self.live:
                self.turns.remove(frame.stream)
                self.turns.append(frame.stream)
                self.choose()
            if self.full() and time.monotonic() >= self.due:
                full.append(self.give())
        self.arm()
        return full

    def arm(self) -> None:
        """While a stream is live, what is held leaves `timeout` seconds after there was a first frame of it.

        Until then those that follow may wait for each other: to be woken for one costs more than to take it.
        """
        begins = self.deadline is None
        if self.held and self.full():
            self.deadline = self.due
        elif not self.live or not self.held:
            self.deadline = None
        elif begins:
            self.deadline = time.monotonic() + self.timeout
        waits = self.deadline is not None and not self.bounded and (begins or self.enough > 1)
        self.enough = self.lacking if waits else 1

    def give(self) -> Frames:
        frames, self.held = self.held, []
        self.counts.clear()
        self.deadline = None
        if self.max_fps:
            self.due = max(self.due, time.monotonic()) + 1 / self.max_fps
        return Frames(frames)

    def on_deadline(self) -> Iterator[Frames]:
        if self.held and time.monotonic() >= self.due:
            yield self.give()
        self.arm()

    def flush(self, stream: str) -> Iterator[Frames]:
        if any(frame.stream == stream for frame in self.held):
            yield self.give()

    def end_stream(self, stream: str) -> Iterator[Frames]:
        yield from self.flush(stream)
        if stream in self.turns:
            self.turns.remove(stream)
        self.started.discard(stream)
        self.live.discard(stream)
        if self.held and self.full() and time.monotonic() >= self.due:  # with one stream less
            yield self.give()
        self.choose()
        self.arm()


class _Turn:
    """The streams whose turn it is, as the engine asks for them."""

    def __init__(self, batch: Batch) -> None:
        self.batch = batch

    def __contains__(self, stream: object) -> bool:
        return self.batch.wants(str(stream))
