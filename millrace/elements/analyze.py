"""Identities → counts and events."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..analytics.rules import Rule, check
from ..analytics.sightings import sightings
from ..core.element import Context, Element, setting, state
from ..core.item import Item, StreamStart
from ..media import Frame

BLIND = 50  # frames with objects and not one identity: tell the user


class Analyze(Element):
    """Count what crosses lines and who is in zones: `analyze: {lines: {door: {points: [[0, 0.8], [1, 0.8]]}}}`.

    Points that are all at most 1 are fractions of the picture, else source pixels. "in" is from the left to the
    right of one who walks from the first point of a line to the second (see analytics.lines), so downwards for a
    line drawn from left to right. Every line and zone may name the `streams` and `classes` that it is for (default
    all), the `anchor` (bottom or centre of the box) and the `margin` (object heights past the line that make a
    crossing), a zone also its `patience` (seconds unseen until one has left). Only objects with an identity count:
    put `track` before. Adds to `frame.events`, and to `frame.extras["analytics"]` what `draw` shows.
    """

    lines: dict[str, Any] = setting(factory=dict, help="name: {points: [[x, y], [x, y]], streams, classes, …}")
    zones: dict[str, Any] = setting(factory=dict, help="name: {points: [[x, y], …], streams, classes, …}")

    rules: dict[str, list[Rule]] = state(dict)
    sizes: dict[str, tuple[int, int]] = state(dict)
    blind: dict[str, int] = state(dict)

    def validate(self) -> None:
        for name, given in self.lines.items():
            check("lines", name, given)
        for name, given in self.zones.items():
            check("zones", name, given)

    def open(self, context: Context) -> None:
        self.validate()
        self.context = context

    def start_stream(self, start: StreamStart) -> StreamStart:
        stream = start.stream
        if stream not in self.rules:
            self.rules[stream] = [
                Rule(kind, name, given)
                for kind, table in (("zone", self.zones), ("line", self.lines))
                for name, given in table.items()
                if given.get("streams") is None or stream in given["streams"]
            ]
        for rule in self.rules[stream]:
            if start.discontinuity and rule.counter is not None:
                rule.counter.forget()
        self.blind[stream] = 0
        return start

    def process_frame(self, frame: Frame) -> None:
        rules = self.rules[frame.stream]
        if not rules:
            return
        size = (frame.image.width, frame.image.height)
        if self.sizes.get(frame.stream) != size:
            self.sizes[frame.stream] = size
            for rule in rules:
                rule.place(*size)
        seen = sightings(frame.objects)
        if self.blind[frame.stream] < BLIND and frame.objects:
            self.blind[frame.stream] += 1 if not seen else BLIND
            if self.blind[frame.stream] == BLIND and not seen:
                self.context.warn("no object has an identity, so nothing is counted: put track before", frame.stream)
        frame.extras["analytics"] = [rule.update(seen, frame) for rule in rules]

    def end_stream(self, stream: str) -> Iterator[Item]:
        for rule in self.rules.get(stream, ()):  # counts stay for the summary
            if rule.counter is not None:
                rule.counter.forget()
        if not self.rules.get(stream):
            self.rules.pop(stream, None)
        self.sizes.pop(stream, None)
        self.blind.pop(stream, None)
        return super().end_stream(stream)

    def totals(self) -> dict[str, dict[str, dict[str, Any]]]:
        """{stream: {"lines": {name: {"in", "out", "classes"}}, "zones": {name: {"entered", …}}}}, ended streams too."""
        out: dict[str, dict[str, dict[str, Any]]] = {}
        for stream, rules in self.rules.items():
            found = out[stream] = {"lines": {}, "zones": {}}
            for rule in rules:
                if rule.counter is not None:
                    found[f"{rule.kind}s"][rule.name] = rule.counter.totals()
        return out
