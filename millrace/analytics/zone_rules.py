"""A zone as a configuration describes it: who comes and goes, and what its options watch inside it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from .crowding import Crowding
from .dwell import Change, Loitering
from .events import Lasting
from .occupancy import Occupancy
from .rules import Look, Rule, plain
from .sightings import Point, Sighting
from .speed import SpeedLimit
from .stopped import Stopped
from .wrong_way import WrongWay
from .zones import Passage, Presence, ZoneCounter

SECOND = 1e9


class ZoneRule(Rule):
    """Enter, leave and count; overcrowding, loitering, stopping, the wrong way and speed where they are asked for."""

    kind = "zone"
    counts = (
        "count", "entered", "left", "most", "identities", "longest", "crowded", "loitering", "stopped", "wrong_way",
        "speeding",
    )  # fmt: skip

    def __init__(
        self, name: str, given: Mapping[str, Any], trace: bool = False, occupancy: float | None = None
    ) -> None:
        super().__init__(name, given, trace)
        self.counter: ZoneCounter | Presence | None = None
        self.visits: dict[int, Lasting] = {}
        self.occupancy = Occupancy(occupancy) if occupancy else None
        self.crowd = Crowding(given["crowd"], given.get("crowd_for", 0.0)) if given.get("crowd") else None
        self.crowding: Lasting | None = None
        self.loitering = Loitering(given["loiter"]) if given.get("loiter") is not None else None
        anchor = {"anchor": given["anchor"]} if "anchor" in given else {}
        self.stopped = Stopped(given["stopped"], **anchor) if given.get("stopped") is not None else None
        over, under = given.get("speed_over"), given.get("speed_under")
        self.limit = SpeedLimit(over, under) if over is not None or under is not None else None
        self.wrong_way: WrongWay | None = None
        self.going: dict[str, dict[int, Lasting]] = {"loiter": {}, "stopped": {}, "wrong_way": {}, "speed": {}}

    def place(self, width: int, height: int) -> None:
        if "points" in self.given:
            super().place(width, height)
            return
        corners = [(0.0, 0.0), (float(width), 0.0), (float(width), float(height)), (0.0, float(height))]
        self.overlay = {"kind": self.kind, "name": self.name, "points": corners}
        wide, high = float(width), float(height)  # the whole picture, and what stands on its edge
        self.put([(-wide, -high), (2 * wide, -high), (2 * wide, 2 * high), (-wide, 2 * high)], width, height)

    def put(self, points: list[Point], width: int, height: int) -> None:
        given = self.given
        if "wrong_way" in given:
            way = self.pixels("wrong_way", width, height)
            self.overlay["direction"] = way
            if self.wrong_way is None:
                self.wrong_way = WrongWay(way)
            else:
                self.wrong_way.place(way)
        if self.counter is not None:
            self.counter.place(points)
            return
        options = {key: given[key] for key in ("anchor", "inverse") if key in given}
        if given.get("instant"):
            self.counter = Presence(points, **options)
        else:
            options |= {key: given[key] for key in ("margin", "patience") if key in given}
            self.counter = ZoneCounter(points, **options)

    @property
    def stepped(self) -> bool:
        return isinstance(self.counter, ZoneCounter) and not self.trace

    @property
    def quiet(self) -> bool:
        watches = self.occupancy, self.crowd, self.loitering, self.stopped, self.wrong_way, self.limit
        return self.stepped and all(watch is None for watch in watches)

    def look(self, look: Look) -> None:
        assert self.counter is not None
        if isinstance(self.counter, Presence):
            inside = self.counter.update(self.concerns(look.everything))
        else:
            for pts, before in look.past:
                if self.concerns([before]):
                    self.counter.recall(before, pts)
            seen = self.concerns(look.seen)
            left = look.left.get(self)
            update = self.counter.update if left is None else self.counter.finish
            passages = update(seen if left is None else left, look.pts)
            if passages:
                self._passages(passages, {found.id: found for found in seen}, look)
            states = self.counter.states
            inside = [found for found in seen if states[found.id].inside]
        for found in inside:
            look.mark(found, "zones", self.name)
        count = self.counter.present()
        if self.occupancy is not None:
            self.occupancy.update(self.counter.occupancy(), look.pts)
        if self.crowd is not None:
            self._crowd(self.crowd, count, look)
        if isinstance(self.counter, ZoneCounter):
            self._watch(inside, self.counter, look)

    def again(self, look: Look) -> None:
        assert isinstance(self.counter, ZoneCounter)
        states = self.counter.states
        for found in self.concerns(look.seen):
            if states[found.id].inside:
                look.mark(found, "zones", self.name)

    def _passages(self, passages: Iterable[Passage], seen: Mapping[int, Sighting], look: Look) -> None:
        for each in passages:
            facts: dict[str, Any] = {"point": each.point}
            if self.trace:
                facts["why"] = self._why(each, seen.get(each.id))
            if each.direction == "enter":
                since = self.counter.states[each.id].since if isinstance(self.counter, ZoneCounter) else None
                self.visits[each.id] = look.journal.begin(
                    self.kind, self.name, each.id, each.label, "enter", facts, since
                )
                self.visits[each.id].facts.pop("why", None)
            elif each.id in self.visits:
                facts["seconds"] = round(each.seconds, 3)
                look.journal.end(self.visits.pop(each.id), "leave", facts)

    def _why(self, passage: Passage, found: Sighting | None) -> dict[str, Any]:
        assert isinstance(self.counter, ZoneCounter)
        facts: dict[str, Any] = {"polygon": self.overlay["points"], "anchor": self.counter.anchor,
                                 "point": passage.point, "depth": passage.depth}  # fmt: skip
        if found is not None:
            facts |= {"box": [found.x1, found.y1, found.x2, found.y2], "trembles": found.doubt,
                      "least": found.least(self.counter.margin)}  # fmt: skip
        if passage.gone:
            facts |= {"unseen_for": self.counter.patience / SECOND}
        return dict(plain(facts))

    def _crowd(self, crowd: Crowding, count: int, look: Look) -> None:
        changed = crowd.update(count, look.pts)
        if changed:
            facts = {"count": count, "threshold": crowd.threshold}
            self.crowding = look.journal.begin("crowd", self.name, None, None, None, facts, crowd.since)
        elif changed is False and self.crowding is not None:
            look.journal.end(self.crowding, None, {"count": count, "most": crowd.most})
            self.crowding = None
        elif self.crowding is not None:
            self.crowding.facts["count"] = count

    def _watch(self, inside: list[Sighting], counter: ZoneCounter, look: Look) -> None:
        pts = look.pts
        if self.loitering is not None:
            now = {key: (visit.label, visit.since) for key, visit in counter.states.items() if visit.inside}
            self._tell("loiter", self.loitering.update(now, {found.id for found in inside}, pts), look)
        if self.stopped is not None:
            self._tell("stopped", self.stopped.update(inside, pts, look.ground), look)
        if self.wrong_way is not None:
            self._tell("wrong_way", self.wrong_way.update(inside, look.paths, pts, look.plane), look)
        if self.limit is not None:
            self._tell("speed", self.limit.update(inside, look.speeds, pts), look)
        for kind, going in self.going.items():
            for found in inside if going else ():
                if found.id in going:
                    look.mark(found, {"loiter": "loitering", "speed": "speeding"}.get(kind, kind), True)

    def _tell(self, kind: str, changes: Iterable[Change], look: Look) -> None:
        going = self.going[kind]
        for change in changes:
            facts = plain(change.facts)
            if change.starts:
                going[change.id] = look.journal.begin(
                    kind, self.name, change.id, change.label, None, facts, change.since
                )
            elif change.id in going:
                look.journal.end(going.pop(change.id), None, facts)

    def values(self) -> dict[str, Any]:
        assert self.counter is not None
        out: dict[str, Any] = {"count": self.counter.present()}
        if out["count"]:
            out["classes"] = dict(sorted(self.counter.labels().items()))
        if isinstance(self.counter, ZoneCounter):
            out |= {"entered": self.counter.entered, "left": self.counter.left}
        if self.crowd is not None:
            out["crowded"] = self.crowd.crowded
        names = {"loiter": "loitering", "speed": "speeding"}
        watched = {"loiter": self.loitering, "stopped": self.stopped, "wrong_way": self.wrong_way, "speed": self.limit}
        for kind, watch in watched.items():
            if watch is not None:
                out[names.get(kind, kind)] = len(self.going[kind])
        return out

    def value(self, what: str, label: str | None, pts: int) -> float:
        """For conditions; `label` asks for one class."""
        if self.counter is None:
            return 0
        answer = _VALUES.get(what)
        if answer is not None and isinstance(self.counter, ZoneCounter):
            return float(answer(self.counter, label, pts))
        if what == "count":
            counts = self.counter.occupancy()
            return float(counts.total() if label is None else counts[label])
        if what == "most":
            return float(self.counter.most)
        if what == "crowded":
            return float(self.crowd is not None and self.crowd.crowded)
        kind = {"loitering": "loiter", "speeding": "speed"}.get(what, what)
        return float(sum(label in (None, each.label) for each in self.going.get(kind, {}).values()))

    def text(self) -> str:
        assert self.counter is not None
        words = [str(self.counter.present())]
        if self.crowd is not None and self.crowd.crowded:
            words.append("crowded")
        return " ".join(words)

    def totals(self) -> dict[str, Any]:
        if self.counter is None:
            return {}
        out: dict[str, Any] = dict(self.counter.totals())
        if self.crowd is not None:
            out["crowded"] = self.crowd.times
        if self.occupancy is not None:
            out["occupancy"] = self.occupancy.totals()
        return out

    def close(self) -> None:
        if isinstance(self.counter, ZoneCounter):
            self.counter.close()

    def forget(self) -> None:
        for part in (
            self.counter,
            self.occupancy,
            self.crowd,
            self.loitering,
            self.stopped,
            self.wrong_way,
            self.limit,
        ):
            if part is not None:
                part.forget()
        self.visits.clear()
        self.crowding = None
        for going in self.going.values():
            going.clear()


def _longest(counter: ZoneCounter, label: str | None, pts: int) -> float:
    """Seconds of the longest visit that goes on."""
    times = [pts - v.since for v in counter.states.values() if v.inside and label in (None, v.label)]
    return max(times, default=0) / SECOND


def _identities(counter: ZoneCounter, label: str | None, pts: int) -> float:
    found: Counter[str] = counter.identities
    return found.total() if label is None else found[label]


_VALUES: dict[str, Callable[[ZoneCounter, str | None, int], float]] = {
    "entered": lambda counter, label, pts: counter.entered,
    "left": lambda counter, label, pts: counter.left,
    "identities": _identities,
    "longest": _longest,
}
