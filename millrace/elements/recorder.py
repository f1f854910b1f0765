"""Packets → clips around what happens, without encoding anew."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import partial
from typing import Any, ClassVar

from ..core.caps import PACKETS
from ..core.element import Context, Element, Seconds, setting, state
from ..core.errors import ConfigError, OutputError, StreamError
from ..core.item import Item, StreamStart
from ..media import Packet
from ..outputs.clips import SECOND, Clips, Recorded, Wish, Wishes, announce, free_path, withdraw
from ..outputs.container import format_of
from ..outputs.jsonl import safe_name

TIMER = "timer"  # the name of clips that begin and end by the clock of the stream


class Recorder(Element):
    """Keep the last seconds of each stream and write clips of moments: `recorder: {path: "{stream}-{number}.mp4"}`.

    Put it on a branch before decoding: packets are written as they came, from a key picture on, sound among them. A
    moment comes from a rule of `analyze` (`do: [{record: {before: 5s, after: 10s}}]`), from Python:
    `recorder.record("gate", before=5, after=10)` in any thread, `recorder.stop_recording("gate")`, or from a message
    of a broker (`listen`, see docs/recording.md). A moment while a clip of the same name is open makes that clip
    longer. `on_recorded` is called with each finished clip. It is meant for streams that come in their own time: a
    file that is read as fast as possible may be over before a rule speaks.
    """

    takes = PACKETS
    threaded: ClassVar[bool] = True
    writes: ClassVar[bool] = True

    path: str = setting(
        default="{stream}-{name}-{number}.mp4",
        help="of each clip; {stream}, {name} of the moment, {number} from 1, {pts} of its start in ms, {time} of its "
        "start (UTC), {pid} of the process",
    )
    known_as: str = setting(default="recorder", help="the name by which rules ask for it")
    cache: Seconds = setting(default=20.0, minimum=0, help="how much is kept of what was before")
    before: Seconds = setting(default=5.0, minimum=0, help="seconds before a moment that does not say how many")
    after: Seconds = setting(default=10.0, minimum=0, help="seconds after a moment that does not say how many")
    interval: Seconds | None = setting(
        default=None, minimum=0.1, help="begin a clip named `timer`, or end it, each time so many seconds have passed"
    )
    sound: bool = setting(default=True, help="the sound of the stream, unchanged, where the container can hold it")
    on_recorded: Callable[[Recorded], Any] | None = setting(default=None, help="called with each finished clip")

    streams: dict[str, Clips] = state(dict)
    wishes: Wishes | None = state(lambda: None)
    late: list[Wish] = state(list)  # for streams of which nothing is kept yet
    numbers: dict[str, int] = state(dict)
    ticks: dict[str, int] = state(dict)  # when the timer of each stream is due
    context: Context | None = state(lambda: None)

    def validate(self) -> None:
        format_of(self.path)
        folder = os.path.dirname(self.path) or "."
        if "{" not in folder and not os.path.isdir(folder):
            raise ConfigError(f"recorder: {self.path} cannot be written: there is no folder {folder}")
        try:
            self._path("s", "n", 1, 0, 0)
        except (KeyError, IndexError, ValueError) as error:
            raise ConfigError(
                f"recorder: path {self.path!r}: {error} is not one of stream, name, number, pts, time, pid"
            ) from None

    def open(self, context: Context) -> None:
        self.validate()
        self.context = context
        self.wishes = Wishes(context.wake)
        if not announce(self.known_as, self.wishes):
            self.wishes = None
            raise ConfigError(f"recorder: another one is known as {self.known_as!r}: give it another `known_as`")

    def record(
        self, stream: str, name: str = "clip", at: int | None = None, before: float | None = None,
        after: float | None = None, start: int | None = None, end: int | None = None,
    ) -> None:  # fmt: skip
        """Record a moment (see outputs.clips.Wish). Any thread, while the pipeline runs."""
        if self.wishes is not None:
            self.wishes.add(Wish(stream, name, at, before, after, start=start, end=end))

    def stop_recording(self, stream: str, name: str = "clip") -> None:
        """End the clip of that name. Any thread."""
        if self.wishes is not None:
            self.wishes.add(Wish(stream, name, stop=True))

    def start_stream(self, start: StreamStart) -> StreamStart:
        if start.caps.kind != PACKETS:
            raise StreamError(start.stream, f"recorder takes packets, not {start.caps.kind}; put it before decode")
        known = self.streams.pop(start.stream, None)
        if known is not None:
            self._guarded(known.close, start.stream)
        self.streams[start.stream] = Clips(start.caps, self.cache, self.sound)
        return start

    def process(self, item: Any) -> Iterator[Item]:
        if isinstance(item, Packet) and (clips := self.streams.get(item.stream)) is not None:
            self._guarded(lambda: clips.push(item), item.stream)
            if self.interval is not None:
                self._tick(item.stream, clips, round(self.interval * SECOND))
            self._serve()
        yield item

    def on_wake(self) -> Iterator[Item]:
        self._serve()
        yield from ()

    def end_stream(self, stream: str) -> Iterator[Item]:
        self._serve()
        self.late = [wish for wish in self.late if wish.stream != stream]
        self.ticks.pop(stream, None)
        clips = self.streams.pop(stream, None)
        if clips is not None:
            self._guarded(clips.close, stream)
        yield from super().end_stream(stream)

    def close(self) -> None:
        if self.wishes is not None:
            withdraw(self.known_as, self.wishes)
            self.wishes = None
        for stream in list(self.streams):
            self._guarded(self.streams.pop(stream).close, stream)
        self.late.clear()

    def _serve(self) -> None:
        wishes = self.late + (self.wishes.take() if self.wishes is not None else [])
        self.late = []
        for wish in wishes:
            clips = self.streams.get(wish.stream)
            if clips is None:
                self._warn(f"there is no stream to record a clip {wish.name!r} of", wish.stream)
            elif not self._guarded(partial(self._do, clips, wish), wish.stream):
                self.late.append(wish)

    def _do(self, clips: Clips, wish: Wish) -> bool:
        if wish.stop:
            self.late = [each for each in self.late if (each.stream, each.name) != (wish.stream, wish.name)]
            clips.stop(wish.name)
            return True
        return self._start(clips, wish)

    def _tick(self, stream: str, clips: Clips, interval: int) -> None:
        """Every so many seconds of the stream a clip begins, or the one that is open ends."""
        due = self.ticks.setdefault(stream, clips.newest + interval)
        if clips.newest >= due:
            self.ticks[stream] = due + interval
            self.late.append(Wish(stream, TIMER, clips.newest, stop=clips.recording(TIMER)))

    def _start(self, clips: Clips, wish: Wish) -> bool:
        since, until = self._span(clips, wish)
        if clips.recording(wish.name):
            clips.extend(wish.name, until)
            return True
        if wish.start is not None and since > clips.newest:
            return False  # it is still to come
        if wish.end is not None and until <= clips.oldest:
            ago = (clips.oldest - until) / SECOND
            raise ConfigError(f"{wish.name!r} of {wish.stream} ended {ago:.1f} s before what is kept: a longer `cache`")
        number = self.numbers.get(wish.stream, 0) + 1
        began = max(0, since)
        path = free_path(self._path(wish.stream, wish.name, number, began, clips.wall(began)))
        if not clips.start(wish.name, path, since, until, self._done):
            return False
        self.numbers[wish.stream] = number
        return True

    def _span(self, clips: Clips, wish: Wish) -> tuple[int, int]:
        """The stream times from which and until which a wish wants to be recorded."""
        at = clips.newest if wish.at is None else wish.at
        before = self.before if wish.before is None else wish.before
        after = self.after if wish.after is None else wish.after
        since = at - round(before * SECOND) if wish.start is None else clips.at(wish.start)
        until = at + round(after * SECOND) if wish.end is None else clips.at(wish.end)
        return since, until

    def _path(self, stream: str, name: str, number: int, since: int, wall: int) -> str:
        time = datetime.fromtimestamp(wall / 1e9, UTC).strftime("%Y%m%d-%H%M%S")
        return self.path.format(
            stream=safe_name(stream), name=safe_name(name), number=number, pts=since // 1_000_000, time=time,
            pid=os.getpid(),
        )  # fmt: skip

    def _done(self, recorded: Recorded) -> None:
        if self.on_recorded is not None:
            self.on_recorded(recorded)

    def _guarded(self, call: Callable[[], Any], stream: str) -> Any:
        """A clip that cannot be written is one warning; the stream and its other clips go on."""
        try:
            return call()
        except (OutputError, ConfigError) as error:
            self._warn(f"a clip is lost: {error}", stream)
            return True

    def _warn(self, text: str, stream: str) -> None:
        if self.context is not None:
            self.context.warn(text, stream)
