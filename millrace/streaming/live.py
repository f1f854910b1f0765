"""A stream as browsers get it: coded once, cut into fragments once, whoever watches by whatever way."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Generic, TypeVar

from ..media import CodecParameters, Packet
from ..media.nal import read_header, split
from .fmp4 import Sample, Track, fragment, ticks
from .hls import Hls

LINGER = 30.0  # seconds that a stream is coded on for somebody who asks for its playlist or picture now and then
BACKLOG = 4 << 20  # bytes that may wait for a slow client before it loses pictures
GROUP = 16 << 20  # bytes from key picture to key picture that are kept for those who come
_START = b"\0\0\0\1"

T = TypeVar("T")


@dataclass(eq=False)
class Unit:
    """A coded picture in the forms that clients want, each made once, by the first who asks."""

    packet: Packet
    track: Track
    codec: CodecParameters
    base: int  # ticks of the stream's first picture
    duration: int  # ticks, an estimate
    number: int

    @cached_property
    def sample(self) -> Sample:
        packet = self.packet
        pts = packet.pts or 0
        dts = packet.dts if packet.dts is not None else pts
        data = self.track.data(packet.data)
        return Sample(data, ticks(dts) - self.base, ticks(pts) - self.base, self.duration, packet.key)

    @cached_property
    def fragment(self) -> bytes:
        return fragment(self.number, [self.sample])

    @cached_property
    def annexb(self) -> bytes:
        """With start codes, and parameter sets before each key picture (H.264 and HEVC only)."""
        size, sets = read_header(self.codec.codec, self.codec.extradata)
        units = split(self.packet.data, size)
        if self.packet.key and sets and not any(unit == sets[0] for unit in units):
            units = [*sets, *units]
        return b"".join(_START + unit for unit in units)


class Backlog(Generic[T]):
    """What waits for one client. One that is slow loses pictures up to the next key picture."""

    def __init__(self, limit: int = BACKLOG) -> None:
        self._limit = limit
        self._items: deque[tuple[T, int]] = deque()
        self._bytes = 0
        self._waits_for_key = True
        self._news = asyncio.Event()
        self.ended = False
        self.dropped = 0

    def give(self, item: T, size: int, key: bool) -> None:
        if self._bytes > self._limit:
            self.dropped += len(self._items)
            self._items.clear()
            self._bytes, self._waits_for_key = 0, True
        if self._waits_for_key and not key:
            self.dropped += 1
            return
        self._waits_for_key = False
        self._items.append((item, size))
        self._bytes += size
        self._news.set()

    def end(self) -> None:
        self.ended = True
        self._news.set()

    async def take(self) -> T | None:
        """The next item; None at the end."""
        while not self._items:
            if self.ended:
                return None
            self._news.clear()
            await self._news.wait()
        item, size = self._items.popleft()
        self._bytes -= size
        return item


class Live:
    """One stream under one name. Lives in the server's loop; `wanted` and `pictures_wanted` may be read anywhere."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.facts: dict[str, Any] = {}
        self.coded_as = ""  # the codec, also before anything is coded
        self.codec: CodecParameters | None = None
        self.track: Track | None = None
        self.hls = Hls(name)
        self.followers: set[Backlog[Unit]] = set()
        self.gazers: set[asyncio.Event] = set()  # those who wait for the next still picture
        self.picture: bytes | None = None
        self.ended = False
        self.has_pictures = False  # whether still pictures can be had
        self.key_wanted = False  # somebody came: the next picture should be a key picture
        self._group: list[Unit] = []  # since the last key picture
        self._grouped = 0
        self.base: int | None = None  # ticks of the first picture that came
        self._last: int | None = None
        self._count = 0
        self._asked_at = -1e9  # when somebody last wanted the playlist, or what it names
        self._waiting = 0  # those who do now

    # from the pipeline

    def begin(self, codec: CodecParameters, track: Track) -> None:
        """What comes from now on is coded so, and begins with a key picture."""
        if self.codec == codec and not self.ended:
            self.pause()
            return
        self.codec, self.track, self.ended = codec, track, False
        self.coded_as = codec.codec
        self._group, self._grouped = [], 0
        if self.hls.ended:
            self.hls = Hls(self.name)
        self.hls.begin(track.header)

    def feed(self, packet: Packet) -> None:
        """The next packet, in decoding order. Raises ValueError for one that is damaged."""
        if self.track is None or self.codec is None or packet.pts is None:
            return
        dts = ticks(packet.dts if packet.dts is not None else packet.pts)
        if self.base is None:
            self.base = dts
        step = ticks(packet.duration) if packet.duration else dts - self._last if self._last is not None else 3600
        self._last, self._count = dts, self._count + 1
        unit = Unit(packet, self.track, self.codec, self.base, min(max(step, 1), 90_000), self._count)
        size = len(unit.sample.data)  # one that is damaged goes no further
        if packet.key:
            self._group, self._grouped = [], 0
        if self._group or packet.key:
            self._grouped += size
            self._group.append(unit)
            if self._grouped > GROUP:
                self._group = []
        if self.hls_wanted:
            self.hls.add(unit.sample)
        for follower in self.followers:
            follower.give(unit, size, packet.key)

    def pause(self) -> None:
        """Nothing is coded for a while, for nobody watches, or the stream has a gap."""
        self._group, self._grouped = [], 0
        self.hls.pause()

    def show(self, jpeg: bytes) -> None:
        """The newest still picture."""
        self.picture = jpeg
        for gazer in self.gazers:
            gazer.set()

    def tell(self, facts: dict[str, Any]) -> None:
        self.facts = facts

    def end(self) -> None:
        """The stream has ended, or the server stops."""
        self.ended = True
        self.hls.end()
        for follower in self.followers:
            follower.end()
        for gazer in self.gazers:
            gazer.set()

    # from clients

    @property
    def wanted(self) -> bool:
        """Whether anybody watches, or did so a moment ago."""
        return bool(self.followers) or self.hls_wanted

    @property
    def hls_wanted(self) -> bool:
        return self._waiting > 0 or time.monotonic() - self._asked_at < LINGER

    @property
    def pictures_wanted(self) -> bool:
        return bool(self.gazers)

    @contextmanager
    def asking(self) -> Iterator[Hls]:
        """While somebody wants the playlist, or what it names."""
        if not self.hls_wanted and not self.hls.ended:
            self.hls.restart()
            for unit in self._group:
                self.hls.add(unit.sample)
        self._waiting += 1
        try:
            yield self.hls
        finally:
            self._waiting -= 1
            self._asked_at = time.monotonic()

    def follow(self, from_last_key: bool) -> Backlog[Unit]:
        """A client that gets each picture: from the last key picture on, or from the next one."""
        follower: Backlog[Unit] = Backlog()
        if from_last_key:
            for unit in self._group:
                follower.give(unit, len(unit.sample.data), unit.packet.key)
        if not (from_last_key and self._group):
            self.key_wanted = True
        self.followers.add(follower)
        if self.ended:
            follower.end()
        return follower

    def leave(self, follower: Backlog[Unit]) -> None:
        self.followers.discard(follower)
