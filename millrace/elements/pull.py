"""Hands frames over to a loop in another thread: `for frame in flow`."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

from ..core.element import Context, Element, setting, state
from ..core.item import Item
from ..media import Batch, Frame


class Pull(Element):
    """Keeps frames until the program asks for them, and asks the engine to wait while it holds enough.

    Example: `pull = Pull(size=4)`; at the end of a graph; `for frame in pull.frames(): ...` once it has started.
    """

    in_files = False
    threaded = True  # waiting for the reader must not hold up the other branches

    size: int = setting(default=4, help="frames that are held ready (a batch more for an instant)", minimum=1)
    held: deque[Frame] = state(deque)
    news: threading.Condition = state(threading.Condition)
    listener: Callable[[], object] | None = state(lambda: None)  # called when a frame has come, or no more will
    _open = False

    def open(self, context: Context) -> None:
        with self.news:
            self.held.clear()
            self._context = context
            self._open = True

    @property
    def ready(self) -> bool:
        return len(self.held) < self.size

    def process(self, item: Any) -> Iterator[Item]:
        with self.news:
            if self._open:
                self.held.extend(item.frames if isinstance(item, Batch) else (item,))
                self.news.notify()
        if self.listener is not None:
            self.listener()
        yield from ()

    def close(self) -> None:
        with self.news:
            self._open = False
            self.news.notify()
        if self.listener is not None:
            self.listener()

    @property
    def ended(self) -> bool:
        """No more frame will come and none is held."""
        return not self._open and not self.held

    def take(self) -> Frame | None:
        """The next frame, or None when there is none now."""
        with self.news:
            if not self.held:
                return None
            frame = self.held.popleft()
            if self._open:
                self._context.wake()
        return frame

    def frames(self) -> Iterator[Frame]:
        """The frames in order, until every stream has ended or the pipeline stops."""
        while True:
            with self.news:
                while not self.held and self._open:
                    self.news.wait()
            frame = self.take()
            if frame is None:
                return
            yield frame
