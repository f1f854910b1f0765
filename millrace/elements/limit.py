"""Ends each stream after a number of frames."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..core.element import Context, Element, setting, state
from ..core.item import Bundle, Item
from ..media import Batch


class Limit(Element):
    """Lets the first `count` frames of each stream pass, then ends the stream at its source.

    Example: `- limit: {count: 100}` as the first element of a pipeline.
    """

    count: int = setting(help="frames of each stream that pass", minimum=1)
    passed: dict[str, int] = state(dict)

    def open(self, context: Context) -> None:
        self.context = context

    def process(self, item: Any) -> Iterator[Item]:
        if not isinstance(item, Bundle):
            if self._passes(item.stream):
                yield item
        elif frames := [frame for frame in item.frames if self._passes(frame.stream)]:
            yield Batch(frames, item.extras)  # type: ignore[attr-defined]  # a bundle of frames is a Batch

    def _passes(self, stream: str) -> bool:
        passed = self.passed.get(stream, 0)
        if passed >= self.count:
            return False
        self.passed[stream] = passed + 1
        if passed + 1 == self.count:
            self.context.finish(stream)
        return True

    def end_stream(self, stream: str) -> Iterator[Item]:
        self.passed.pop(stream, None)
        yield from ()
