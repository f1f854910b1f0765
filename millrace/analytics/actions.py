"""What a rule does when its condition comes true: actions by name.

    @action("siren")
    def siren(value):                        # what the configuration says, as in {siren: loud}
        return lambda event, frame: ...      # called with the rule's event: new, update, end

`event` and `log` and `call` are here. Others belong to the elements that do them (recording, publishing): they register
themselves by name, and until then their name is an error that says what there is.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any

from ..core.errors import ConfigError, did_you_mean
from ..core.named import find_named
from ..media import Event, Frame
from .events import NEW, UPDATE
from .sightings import SECOND

Action = Callable[[Event, Frame], Any]
Maker = Callable[[Any], Action]

_log = logging.getLogger("millrace.rules")
_known: dict[str, Maker] = {}


def action(name: str) -> Callable[[Maker], Maker]:
    """Register how an action of that name is made from what a configuration says of it. May raise ValueError."""

    def register(make: Maker) -> Maker:
        _known[name] = make
        return make

    return register


def names() -> list[str]:
    return sorted(_known)


def make(given: Any) -> tuple[str, Action]:
    """An action from `log` or {"call": "module:function"}. Raises ValueError that says what is allowed."""
    if isinstance(given, str):
        name, value = given, None
    elif isinstance(given, Mapping) and len(given) == 1:
        name, value = next(iter(given.items()))
    else:
        raise ValueError(f"an action is a name or a table of one, as {{call: module:function}}; got {given!r}")
    if name not in _known:
        raise ValueError(
            f"there is no action {name!r}.{did_you_mean(str(name), _known)} There are: {', '.join(names())}"
        )
    return name, _known[name](value)


@action("event")
def _event(value: Any) -> Action:
    """The rule's own event is one of the frame's, whatever its actions; its name may be given."""
    if value is not None and not isinstance(value, str):
        raise ValueError(f"event: a name is wanted, got {value!r}")

    def rename(event: Event, frame: Frame) -> None:
        if value:
            event.name = value

    return rename


@action("log")
def _say(value: Any) -> Action:
    """A line of the log `millrace.rules` when it begins and when it is over; updates are not worth one."""
    if value is not None and not isinstance(value, str):
        raise ValueError(f"log: a text is wanted, got {value!r}")

    def log(event: Event, frame: Frame) -> None:
        if event.phase == UPDATE:
            return
        what = "" if event.phase == NEW else f" is over after {event.extras.get('seconds', 0):g} s"
        when = f"{event.pts / SECOND:.3f} s (frame {frame.index})"
        _log.warning("%s at %s: %s%s", event.stream, when, value or f"rule {event.name}: {event.extras['when']}", what)

    return log


@action("call")
def _call(value: Any) -> Action:
    """Call `module:function` (or a function) with the event and its frame, at its beginning, updates and end."""
    if callable(value):
        return value  # type: ignore[no-any-return]
    if not isinstance(value, str) or value.count(":") != 1:
        raise ValueError(f"call: module:function is wanted, got {value!r}")
    try:
        found = find_named(value)
    except ConfigError as error:
        raise ValueError(f"call: {value}: {error}") from error
    if not callable(found):
        raise ValueError(f"call: {value} is not a function")
    return found  # type: ignore[no-any-return]
