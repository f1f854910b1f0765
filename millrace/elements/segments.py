"""segments: packets into a row of video files."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any

from ..core.caps import PACKETS
from ..core.element import Context, Seconds, setting, state
from ..core.errors import OutputError, SettingError, StreamError
from ..core.item import Item, StreamStart
from ..media import Packet
from ..outputs.jsonl import stream_path
from ._writer import PacketWriter

PAUSE = 10_000_000_000  # ns of stream time from an attempt to write to the next


class Segments(PacketWriter):
    """Write each stream as files of some length and pass packets on: `segments: {path: "out-%05d.mp4", seconds: 60}`.

    A file ends at the first key frame at or after each multiple of `seconds`, so `encode: {gop: N}` says how exact
    that is. Each file plays alone, also the one that was being written when the power failed.

    With `max_age` or `max_size` it records for ever: the oldest files are deleted, also those of earlier runs, and
    numbers go on where those ended. Only files whose names `path` could have made are touched, and never one that is
    being written. A full disk then is a warning: the oldest file goes, and recording begins again with a new one.
    """

    path: str = setting(help="the files: %05d stands for their number, {stream} for the stream's name")
    seconds: Seconds = setting(default=60.0, help="seconds of a file", minimum=0.04)
    keep: int | None = setting(
        default=None, help="how many files stay, older ones are deleted; default: all", minimum=2
    )
    max_age: Seconds | None = setting(
        default=None, help="how long files stay: 24h, 720h; older ones are deleted", minimum=1
    )
    max_size: float | None = setting(
        default=None, help="gigabytes of all files together, of all streams; the oldest are deleted", minimum=1e-6
    )
    playlist: str | None = setting(default=None, help="an HLS playlist (.m3u8) to write beside files that end in .ts")
    sound: bool = setting(default=True, help="the sound of a file's stream, unchanged, where the container can hold it")

    paths: dict[str, Iterator[str]] = state(dict)  # of the next files of each stream
    retention: Any = state(lambda: None)
    waiting: dict[str, int] = state(dict)  # streams that could not be written, and when the next attempt is due

    def validate(self) -> None:
        from ..outputs.segments import check_pattern

        check_pattern(self.path)
        if self.playlist and not (self.path.lower().endswith(".ts") and self.playlist.lower().endswith(".m3u8")):
            raise SettingError("segments", "playlist", self.playlist, "a .m3u8 for files that end in .ts")
        for path in (self.path, self.playlist or ""):
            folder = os.path.dirname(path)
            if folder and "{stream}" not in folder and not os.path.isdir(folder):
                raise SettingError("segments", "path", path, f"the folder {folder} does not exist; create it")

    def open(self, context: Context) -> None:
        self.validate()
        self.context = context
        if self.max_age is not None or self.max_size is not None:
            from ..outputs.retention import Retention

            self.retention = Retention(self.max_age, None if self.max_size is None else round(self.max_size * 1e9))
            self._watch_the_clock()

    def expect(self, streams: Sequence[str]) -> None:
        self.several = self.several or len(streams) > 1

    def start_stream(self, start: StreamStart) -> StreamStart:
        stream = start.stream
        if start.caps.kind != PACKETS:
            raise StreamError(stream, f"it takes packets, not {start.caps.kind}; encode first")
        if stream in self.outputs:
            if self.caps[stream] == start.caps:
                return start
            self.finish(stream)
        self.caps[stream] = start.caps
        self._begin(stream)
        return start

    def _begin(self, stream: str) -> None:
        """Open the row of files of a stream; the first is made with its first picture."""
        from ..outputs import segments

        several = self.several or bool(self.outputs)
        playlist = stream_path(self.playlist, stream, several) if self.playlist else None
        pattern = stream_path(self.path, stream, several)
        first = 0
        if self.retention is not None:
            from ..outputs.retention import numbered_files

            self.retention.watch(pattern)
            first = max((number + 1 for _, number in numbered_files(pattern)), default=0)
        paths = self.paths.setdefault(stream, segments.numbered(pattern, first))
        self.outputs[stream] = segments.Segments(
            pattern, paths, self.caps[stream], self.seconds, keep=self.keep, playlist=playlist, sound=self.sound,
            on_cut=self._tidy,
        )  # fmt: skip
        self.begin_sound(stream, pattern)

    def process(self, item: Any) -> Iterator[Item]:
        if self.retention is None or not isinstance(item, Packet):
            yield from super().process(item)
            return
        again = item.leads and item.stream in self.waiting and (item.pts or 0) >= self.waiting[item.stream]
        if again and item.stream in self.caps:
            self.early.pop(item.stream, None)
            self._begin(item.stream)
        try:
            yield from super().process(item)
        except OutputError as error:
            self._lost(item, error)
            yield item
            return
        if again and self.waiting.pop(item.stream, None) is not None:
            self._warn(f"recording goes on: {self.outputs[item.stream].path}", item.stream)

    def _lost(self, item: Packet, error: OutputError) -> None:
        """A file cannot be written: make room if that is what lacks, and begin another one soon."""
        first = item.stream not in self.waiting
        output = self.outputs.pop(item.stream, None)
        if output is not None:
            with suppress(OutputError):
                output.close()
        room = error.errno == errno.ENOSPC and self.retention.make_room(self._writing())
        self.waiting[item.stream] = (item.pts or 0) + (0 if room else PAUSE)
        if first:
            self._warn(f"{error}; recording goes on as soon as it can", item.stream)

    def on_deadline(self) -> Iterator[Item]:
        self._tidy()
        self._watch_the_clock()
        yield from ()

    def _watch_the_clock(self) -> None:
        """Files grow old also while no new ones begin."""
        if self.max_age is not None:
            self.deadline = time.monotonic() + min(60.0, max(0.5, self.max_age / 4))

    def _tidy(self) -> None:
        if self.retention is not None:
            try:
                self.retention.tidy(self._writing())
            except OutputError as error:
                self._warn(f"an old file stays: {error}", None)

    def _writing(self) -> list[str]:
        return [output.path for output in self.outputs.values()]

    def finish(self, stream: str) -> None:
        self.waiting.pop(stream, None)
        try:
            super().finish(stream)
        except OutputError as error:
            if self.retention is None:
                raise
            self._warn(str(error), stream)

    def _warn(self, text: str, stream: str | None) -> None:
        if self.context is not None:
            self.context.warn(text, stream)
