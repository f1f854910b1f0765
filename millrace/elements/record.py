"""Detections → a file from which the rest of the run can be repeated."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any, ClassVar

from ..core.element import Context, Element, setting, state
from ..core.errors import SettingError
from ..core.item import Item, StreamStart
from ..media import Frame
from ..outputs.jsonl import LineFile
from ..outputs.record import end_line, frame_line, header_line, start_line


class Record(Element):
    """Record what models said, exactly, and pass the frame on: `record: {path: run.jsonl}`.

    Right behind the detector, all that comes after it can be run again with other settings. Behind a tracker and
    classifiers, their identities, labels, texts and readings are recorded too, and `replay` gives them as they were.

    One file for all streams, in the order of the frames; after `batch` that order is the same in every run of files.
    `outputs.record.read_record` reads it back.
    """

    writes: ClassVar[bool] = True

    path: str = setting(help="the file")
    header: dict[str, Any] = setting(factory=dict, help="the run's settings, model, engine, sources, streams")

    output: LineFile | None = state(lambda: None)
    starts: dict[str, list[StreamStart | None]] = state(dict)  # to be written before its next frame; None: it ended
    ended: set[str] = state(set)
    live: set[str] = state(set)

    def validate(self) -> None:
        folder = os.path.dirname(self.path)
        if folder and not os.path.isdir(folder):
            raise SettingError("record", "path", self.path, f"the folder {folder} does not exist; create it")

    def open(self, context: Context) -> None:
        self.validate()
        self.output = LineFile(self.path)
        self.output.write(header_line(self.header))

    def start_stream(self, start: StreamStart) -> StreamStart:
        waiting = self.starts.setdefault(start.stream, [])
        if start.stream in self.ended:  # it comes again: another stream of that name
            self.ended.discard(start.stream)
            waiting.append(None)
        waiting.append(start)
        if start.live:
            self.live.add(start.stream)
        return start

    def process_frame(self, frame: Frame) -> None:
        self._write_starts(frame.stream)
        self._write(frame_line(frame))

    def end_stream(self, stream: str) -> Iterator[Item]:
        self._write_starts(stream)
        self.ended.add(stream)
        self.live.discard(stream)
        yield from super().end_stream(stream)

    def close(self) -> None:
        if self.output is not None:
            self.output.close()

    def _write_starts(self, stream: str) -> None:
        """Streams open as their threads please; their frames come in an order that is the same in every run."""
        for start in self.starts.pop(stream, ()):
            self._write(end_line(stream) if start is None else start_line(start))

    def _write(self, line: str) -> None:
        assert self.output is not None, "open() comes first"
        self.output.eager = bool(self.live)
        self.output.write(line)
