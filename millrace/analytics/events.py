"""Events have a life: one that lasts is told when it begins, while it lasts, and when it is over."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ..media import Event
from .sightings import SECOND

NEW, UPDATE, END = "new", "update", "end"


@dataclass(slots=True, eq=False)
class Lasting:
    """An event that is going on."""

    id: int
    kind: str
    name: str
    object_id: int | None
    label: str | None
    began: int  # pts since when it is so; may lie before the frame that told it
    told: int  # pts of its last telling
    facts: dict[str, Any] = field(default_factory=dict)  # as they are now; an update tells them


class Journal:
    """The events of one stream: numbers them from 1, and tells those that last again every `updates` ns (0: never).

    A momentary event (a crossing) has a number and no phase. The events of an analysed frame are `events`.
    """

    def __init__(self, stream: str, updates: int = 10 * SECOND) -> None:
        self.stream = stream
        self.updates = updates
        self.events: list[Event] = []
        self.open: dict[int, Lasting] = {}
        self.pts = 0
        self._number = 0
        self._late: list[Event] = []  # ends that had no frame

    def begin_frame(self, pts: int) -> None:
        self.pts = pts
        for event in self._late:
            event.pts = pts
        self.events, self._late = self._late, []

    def end_frame(self) -> list[Event]:
        """Add the updates that are due; all events of the frame."""
        if self.updates:
            for each in self.open.values():
                if self.pts - each.told >= self.updates:
                    self._tell(each, UPDATE, None, each.facts)
        return self.events

    def moment(
        self, kind: str, name: str, object_id: int | None, label: str | None, direction: str | None,
        facts: Mapping[str, Any],
    ) -> Event:  # fmt: skip
        """Something that is over as it happens."""
        self._number += 1
        event = Event(kind, self.stream, self.pts, name, object_id, label, direction, dict(facts), self._number)
        self.events.append(event)
        return event

    def begin(
        self, kind: str, name: str, object_id: int | None, label: str | None, direction: str | None = None,
        facts: Mapping[str, Any] | None = None, since: int | None = None,
    ) -> Lasting:  # fmt: skip
        """Something that lasts has begun: now, or at the pts `since` if that is known only now."""
        self._number += 1
        began = self.pts if since is None else since
        made = Lasting(self._number, kind, name, object_id, label, began, self.pts, dict(facts or {}))
        self.open[made.id] = made
        self._tell(made, NEW, direction, made.facts)
        return made

    def end(self, lasting: Lasting, direction: str | None = None, facts: Mapping[str, Any] | None = None) -> None:
        """It is over. `facts` are added to those it has."""
        if self.open.pop(lasting.id, None) is not None:
            self._tell(lasting, END, direction, {**lasting.facts, **(facts or {})})

    def forget(self) -> None:
        """The stream jumped: what lasted is over; its end is told with the next frame, as by a `jump`."""
        self.events = []
        for each in list(self.open.values()):
            self.end(each, None, {"jump": True})
        self._late += self.events
        self.events = []

    def close(self) -> list[Event]:
        """The stream ended: what lasted is over, when its last frame was; the ends."""
        self.events = []
        for each in list(self.open.values()):
            self.end(each, None, {"stream_end": True})
        ends, self.events = [*self._late, *self.events], []
        self._late = []
        return ends

    def _tell(self, each: Lasting, phase: str, direction: str | None, facts: Mapping[str, Any]) -> None:
        each.told = self.pts
        said = dict(facts)
        if phase != NEW or each.began != self.pts:
            said.setdefault("seconds", round((self.pts - each.began) / SECOND, 3))
        self.events.append(
            Event(each.kind, self.stream, self.pts, each.name, each.object_id, each.label, direction, said, each.id,
                  phase)
        )  # fmt: skip
