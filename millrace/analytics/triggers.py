"""Rules: a condition on what was counted, and what to do when it comes true."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ..core.errors import SettingError
from ..media import Event, Frame
from . import actions
from .events import Journal, Lasting
from .expressions import ExpressionError, parse

KEYS = ("when", "do", "streams")
_OF_STREAM = ("name", "objects", "identities")


class Trigger:
    """One rule of one stream: tells an event of kind "rule" while its condition holds, and runs its actions on it."""

    def __init__(self, name: str, given: Mapping[str, Any]) -> None:
        self.name = name
        self.when = str(given["when"])
        self.tree = parse(self.when)
        wanted = given.get("do", ["event"])
        self.actions = [actions.make(each)[1] for each in (wanted if isinstance(wanted, list | tuple) else [wanted])]
        self.times = 0
        self.lasting: Lasting | None = None

    def update(self, look: Callable[[str], Any], journal: Journal) -> None:
        holds = bool(self.tree.value(look, journal.pts))
        if holds and self.lasting is None:
            self.times += 1
            self.lasting = journal.begin("rule", self.name, None, None, None, {"when": self.when})
        elif not holds and self.lasting is not None:
            journal.end(self.lasting)
            self.lasting = None

    def act(self, events: list[Event], frame: Frame) -> None:
        """Run the actions on this rule's events of the frame."""
        for event in events:
            if event.kind == "rule" and event.name == self.name:
                for act in self.actions:
                    act(event, frame)

    def forget(self) -> None:
        self.tree.forget()
        self.lasting = None


def check(name: str, given: Any, known: Mapping[str, Mapping[str, tuple[str, ...]]]) -> None:
    """Raise SettingError for a rule that cannot work. `known`: kind → name → what it counts."""
    where = f"rules.{name}"
    if isinstance(given, str):
        given = {"when": given}
    if not isinstance(given, Mapping) or "when" not in given:
        raise SettingError("analyze", where, given, "it is a table with `when`, a condition, and `do`, actions")
    for key in given:
        if key not in KEYS:
            raise SettingError("analyze", f"{where}.{key}", given[key], f"there are {', '.join(KEYS)}")
    try:
        made = Trigger(name, given)
    except ExpressionError as error:
        raise SettingError("analyze", f"{where}.when", given["when"], str(error)) from None
    except ValueError as error:
        raise SettingError("analyze", f"{where}.do", given.get("do"), str(error)) from None
    for word in made.tree.names():
        problem = wrong_name(word, known)
        if problem:
            raise SettingError("analyze", f"{where}.when", given["when"], problem)


def wrong_name(word: str, known: Mapping[str, Mapping[str, tuple[str, ...]]]) -> str | None:
    """What is wrong with a name in a condition, or None."""
    parts = word.split(".")
    if parts[0] == "stream":
        right = len(parts) > 1 and parts[1] in _OF_STREAM
        return None if right else f"{word}: there are {', '.join(f'stream.{each}' for each in _OF_STREAM)}"
    if parts[0] == "event":
        return None if len(parts) == 3 else f"{word}: it is written event.KIND.NAME, as event.line.door"
    if parts[0] not in known:
        return f"{word}: a name begins with {', '.join([*known, 'stream', 'event'])}"
    if len(parts) < 3 or parts[1] not in known[parts[0]]:
        have = ", ".join(known[parts[0]]) or "none"
        return f"{word}: it is written {parts[0]}.NAME.WHAT; there is no such {parts[0]}: there are {have}"
    counted = known[parts[0]][parts[1]]
    return None if parts[2] in counted else f"{word}: {parts[0]} {parts[1]} has {', '.join(counted)}"
