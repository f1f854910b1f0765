"""Clips of a stream around moments: what was before comes from a cache of coded packets, nothing is encoded anew."""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from ..core.caps import Caps
from ..core.errors import OutputError
from ..media import Packet
from .container import Container, format_of, open_container
from .sound import holds

SECOND = 1_000_000_000
MOST = 256 << 20  # bytes that are kept of one stream


@dataclass(frozen=True, slots=True)
class Recorded:
    """A clip that is finished. Times are ns of stream time; `start` is that of its first picture, a key picture."""

    stream: str
    path: str
    name: str  # of the moment: a rule's, or what the caller said
    start: int
    end: int


@dataclass(slots=True)
class _Clip:
    stream: str
    name: str
    until: int  # ns; pictures that are decoded from there on are left out
    file: Container
    path: str
    start: int
    last: int  # the time of the latest picture
    end: int
    done: Callable[[Recorded], None] | None


class Clips:
    """The cache and the open clips of one stream. Packets come in decoding order; sound among them."""

    def __init__(self, caps: Caps, cache: float, sound: bool = True) -> None:
        """`cache`: seconds that are kept for moments that are told late or ask for what was before."""
        self._caps, self._sound = caps, sound
        self._cache = round(cache * SECOND)
        self._kept: deque[Packet] = deque()
        self._keys: deque[int] = deque()  # times of the key pictures in the cache
        self._bytes = 0  # of the packets in the cache
        self._newest = 0
        self._decoded = 0  # when the latest picture is decoded
        self._clock: tuple[int, int] | None = None  # the time of a picture, and what the clock said then (UTC ns)
        self._open: list[_Clip] = []

    @property
    def newest(self) -> int:
        """The time of the last picture that came."""
        return self._newest

    @property
    def oldest(self) -> int:
        """The time of the first picture that is kept."""
        return self._keys[0] if self._keys else self._newest

    def at(self, wall: int) -> int:
        """Stream time of a moment of UTC (ns): by the sender's clock where its packets tell it, else by ours."""
        pts, clock = self._clock or (self._newest, time.time_ns())
        return pts + wall - clock

    def wall(self, pts: int) -> int:
        """The other way round."""
        then, clock = self._clock or (self._newest, time.time_ns())
        return clock + pts - then

    def recording(self, name: str) -> bool:
        """Whether a clip of that name is open."""
        return any(clip.name == name for clip in self._open)

    def extend(self, name: str, until: int) -> None:
        """Let the open clips of that name last until then at least."""
        for clip in self._open:
            if clip.name == name:
                clip.until = max(clip.until, until)

    def stop(self, name: str | None = None) -> None:
        """End the open clips of that name, or all, with the last picture that came."""
        self._each([clip for clip in self._open if name is None or clip.name == name], self._finish)

    def start(
        self, name: str, path: str, since: int, until: int, done: Callable[[Recorded], None] | None = None
    ) -> bool:
        """Begin a clip with the last key picture at or before `since` that is kept, else with the first after it.

        False when nothing is kept yet: ask again when a picture has come. Raises OutputError, ConfigError.
        """
        if not self._keys:
            return False
        first = max((key for key in self._keys if key <= since), default=self._keys[0])
        fits = "sound" not in self._caps or holds(format_of(path), self._caps["sound"])
        clip = _Clip(
            self._kept[-1].stream,
            name,
            until,
            open_container(path, self._caps, self._sound and fits),
            path,
            first,
            first,
            first,
            done,
        )
        self._open.append(clip)
        begun = False
        for packet in list(self._kept):
            begun = begun or (packet.leads and packet.pts == first)
            if begun or (packet.kind == "audio" and (packet.pts or 0) >= first):
                self._write(clip, packet)
        self._end_those_due()
        return True

    def push(self, packet: Packet) -> None:
        """Raises OutputError when a clip cannot be written; that clip is given up, the others go on."""
        if packet.pts is None:
            return
        if packet.kind == "video":
            self._newest = max(self._newest, packet.pts)
            self._clock = (packet.pts, time.time_ns() if packet.wall is None else packet.wall)
            self._decoded = packet.pts if packet.dts is None else packet.dts
        if packet.leads:
            self._keys.append(packet.pts)
        if self._keys:
            self._kept.append(packet)
            self._bytes += memoryview(packet.data).nbytes
            self._forget()
        self._each(self._open, lambda clip: self._write(clip, packet))
        self._end_those_due()

    def close(self) -> None:
        """Finish all. Raises the first error after the others were finished, too."""
        try:
            self._each(self._open, self._finish)
        finally:
            self._kept.clear()
            self._keys.clear()
            self._bytes = 0

    def _each(self, clips: Sequence[_Clip], call: Callable[[_Clip], None]) -> None:
        """Call it for all of them, then raise the first OutputError."""
        failed: OutputError | None = None
        for clip in list(clips):
            try:
                call(clip)
            except OutputError as error:
                failed = failed or error
        if failed is not None:
            raise failed

    def _forget(self) -> None:
        """Drop whole groups of pictures that are older than the cache is long, or too many for MOST."""
        while len(self._keys) > 1 and (self._keys[1] <= self._newest - self._cache or self._bytes > MOST):
            self._keys.popleft()
            first = self._keys[0]
            while self._kept and not (self._kept[0].leads and self._kept[0].pts == first):
                self._bytes -= memoryview(self._kept.popleft().data).nbytes
        if self._bytes > MOST:  # one group alone: a camera that hardly ever sends a key picture
            self._kept.clear()
            self._keys.clear()
            self._bytes = 0

    def _write(self, clip: _Clip, packet: Packet) -> None:
        assert packet.pts is not None
        # by decoding time: a picture that is shown later may be needed to decode one that is shown before, and then
        # those that are shown between go along
        if (packet.pts if packet.dts is None else packet.dts) >= clip.until and packet.pts > clip.last:
            return
        if packet.kind == "video":
            clip.last = max(clip.last, packet.pts)
            clip.end = max(clip.end, packet.pts + (packet.duration or 0))
        dts = None if packet.dts is None else packet.dts - clip.start
        try:
            clip.file.write(replace(packet, pts=packet.pts - clip.start, dts=dts))
        except OutputError:
            self._open.remove(clip)
            raise
        except ValueError as error:  # a packet that no container can hold
            self._open.remove(clip)
            clip.file.close()
            raise OutputError(clip.path, OSError(str(error))) from error

    def _end_those_due(self) -> None:
        # no picture that is shown before the end can follow one that is decoded after it
        due = [clip for clip in self._open if self._decoded >= max(clip.until, clip.last)]
        self._each(due, self._finish)

    def _finish(self, clip: _Clip) -> None:
        self._open.remove(clip)
        clip.file.close()
        if clip.done is not None:
            clip.done(Recorded(clip.stream, clip.path, clip.name, clip.start, clip.end))


