"""What a coded picture says about itself, out of it."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from ..core.element import Context, Element, setting, state
from ..core.errors import ConfigError
from ..imaging.mapping import map_objects, shifted
from ..media import Frame
from ._sei import NAME, find_call, user_name


class Extract(Element):
    """Reads what `insert` has put into coded pictures: their objects are found again without a model.

    After `decode`, on the CPU, of h264 and hevc. Objects come with labels, text, keypoints and identities; boxes are
    scaled where the picture has another size now. A function of your own is given the frame and the bytes:
    `extract: {format: "unpacking:unpack", name: NVDS_CUSTOMMETA}`. Data that cannot be read is a warning.
    """

    format: str = setting(default="json", help="json, or package.module:function, which is given a frame and bytes")
    name: str = setting(default=NAME, help="whose data it is: up to 16 letters, or 32 hexadecimal digits (a UUID)")

    warned: set[str] = state(set)

    def validate(self) -> None:
        try:
            self._name = user_name(self.name)
        except ValueError as error:
            raise ConfigError(f"extract: {error}") from None
        self._call: Callable[[Frame, bytes], Any] | None = None
        if self.format != "json":
            self._call = find_call("extract", self.format)

    def open(self, context: Context) -> None:
        self.validate()
        self.context = context

    def process_frame(self, frame: Frame) -> None:
        said = frame.extras.get("sei") or ()
        mine = [data for name, data in said if name == self._name]
        if not mine:
            return
        frame.extras["sei"] = [each for each in said if each[0] != self._name]
        for data in mine:
            if self._call is not None:
                self._call(frame, data)
            else:
                self._read(frame, data)

    def _read(self, frame: Frame, data: bytes) -> None:
        from ..outputs.labels import objects_of, size_of

        try:
            line = json.loads(data)
            found = objects_of(line)
            width, height = size_of(line)
        except (KeyError, TypeError, ValueError, OverflowError, RecursionError) as error:
            if frame.stream not in self.warned:
                self.warned.add(frame.stream)
                self.context.warn(
                    f"frame {frame.index} holds user data that is no line of JSON: {error!r}", frame.stream
                )
            return
        frame.inferred.append("extract")
        across, down = frame.image.width / width, frame.image.height / height
        for one in map_objects(found, shifted(0, 0, across, down), width, height):
            one.origin, one.stage, one.detected_box = None, one.stage or "extract", one.box
            frame.objects.append(one)
