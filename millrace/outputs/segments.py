"""A stream cut into files at key pictures, with an HLS playlist where it is wanted (RFC 8216)."""

from __future__ import annotations

import math
import os
import re
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import count

from ..core.caps import Caps
from ..core.errors import ConfigError, OutputError
from ..media import Packet, SoundParameters
from .container import Container, format_of, open_container
from .sound import holds

SECOND = 1_000_000_000
NUMBER = re.compile(r"%0?\d*d")


@dataclass(slots=True)
class Part:
    """One file; times are ns of stream time."""

    path: str
    start: int
    end: int


def check_pattern(path: str) -> None:
    """Raises ConfigError for a path without a number (`%05d`), or whose ending is not known."""
    if len(NUMBER.findall(path)) != 1 or "%" in NUMBER.sub("", path):
        raise ConfigError(f"{path}: the path of segments holds their number once, as in out-%05d.mp4")
    format_of(path)


def numbered(pattern: str, first: int = 0) -> Iterator[str]:
    """The paths of a pattern like `out-%05d.mp4`, from a number on."""
    for number in count(first):
        yield NUMBER.sub(lambda found, number=number: found[0] % number, pattern)  # type: ignore[misc]


class Segments:
    """See outputs.base.Output. `paths` gives the path of each next file; they all have the ending of `pattern`.

    A file ends before the first key picture `seconds` or more after the last whole multiple of `seconds`, so files do
    not drift. Each begins at time 0, but TS, whose times go on. Sound goes into the file of the pictures beside it.
    `keep`: older files are deleted. `playlist` is rewritten with each file. `on_cut` is called when one has begun.
    Raises OutputError.
    """

    def __init__(
        self, pattern: str, paths: Iterator[str], caps: Caps, seconds: float, *, keep: int | None = None,
        playlist: str | None = None, sound: bool = True, on_cut: Callable[[], None] = lambda: None,
    ) -> None:  # fmt: skip
        self.pattern = pattern
        self._paths = paths
        track: SoundParameters | None = caps.get("sound") if sound else None
        fits = track is not None and holds(format_of(pattern), track)
        self.lost_sound = track.codec if track is not None and not fits else None
        self._caps, self._with_sound = caps, fits
        self._length = round(seconds * SECOND)
        self._keep, self._on_cut = keep, on_cut
        self._playlist = Playlist(playlist, seconds) if playlist else None
        self._parts: deque[Part] = deque()
        self._file: Container | None = None
        self._sound: deque[Packet] = deque()  # not yet overtaken by the pictures
        self._zero = self._next = self._first = self._shift = 0

    @property
    def path(self) -> str:
        return self._parts[-1].path if self._parts else self.pattern

    def write(self, packet: Packet) -> None:
        """Raises OutputError, ValueError for a packet without times."""
        if packet.kind == "audio":
            if self._with_sound:
                self._sound.append(packet)
            return
        if packet.pts is None or packet.dts is None:
            raise ValueError(f"{self.path}: a packet of {packet.stream} has no time and cannot be written")
        if self._file is None or (packet.key and packet.pts >= self._next):
            if self._file is None:
                self._first = min(0, packet.dts)  # the clock of TS cannot be below 0
            self._cut(packet.pts)
        self._send_sound(packet.dts)
        self._put(packet)
        part = self._parts[-1]
        part.end = max(part.end, packet.pts + (packet.duration or 0))

    def close(self) -> None:
        if self._file is None:
            return
        self._send_sound(None)
        file, self._file = self._file, None
        file.close()
        if self._playlist:
            self._playlist.write(self._parts, ended=True)

    def _cut(self, start: int) -> None:
        if self._file is None:
            self._zero = self._next = start
        else:
            self._send_sound(start)
            self._parts[-1].end = start
            file, self._file = self._file, None
            file.close()
            while self._keep and len(self._parts) >= self._keep:
                _remove(self._parts.popleft().path)
            if self._playlist:
                self._playlist.write(self._parts, ended=False)
        self._next = self._zero + ((start - self._zero) // self._length + 1) * self._length
        path = next(self._paths)
        self._parts.append(Part(path, start, start))
        self._file = open_container(path, self._caps, self._with_sound)
        self._shift = self._first if format_of(path) == "mpegts" else start
        self._on_cut()

    def _send_sound(self, until: int | None) -> None:
        """Write the sound before a time; None: all of it."""
        while self._sound and (until is None or (self._sound[0].pts or 0) < until):
            self._put(self._sound.popleft())

    def _put(self, packet: Packet) -> None:
        assert self._file is not None
        shift = self._shift
        if shift and packet.pts is not None:
            dts = None if packet.dts is None else packet.dts - shift
            packet = replace(packet, pts=packet.pts - shift, dts=dts)
        self._file.write(packet)


class Playlist:
    """An HLS media playlist of TS files: a player may read along while it grows."""

    def __init__(self, path: str, seconds: float) -> None:
        self.path = path
        self._target = math.ceil(seconds) + 2  # a file is longer by a group of pictures; the target should not change
        self._gone = 0
        self._first: Part | None = None

    def write(self, parts: deque[Part], ended: bool) -> None:
        """Put the parts that are finished into the playlist. Raises OutputError."""
        if self._first is not None and self._first not in parts:
            self._gone += 1
        self._first = parts[0]
        try:
            with open(f"{self.path}.new", "w", encoding="utf-8", newline="\n") as file:
                file.writelines(f"{line}\n" for line in self._lines(parts, ended))
            os.replace(f"{self.path}.new", self.path)
        except OSError as error:
            raise OutputError(self.path, error) from error

    def _lines(self, parts: deque[Part], ended: bool) -> Iterator[str]:
        lengths = [(part.end - part.start) / SECOND for part in parts]
        self._target = max(self._target, *(math.floor(length + 0.5) for length in lengths))
        yield from ("#EXTM3U", "#EXT-X-VERSION:3", f"#EXT-X-TARGETDURATION:{self._target}")
        yield f"#EXT-X-MEDIA-SEQUENCE:{self._gone}"
        folder = os.path.dirname(os.path.abspath(self.path))
        for part, length in zip(parts, lengths, strict=True):
            yield f"#EXTINF:{length:.6f},"
            yield os.path.relpath(os.path.abspath(part.path), folder)
        if ended:
            yield "#EXT-X-ENDLIST"


def _remove(path: str) -> None:
    try:
        os.unlink(path)
    except FileNotFoundError:
        return
    except OSError as error:
        raise OutputError(path, error) from error
