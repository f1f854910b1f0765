"""Frames and packets that the application hands over itself."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Iterator
from fractions import Fraction
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from ..core.caps import PACKETS, Caps
from ..core.element import setting, state
from ..core.errors import SourceError
from ..core.item import Item, StreamStart
from ..media import Frame, Image, Packet
from .base import CodedSource
from .pictures import frame_caps
from .recorded import SECOND


class Push(CodedSource):
    """A stream that is pushed from Python, from any thread: `camera = Push(stream="camera", fps=30)`.

        flow = millrace.open(camera)
        camera.push(rgb)            # uint8 [h, w, 3] RGB, [h, w] grey, or a millrace.Image: a frame
        camera.push(data, key=True) # bytes: a packet of `codec`
        camera.end()

    `pts` are ns and grow; without one, a live stream takes the clock's and others index / fps. `push` waits while
    `size` items wait; with `live` the oldest of them goes instead and is counted in `dropped`. An array is copied,
    an Image is handed over: do not write to it afterwards.
    """

    gives: ClassVar[str | None] = None

    stream: str = setting(default="push", help="name of the stream")
    uri: str = setting(default="push:", help="of no use here")
    fps: float = setting(default=25.0, help="frames per second, for times that are not given", minimum=0.001)
    live: bool = setting(default=False, help="never wait: drop the oldest when nobody takes them")
    size: int = setting(default=4, help="items that may wait in it", minimum=1)
    codec: str | None = setting(default=None, help="of the packets: h264, hevc, mjpeg, …")
    extradata: bytes | None = setting(default=None, help="the codec's header, where the packets do not hold it")

    changed: threading.Condition = state(threading.Condition)
    waiting: deque[Any] = state(deque)
    ended: bool = state(bool)
    closed: bool = state(bool)  # nobody reads any more
    dropped: int = state(int)
    pushed: int = state(int)
    last: int = state(lambda: -1)

    def push(
        self,
        data: NDArray[Any] | Image | bytes | memoryview,
        pts: int | None = None,
        *,
        key: bool = True,
        timeout: float | None = None,
    ) -> bool:
        """Hand over one frame or packet. False: the stream has ended, or nobody took one for `timeout` seconds.

        Raises ValueError for an array of another shape or type, a time that does not grow, or bytes without a codec.
        """
        item = self._item(data, key)
        with self.changed:
            if not self._room(timeout):
                return False
            when = self._time(pts)
            if isinstance(item, Frame) and when <= self.last:
                raise ValueError(f"{self.stream}: pts {when} does not grow: the one before is {self.last}")
            self.last = when
            item.pts = when
            self.pushed += 1
            self.waiting.append(item)
            self.changed.notify_all()
        return True

    def end(self) -> None:
        """No more comes: the stream ends behind what was pushed."""
        with self.changed:
            self.ended = True
            self.changed.notify_all()

    def interrupt(self) -> None:
        with self.changed:
            self.closed = True
            self.changed.notify_all()

    def read(self) -> Iterator[Item | StreamStart]:
        caps: Caps | None = None
        index = 0
        try:
            while (item := self._take()) is not None:
                item.stream = self.stream  # it may have got its name after the push
                if (found := self._caps(item, caps)) is not caps:
                    caps = found
                    yield StreamStart(self.stream, caps, self.live)
                if isinstance(item, Frame):
                    item.index = index
                    index += 1
                yield item
            if caps is None and not self.closed:
                raise SourceError(self.stream, "it ended before anything was pushed")
        finally:
            self.interrupt()

    def _room(self, timeout: float | None) -> bool:
        if self.live and len(self.waiting) >= self.size and not (self.ended or self.closed):
            self.waiting.popleft()
            self.dropped += 1
        self.changed.wait_for(lambda: self.ended or self.closed or len(self.waiting) < self.size, timeout)
        return not (self.ended or self.closed) and len(self.waiting) < self.size

    def _take(self) -> Any:
        with self.changed:
            self.changed.wait_for(lambda: self.waiting or self.ended or self.closed)
            if self.closed or not self.waiting:
                return None
            item = self.waiting.popleft()
            self.changed.notify_all()
            return item

    def _time(self, pts: int | None) -> int:
        if pts is not None:
            return int(pts)
        if self.live:
            return max(time.monotonic_ns(), self.last + 1)
        return max(round(self.pushed * SECOND / self.fps), self.last + 1)

    def _item(self, data: Any, key: bool) -> Any:
        period = round(SECOND / self.fps)
        if isinstance(data, Packet):
            data, key = data.data, data.key
        if isinstance(data, np.ndarray):
            return Frame(self.stream, 0, 0, _image(self.stream, data), 0, period, time.monotonic_ns())
        if isinstance(data, Image):
            return Frame(self.stream, 0, 0, data, 0, period, time.monotonic_ns())
        if self.codec is None:
            raise ValueError(f"{self.stream}: a packet was pushed; say its codec: Push(codec='h264')")
        return Packet(self.stream, data, 0, None, period, key)

    def _caps(self, item: Any, caps: Caps | None) -> Caps:
        rate = Fraction(self.fps).limit_denominator(1001)
        if isinstance(item, Packet):
            if caps is not None:
                return caps
            return self.say(
                Caps(PACKETS, codec=self.codec, width=None, height=None, time_base=Fraction(1, 90000), fps=rate,
                     frames=None, duration=None, extradata=self.extradata, rotation=0)
            )  # fmt: skip
        found = frame_caps(item.image, rate)
        return caps if caps == found and caps is not None else found


def _image(stream: str, array: NDArray[Any]) -> Image:
    """An Image of our own from an array [h, w, 3] RGB or [h, w] grey, uint8; [h, w] uint16 grey."""
    height, width = array.shape[:2] if array.ndim >= 2 else (0, 0)
    if array.dtype == np.uint8 and array.ndim == 3 and array.shape[2] == 3 and height and width:
        return Image("RGB", [array.copy()], width, height)
    if array.ndim == 2 and array.dtype in (np.uint8, np.uint16) and height and width:
        return Image("GRAY8" if array.dtype == np.uint8 else "GRAY16", [array.copy()], width, height)
    raise ValueError(
        f"{stream}: an array of shape {array.shape} and type {array.dtype} was pushed; it must be uint8 [h, w, 3] "
        "(RGB), or [h, w] (grey, uint8 or uint16)"
    )
