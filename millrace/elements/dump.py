"""Objects → files in the formats of others."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from typing import ClassVar, Protocol

from ..core.element import Context, Element, setting, state
from ..core.errors import SettingError
from ..core.item import Item, StreamStart
from ..media import Frame
from ..outputs.coco import Journal, finish_coco, journals
from ..outputs.dumps import KittiFolder, csv_header, csv_rows, mot_lines
from ..outputs.jsonl import LineFile, stream_path

FORMATS = ("mot", "kitti", "kitti-track", "kitti-reid", "kitti-shadow", "kitti-terminated", "coco", "csv")
BY_ENDING = {".csv": "csv", ".json": "coco", ".txt": "mot"}


class Writer(Protocol):
    def write(self, frame: Frame) -> None: ...

    def close(self) -> None: ...


class Dump(Element):
    """Write what was found as MOT, KITTI, COCO or CSV, and pass the frame on: `dump: {path: out.txt, format: mot}`.

    MOT and CSV: a file for each stream ({stream} in the path, or -NAME before the ending when there are several).
    KITTI: a folder with a file for each frame, named as DeepStream does, streams by their number; `kitti-track` has
    identities, `kitti-reid` their embeddings, `kitti-shadow` and `kitti-terminated` tracks that are hidden or over
    (`track` with `report: [shadows, terminated]`). COCO: one file for the run, made at its end
    (`outputs.coco.finish_coco` makes it after a crash).
    """

    writes: ClassVar[bool] = True

    path: str = setting(help="the file, for kitti the folder; {stream} becomes the stream's name")
    format: str | None = setting(
        default=None, help="of the file or folder; default: by the ending .txt (mot), .json (coco), .csv",
        choices=FORMATS,
    )  # fmt: skip

    writers: dict[str, Writer] = state(dict)
    numbers: dict[str, int] = state(dict)  # of the streams, in the order in which they were announced
    used: dict[str, str] = state(dict)  # path → the stream that it belongs to, while this element lives
    several: bool = state(bool)
    unfinished: bool = state(bool)

    def validate(self) -> None:
        self.kind()
        folder = os.path.dirname(self.path.rstrip("/"))
        if folder and "{stream}" not in folder and not os.path.isdir(folder):
            raise SettingError("dump", "path", self.path, f"the folder {folder} does not exist; create it")

    def open(self, context: Context) -> None:
        self.validate()
        if self.kind() == "coco":
            for old in journals(self.path):
                os.unlink(old)

    def expect(self, streams: Sequence[str]) -> None:
        self.several = self.several or len(streams) > 1
        for stream in streams:
            self.number(stream)

    def start_stream(self, start: StreamStart) -> StreamStart:
        if start.stream not in self.writers:
            self.writers[start.stream] = self._writer(start.stream, start.live)
        return start

    def process_frame(self, frame: Frame) -> None:
        self.writers[frame.stream].write(frame)

    def end_stream(self, stream: str) -> Iterator[Item]:
        if stream in self.writers:
            self.writers.pop(stream).close()
        yield from super().end_stream(stream)

    def close(self) -> None:
        while self.writers:
            self.writers.popitem()[1].close()
        if self.unfinished:
            self.unfinished = False
            finish_coco(self.path)

    def kind(self) -> str:
        """The format that is written. Raises SettingError when neither setting nor ending says it."""
        found = self.format or BY_ENDING.get(os.path.splitext(self.path)[1].lower())
        if found is None:
            raise SettingError("dump", "format", None, f"{self.path} does not say it; give {', '.join(FORMATS)}")
        return found

    def number(self, stream: str) -> int:
        return self.numbers.setdefault(stream, len(self.numbers))

    def _writer(self, stream: str, live: bool) -> Writer:
        kind = self.kind()
        if kind == "coco":
            self.unfinished = True
            return Journal(self.path, self.number(stream), live)
        if kind.startswith("kitti"):
            folder = stream_path(self.path, stream, several=False)
            return KittiFolder(folder, self.number(stream), kind)
        path = stream_path(self.path, stream, self.several)
        if self.used.get(path, stream) != stream:  # it belongs to one that came alone before
            path = stream_path(self.path, stream, several=True)
        again = self.used.get(path) == stream  # the stream ended and came back: go on in its file
        self.used[path] = stream
        return Lines(path, kind, live, again)


class Lines:
    """A file to which each frame adds lines."""

    def __init__(self, path: str, kind: str, live: bool, again: bool) -> None:
        self._text = csv_rows if kind == "csv" else mot_lines
        self._file = LineFile(path, append=again, eager=live)
        if kind == "csv" and not again:
            self._file.write(csv_header())

    def write(self, frame: Frame) -> None:
        text = self._text(frame)
        if text:
            self._file.write(text)

    def close(self) -> None:
        self._file.close()
