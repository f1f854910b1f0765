"""file: packets into video files."""

from __future__ import annotations

import os
import re
from collections import deque
from collections.abc import Iterator, Sequence
from typing import Any, ClassVar

from ..core.caps import PACKETS
from ..core.element import Context, Element, setting, state
from ..core.errors import ConfigError, StreamError
from ..core.item import Item, StreamStart
from ..media import Packet
from ..outputs.base import Output

EARLY = 4096  # packets of sound that may wait for the first picture


class File(Element):
    """Writes each stream's packets into a file and passes them on: `File(path="out.mp4")`.

    The ending names the container: mp4, mov, mkv, webm, ts, avi, h264, h265. `{stream}` in the path stands for the
    stream's name; without it, and with more than one stream, `-NAME` is put before the ending. A stream that
    starts again, or goes on with other parameters, gets a file of its own: `-2`, `-3`, …
    Sound comes from the source by a link of its own and is not encoded anew.
    """

    takes = PACKETS
    threaded: ClassVar[bool] = True
    writes: ClassVar[bool] = True

    path: str = setting(help="where to write; {stream} stands for the stream's name")
    sound: bool = setting(default=True, help="the sound of a file's stream, unchanged, where the container can hold it")

    files: dict[str, Output] = state(dict)
    early: dict[str, deque[Packet]] = state(dict)  # sound that came before its pictures
    caps: dict[str, Any] = state(dict)
    used: set[str] = state(set)
    several: bool = state(bool)
    context: Context | None = state(lambda: None)

    def validate(self) -> None:
        from ..outputs.container import format_of

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
        if start.stream in self.files:
            if self.caps[start.stream] == start.caps:
                return start
            self._close(start.stream)
        path = self._path(start.stream)
        file = self.files[start.stream] = open_container(path, start.caps, self.sound)
        self.caps[start.stream] = start.caps
        self.used.add(path)
        self._sound(start, file)
        return start

    def process(self, item: Any) -> Iterator[Item]:
        if isinstance(item, Packet):
            file = self.files.get(item.stream)
            if file is not None:
                file.write(item)
            elif item.kind == "audio":
                self.early.setdefault(item.stream, deque(maxlen=EARLY)).append(item)
        yield item

    def end_stream(self, stream: str) -> Iterator[Item]:
        self._close(stream)
        yield from ()

    def close(self) -> None:
        failed: OSError | None = None
        for stream in list(self.files):
            try:
                self._close(stream)
            except OSError as error:  # the other files are finished all the same
                failed = failed or error
        if failed is not None:
            raise failed

    def _sound(self, start: StreamStart, file: Output) -> None:
        """Say what sound the file cannot hold; write what came early."""
        if file.lost_sound and self.context is not None:
            self.context.warn(f"{file.path} is written without sound: it cannot hold {file.lost_sound}", start.stream)
        for packet in self.early.pop(start.stream, ()):
            file.write(packet)

    def _close(self, stream: str) -> None:
        self.early.pop(stream, None)
        self.caps.pop(stream, None)
        file = self.files.pop(stream, None)
        if file is not None:
            file.close()

    def _path(self, stream: str) -> str:
        name = re.sub(r"[^\w.-]+", "_", stream)
        if "{stream}" in self.path:
            path = self.path.replace("{stream}", name)
        else:
            root, ending = os.path.splitext(self.path)
            path = f"{root}-{name}{ending}" if self.several or self.files else self.path
        root, ending = os.path.splitext(path)
        number = 2
        while path in self.used:
            path, number = f"{root}-{number}{ending}", number + 1
        return path
