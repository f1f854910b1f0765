"""Hands frames over to a loop in another thread: `for frame in flow`."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator
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
        yield from ()

    def close(self) -> None:
        with self.news:
            self._open = False
            self.news.notify()

    def frames(self) -> Iterator[Frame]:
        """The frames in order, until every stream has ended or the pipeline stops."""
        while True:
            with self.news:
                while not self.held and self._open:
                    self.news.wait()
                if not self.held:
                    return
                frame = self.held.popleft()
                if self._open:
                    self._context.wake()
            yield frame
