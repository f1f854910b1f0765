"""DeepStream's YAML files: the same groups and keys as its key files, and lists that are still written `a;b;c`.

Values are read as yaml-cpp converts them (github.com/jbeder/yaml-cpp, include/yaml-cpp/node/convert.h). A mapping in a
group is the group `outer.inner`, a mapping in a list `outer.0`; keys outside any group belong to the group "".
"""

from __future__ import annotations

import os
import re
from typing import Any

from ..core.errors import ConfigError
from .keyfile import Entry, KeyFile
from .paths import read_text

_MOST_VALUES = 100_000  # aliases of aliases can make a small file huge
_DEEPEST = 32
_INTEGER = re.compile(r"([+-]?)(0[xX][0-9a-fA-F]+|0[0-7]*|[1-9][0-9]*)\s*")
_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?\s*")
_SPECIAL = {".inf": "inf", "+.inf": "inf", "-.inf": "-inf", ".nan": "nan"}
_TRUE = ("true", "yes", "on", "y", "1")
_FALSE = ("false", "no", "off", "n", "0")


class Yaml:
    """The value types of yaml-cpp. Lists are texts cut at `;`, blanks around an item do not count."""

    def integer(self, text: str) -> int:
        match = _INTEGER.fullmatch(text)
        if match is None:
            raise ValueError("is not a whole number")
        digits = match[2]
        base = 16 if digits[1:2] in ("x", "X") else 8 if digits.startswith("0") else 10
        value = int(digits, base) if len(digits) < 40 else 1 << 64
        value = -value if match[1] == "-" else value
        if not -(1 << 31) <= value < 1 << 32:
            raise ValueError("does not fit into 32 bits")
        return value

    def number(self, text: str) -> float:
        if _NUMBER.fullmatch(text):
            return float(text)
        special = _SPECIAL.get(text.lower())
        if special is None:
            raise ValueError("is not a number")
        return float(special)

    def boolean(self, text: str) -> bool:
        word = text.lower()
        if word not in _TRUE + _FALSE:
            raise ValueError("is neither 0 nor 1, true nor false")
        return word in _TRUE

    def text(self, text: str) -> str:
        return text

    def items(self, text: str) -> list[str]:
        parts = [part.strip() for part in text.split(";")]
        return parts if parts[-1] else parts[:-1]


def read_yamlfile(path: str | os.PathLike[str]) -> KeyFile:
    """Read a YAML file of groups and keys. Raises ConfigError with file and line."""
    return parse_yamlfile(read_text(path), os.fspath(path))


def parse_yamlfile(text: str, name: str = "<text>") -> KeyFile:
    """The groups of a YAML text. Raises ConfigError with name and line."""
    import yaml

    # OpenCV writes `%YAML:1.0`, which is no directive of YAML's; yaml-cpp passes over it.
    text = re.sub(r"\A(?:\s|#.*\n)*%YAML:", lambda match: match[0].replace("%YAML:", "#     "), text)
    try:
        root: Any = yaml.compose(text, Loader=yaml.BaseLoader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
        what = getattr(error, "problem", None) or str(error)
        raise ConfigError(f"{name}:{mark.line + 1 if mark else 1}: not valid YAML: {what}") from error
    except RecursionError:
        raise ConfigError(f"{name}:1: not valid YAML: nested too deeply") from None
    file = _Walk(KeyFile(name, Yaml()))
    if root is not None:
        if root.id != "mapping":
            raise ConfigError(f"{name}:{root.start_mark.line + 1}: there are no groups: a mapping is expected")
        file.mapping("", root, 0)
    return file.file


class _Walk:
    """Lays the nodes of a document out as groups."""

    def __init__(self, file: KeyFile) -> None:
        self.file = file
        self.values = 0

    def mapping(self, name: str, node: Any, depth: int) -> None:
        line = node.start_mark.line + 1
        if depth > _DEEPEST:
            raise ConfigError(f"{self.file.path}:{line}: nested too deeply")
        group = self.file.group(name, line) if name else None
        for key_node, value in node.value:
            line = key_node.start_mark.line + 1
            self.count(line)
            if key_node.id != "scalar":
                raise ConfigError(f"{self.file.path}:{line}: a key must be a plain word")
            key = key_node.value
            inner = f"{name}.{key}" if name else key
            if value.id == "mapping":
                self.file.group(inner, line)
                self.mapping(inner, value, depth + 1)
            elif value.id == "sequence" and any(item.id == "mapping" for item in value.value):
                self.sequence(inner, value, depth + 1)
            else:
                group = group or self.file.group(name, line)
                group.entries.append(self.entry(key, value, line))

    def sequence(self, name: str, node: Any, depth: int) -> None:
        for index, item in enumerate(node.value):
            if item.id != "mapping":
                line = item.start_mark.line + 1
                raise ConfigError(f"{self.file.path}:{line}: mappings and other values stand in one list")
            self.mapping(f"{name}.{index}", item, depth + 1)

    def entry(self, key: str, node: Any, line: int) -> Entry:
        if node.id == "scalar":
            return Entry(key, node.value, line)
        items = tuple(self.item(item, line, 0) for item in node.value)
        return Entry(key, ";".join(items), line, items)

    def item(self, node: Any, line: int, depth: int) -> str:
        self.count(line)
        if node.id == "scalar":
            return str(node.value)
        if node.id == "mapping" or depth > _DEEPEST:
            raise ConfigError(f"{self.file.path}:{node.start_mark.line + 1}: nested too deeply")
        return ";".join(self.item(item, line, depth + 1) for item in node.value)

    def count(self, line: int) -> None:
        self.values += 1
        if self.values > _MOST_VALUES:
            raise ConfigError(f"{self.file.path}:{line}: more than {_MOST_VALUES} values")
