"""file: packets into video files."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence

from ..core.caps import PACKETS
from ..core.element import Context, setting, state
from ..core.errors import ConfigError, StreamError
from ..core.item import StreamStart
from ._writer import PacketWriter


class File(PacketWriter):
    """Writes each stream's packets into a file and passes them on: `File(path="out.mp4")`.

    The ending names the container: mp4, mov, mkv, webm, ts, avi, h264, h265, mjpeg. `{stream}` in the path stands for
    the stream's name; without it, and with more than one stream, `-NAME` is put before the ending. A stream that
    starts again, or goes on with other parameters, gets a file of its own: `-2`, `-3`, …
    Sound comes from the source by a link of its own and is not encoded anew.
    """

    path: str = setting(help="where to write; {stream} stands for the stream's name")
    format: str | None = setting(
        default=None, help="the container where the ending does not say it",
        choices=(None, "mp4", "mov", "matroska", "webm", "mpegts", "avi", "h264", "hevc", "mjpeg", "flv"),
    )  # fmt: skip
    sound: bool = setting(default=True, help="the sound of a file's stream, unchanged, where the container can hold it")

    used: set[str] = state(set)

    def validate(self) -> None:
        from ..outputs.container import format_of

        if self.format is None:
            format_of(self.path)
        folder = os.path.dirname(self.path) or "."
        if "{stream}" not in folder and not os.path.isdir(folder):
            raise ConfigError(f"file: {self.path} cannot be written: there is no folder {folder}")

    def open(self, context: Context) -> None:
        self.context = context
        self.validate()

    def expect(self, streams: Sequence[str]) -> None:
        self.several = self.several or len(streams) > 1

    def start_stream(self, start: StreamStart) -> StreamStart:
        from ..outputs.container import open_container

        if start.caps.kind != PACKETS:
            raise StreamError(start.stream, f"file takes packets, not {start.caps.kind}; encode first")
        if start.stream in self.outputs:
            if self.caps[start.stream] == start.caps:
                return start
            self.finish(start.stream)
        path = self._path(start.stream)
        self.outputs[start.stream] = open_container(path, start.caps, self.sound, self.format)
        self.caps[start.stream] = start.caps
        self.used.add(path)
        self.begin_sound(start.stream, path)
        return start

    def _path(self, stream: str) -> str:
        name = re.sub(r"[^\w.-]+", "_", stream)
        if "{stream}" in self.path:
            path = self.path.replace("{stream}", name)
        else:
            root, ending = os.path.splitext(self.path)
            path = f"{root}-{name}{ending}" if self.several or self.outputs else self.path
        root, ending = os.path.splitext(path)
        number = 2
        while path in self.used:
            path, number = f"{root}-{number}{ending}", number + 1
        return path
