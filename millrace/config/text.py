"""YAML text → plain data that remembers the line of every value.

Scalars follow YAML 1.2's core schema (so `on`, `yes` and `12:30` are texts). `${env:NAME}` is replaced by a variable
of the environment, in a plain scalar before its type is decided. A key that stands twice in a mapping is an error.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..core.errors import ConfigError, redact

Place = tuple[str | int, ...]  # the keys and indices that lead to a value

_ENV = re.compile(r"\$\{(\w+):([^}]*)\}")
_INT = re.compile(r"[-+]?[0-9]+")
_BASED = re.compile(r"0x[0-9a-fA-F]+|0o[0-7]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_WORDS: dict[str, Any] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_MOST_VALUES = 100_000  # aliases of aliases can make a small file huge


@dataclass(slots=True)
class Document:
    """A file's data, and where each value stands."""

    name: str
    data: Any = None
    lines: dict[Place, int] = field(default_factory=dict)

    def error(self, place: Place, message: str) -> ConfigError:
        """`pipeline.yaml:12: message`, with the line of the nearest value that encloses the place."""
        while place and place not in self.lines:
            place = place[:-1]
        return ConfigError(f"{self.name}:{self.lines.get(place, 1)}: {redact(message)}")


def read(path: str | Path, environment: Mapping[str, str] | None = None) -> Document:
    """The YAML file at `path`. Raises ConfigError with file and line."""
    try:
        text = Path(path).read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: is not UTF-8 text") from error
    return parse(text, str(path), environment)


def parse(text: str, name: str = "<text>", environment: Mapping[str, str] | None = None) -> Document:
    """YAML text. Raises ConfigError with name and line."""
    import yaml

    try:
        root = yaml.compose(text, Loader=yaml.BaseLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else 1
        raise ConfigError(f"{name}:{line}: not valid YAML: {error.problem or error.context}") from error
    except yaml.YAMLError as error:
        raise ConfigError(f"{name}:1: not valid YAML: {error}") from error
    except RecursionError:
        raise ConfigError(f"{name}:1: not valid YAML: nested too deeply") from None
    reader = _Reader(name, os.environ if environment is None else environment)
    try:
        return reader.read(root)
    except RecursionError:
        raise ConfigError(f"{name}:1: nested too deeply") from None


class _Reader:
    """Walks the nodes of one document."""

    def __init__(self, name: str, environment: Mapping[str, str]) -> None:
        self.document = Document(name)
        self.environment = environment
        self.open: list[Any] = []
        self.values = 0

    def read(self, root: Any) -> Document:
        if root is not None:
            self.document.data = self.value(root, ())
        return self.document

    def value(self, node: Any, place: Place) -> Any:
        self.document.lines.setdefault(place, node.start_mark.line + 1)
        self.values += 1
        if self.values > _MOST_VALUES:
            raise self.document.error(place, f"more than {_MOST_VALUES} values")
        if node.id == "scalar":
            return self.scalar(node, place)
        if any(node is outer for outer in self.open):
            raise self.document.error(place, "an alias that contains itself")
        self.open.append(node)
        try:
            return self.mapping(node, place) if node.id == "mapping" else self.sequence(node, place)
        finally:
            self.open.pop()

    def sequence(self, node: Any, place: Place) -> list[Any]:
        return [self.value(item, (*place, index)) for index, item in enumerate(node.value)]

    def mapping(self, node: Any, place: Place) -> dict[str, Any]:
        out: dict[str, Any] = {}
        merged: list[dict[str, Any]] = []
        first: dict[str, int] = {}
        for key_node, value_node in node.value:
            line = key_node.start_mark.line + 1
            if key_node.id != "scalar":
                raise ConfigError(f"{self.document.name}:{line}: a key must be a plain word")
            key = key_node.value
            here = (*place, key)
            if key in first:
                raise ConfigError(f"{self.document.name}:{line}: {key!r} stands twice (first in line {first[key]})")
            first[key] = line
            if key == "<<":
                found = self.value(value_node, here)
                merged += [part for part in (found if isinstance(found, list) else [found]) if isinstance(part, dict)]
                continue
            self.document.lines[here] = line
            out[key] = self.value(value_node, here)
        for part in merged:
            out = {**part, **out}
        return out

    def scalar(self, node: Any, place: Place) -> Any:
        if not node.tag.startswith("tag:yaml.org,2002:str"):
            raise self.document.error(place, f"the tag {node.tag!r} is not used here")
        text = _ENV.sub(lambda match: self.variable(match, place), node.value)
        return _resolve(text) if node.style is None else text

    def variable(self, match: re.Match[str], place: Place) -> str:
        kind, name = match[1], match[2]
        if kind != "env":
            raise self.document.error(place, f"{match[0]}: only ${{env:NAME}} is replaced")
        if name not in self.environment:
            raise self.document.error(place, f"{match[0]}: the environment has no variable {name!r}")
        return self.environment[name]


def _resolve(text: str) -> Any:
    """The value of a plain scalar by the core schema (YAML 1.2.2, 10.3.2)."""
    if text in _WORDS:
        return _WORDS[text]
    if _INT.fullmatch(text):
        return int(text)
    if _BASED.fullmatch(text):
        return int(text, 0)
    if _FLOAT.fullmatch(text):
        return float(text)
    return text
