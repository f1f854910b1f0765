"""What the readers of the groups share: the plan as it grows, whether a group is on, files and places in the file."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ...core.errors import ConfigError
from ...deepstream import Report, Section
from ...deepstream.paths import where_else
from ..plan import Plan, Step

OFF = "the group is off (enable)"
NO_ENABLE = "the group has no `enable`: DeepStream passes over it, too"
MEMORY = "memory and GPU are not chosen by hand here: `device`"


@dataclass(frozen=True, slots=True)
class Missing:
    """A file or an address that a key names and that is not there, and the sentence that says so."""

    group: str
    key: str
    path: str
    text: str

    def __str__(self) -> str:
        return self.text


@dataclass(slots=True)
class App:
    """What a file of deepstream-app amounts to.

    `missing`: what it names and what is not there. `perf`: seconds between **PERF lines, None:
    there are none. `sample`: the file of a sample application, whose groups are on where `enable` is not given.
    """

    report: Report
    plan: Plan = field(default_factory=Plan)
    missing: list[Missing] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    perf: float | None = None
    sample: bool = False
    uri: str = ""  # of the first source that gives none (-i)
    surfaces: dict[str, int] = field(default_factory=dict)  # streams of which a dewarper makes so many
    captions: bool = False  # tiles show captions even where there are several (-t)
    recorders: dict[str, Step] = field(default_factory=dict)  # of streams with smart-record

    def streams(self) -> list[str]:
        """The streams behind the dewarpers, in their order: what tiles and sinks count."""
        names = []
        for stream in self.plan.streams:
            parts = self.surfaces.get(stream.name, 1)
            names += [stream.name] if parts == 1 else [f"{stream.name}.{number}" for number in range(parts)]
        return names

    def on(self, section: Section) -> bool:
        """Whether a group counts; the keys of one that does not are passed over."""
        if not section.given:
            return False
        enabled = section.integer("enable", 1 if self.sample else None)
        if not enabled:
            why = OFF if enabled == 0 else NO_ENABLE
            section.ignore(why, *(entry.key for entry in section.group.entries if entry.key != "enable"))
            if enabled == 0:
                section.note("enable", "off")
        return bool(enabled)

    def file(self, section: Section, *keys: str) -> str | None:
        """The path that the first of these keys gives; noted as missing when nothing is there."""
        found = None
        for key in keys:
            path = section.path(key, None)
            if path is None or found is not None:
                continue
            found = os.fspath(path)
            if not os.path.isfile(path):
                self.lack(section, key, found, section.text(key, ""))
        return found

    def lack(self, section: Section, key: str, path: str, written: str, why: str = "") -> None:
        """Note that a file is not there; `why` says what else is wrong with it."""
        entry = section.group.get(key)
        line = entry.line if entry else section.group.line
        place = f"{self.report.file.path}:{line}: [{section.group.name}] {key}"
        text = f"{place}: {why or f'there is no file {path}'}{where_else(written)}"
        self.missing.append(Missing(section.group.name, key, path, text))


class At:
    """The `where` of what a group asks for. `keys` says which key of the group a setting comes from."""

    def __init__(self, section: Section, keys: Mapping[str, str] | None = None) -> None:
        self.section = section
        self.keys = keys or {}

    def error(self, message: str, *keys: str | int) -> ConfigError:
        section = self.section
        key = self.keys.get(str(keys[0])) if keys else None
        entry = section.group.get(key) if key else None
        line, said = (entry.line, f" {key}") if entry else (section.group.line, "")
        return ConfigError(f"{section.report.file.path}:{line}: [{section.group.name}]{said}: {message}")


def step(
    section: Section,
    element: str,
    settings: Mapping[str, Any] | None = None,
    keys: Mapping[str, str] | None = None,
    name: str | None = None,
) -> Step:
    """A step with the settings that are not None, placed in its group."""
    given = {key: value for key, value in (settings or {}).items() if value is not None}
    return Step(element, given, name=name, where=At(section, keys))
