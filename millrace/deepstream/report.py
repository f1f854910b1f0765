"""What became of each key of a file: applied, ignored (and why), or unknown. All readers of DeepStream's files use it.

A reader takes keys from sections; whatever nobody took is unknown. Wrong values are gathered and raised together:

    report = Report(read("config_infer_primary.txt"))
    model = report.section("property")
    batch = model.integer("batch-size", 1, least=1)
    model.ignore("memory is not chosen by hand here", "gpu-id", "workspace-size")
    report.finish()
    print(report.text())
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeVar

from ..core.errors import ConfigError, did_you_mean
from .keyfile import Entry, Group, KeyFile, Notation
from .paths import resolve

T = TypeVar("T")
V = TypeVar("V")
Status = Literal["applied", "ignored", "unknown", "wrong"]


@dataclass(frozen=True, slots=True)
class Finding:
    """What became of one key. `key` is empty where a whole group is meant; `why` may be empty for applied keys."""

    group: str
    key: str
    line: int
    status: Status
    why: str = ""

    def __str__(self) -> str:
        where = f"[{self.group}]" if self.group else ""
        return f"{where} {self.key}".strip() + f": {self.status}" + (f": {self.why}" if self.why else "")


class Report:
    """The findings of one file."""

    def __init__(self, file: KeyFile) -> None:
        self.file = file
        self.others: list[Finding] = []  # about groups, and about keys that are missing
        self._sections: dict[str, Section] = {}

    def section(self, name: str) -> Section:
        """The group of that name, to take keys from; one that is not there has no keys."""
        if name not in self._sections:
            self._sections[name] = Section(self, self.file.groups.get(name) or Group(name, 1))
        return self._sections[name]

    def sections(self, pattern: str) -> Iterator[tuple[re.Match[str], Section]]:
        """The groups there are whose whole name matches, in the order of the file, each with its match."""
        for name in list(self.file.groups):
            if match := re.fullmatch(pattern, name):
                yield match, self.section(name)

    def ignore(self, why: str, pattern: str) -> None:
        """Pass over all keys of the groups whose whole name matches."""
        for _, section in self.sections(pattern):
            section.ignore(why, *(entry.key for entry in section.group.entries))

    def findings(self) -> list[Finding]:
        """One for each key of the file, in its order; what no reader took is unknown."""
        found = list(self.others)
        for name, group in self.file.groups.items():
            section = self._sections.get(name)
            if section is not None:
                found += section.findings()
                continue
            why = "there is no such group." + did_you_mean(name, self._sections)
            why = why if name else "it stands outside any group: indent it below one"
            found += [Finding(name, entry.key, entry.line, "unknown", why) for entry in group.entries]
            if not group.entries:
                found.append(Finding(name, "", group.line, "unknown", why))
        return sorted(found, key=lambda finding: finding.line)

    def counts(self) -> Counter[Status]:
        """How many keys there are of each status."""
        return Counter(finding.status for finding in self.findings())

    def finish(self) -> None:
        """Raises ConfigError with a line for each value that is wrong."""
        wrong = [self._sentence(finding) for finding in self.findings() if finding.status == "wrong"]
        if wrong:
            raise ConfigError("\n".join(wrong))

    def warnings(self) -> list[str]:
        """A line for each key that is unknown."""
        return [
            f"{self.file.path}:{finding.line}: {finding}" for finding in self.findings() if finding.status == "unknown"
        ]

    def text(self) -> str:
        """A line for each key and their sum, to be printed."""
        lines = [self.file.path]
        lines += [f"{finding.line:>5}  {finding}" for finding in self.findings()]
        sums = [f"{number} {status}" for status, number in self.counts().most_common()]
        return "\n".join([*lines, f"{sum(self.counts().values())} keys: {', '.join(sums) or 'none'}"])

    def _sentence(self, finding: Finding) -> str:
        where = " ".join(part for part in (f"[{finding.group}]" if finding.group else "", finding.key) if part)
        return f"{self.file.path}:{finding.line}: {where}: {finding.why}"


class Section:
    """The keys of one group, for a reader to take. A value of the wrong type is noted and reads as the default."""

    def __init__(self, report: Report, group: Group) -> None:
        self.report = report
        self.group = group
        self._taken: dict[str, tuple[Status, str]] = {}

    def __contains__(self, key: str) -> bool:
        return self.group.get(key) is not None

    @property
    def taken(self) -> frozenset[str]:
        """The keys that a reader has asked for, there or not."""
        return frozenset(self._taken)

    @property
    def given(self) -> bool:
        """Whether the file has this group."""
        return self.group.name in self.report.file.groups

    def keys(self, pattern: str) -> list[tuple[re.Match[str], str]]:
        """The keys there are whose whole name matches, each once, in the order of the file."""
        names = dict.fromkeys(entry.key for entry in self.group.entries)
        return [(match, name) for name in names if (match := re.fullmatch(pattern, name))]

    def integer(self, key: str, default: T, least: int | None = None, most: int | None = None) -> int | T:
        return self._take(key, default, lambda entry: _within(self._notation.integer(entry.text), least, most))

    def number(self, key: str, default: T, least: float | None = None, most: float | None = None) -> float | T:
        return self._take(key, default, lambda entry: _within(self._notation.number(entry.text), least, most))

    def boolean(self, key: str, default: T) -> bool | T:
        return self._take(key, default, lambda entry: self._notation.boolean(entry.text))

    def text(self, key: str, default: T) -> str | T:
        return self._take(key, default, lambda entry: self._notation.text(entry.text))

    def path(self, key: str, default: T) -> Path | T:
        """A path, relative to the folder of the file. Whether it is there is not looked at."""
        return self._take(key, default, lambda entry: resolve(self._notation.text(entry.text), self.report.file.path))

    def choice(self, key: str, default: T, values: Mapping[int, V]) -> V | T:
        """What a number stands for."""

        def read(entry: Entry) -> V:
            number = self._notation.integer(entry.text)
            if number not in values:
                raise ValueError("is not one of " + ", ".join(f"{n} ({v})" for n, v in values.items()))
            return values[number]

        return self._take(key, default, read)

    def word(self, key: str, default: T, values: Mapping[str, V]) -> V | T:
        """What a name stands for, as in a list of names that protobuf calls an enum."""

        def read(entry: Entry) -> V:
            if entry.text not in values:
                names = [name for name in values if not name.isdigit()]
                raise ValueError(f"is not one of {', '.join(names)}.{did_you_mean(entry.text, names)}")
            return values[entry.text]

        return self._take(key, default, read)

    def texts(self, key: str, default: T) -> tuple[str, ...] | T:
        return self._take(key, default, self._items)

    def integers(self, key: str, default: T) -> tuple[int, ...] | T:
        return self._take(key, default, lambda entry: tuple(map(self._notation.integer, self._items(entry))))

    def numbers(self, key: str, default: T) -> tuple[float, ...] | T:
        return self._take(key, default, lambda entry: tuple(map(self._notation.number, self._items(entry))))

    def ignore(self, why: str, *keys: str) -> None:
        """These keys, where they are given, are understood and have no effect. A value found wrong before stays so."""
        self._taken |= {key: ("ignored", why) for key in keys if self._taken.get(key, ("",))[0] != "wrong"}

    def note(self, key: str, why: str) -> None:
        """A remark on a key that is applied."""
        self._taken[key] = ("applied", why)

    def reject(self, key: str, why: str) -> None:
        """This key's value is wrong; one that is not given is missing. `Report.finish` raises it."""
        if key in self:
            self._taken[key] = ("wrong", why)
        else:
            self.report.others.append(Finding(self.group.name, key, self.group.line, "wrong", why))

    def need(self, *keys: str) -> None:
        """These keys must be given."""
        for key in keys:
            if key not in self:
                self.reject(key, "is missing")

    def findings(self) -> list[Finding]:
        """One for each key; a key that is given again below is ignored."""
        last = {entry.key: entry for entry in self.group.entries}
        return [
            Finding(self.group.name, entry.key, entry.line, *self._status(entry))
            if last[entry.key] is entry
            else Finding(self.group.name, entry.key, entry.line, "ignored", f"line {last[entry.key].line} counts")
            for entry in self.group.entries
        ]

    def _status(self, entry: Entry) -> tuple[Status, str]:
        if entry.key in self._taken:
            return self._taken[entry.key]
        return "unknown", did_you_mean(entry.key, self._taken).strip()

    @property
    def _notation(self) -> Notation:
        return self.report.file.notation

    def _items(self, entry: Entry) -> tuple[str, ...]:
        return entry.items if entry.items is not None else tuple(self._notation.items(entry.text))

    def _take(self, key: str, default: T, read: Callable[[Entry], V]) -> V | T:
        entry = self.group.get(key)
        self._taken.setdefault(key, ("applied", ""))
        if entry is None:
            return default
        try:
            return read(entry)
        except ValueError as error:
            self._taken[key] = ("wrong", f"{entry.text!r} {error}")
            return default


N = TypeVar("N", int, float)


def _within(value: N, least: float | None, most: float | None) -> N:
    if (least is not None and not value >= least) or (most is not None and not value <= most):
        bounds = [f"at least {least:g}"] if least is not None else []
        bounds += [f"at most {most:g}"] if most is not None else []
        raise ValueError(f"is out of range: {' and '.join(bounds)}")
    return value
