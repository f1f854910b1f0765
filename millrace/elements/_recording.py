"""The action `record` of analyze's rules: asks a recorder for a clip of the moment."""

from __future__ import annotations

import logging
from typing import Any

from ..analytics.actions import Action, action
from ..media import Event, Frame
from ..outputs.clips import Wish, has_ended, recorder

_log = logging.getLogger("millrace.rules")

KNOWN = {"before", "after", "recorder"}


@action("record")
def record(value: Any) -> Action:
    """`record`, or {record: {before: 5, after: 10, recorder: NAME}}: seconds before it begins, and after each update
    (those of the recorder where they are not given).

    A rule that lasts makes its clip longer. The recorder is an element of the same process.
    """
    given = {} if value is None else value
    if not isinstance(given, dict) or not set(given) <= KNOWN:
        raise ValueError(f"record: a table of {', '.join(sorted(KNOWN))} is wanted, got {value!r}")
    before, after = (_seconds(given[key]) if key in given else None for key in ("before", "after"))
    name = str(given.get("recorder", "recorder"))

    def ask(event: Event, frame: Frame) -> None:
        wishes = recorder(name)
        if wishes is None and has_ended(name):  # all its packets came, and what is analysed comes later
            _log.warning("rule %s: recorder %s has ended: no clip of %s", event.name, name, event.stream)
            return
        if wishes is None:
            raise RuntimeError(
                f"rule {event.name}: no recorder is known as {name!r}: put one on a branch before decode"
            )
        wishes.add(Wish(event.stream, event.name, frame.pts, before, after))

    return ask


def _seconds(value: Any) -> float:
    text = str(value).strip().removesuffix("s")
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds < 86400:
        raise ValueError(f"record: {value!r} is not a time in seconds")
    return seconds
