"""Intel RealSense depth cameras and their recordings, with pyrealsense2: a picture and its distances in each frame."""

from __future__ import annotations

import time
from collections.abc import Iterator
from fractions import Fraction
from typing import Any, ClassVar
from urllib.parse import unquote, urlsplit

import numpy as np

from ..core.caps import FRAMES
from ..core.element import Seconds, setting, state
from ..core.errors import ConfigError, MissingExtraError, SourceError
from ..core.item import Item, StreamStart
from ..media import Frame, Image, Reading
from .pictures import frame_caps
from .recorded import SECOND, Opened, RecordedSource

STAGE = "depth"  # the reading that holds the distances
LOOK = 0.2  # seconds of one wait for frames: so soon an interrupt is noticed


class RealSenseSource(RecordedSource):
    """A RealSense camera, or a recording of one: `realsense://`, `realsense://SERIAL`, `realsense:///path/yard.bag`.

    Each frame has the colour picture (RGB), and as a reading the distances in metres, brought to that picture pixel by
    pixel; 0 is not known. Without colour the picture is the distances themselves (GRAY16, in the camera's steps). A
    camera that is lost is an error of this stream: `restart: on_error` opens it again. A recording is played
    in its own time by the library's player, which leaves frames out when the machine is busy.
    """

    gives: ClassVar[str | None] = FRAMES

    stream: str = setting(help="name of the stream")
    uri: str = setting(default="realsense://", help="any camera, one by its serial number, or the file of a recording")
    size: str | None = setting(
        default=None, help="width x height of a camera's pictures: 640x480; default: the camera's"
    )
    fps: int | None = setting(default=None, help="pictures a second of a camera; default: the camera's", minimum=1)
    colour: bool = setting(default=True, help="the colour picture, too; else distances alone")
    timeout: Seconds = setting(default=5.0, help="how long a camera may be silent", minimum=0.1)

    pipeline: Any = state(lambda: None)

    @property
    def quick(self) -> bool:
        return False

    @property
    def file(self) -> str:
        """The recording that is played, "" for a camera."""
        path = unquote(urlsplit(self.uri).path) if self.uri.startswith("realsense:") else self.uri
        return path

    def read(self) -> Iterator[Item | StreamStart]:
        if self.file:
            yield from super().read()
            return
        self.halt.clear()
        index = 0
        for item in self.once(0, None):
            if isinstance(item, Opened):
                yield StreamStart(self.stream, item.caps, True)
            elif isinstance(item, Frame):
                item.index, index = index, index + 1
                yield item

    def once(self, begin: int, end: int | None) -> Iterator[Opened | Item]:
        rs = self._library()
        pipeline = rs.pipeline()
        try:
            profile = pipeline.start(self._config(rs))
        except RuntimeError as error:
            raise SourceError(self.stream, f"cannot open {self.uri}: {error}") from None
        try:
            yield from self._frames(rs, pipeline, profile, begin, end)
        finally:
            pipeline.stop()

    def _config(self, rs: Any) -> Any:
        config = rs.config()
        serial = "" if self.file else urlsplit(self.uri).netloc
        if self.file:
            rs.config.enable_device_from_file(config, self.file, False)
        elif serial:
            config.enable_device(serial)
        width, height = self._size()
        fps = 0 if self.file else self.fps or 0
        config.enable_stream(rs.stream.depth, width, height, rs.format.z16, fps)
        if self.colour:
            kind = rs.format.any if self.file else rs.format.rgb8  # a recording has what it has
            config.enable_stream(rs.stream.color, width, height, kind, fps)
        return config

    def _frames(self, rs: Any, pipeline: Any, profile: Any, begin: int, end: int | None) -> Iterator[Opened | Item]:
        device = profile.get_device()
        unit = float(device.first_depth_sensor().get_depth_scale())
        if self.file:
            device.as_playback().set_real_time(True)  # quicker, its player leaves out more
        align = rs.align(rs.stream.color) if self.colour else None
        first, last = None, -1
        while (together := self._wait(rs, pipeline, device)) is not None:
            frame = self._frame(rs, together if align is None else align.process(together), unit)
            when = round(together.get_timestamp() * 1_000_000)
            if frame is None:
                continue
            if first is None:
                first = when
                rate = Fraction(profile.get_stream(rs.stream.depth).fps() or 30)
                yield Opened(frame_caps(frame.image, rate), 0, round(SECOND / rate))
            frame.pts = last = max(last + 1, when - first)  # a camera's clock may be set
            if end is not None and frame.pts >= end:
                return
            if together.get_frame_timestamp_domain() != rs.timestamp_domain.hardware_clock:
                frame.wall = when
            if frame.pts >= begin:
                yield frame

    def _wait(self, rs: Any, pipeline: Any, device: Any) -> Any:
        """The next set of frames; None when the recording is over, or the source is told to end."""
        silent = time.monotonic() + self.timeout
        while not self.stopped:
            try:
                came, together = pipeline.try_wait_for_frames(round(LOOK * 1000))
            except RuntimeError as error:
                raise SourceError(self.stream, f"{self.uri} cannot be read further: {error}") from None
            if came:
                return together
            if self.file and device.as_playback().current_status() == rs.playback_status.stopped:
                return None
            if time.monotonic() > silent:
                raise SourceError(self.stream, f"{self.uri} has given nothing for {self.timeout:g} s")
        return None

    def _frame(self, rs: Any, together: Any, unit: float) -> Frame | None:
        """Our own copy: the library uses its buffers again. None for a set that is not whole."""
        measured = together.get_depth_frame()
        seen = together.get_color_frame() if self.colour else None
        if not measured or (self.colour and not seen):
            return None
        steps = np.array(measured.get_data(), np.uint16)
        if seen is None:
            height, width = steps.shape
            image = Image("GRAY16", [steps], width, height, full_range=True)
        else:
            image = _picture(self.stream, rs, seen)
        frame = Frame(self.stream, 0, 0, image, arrived=time.monotonic_ns())
        far = steps.astype(np.float32) * np.float32(unit)
        frame.readings.append(Reading(depth=far, stage=STAGE, distance=True))
        return frame

    def _size(self) -> tuple[int, int]:
        if self.size is None or self.file:
            return 0, 0
        width, _, height = self.size.partition("x")
        if not (width.isdigit() and height.isdigit()):
            raise ConfigError(f"{self.stream}: size={self.size!r} is not allowed: width x height, as in 640x480")
        return int(width), int(height)

    def _library(self) -> Any:
        try:
            import pyrealsense2
        except ImportError as error:
            raise MissingExtraError("a source at realsense:", "pyrealsense2", "realsense") from error
        return pyrealsense2


def _picture(stream: str, rs: Any, seen: Any) -> Image:
    pixels = np.array(seen.get_data())
    kind = seen.profile.format()
    if kind not in (rs.format.rgb8, rs.format.bgr8):
        raise SourceError(
            stream, f"its colour pictures are {kind}: rgb8 and bgr8 are read; `colour: false` leaves them out"
        )
    height, width = pixels.shape[:2]
    return Image("RGB" if kind == rs.format.rgb8 else "BGR", [pixels], width, height)
