"""Lines, zones and directions as a configuration describes them, put to work on one stream."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..media.geometry import to_pixels
from .directed_lines import DirectedLine
from .directions import Direction
from .events import Journal
from .lines import LineCounter
from .paths import Path
from .sightings import Point, Sighting
from .world import Homography


@dataclass(slots=True)
class Look:
    """One frame as the rules see it."""

    pts: int
    seen: list[Sighting]  # with an identity
    everything: list[Sighting]  # with one or without
    paths: Mapping[int, Path]
    speeds: Mapping[int, float]  # by identity, where known
    ground: Mapping[int, Point]  # places on the floor plan by identity, metres, where known
    journal: Journal
    plane: Homography | None = None
    past: Sequence[tuple[int, Sighting]] = ()  # (pts, where) of those who have their identity only now, oldest first
    trace: list[dict[str, Any]] | None = None  # what came near and did not count
    left: Mapping[Rule, list[Sighting]] = field(default_factory=dict)  # of the rules that a C step has passed
    still: Collection[Rule] = ()  # the rules to which nothing happens
    marks: dict[int, dict[str, Any]] = field(default_factory=dict)  # id(object) → what analytics says of it

    def mark(self, found: Sighting, key: str, value: Any) -> None:
        """Say something of an object; lists grow."""
        if found.object is None:
            return
        marks = self.marks.setdefault(id(found.object), {})
        if isinstance(value, str) and key.endswith("s"):
            marks.setdefault(key, []).append(value)
        else:
            marks[key] = value

    def missed(self, kind: str, name: str, found: tuple[int, str], reason: str, facts: Mapping[str, Any]) -> None:
        if self.trace is not None:
            key, label = found
            self.trace.append({"kind": kind, "name": name, "id": key, "label": label, "reason": reason,
                               "facts": plain(facts)})  # fmt: skip


class Rule(ABC):
    """One line, zone or direction of one stream."""

    kind = ""
    counter: Any = None
    counts: tuple[str, ...] = ()  # the values that it has, by name

    def __init__(self, name: str, given: Mapping[str, Any], trace: bool = False) -> None:
        self.name = name
        self.given = given
        self.trace = trace
        self.classes = frozenset(given["classes"]) if given.get("classes") else None
        self.show = given.get("show", "all")
        self.overlay: dict[str, Any] = {}

    def place(self, width: int, height: int) -> None:
        """The size of the picture is known, or has changed."""
        points = self.pixels("points", width, height)
        self.overlay = {"kind": self.kind, "name": self.name, "points": points}
        for key in ("colour",):
            if key in self.given:
                self.overlay[key] = self.given[key]
        self.put(points, width, height)

    def pixels(self, key: str, width: int, height: int) -> list[Point]:
        """Points of the configuration in pixels of the picture: fractions, or scaled from `size`."""
        given = self.given[key]
        if self.given.get("size"):
            array = np.asarray(given, dtype=np.float64) * (
                width / self.given["size"][0], height / self.given["size"][1],
            )  # fmt: skip
        else:
            array = to_pixels(given, width, height)
        return [(x, y) for x, y in array.tolist()]

    def concerns(self, seen: list[Sighting]) -> list[Sighting]:
        """Those of its classes, which are named or numbered."""
        if self.classes is None:
            return seen
        return [found for found in seen if found.label in self.classes or found.class_id in self.classes]

    @property
    def stepped(self) -> bool:
        """Whether a C step can take it along."""
        return False

    @property
    def quiet(self) -> bool:
        """Whether it has nothing more to do, and nothing to say anew, while nobody moves past it."""
        return self.stepped

    @property
    def plan(self) -> tuple[Any, ...]:
        """Itself, as that step wants it."""
        return self.kind == "zone", self.counter, self.classes, self.name

    def close(self) -> None:
        """The stream ends: what still goes on counts as far as it came."""

    def update(self, look: Look) -> dict[str, Any]:
        """Tell this frame's events; what to draw, and the values."""
        self.look(look)
        shown = {**self.overlay, "values": self.values()}
        if self.show == "none":
            shown["hidden"] = True
        elif self.show == "all":
            shown["text"] = self.text()
        return shown

    def again(self, look: Look) -> None:
        """Nothing happens to it in this frame: say of objects what there still is to say."""

    @abstractmethod
    def put(self, points: list[Point], width: int, height: int) -> None: ...

    @abstractmethod
    def look(self, look: Look) -> None: ...

    @abstractmethod
    def values(self) -> dict[str, Any]: ...

    @abstractmethod
    def text(self) -> str: ...

    @abstractmethod
    def totals(self) -> dict[str, Any]: ...

    @abstractmethod
    def forget(self) -> None: ...


