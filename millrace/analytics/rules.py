"""A line or a zone as a configuration describes it, put to work on one stream."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..core.errors import SettingError
from ..media import Event, Frame
from ..media.geometry import to_pixels
from .lines import LineCounter
from .sightings import ANCHORS, Sighting
from .zones import ZoneCounter

KEYS = {
    "lines": ("points", "streams", "classes", "margin", "anchor"),
    "zones": ("points", "streams", "classes", "margin", "anchor", "patience"),
}


class Rule:
    """One line or zone of one stream."""

    def __init__(self, kind: str, name: str, given: Mapping[str, Any]) -> None:
        self.kind = kind
        self.name = name
        self.classes = frozenset(given["classes"]) if given.get("classes") else None
        self.points = given["points"]
        self.options = {key: given[key] for key in ("margin", "anchor", "patience") if given.get(key) is not None}
        self.counter: LineCounter | ZoneCounter | None = None
        self.overlay: dict[str, Any] = {}

    def place(self, width: int, height: int) -> None:
        """The size of the picture is known, or has changed."""
        pixels: list[tuple[float, float]] = [(x, y) for x, y in to_pixels(self.points, width, height).tolist()]
        self.overlay = {"kind": self.kind, "name": self.name, "points": pixels}
        if self.counter is not None:
            self.counter.place(pixels) if isinstance(self.counter, ZoneCounter) else self.counter.place(*pixels)
        elif self.kind == "zone":
            self.counter = ZoneCounter(pixels, **self.options)
        else:
            self.counter = LineCounter(*pixels, **self.options)

    def update(self, seen: list[Sighting], frame: Frame) -> dict[str, Any]:
        """Add this frame's events; what to draw."""
        assert self.counter is not None
        if self.classes is not None:
            seen = [found for found in seen if found.label in self.classes]
        for key, label, direction, point in self.counter.update(seen, frame.pts):
            frame.events.append(
                Event(self.kind, frame.stream, frame.pts, self.name, key, label, direction, {"point": point})
            )
        if isinstance(self.counter, LineCounter):
            text = "in {in} out {out}".format(**self.counter.counts)
        else:
            text = str(self.counter.present())
        return {**self.overlay, "text": text}


def check(table: str, name: str, given: Any) -> None:
    """Raise SettingError when a line or zone is not as KEYS and the shape of its points want it."""
    where = f"{table}.{name}"
    if not isinstance(given, Mapping) or "points" not in given:
        raise SettingError("analyze", where, given, "it is a table with points")
    unknown = [key for key in given if key not in KEYS[table]]
    if unknown:
        raise SettingError("analyze", f"{where}.{unknown[0]}", given[unknown[0]], f"there are {', '.join(KEYS[table])}")
    points = given["points"]
    needed = "two different points [[x, y], [x, y]]" if table == "lines" else "at least 3 points [[x, y], …]"
    try:
        pairs = [(float(x), float(y)) for x, y in points]
    except (TypeError, ValueError):
        raise SettingError("analyze", f"{where}.points", points, f"it needs {needed}") from None
    if len(set(pairs)) < 2 or (len(pairs) != 2 if table == "lines" else len(pairs) < 3):
        raise SettingError("analyze", f"{where}.points", points, f"it needs {needed}")
    for key in ("streams", "classes"):
        if given.get(key) is not None and (isinstance(given[key], str) or not isinstance(given[key], list | tuple)):
            raise SettingError("analyze", f"{where}.{key}", given[key], "it is a list of names")
    if given.get("anchor", "bottom") not in ANCHORS:
        raise SettingError("analyze", f"{where}.anchor", given["anchor"], f"it is one of {', '.join(ANCHORS)}")
    for key in ("margin", "patience"):
        value = given.get(key, 0)
        if isinstance(value, bool) or not isinstance(value, int | float) or value < 0:
            raise SettingError("analyze", f"{where}.{key}", value, "it is a number, 0 or more")
