"""What is known of a frame, into its coded picture."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..core.element import Context, Element, setting
from ..core.errors import ConfigError
from ..media import Frame
from ._sei import NAME, find_call, user_name


class Insert(Element):
    """Puts what is known of a frame into its coded picture, as user data in SEI: it travels with the video.

    Before `encode` with h264 or hevc; `extract` reads it after `decode`. What is written is the frame's line of JSON
    (as `json` writes it), or the bytes that a function of your own gives for a frame, None for none:
    `insert: {format: "packing:pack", name: NVDS_CUSTOMMETA}`. User data of other names that came with the
    decoded frame stay.
    """

    format: str = setting(default="json", help="json, or package.module:function, which is given a frame")
    name: str = setting(default=NAME, help="whose data it is: up to 16 letters, or 32 hexadecimal digits (a UUID)")

    def validate(self) -> None:
        try:
            self._name = user_name(self.name)
        except ValueError as error:
            raise ConfigError(f"insert: {error}") from None
        self._call: Callable[[Frame], bytes | None] | None = None
        if self.format != "json":
            self._call = find_call("insert", self.format)

    def open(self, context: Context) -> None:
        self.validate()

    def process_frame(self, frame: Frame) -> None:
        data: Any = self._json(frame) if self._call is None else self._call(frame)
        others = [each for each in frame.extras.get("sei") or () if each[0] != self._name]
        if data is not None:
            others.append((self._name, bytes(data)))
        if others or "sei" in frame.extras:
            frame.extras["sei"] = others

    def _json(self, frame: Frame) -> bytes:
        from ..outputs.jsonl import frame_line

        return frame_line(frame).rstrip("\n").encode()
