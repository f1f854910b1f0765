"""Frames → JSON lines."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from typing import ClassVar

from ..core.element import Context, Element, setting, state
from ..core.errors import SettingError
from ..core.item import Item, StreamStart
from ..media import Frame
from ..outputs.jsonl import STDOUT, LineFile, end_line, flush_all, frame_line, stream_path
from ..outputs.masks import FORMS


class Json(Element):
    """Write one JSON line for each frame and pass the frame on: `json: {path: out.jsonl}`.

    Every stream has a file of its own, so that two runs give the same bytes: `{stream}` in the path is the stream's
    name; without it -NAME is put before the suffix as soon as there are several streams. To stdout ("-") the lines
    of all streams go as they come. `outputs/frame.schema.json` describes a line.
    """

    writes: ClassVar[bool] = True

    path: str = setting(help="the file, - for stdout; {stream} becomes the stream's name")

    masks: str = setting(
        default="none", help="how masks are written: not, as COCO's run lengths, as polygons", choices=FORMS
    )
    embeddings: bool = setting(default=False, help="write the vectors of embedding models")

    outputs: dict[str, LineFile] = state(dict)
    used: dict[str, str] = state(dict)  # path → the stream that it belongs to, while this element lives
    several: bool = state(bool)
    due: dict[LineFile, None] = state(dict)  # to be written when all frames of an item have their lines

    def validate(self) -> None:
        folder = os.path.dirname(self.path)
        if folder and "{stream}" not in folder and not os.path.isdir(folder):
            raise SettingError("json", "path", self.path, f"the folder {folder} does not exist; create it")

    def open(self, context: Context) -> None:
        self.validate()

    def expect(self, streams: Sequence[str]) -> None:
        self.several = self.several or len(streams) > 1

    def start_stream(self, start: StreamStart) -> StreamStart:
        stream = start.stream
        if stream not in self.outputs:
            self.outputs[stream] = self._open(stream, start.live)
        return start

    def process_frame(self, frame: Frame) -> None:
        output = self.outputs[frame.stream]
        if output.keep(frame_line(frame, self.masks, self.embeddings)):
            self.due[output] = None

    def finish_item(self) -> None:
        due, self.due = self.due, {}
        flush_all(list(due))

    def closing(self, stream: str, last: Frame | None) -> Frame | None:
        if last is not None and stream in self.outputs:
            self.outputs[stream].write(end_line(last))
        return last

    def end_stream(self, stream: str) -> Iterator[Item]:
        if stream in self.outputs:
            self.outputs.pop(stream).close()
        yield from super().end_stream(stream)

    def close(self) -> None:
        while self.outputs:
            self.outputs.popitem()[1].close()

    def _open(self, stream: str, live: bool) -> LineFile:
        if self.path == STDOUT:  # one for all streams
            return next(iter(self.outputs.values()), None) or LineFile(STDOUT)
        path = stream_path(self.path, stream, self.several)
        if self.used.get(path, stream) != stream:  # it belongs to one that came alone before
            path = stream_path(self.path, stream, several=True)
        again = self.used.get(path) == stream  # the stream ended and came back: go on in its file
        self.used[path] = stream
        return LineFile(path, append=again, eager=live)
