"""All the analytics of one stream: every frame passes its zones, lines and directions, the rules, the heatmap."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ..media import Frame
from . import native
from .counts import Counts
from .events import Journal
from .heatmap import Heatmap
from .paths import Path, Paths
from .rules import DirectionRule, LineRule, Look, Rule
from .settings import Described
from .sightings import SECOND, Point, Sighting, everything, sightings
from .speed import speed_of
from .triggers import Trigger
from .world import Homography, homography_of
from .zone_rules import ZoneRule

RULES: dict[str, type[Rule]] = {"line": LineRule, "zone": ZoneRule, "direction": DirectionRule}
MOST = 64  # rules of a stream that one C step takes


@dataclass(slots=True)
class Options:
    """What holds for all rules of a stream. Times are seconds, lengths pixels."""

    updates: float = 10.0
    occupancy: float | None = None
    heatmap: int = 0
    speeds: bool = False
    predicted: bool = False
    trace: bool = False
    counts: int | None = None  # ns over which the objects of each class are counted
    counts_shown: bool = False


class StreamAnalytics:
    """The rules of one stream and what they have counted. Counts outlive `end`; what was seen does not."""

    def __init__(
        self, stream: str, described: Iterable[Described], triggers: Mapping[str, Any], options: Options,
        world: Mapping[str, Any] | None = None,
    ) -> None:  # fmt: skip
        self.stream = stream
        self.options = options
        self.journal = Journal(stream, round(options.updates * SECOND))
        self.rules: list[Rule] = []
        for each in described:
            extra = {"occupancy": options.occupancy} if each.kind == "zone" else {}
            self.rules.append(RULES[each.kind](each.name, each.given, options.trace, **extra))
        self.names = {(rule.kind, rule.name): rule for rule in self.rules}
        self.triggers = [Trigger(name, given) for name, given in triggers.items()]
        self.world = world
        self.ground: Homography | None = None
        self.heat: Heatmap | None = None
        self.size: tuple[int, int] | None = None
        self.moves = options.speeds or world is not None or any(_moves(rule.given) for rule in self.rules)
        self.paths = Paths(places=self.moves or any("wrong_way" in rule.given for rule in self.rules))
        self.counts = Counts(options.counts) if options.counts is not None else None
        self.instant = self.counts is not None or any(rule.given.get("instant") for rule in self.rules)
        self.by_identity = any(not rule.given.get("instant") for rule in self.rules)
        self.busy = bool(self.rules or self.triggers or options.heatmap or self.moves)  # there is anything to do
        self.frame: Frame | None = None
        self.shown: list[dict[str, Any]] | None = None  # what the rules show, for as long as nothing happens
        self._stepped: list[Rule] = []  # those that one C step takes a frame past
        self._plan: list[tuple[Any, ...]] = []  # the same as it wants them
        self._quiet: frozenset[Rule] = frozenset()
        self._misses = 0

    def update(self, frame: Frame) -> None:
        """Count; adds to `frame.events`, `frame.extras["analytics"]` and to the objects' extras."""
        size = (frame.image.width, frame.image.height)
        if self.size != size:
            if self.size is not None:
                self.jump()  # pixels are others now: who was where says nothing any more
            self._place(size)
        self.journal.begin_frame(frame.pts)
        self.frame = frame
        look = self._look(frame)
        if look is not None:
            self.shown = self._update(look)
        for trigger in self.triggers:
            trigger.update(self.value, self.journal)
        events = self.journal.end_frame()
        frame.events.extend(events)
        for trigger in self.triggers:
            trigger.act(events, frame)
        shown = self.shown or []
        frame.extras["analytics"] = native.steps.copies(shown) if self._quiet else shown
        if look is not None:
            self._say(frame, look)
        self.frame = None

    def _update(self, look: Look) -> list[dict[str, Any]]:
        """What every rule shows; of those to which nothing happens what it was before."""
        if self.shown is None or not look.still:
            return [rule.update(look) for rule in self.rules]
        out = []
        for rule, before in zip(self.rules, self.shown, strict=True):
            if rule in look.still:
                rule.again(look)
                out.append(before)
            else:
                out.append(rule.update(look))
        return out

    def _say(self, frame: Frame, look: Look) -> None:
        """What else there is to say of a frame and its objects."""
        if self.counts is not None:
            frame.extras["analytics"].append(self._count(self.counts, look))
        if self.heat is not None:
            self.heat.update(look.seen, frame.pts)
            frame.extras["heatmap"] = self.heat
        if look.trace:
            frame.extras["trace"] = [*frame.extras.get("trace", ()), *map(self._numbered, look.trace)]
        for found in frame.objects:
            marks = look.marks.get(id(found))
            if marks:
                found.extras["analytics"] = marks

    def value(self, name: str) -> Any:
        """What a name in a condition stands for now; 0 for a rule that this stream does not have."""
        kind, _, rest = name.partition(".")
        if kind == "stream":
            return self._of_stream(rest)
        if kind == "event":
            wanted, _, rule = rest.partition(".")
            return sum(event.kind == wanted and event.name == rule for event in self.journal.events)
        words = rest.split(".")
        found: Any = self.names.get((kind, words[0]))
        return 0 if found is None else found.value(words[1], ".".join(words[2:]) or None, self.journal.pts)

    def jump(self) -> None:
        """The stream jumped: what was seen before says nothing about what comes."""
        self.journal.forget()
        self.forget()

    def forget(self) -> None:
        self.shown = None
        self.paths.forget()
        for rule in self.rules:
            rule.forget()
        for trigger in self.triggers:
            trigger.forget()
        for part in (self.heat, self.counts):
            if part is not None:
                part.forget()

    def close(self, frame: Frame) -> None:
        """The stream ends: what lasts is over, and visits count as long as they were. `frame` has no picture."""
        for rule in self.rules:
            rule.close()
        events = self.journal.close()
        frame.pts = self.journal.pts
        frame.events.extend(events)
        for trigger in self.triggers:
            trigger.act(events, frame)

    def end(self) -> None:
        """The stream is forgotten. Counts stay."""
        self.journal.open.clear()
        self.forget()
        self.size = None

    def totals(self) -> dict[str, Any]:
        out: dict[str, Any] = {"lines": {}, "zones": {}}
        for rule in self.rules:
            if rule.overlay:  # it has been at work
                out.setdefault(f"{rule.kind}s", {})[rule.name] = rule.totals()
        if self.triggers:
            out["rules"] = {trigger.name: trigger.times for trigger in self.triggers}
        if self.heat is not None:
            out["heatmap"] = self.heat.totals()
        return out

    def _place(self, size: tuple[int, int]) -> None:
        self.size = size
        for rule in self.rules:
            rule.place(*size)
        if self.world is not None:
            self.ground = homography_of(self.world, *size)
        if self.options.heatmap:
            self.heat = Heatmap(*size, self.options.heatmap)
        self.shown = None
        more = self.moves or self.instant or self.paths.places or self.options.heatmap or self.options.trace
        self._stepped = [] if more or native.steps is None else [rule for rule in self.rules if rule.stepped][:MOST]
        self._plan = [rule.plan for rule in self._stepped]
        self._quiet = frozenset(rule for rule in self._stepped if rule.quiet)

    def _step(self, frame: Frame) -> Look | None:
        """A frame at once past the rules that C knows; None when nothing happens to any rule."""
        anew = self.shown is None
        told = native.steps.frame(
            frame.objects, self.options.predicted, frame.pts, self.paths.known, Path, Sighting, self._plan,
            anew or len(self._quiet) < len(self.rules),
        )  # fmt: skip
        self.paths.purge(frame.pts)
        if told is None:
            return None
        seen, rests = told
        rest = dict(zip(self._stepped, rests, strict=True))
        still = [] if anew else [rule for rule in self._quiet if rest[rule] is None]
        left = {rule: each or [] for rule, each in rest.items()}
        return Look(frame.pts, seen, [], self.paths.known, {}, {}, self.journal, left=left, still=still)

    def _look(self, frame: Frame) -> Look | None:
        past = self._past(frame)
        if self._stepped and not past:
            return self._step(frame)
        seen = sightings(frame.objects, self.options.predicted)
        for pts, before in past:
            self.paths.update([before], pts, self._ground([before]))
        whole = self._ground(seen)
        seen = self.paths.update(seen, frame.pts, whole)
        speeds: dict[int, float] = {}
        trace: list[dict[str, Any]] | None = [] if self.options.trace else None
        whole_frame = everything(frame.objects) if self.instant else []
        ground = {found.id: place for found, place in zip(seen, whole or (), strict=False) if place is not None}
        look = Look(
            frame.pts, seen, whole_frame, self.paths.known, speeds, ground, self.journal, self.ground, past, trace
        )
        if self.moves:
            for found in seen:
                speed = speed_of(self.paths.known[found.id], whole is not None)
                if speed is not None:
                    speeds[found.id] = speed
                    look.mark(found, "speed", round(speed, 2))
                if found.id in ground:
                    place = ground[found.id]
                    look.mark(found, "position", [round(place[0], 2), round(place[1], 2)])
        return look

    def _past(self, frame: Frame) -> list[tuple[int, Sighting]]:
        """Where those were seen before who have an identity only now, as a tracker tells it (track: {report: [past]}).

        Without it the first sightings of each identity are lost, which matters where frames are few.
        """
        out = []
        for each in getattr(frame.extras.get("tracks"), "past", ()):
            if each.id not in self.paths.known:
                for place in each.trajectory or ():
                    if place.pts < frame.pts:
                        box = (place.x1, place.y1, place.x2, place.y2)
                        out.append((place.pts, Sighting(each.id, each.label, *box, each.class_id)))
        return out

    def _ground(self, seen: list[Sighting]) -> list[Point | None] | None:
        """The places on the floor plan; None where there is no calibration.

        None too for those beyond the horizon, and for boxes that the picture's edge cuts: their foot is not seen.
        """
        if self.ground is None or self.size is None:
            return None
        right, bottom = self.size[0] - 1, self.size[1] - 1
        return [
            self.ground.ground(((found.x1 + found.x2) / 2, found.y2))
            if found.x1 > 1 and found.x2 < right and found.y2 < bottom
            else None
            for found in seen
        ]

    def _count(self, counts: Counts, look: Look) -> dict[str, Any]:
        """The counts of classes, as one more thing to show: in the picture's corner, if at all."""
        values = counts.update(look.everything, look.pts)
        text = " ".join(f"{label}={count}" for label, count in values.items())
        return {"kind": "count", "name": "objects", "points": [(5.0, 5.0)], "text": text, "values": values,
                **({} if self.options.counts_shown else {"hidden": True})}  # fmt: skip

    def _of_stream(self, what: str) -> Any:
        assert self.frame is not None
        word, _, label = what.partition(".")
        if word == "name":
            return self.stream
        found = [each for each in self.frame.objects if each.parent is None and label in ("", each.label)]
        return len(found) if word == "objects" else sum(each.id is not None for each in found)

    def _numbered(self, miss: dict[str, Any]) -> dict[str, Any]:
        self._misses += 1
        return {"miss": f"m{self._misses}", **miss}


def concerns(each: Described, stream: str, order: list[str]) -> bool:
    """Whether a rule is for a stream: named, or numbered in the order of the configuration; no streams: every one."""
    streams = each.given.get("streams")
    if streams is None:
        return True
    number = order.index(stream) if stream in order else -1
    return stream in streams or any(type(item) is int and item == number for item in streams)


def countables(described: Iterable[Described]) -> dict[str, dict[str, tuple[str, ...]]]:
    """kind → name → what it counts, for conditions."""
    out: dict[str, dict[str, tuple[str, ...]]] = {kind: {} for kind in RULES}
    for each in described:
        out[each.kind][each.name] = RULES[each.kind].counts
    return out


def _moves(given: Mapping[str, Any]) -> bool:
    return bool({"speed_over", "speed_under"} & set(given))
