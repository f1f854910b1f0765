"""The table of elements (elements.yaml): what each element of a launch line is here, and each of its properties."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Literal

Kind = Literal["source", "filter", "sink", "pass", "refused"]
FILE = Path(__file__).with_name("elements.yaml")


@dataclass(slots=True, eq=False)
class Alias:
    """One element of GStreamer. `applied`: property → its type and what it is here; `ignored`: property → why.

    `takes` is empty for a source; "any" stands for all kinds. `gives` is "" where it gives what it takes.
    """

    name: str
    kind: Kind
    here: str = ""
    make: str = ""
    takes: tuple[str, ...] = ()
    gives: str = ""
    codecs: tuple[str, ...] = ()
    containers: tuple[str, ...] = ()
    shapes: tuple[str, ...] = ()
    sink_pad: str = "sink"
    src_pad: str = "src"
    applied: dict[str, tuple[str, str]] = field(default_factory=dict)
    ignored: dict[str, str] = field(default_factory=dict)
    why: str = ""
    free: bool = False
    names: tuple[str, ...] = ()  # it and those that are the same


@dataclass(frozen=True, slots=True)
class Table:
    """All elements by every name they have, and the enumerations of their properties."""

    elements: dict[str, Alias]
    types: dict[str, dict[str, int]]

    @property
    def aliases(self) -> list[Alias]:
        """Each once, in the order of the file."""
        return list(dict.fromkeys(self.elements.values()))


@cache
def table() -> Table:
    """The table, read once."""
    import yaml

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    data: dict[str, Any] = yaml.load(FILE.read_text(encoding="utf-8"), Loader=loader)
    groups, reasons = data["groups"], data["reasons"]
    elements: dict[str, Alias] = {}
    for name, said in data["elements"].items():
        alias = _alias(name, said, groups, reasons)
        for each in alias.names:
            elements[each] = alias
    types = {name: {str(nick): number for nick, number in values.items()} for name, values in data["types"].items()}
    return Table(elements, types)


def _alias(name: str, said: Mapping[str, Any], groups: Mapping[str, Any], reasons: Mapping[str, str]) -> Alias:
    layers = [groups["element"], *_groups(said, groups), said]
    plain: dict[str, Any] = {}
    applied: dict[str, tuple[str, str]] = {}
    ignored: dict[str, str] = {}
    for layer in layers:
        plain |= {key: value for key, value in layer.items() if key not in ("applied", "ignored", "like", "aliases")}
        for reason, names in layer.get("ignored", {}).items():
            ignored |= {str(each): reasons.get(reason, reason) for each in names}
        applied |= {key: (kind, text) for key, (kind, text) in layer.get("applied", {}).items()}
    ignored = {key: reason for key, reason in ignored.items() if key not in applied}
    pads = plain.get("pads", {})
    return Alias(
        name, plain["kind"], plain.get("here", ""), plain.get("make", ""), _tuple(plain.get("takes")),
        plain.get("gives", ""), _tuple(plain.get("codecs")), _tuple(plain.get("containers")),
        _tuple(plain.get("shapes")), pads.get("sink", "sink"), pads.get("src", "src"), applied, ignored,
        plain.get("why", ""), plain.get("free", False), (name, *said.get("aliases", ())),
    )  # fmt: skip


def _groups(said: Mapping[str, Any], groups: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    out: list[Mapping[str, Any]] = []
    for name in said.get("like", ()):
        out += [*_groups(groups[name], groups), groups[name]]
    return out


def _tuple(value: Any) -> tuple[str, ...]:
    return () if value is None else (value,) if isinstance(value, str) else tuple(value)
