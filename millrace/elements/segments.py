"""segments: packets into a row of video files."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence

from ..core.caps import PACKETS
from ..core.element import Context, Seconds, setting, state
from ..core.errors import SettingError, StreamError
from ..core.item import StreamStart
from ..outputs.jsonl import stream_path
from ._writer import PacketWriter


class Segments(PacketWriter):
    """Write each stream as files of some length and pass packets on: `segments: {path: "out-%05d.mp4", seconds: 60}`.

    A file ends at the first key frame at or after each multiple of `seconds`, so `encode: {gop: N}` says how exact
    that is. Each file plays alone, also the one that was being written when the power failed.
    """

    path: str = setting(help="the files: %05d stands for their number, {stream} for the stream's name")
    seconds: Seconds = setting(default=60.0, help="seconds of a file", minimum=0.04)
    keep: int | None = setting(
        default=None, help="how many files stay, older ones are deleted; default: all", minimum=2
    )
    playlist: str | None = setting(default=None, help="an HLS playlist (.m3u8) to write beside files that end in .ts")
    sound: bool = setting(default=True, help="the sound of a file's stream, unchanged, where the container can hold it")

    paths: dict[str, Iterator[str]] = state(dict)  # of the next files of each stream

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

    def expect(self, streams: Sequence[str]) -> None:
        self.several = self.several or len(streams) > 1

    def start_stream(self, start: StreamStart) -> StreamStart:
        from ..outputs import segments

        stream = start.stream
        if start.caps.kind != PACKETS:
            raise StreamError(stream, f"{stream}: segments takes packets, not {start.caps.kind}; encode first")
        if stream in self.outputs:
            if self.caps[stream] == start.caps:
                return start
            self.finish(stream)
        several = self.several or bool(self.outputs)
        playlist = stream_path(self.playlist, stream, several) if self.playlist else None
        pattern = stream_path(self.path, stream, several)
        paths = self.paths.setdefault(stream, segments.numbered(pattern))
        self.caps[stream] = start.caps
        self.outputs[stream] = segments.Segments(
            pattern, paths, start.caps, self.seconds, keep=self.keep, playlist=playlist, sound=self.sound
        )
        self.begin_sound(stream, pattern)
        return start
