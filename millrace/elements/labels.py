"""Objects out of files, instead of a model."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from ..core.element import Context, Element, setting, state
from ..core.errors import ConfigError, StreamError
from ..core.item import Item, StreamStart
from ..imaging.mapping import map_objects, shifted
from ..media import Frame

if TYPE_CHECKING:
    from ..outputs.labels import Labels as Known


class Labels(Element):
    """Adds the objects that a file says were in each frame: truth, or what another run found: `labels: {path: gt.txt}`.

    JSON lines as `json` writes them, rows of MOTChallenge, folders of KITTI (also those that deepstream-app dumps):
    see docs/labels.md. A folder may hold one file for each stream, named after it. `files` names them in the order of
    the streams, as nvreplay does. Boxes are scaled from width x height to the frames; JSON says that size itself.
    """

    path: str = setting(default="", help="a file, or a folder")
    files: list[str] = setting(factory=list, help="files in that folder, one for each stream, in their order")
    width: int | None = setting(
        default=None, help="of the pictures the labels are for; default: the frames'", minimum=1
    )
    height: int | None = setting(
        default=None, help="of the pictures the labels are for; default: the frames'", minimum=1
    )
    every: int = setting(default=1, help="of every Nth frame only, the others get none", minimum=1)
    ids: bool = setting(default=False, help="keep the identities of the file; else objects have none, for a tracker")
    label: str = setting(default="object", help="of objects in files that have none (MOTChallenge)")
    loop: bool = setting(default=False, help="begin again after the last frame that has labels")
    frames: list[int] = setting(factory=list, help="with loop: how many frames each stream's labels are for, in order")

    known: dict[str, Any] = state(dict)  # stream → outputs.labels.Labels
    order: list[str] = state(list)

    def validate(self) -> None:
        if not self.path and not self.files:
            raise ConfigError("labels: give path, a file or a folder")
        for path in [os.path.join(self.path, name) for name in self.files] or [self.path]:
            if not os.path.exists(path):
                raise ConfigError(f"labels: there is no {path}")
        if bool(self.width) != bool(self.height):
            raise ConfigError("labels: give width and height, or neither")

    def open(self, context: Context) -> None:
        self.validate()
        self.known.clear()
        self.order.clear()

    def expect(self, streams: Sequence[str]) -> None:
        self.order += [stream for stream in streams if stream not in self.order]

    def start_stream(self, start: StreamStart) -> StreamStart:
        if start.stream not in self.order:
            self.order.append(start.stream)
        if start.stream not in self.known:
            self.known[start.stream] = self._read(start.stream)
        return start

    def process_frame(self, frame: Frame) -> None:
        frame.inferred.append("labels")
        if frame.index % self.every:
            return
        known: Known = self.known[frame.stream]
        index = frame.index
        if self.loop:
            number = self.order.index(frame.stream)
            index %= (self.frames[number] if number < len(self.frames) else known.count) or 1
        found = known.frames.get(index)
        if not found:
            return
        size = known.size or (self.width or frame.image.width, self.height or frame.image.height)
        across, down = frame.image.width / size[0], frame.image.height / size[1]
        for one in map_objects(found, shifted(0, 0, across, down), *size):
            one.origin, one.stage, one.detected_box = None, "labels", one.box
            one.id = one.id if self.ids else None
            frame.objects.append(one)

    def end_stream(self, stream: str) -> Iterator[Item]:
        self.known.pop(stream, None)
        return super().end_stream(stream)

    def _read(self, stream: str) -> Known:
        from ..outputs.labels import LabelError, read_labels

        number = self.order.index(stream)
        path = self.path
        if self.files:
            if number >= len(self.files):
                raise StreamError(stream, f"it is stream {number + 1}, and there are {len(self.files)} files")
            path = os.path.join(self.path, self.files[number])
        try:
            return read_labels(path, stream, number, self.label)
        except LabelError as error:
            raise StreamError(stream, str(error)) from None
