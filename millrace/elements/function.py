"""A plain function as an element."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from ..core.element import Context, Element, setting
from ..core.errors import ConfigError
from ..core.item import Item
from ..core.named import find_named
from ..media import Batch, Frame

Answer = Frame | bool | None


class Function(Element):
    """Calls a function with every frame: None or True keeps the frame, False drops it, a Frame replaces it.

    Example: `- function: {call: "mypackage.rules:only_cars"}`, in Python `flow.map(only_cars)`.
    """

    call: Callable[[Frame], Answer] | str = setting(help="a function, or package.module:function")

    def validate(self) -> None:
        self._call = _find(self.call) if isinstance(self.call, str) else self.call

    def open(self, context: Context) -> None:
        self.validate()

    def process(self, item: Any) -> Iterator[Item]:
        if not isinstance(item, Batch):
            kept = self._ask(item)
            if kept is not None:
                yield kept
        elif frames := [kept for frame in item.frames if (kept := self._ask(frame)) is not None]:
            yield Batch(frames, item.extras)

    def _ask(self, frame: Frame) -> Frame | None:
        answer = self._call(frame)
        if answer is None or answer is True:
            return frame
        if answer is False:
            return None
        if isinstance(answer, Frame):
            return answer
        name = getattr(self._call, "__name__", "the function")
        raise TypeError(
            f"{name} returned {type(answer).__name__}; a function element returns None, True, False or a Frame"
        )


def _find(target: str) -> Callable[[Frame], Answer]:
    try:
        found = find_named(target)
    except ConfigError as error:
        raise ConfigError(f"call={target!r}: {error}") from error
    if not callable(found):
        raise ConfigError(f"call={target!r} is not a function")
    return found  # type: ignore[no-any-return]