@dataclass(frozen=True, slots=True)
class Wish:
    """That a moment be recorded: `before` and `after` in seconds around `at` (ns of stream time; None: now).

    Seconds that are None are the recorder's own. `start` and `end` (UTC ns) stand for them where they are given.
    """

    stream: str
    name: str = "clip"
    at: int | None = None
    before: float | None = None
    after: float | None = None
    stop: bool = False  # end what is recorded instead
    start: int | None = None
    end: int | None = None


class Wishes:
    """Where others say what a recorder shall record, from any thread; it takes them between two packets."""

    def __init__(self, wake: Callable[[], None]) -> None:
        self._wake = wake
        self._waiting: deque[Wish] = deque()

    def add(self, wish: Wish) -> None:
        self._waiting.append(wish)
        self._wake()

    def take(self) -> list[Wish]:
        taken = []
        while self._waiting:
            taken.append(self._waiting.popleft())
        return taken


_recorders: dict[str, Wishes] = {}
_ended: set[str] = set()  # names of those that were there
_lock = threading.Lock()


def announce(name: str, wishes: Wishes) -> bool:
    """Make a recorder known by its name within this process; False when another has it."""
    with _lock:
        _ended.discard(name)
        return _recorders.setdefault(name, wishes) is wishes


def withdraw(name: str, wishes: Wishes) -> None:
    with _lock:
        if _recorders.get(name) is wishes:
            del _recorders[name]
            _ended.add(name)


def has_ended(name: str) -> bool:
    """Whether the recorder of that name was there and is no more: its streams were over before others'."""
    with _lock:
        return name in _ended


def recorder(name: str) -> Wishes | None:
    """The recorder of that name, None where none runs."""
    with _lock:
        return _recorders.get(name)


def free_path(path: str) -> str:
    """The path, or the first of path-2, path-3, … that is not there."""
    root, ending = os.path.splitext(path)
    number, found = 2, path
    while os.path.exists(found):
        found, number = f"{root}-{number}{ending}", number + 1
    return found
