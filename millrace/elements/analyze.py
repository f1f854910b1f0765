"""Identities → counts and events."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ..analytics import triggers
from ..analytics.nvdsanalytics import Analytics, read_nvdsanalytics
from ..analytics.settings import KIND, Described, check, check_world, is_yaml, read_yaml
from ..analytics.stream import Options, StreamAnalytics, concerns, countables
from ..core.element import Context, Element, Seconds, setting, state
from ..core.errors import ConfigError, OutputError, SettingError
from ..core.item import Item, StreamStart
from ..media import Frame, Image
from . import _recording as _recording  # rules may ask for clips

BLIND = 50  # frames with objects and not one identity: tell the user
TABLES = ("lines", "zones", "directions")
IN_FILE = (*TABLES, "rules", "world")


class Analyze(Element):
    """Count what crosses lines and who is in zones: `analyze: {lines: {door: {points: [[0, 0.8], [1, 0.8]]}}}`.

    Points that are all at most 1 are fractions of the picture, else source pixels. "in" is from the left to the
    right of one who walks from the first point of a line to the second, so downwards for a line drawn from left to
    right. Lines and zones may name the `streams` and `classes` that they are for (default all), the `anchor` (the
    point of the box that counts: bottom, centre, …) and the `margin` (object heights past the line that make a
    crossing). A zone may watch for overcrowding (`crowd`, `crowd_for`), loitering (`loiter`), standing (`stopped`),
    the `wrong_way` and speed (`speed_over`, `speed_under`); docs/analytics.md has all of it. `rules` do something
    when a condition comes true: `rules: {full: {when: "zone.dock.count > 5 for 2s", do: [log]}}`.

    Only objects with an identity count: put `track` before. Adds to `frame.events`, to `frame.extras["analytics"]`
    (what `draw` and `json` show) and to each object's `extras["analytics"]`.
    """

    lines: dict[str, Any] = setting(factory=dict, help="name: {points: [[x, y], [x, y]], streams, classes, …}")
    zones: dict[str, Any] = setting(factory=dict, help="name: {points: [[x, y], …], streams, classes, …}")
    directions: dict[str, Any] = setting(factory=dict, help="name: {points: [from, to], streams, classes}")
    rules: dict[str, Any] = setting(factory=dict, help='name: {when: "zone.dock.count > 5 for 2s", do: [log]}')
    world: dict[str, Any] = setting(
        factory=dict, help="{image: points, world: metres} of the ground, or stream: such a table (millrace calibrate)"
    )
    config: str | None = setting(
        default=None, help="a file of these tables (.yaml), or DeepStream's nvdsanalytics file"
    )
    updates: Seconds = setting(default=10.0, help="an event that lasts is told again so often; 0: never", minimum=0)
    occupancy: Seconds | None = setting(
        default=None, help="mean and peak of each zone in stretches of so long", minimum=0.1
    )
    heatmap: int = setting(default=0, help="pixels of a cell of the map of where time is spent; 0: no map", minimum=0)
    speeds: bool = setting(default=False, help="speeds without a calibration too, in pixels per second")
    predicted: bool = setting(default=False, help="count objects that a tracker alone sees (one that looks at pixels)")
    time_threshold: bool = setting(
        default=False, help="apply time-threshold of DeepStream's file, in seconds; DeepStream itself does not"
    )
    trace: bool = setting(default=False, help="keep the facts of each event, and of crossings that did not count")
    report: str | None = setting(default=None, help="a JSON file of all totals, written at the end")

    described: list[Described] = state(list)
    theirs: Analytics | None = state(lambda: None)
    watched: dict[str, Any] = state(dict)  # rules, as they were given
    places: dict[str, Any] = state(dict)  # calibrations by stream
    streams: dict[str, StreamAnalytics] = state(dict)
    order: list[str] = state(list)
    blind: dict[str, int] = state(dict)
    frames: dict[str, int] = state(dict)  # numbers of the last ones

    def validate(self) -> None:
        tables: dict[str, Mapping[str, Any]] = {name: getattr(self, name) for name in IN_FILE}
        self.described, self.theirs = [], None
        if self.config is not None and (data := own_tables(self.config)) is not None:
            tables = {name: {**(data.get(name) or {}), **tables[name]} for name in IN_FILE}
        elif self.config is not None:
            self.theirs = read_nvdsanalytics(self.config, time_threshold=self.time_threshold)
            self.described = list(self.theirs.described)
        self.described += [
            Described(KIND[table], name, check(table, name, given))
            for table in ("zones", "lines", "directions")
            for name, given in tables[table].items()
        ]
        self.places = check_world(tables["world"]) if tables["world"] else {}
        known = countables(self.described)
        for name, given in tables["rules"].items():
            triggers.check(name, given, known)
        self.watched = {
            name: {"when": given} if isinstance(given, str) else given for name, given in tables["rules"].items()
        }
        folder = os.path.dirname(self.report or "")
        if folder and not os.path.isdir(folder):
            raise SettingError("analyze", "report", self.report, f"the folder {folder} does not exist; create it")

    def open(self, context: Context) -> None:
        self.validate()
        self.context = context
        if self.theirs is not None and self.theirs.report is not None:
            for line in self.theirs.report.warnings():
                context.warn(line, None)

    def expect(self, streams: Sequence[str]) -> None:
        self.order += [stream for stream in streams if stream not in self.order]

    def start_stream(self, start: StreamStart) -> StreamStart:
        stream = start.stream
        if stream not in self.streams:
            self.streams[stream] = self._analytics(stream)
        elif start.discontinuity:
            self.streams[stream].jump()
        self.blind[stream] = 0
        return start

    def process_frame(self, frame: Frame) -> None:
        own = self.streams[frame.stream]
        if not own.busy:
            return
        own.update(frame)
        self.frames[frame.stream] = frame.index
        if self.blind[frame.stream] < BLIND and frame.objects:
            seen = any(found.id is not None for found in frame.objects)
            self.blind[frame.stream] += 1 if not seen else BLIND
            if self.blind[frame.stream] == BLIND and not seen and own.by_identity:
                self.context.warn("no object has an identity, so nothing is counted: put track before", frame.stream)

    def closing(self, stream: str, last: Frame | None) -> Frame | None:
        own = self.streams.get(stream)
        if own is None or own.size is None:
            return last
        frame = last or Frame(stream, self.frames.get(stream, 0), 0, Image("GRAY8", (), *own.size))
        own.close(frame)
        return frame if frame.events else last

    def end_stream(self, stream: str) -> Iterator[Item]:
        own = self.streams.get(stream)
        if own is not None:
            own.end()  # counts stay for the summary
            if not own.busy:
                del self.streams[stream]
        self.blind.pop(stream, None)
        self.frames.pop(stream, None)
        return super().end_stream(stream)

    def close(self) -> None:
        if self.report is not None:
            try:
                with open(self.report, "w", encoding="utf-8") as file:
                    json.dump(self.totals(), file, indent=1)
                    file.write("\n")
            except OSError as error:
                raise OutputError(self.report, error) from error

    def totals(self) -> dict[str, dict[str, Any]]:
        """{stream: {"lines": {name: …}, "zones": {name: …}, …}} with all that was counted, of ended streams too."""
        return {stream: own.totals() for stream, own in self.streams.items()}

    def _analytics(self, stream: str) -> StreamAnalytics:
        if stream not in self.order:
            self.order.append(stream)
        mine = [each for each in self.described if concerns(each, stream, self.order)]
        rules = {
            name: given for name, given in self.watched.items()
            if given.get("streams") is None or stream in given["streams"]
        }  # fmt: skip
        options = Options(self.updates, self.occupancy, self.heatmap, self.speeds, self.predicted, self.trace)
        if self.theirs is not None and self.theirs.described:
            options.counts, options.counts_shown = self.theirs.window, self.theirs.shown
        return StreamAnalytics(stream, mine, rules, options, self.places.get(stream, self.places.get("*")))


def own_tables(path: str) -> dict[str, Any] | None:
    """The tables of a YAML file of ours, checked; None for a file of DeepStream's. Raises ConfigError."""
    if not is_yaml(path):
        return None
    data = read_yaml(path)
    if "property" in data:
        return None
    wrong = [key for key in data if key not in IN_FILE]
    if wrong:
        raise ConfigError(f"{path}: {wrong[0]!r} is not known; there are {', '.join(IN_FILE)}")
    for name in IN_FILE:
        if not isinstance(data.get(name) or {}, dict):
            raise ConfigError(f"{path}: {name} is a table of names")
    return data
