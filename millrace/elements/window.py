"""Frames → a window on the desktop."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from ..core.element import Context, Element, setting, state
from ..core.item import StreamStart
from ..media import Frame
from ._pixels import Pixels

if TYPE_CHECKING:
    from ..outputs.window import Screen

LARGEST = (1280, 720)  # a window as it opens
SERVED = 0.03  # seconds between looks at the desktop's events
LATE = 0.5  # seconds behind its time at which a stream's clock starts anew; as many ahead are never waited for


class Window(Element):
    """Show frames in a window, several streams side by side, and pass them on: `window: {title: gate}`.

    Each such element has a window of its own. q, Esc or closing it ends the streams that it shows; what is under way
    is finished. Needs the extra `window`.
    """

    threaded: ClassVar[bool] = True
    writes: ClassVar[bool] = True

    title: str = setting(default="millrace", help="of the window")
    sync: bool = setting(default=True, help="show files at their own speed, which holds up what is beside it")

    width: int | None = setting(default=None, help="pixels; default: the picture's, 1280 at most", minimum=16)
    height: int | None = setting(default=None, help="pixels; default: the picture's, 720 at most", minimum=16)
    x: int | None = setting(default=None, help="where it opens, pixels from the left of the desktop; with y")
    y: int | None = setting(default=None, help="where it opens, pixels from the top of the desktop; with x")

    pixels: Pixels = state(Pixels)
    pictures: dict[str, NDArray[np.uint8] | None] = state(dict)
    clocks: dict[str, int] = state(dict)  # what to add to pts to get the time of day at which it is due, ns
    live: set[str] = state(set)
    dirty: bool = state(bool)
    gone: bool = state(bool)  # the user has closed it
    screen: Any = state(lambda: None)  # the Screen, while it is there
    desk: Any = state(lambda: None)
    held: bool = state(bool)

    def open(self, context: Context) -> None:
        from ..outputs.window import connect

        self.desk = connect()  # without a display nothing begins
        self.context = context
        self.screen = None
        self.held = True

    def start_stream(self, start: StreamStart) -> StreamStart:
        if self.gone:
            self.context.finish(start.stream)
        self.pictures.setdefault(start.stream, None)
        self.clocks.pop(start.stream, None)
        (self.live.add if start.live else self.live.discard)(start.stream)
        if self.screen is None and not self.gone:
            self.screen = self._open(start)
        self.deadline = time.monotonic() + SERVED
        return start

    def process_frame(self, frame: Frame) -> None:
        if self.sync and frame.stream not in self.live:
            self._wait(frame)
        if not self.gone:
            self.pictures[frame.stream] = self.pixels.bgr(frame)
            self.dirty = True
            self._serve()

    def on_deadline(self) -> Iterator[Any]:
        self._serve()
        if not self.gone:
            self.deadline = time.monotonic() + SERVED
        yield from ()

    def end_stream(self, stream: str) -> Iterator[Any]:
        self._draw()
        self.pictures.pop(stream, None)
        self.clocks.pop(stream, None)
        self.live.discard(stream)
        yield from super().end_stream(stream)

    def close(self) -> None:
        try:
            self._shut()
        finally:
            if self.held:
                self.held = False
                self.desk.release()

    def _shut(self) -> None:
        if self.screen is not None:
            self.screen.close()
            self.screen = None

    def _open(self, start: StreamStart) -> Screen:
        from ..outputs.window import Screen

        width, height = start.caps.get("width") or LARGEST[0], start.caps.get("height") or LARGEST[1]
        scale = min(1.0, LARGEST[0] / width, LARGEST[1] / height)
        size = self.width or round(width * scale), self.height or round(height * scale)
        place = None if self.x is None or self.y is None else (self.x, self.y)
        return Screen(self.desk, self.title, *size, place)

    def _wait(self, frame: Frame) -> None:
        """Until the frame is due by its stream's clock."""
        now = time.monotonic_ns()
        due = self.clocks.get(frame.stream, now - frame.pts) + frame.pts
        if frame.stream not in self.clocks or abs(due - now) > LATE * 1e9:
            self.clocks[frame.stream], due = now - frame.pts, now
        while not self.gone and (left := due - time.monotonic_ns()) > 0:
            time.sleep(min(left / 1e9, SERVED))
            self._serve()

    def _serve(self) -> None:
        if self.screen is None:
            return
        if self.screen.closed_by_user():
            self.gone = True
            self._shut()
            for stream in self.pictures:
                self.context.finish(stream)
        else:
            self._draw()

    def _draw(self) -> None:
        if self.screen is not None and self.dirty:
            from ..outputs.images import mosaic

            self.dirty = False
            self.screen.show(mosaic(list(self.pictures.values()), *self.screen.size))