class LineRule(Rule):
    """Crossings, of either sort of line."""

    kind = "line"
    counts = ("in", "out", "total", "in_once", "out_once")

    def __init__(self, name: str, given: Mapping[str, Any], trace: bool = False) -> None:
        super().__init__(name, given, trace)
        self.counter: LineCounter | DirectedLine | None = None
        self.once = bool(given.get("once"))

    def put(self, points: list[Point], width: int, height: int) -> None:
        given = self.given
        if given.get("mode"):
            direction = self.pixels("direction", width, height)
            self.overlay["direction"] = direction
            if isinstance(self.counter, DirectedLine):
                self.counter.place(points, direction)
            else:
                self.counter = DirectedLine(points, direction, mode=given["mode"], trace=self.trace,
                                            extended=bool(given.get("extended")))  # fmt: skip
        elif isinstance(self.counter, LineCounter):
            self.counter.place(*points)
        else:
            options = {key: given[key] for key in ("margin", "anchor") if key in given}
            self.counter = LineCounter(*points, trace=self.trace, **options)

    @property
    def stepped(self) -> bool:
        return isinstance(self.counter, LineCounter) and not self.trace

    def look(self, look: Look) -> None:
        assert self.counter is not None
        left = look.left.get(self)
        seen = self.concerns(look.seen) if left is None else left
        if isinstance(self.counter, LineCounter):
            for pts, before in look.past:
                if self.concerns([before]):
                    self.counter.recall(before, pts)
        if left is not None and isinstance(self.counter, LineCounter):
            crossings = self.counter.finish(left, look.pts)
        else:
            crossings = self.counter.update(seen, look.pts)
        by_id = {found.id: found for found in seen} if crossings else {}
        for crossing in crossings:
            if self.once and not crossing.first:
                continue
            facts: dict[str, Any] = {"point": crossing.point}
            if not crossing.first:
                facts["again"] = True
            if crossing.id in look.speeds:
                facts["speed"] = look.speeds[crossing.id]
            if crossing.why is not None:
                facts["why"] = plain(crossing.why)
            look.journal.moment(self.kind, self.name, crossing.id, crossing.label, crossing.direction, facts)
            look.mark(by_id[crossing.id], "lines", self.name)
        for miss in self.counter.misses:
            look.missed(self.kind, self.name, (miss.id, miss.label), miss.reason, miss.facts)

    def values(self) -> dict[str, Any]:
        assert self.counter is not None
        if isinstance(self.counter, DirectedLine):
            return {"in": self.counter.count, "out": 0}
        return dict(self.counter.once if self.once else self.counter.counts)

    def value(self, what: str, label: str | None, pts: int) -> float:
        """For conditions."""
        if self.counter is None:
            return 0
        totals: dict[str, Any] = self.counter.totals()
        if label is not None:
            totals = totals["classes"].get(label, {"in": 0, "out": 0, "once": {"in": 0, "out": 0}})
        if what == "total":
            return float(totals["in"] + totals["out"])
        way, once, _ = what.partition("_once")
        return float(totals["once"][way] if once else totals[way])

    def text(self) -> str:
        values = self.values()
        return str(values["in"]) if self.given.get("mode") else "in {in} out {out}".format(**values)

    def totals(self) -> dict[str, Any]:
        return {} if self.counter is None else dict(self.counter.totals())

    def forget(self) -> None:
        if self.counter is not None:
            self.counter.forget()


class DirectionRule(Rule):
    """Who goes a way."""

    kind = "direction"
    counts = ("count", "identities")

    def __init__(self, name: str, given: Mapping[str, Any], trace: bool = False) -> None:
        super().__init__(name, given, trace)
        self.counter: Direction | None = None

    def put(self, points: list[Point], width: int, height: int) -> None:
        if self.counter is None:
            self.counter = Direction(points)
        else:
            self.counter.place(points)

    def look(self, look: Look) -> None:
        assert self.counter is not None
        seen = self.concerns(look.seen)
        by_id = {found.id: found for found in seen}
        for heading in self.counter.update(seen, look.pts):
            found = by_id[heading.id]
            look.mark(found, "directions", self.name)
            if heading.first:
                facts = {"point": found.point("bottom"), "cosine": heading.cosine}
                look.journal.moment(self.kind, self.name, heading.id, heading.label, None, facts)
        for key in self.counter.stopped:
            look.mark(by_id[key], "stopped", True)

    def values(self) -> dict[str, Any]:
        assert self.counter is not None
        return {"count": len(self.counter.now), "identities": self.counter.identities.total()}

    def value(self, what: str, label: str | None, pts: int) -> float:
        if self.counter is None:
            return 0
        if what == "count":
            return float(sum(label in (None, heading.label) for heading in self.counter.now))
        return float(self.counter.identities.total() if label is None else self.counter.identities[label])

    def text(self) -> str:
        return ""

    def totals(self) -> dict[str, Any]:
        return {} if self.counter is None else self.counter.totals()

    def forget(self) -> None:
        if self.counter is not None:
            self.counter.forget()


def plain(value: Any) -> Any:
    """Facts as JSON has them: numbers rounded to a thousandth, tuples as lists."""
    if isinstance(value, Mapping):
        return {key: plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [plain(each) for each in value]
    if isinstance(value, float):
        return round(value, 3)
    return value
