"""GLib key files as DeepStream reads them: `[group]`, `key=value`, lists with `;`.

The rules are those of GLib's GKeyFile with no flags (docs.gtk.org/glib/struct.KeyFile.html; the tests compare with the
library itself where it is installed): a later key replaces an earlier one, groups of one name are one group, blanks
before a value go and those after it stay, `#` starts a comment only at the start of a line, and quotes are letters. A
byte order mark, which GLib refuses, is passed over.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from ..core.errors import ConfigError

_BLANK = " \t\n\r\f"  # of g_ascii_isspace; C's isspace, before a number, has \v too
_CONTROL = re.compile(r"[\x00-\x1f\x7f\[\]]")
_KEY = re.compile(r"(?! )[^=\[\]]*[^=\[\] ](?:\[[\w.@-]*\])?")
_INTEGER = re.compile(r"[ \t\n\r\v\f]*([+-]?[0-9]+)(?:[ \t\n\r\f].*)?", re.DOTALL)
_DECIMAL = re.compile(r"[ \t\n\r\v\f]*[+-]?(?:(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:e[+-]?[0-9]+)?|inf(?:inity)?|nan)", re.I)
_HEXADECIMAL = re.compile(r"[ \t\n\r\v\f]*[+-]?0x(?:[0-9a-f]+\.?[0-9a-f]*|\.[0-9a-f]+)(?:p[+-]?[0-9]+)?", re.I)
_ESCAPES = {"s": " ", "n": "\n", "t": "\t", "r": "\r", "\\": "\\"}


class Notation(Protocol):
    """How a kind of file writes values. Each method raises ValueError with the end of a sentence: `is not …`."""

    def integer(self, text: str) -> int: ...
    def number(self, text: str) -> float: ...
    def boolean(self, text: str) -> bool: ...
    def text(self, text: str) -> str: ...
    def items(self, text: str) -> list[str]: ...


@dataclass(frozen=True, slots=True)
class Entry:
    """One key as it stands in the file: its value unread, and its line (from 1).

    `items`: the texts of a value that the notation itself makes a list (a YAML sequence); else None.
    """

    key: str
    text: str
    line: int
    items: tuple[str, ...] | None = None


@dataclass(slots=True)
class Group:
    """The keys of one group, in order, with those that were given again."""

    name: str
    line: int
    entries: list[Entry] = field(default_factory=list)

    def get(self, key: str) -> Entry | None:
        """The entry that counts: the last of that key."""
        return next((entry for entry in reversed(self.entries) if entry.key == key), None)


@dataclass(slots=True)
class KeyFile:
    """The groups of a file by name, in order of first appearance. `notation` reads their values."""

    path: str
    notation: Notation
    groups: dict[str, Group] = field(default_factory=dict)

    def group(self, name: str, line: int) -> Group:
        """The group of that name, made at `line` if it is new."""
        return self.groups.setdefault(name, Group(name, line))


class GLib:
    """The value types of GKeyFile."""

    def integer(self, text: str) -> int:
        """Digits with a sign; what follows a blank is not looked at. 32 bits."""
        match = _INTEGER.fullmatch(text)
        if match is None:
            raise ValueError("is not a whole number")
        value = int(match[1]) if len(match[1]) < 20 else 1 << 64
        if not -(1 << 31) <= value < 1 << 31:
            raise ValueError("does not fit into 32 bits")
        return value

    def number(self, text: str) -> float:
        """A C number, hexadecimal too, and nothing after it, not even a blank."""
        if _DECIMAL.fullmatch(text):
            return float(text)
        if _HEXADECIMAL.fullmatch(text):
            try:
                return float.fromhex(text.strip())
            except OverflowError:
                return float("-inf" if "-" in text.partition("x")[0] else "inf")
        stripped = text.rstrip(_BLANK)
        if stripped != text and _DECIMAL.fullmatch(stripped):
            raise ValueError("is not a number: blanks follow it")
        if _DECIMAL.match(text) and "#" in text:
            raise ValueError("is not a number: a comment needs a line of its own")
        raise ValueError("is not a number")

    def boolean(self, text: str) -> bool:
        word = text.rstrip(_BLANK)
        if word not in ("true", "false", "1", "0"):
            raise ValueError("is neither 0 nor 1, true nor false")
        return word in ("true", "1")

    def text(self, text: str) -> str:
        return _unescape(text, separator="")[0]

    def items(self, text: str) -> list[str]:
        parts = _unescape(text, separator=";")
        return parts if parts[-1] else parts[:-1]


def _unescape(text: str, separator: str) -> list[str]:
    r"""The text with `\s \n \t \r \\` decoded, cut at each bare separator; `\;` is the separator itself."""
    if not _is_unicode(text):
        raise ValueError("is not UTF-8 text")
    if "\\" not in text:
        return text.split(separator) if separator else [text]
    parts = [""]
    letters = iter(text)
    for letter in letters:
        if letter == "\\":
            code = next(letters, "")
            if code not in _ESCAPES and (code != separator or not code):
                raise ValueError(f"has the escape '\\{code}'; there are \\s \\n \\t \\r \\\\")
            parts[-1] += _ESCAPES.get(code, code)
        elif letter == separator:
            parts.append("")
        else:
            parts[-1] += letter
    return parts


def _is_unicode(text: str) -> bool:
    return not any("\ud800" <= letter <= "\udfff" for letter in text)


def read_keyfile(path: str | os.PathLike[str]) -> KeyFile:
    """Read a key file. Raises ConfigError with file and line."""
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror or error}") from error
    return parse_keyfile(data.decode("utf-8", "surrogateescape"), os.fspath(path))


def parse_keyfile(text: str, name: str = "<text>") -> KeyFile:
    """The groups of a key file's text. Raises ConfigError with name and line."""
    file = KeyFile(name, GLib())
    group: Group | None = None
    for number, whole in enumerate(text.removeprefix("\ufeff").replace("\r\n", "\n").split("\n"), 1):
        line = whole.lstrip(_BLANK)
        if not line or line.startswith("#"):
            continue
        if "\0" in line:
            raise ConfigError(f"{name}:{number}: is not text: it holds a zero byte")
        if line.startswith("[") and "]" in line and not line.partition("]")[2].strip(" \t"):
            group = file.group(_group_name(line, f"{name}:{number}"), number)
        elif "=" not in line or line.startswith("="):
            raise ConfigError(f"{name}:{number}: {line[:60]!r} is no [group], no key=value and no # comment")
        elif group is None:
            raise ConfigError(f"{name}:{number}: a key stands before the first [group]")
        else:
            key, _, value = line.partition("=")
            key = key.rstrip(_BLANK)
            if not _KEY.fullmatch(key):
                raise ConfigError(f"{name}:{number}: {key[:60]!r} cannot be the name of a key")
            group.entries.append(Entry(key, value.lstrip(_BLANK), number))
    return file


def _group_name(line: str, place: str) -> str:
    found = line[1 : line.index("]")]
    if not found or _CONTROL.search(found):
        raise ConfigError(f"{place}: {line[:60]!r} cannot be the name of a group")
    return found
