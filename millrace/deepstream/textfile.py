"""Protobuf's text format, as nvinferserver's and Triton's configurations are written: `name: value`, `name { … }`.

The rules are those of protobuf.dev/reference/protobuf/textformat-spec. There is no schema here: a message is the group
`outer.inner`, one that is given again `outer.inner#2`, and the readers say what each field holds. `${NAME}`, as
templates have it, is the environment's variable of that name.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple

from ..core.errors import ConfigError
from .keyfile import Entry, KeyFile
from .paths import read_text

_TOKEN = re.compile(
    r"""(?P<blank>[ \t\r\n\f\v]+|\#[^\n]*)
    |(?P<text>"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*')
    |(?P<number>-?[ \t]*(?:0[xX][0-9a-fA-F]+|(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)[fF]?(?![\w.]))
    |(?P<word>-?[A-Za-z_][\w.]*|\$\{\w+\})
    |(?P<mark>[{}<>\[\]:,;/-])""",
    re.VERBOSE,
)
_ESCAPE = re.compile(r"\\(x[0-9a-fA-F]{1,2}|[0-7]{1,3}|.)", re.DOTALL)
_LETTERS = {"n": "\n", "r": "\r", "t": "\t", "a": "\a", "b": "\b", "f": "\f", "v": "\v"}
_CLOSING = {"{": "}", "<": ">"}
_MOST_VALUES = 100_000
_DEEPEST = 50


class Text:
    """The value types of the text format: texts in quotes, numbers, names."""

    def integer(self, text: str) -> int:
        if text.startswith("$"):
            raise ValueError("is a placeholder: set this variable of the environment")
        match = re.fullmatch(r"(-?)\s*(0[xX][0-9a-fA-F]+|0[0-7]*|[1-9][0-9]*)", text)
        if match is None:
            raise ValueError("is not a whole number")
        digits = match[2]
        base = 16 if digits[1:2] in ("x", "X") else 8 if digits.startswith("0") else 10
        value = int(digits, base) if len(digits) < 40 else 1 << 70
        if value >= 1 << 64:
            raise ValueError("does not fit into 64 bits")
        return -value if match[1] else value

    def number(self, text: str) -> float:
        if text.startswith("$"):
            raise ValueError("is a placeholder: set this variable of the environment")
        if re.fullmatch(r"-?\s*0[xX][0-9a-fA-F]+", text):
            return float(self.integer(text))
        if re.fullmatch(r"-?\s*([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?[fF]?", text):
            return float(text.replace(" ", "").replace("\t", "").rstrip("fF"))
        if re.fullmatch(r"-?(inf|infinity|nan)", text, re.IGNORECASE):
            return float(text)
        raise ValueError("is not a number")

    def boolean(self, text: str) -> bool:
        if text not in ("true", "True", "t", "1", "false", "False", "f", "0"):
            raise ValueError("is neither true nor false")
        return text in ("true", "True", "t", "1")

    def text(self, text: str) -> str:
        if text[:1] not in ('"', "'"):
            raise ValueError("is not a text in quotes")
        return _ESCAPE.sub(_letter, text[1:-1])

    def items(self, text: str) -> list[str]:
        return [text]


def _letter(match: re.Match[str]) -> str:
    code = match[1]
    if code.startswith("x") and len(code) > 1:
        return chr(int(code[1:], 16))
    return chr(int(code, 8) & 0xFF) if code[0] in "01234567" else _LETTERS.get(code, code)


class Token(NamedTuple):
    """A piece of the text; `kind` is text, number, word, mark, or end."""

    kind: str
    value: str
    line: int


def read_textfile(path: str | os.PathLike[str]) -> KeyFile:
    """Read a file in text format. Raises ConfigError with file and line."""
    return parse_textfile(read_text(path), os.fspath(path))


def parse_textfile(text: str, name: str = "<text>") -> KeyFile:
    """The messages of a text as groups. Raises ConfigError with name and line."""
    reader = _Reader(KeyFile(name, Text()), _tokens(text, name))
    reader.fields("", "")
    return reader.file


def _tokens(text: str, name: str) -> Iterator[Token]:
    line, at = 1, 0
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            what = (
                "a text without its closing quote"
                if text[at] in "\"'"
                else repr(text[at] if text[at].isspace() else text[at : at + 20].split()[0])
            )
            raise ConfigError(f"{name}:{line}: {what} is not protobuf's text format")
        if match.lastgroup != "blank":
            yield Token(str(match.lastgroup), match[0], line)
        line += match[0].count("\n")
        at = match.end()
    yield Token("end", "", line)


class _Reader:
    """Lays the messages out as groups."""

    def __init__(self, file: KeyFile, tokens: Iterator[Token]) -> None:
        self.file = file
        self.tokens = tokens
        self.token = next(tokens)
        self.values = 0
        self.times: Counter[str] = Counter()  # that a message of that name was given

    def error(self, message: str) -> ConfigError:
        return ConfigError(f"{self.file.path}:{self.token.line}: {message}")

    def take(self) -> Token:
        token = self.token
        if token.kind != "end":
            self.token = next(self.tokens)
        return token

    def accept(self, *marks: str) -> str:
        """The mark that comes next, if it is one of these; else nothing."""
        return self.take().value if self.token.kind == "mark" and self.token.value in marks else ""

    def fields(self, name: str, closing: str, depth: int = 0) -> None:
        """The fields of a message up to its closing bracket."""
        if depth > _DEEPEST:
            raise self.error("nested too deeply")
        while not self.accept(closing):
            if self.token.kind == "end":
                if not closing:
                    return
                raise self.error(f"the message {name!r} is not closed with {closing!r}")
            if self.token.kind != "word":
                raise self.error(f"{self.token.value!r} stands where a field's name is expected")
            self.values += 1
            if self.values > _MOST_VALUES:
                raise self.error(f"more than {_MOST_VALUES} values")
            self.field(name, self.take(), depth)
            self.accept(",", ";")

    def field(self, name: str, field: Token, depth: int) -> None:
        colon = self.accept(":")
        inner = f"{name}.{field.value}" if name else field.value
        if opening := self.accept("{", "<"):
            self.message(inner, field.line, opening, depth)
        elif self.accept("["):
            self.list(name, inner, field, depth)
        elif not colon:
            raise self.error(f"{field.value!r} is followed by neither ':' nor a message")
        else:
            self.file.group(name, field.line).entries.append(Entry(field.value, self.value(), field.line))

    def message(self, name: str, line: int, opening: str, depth: int) -> None:
        self.times[name] += 1
        own = name if self.times[name] == 1 else f"{name}#{self.times[name]}"
        self.file.group(own, line)
        self.fields(own, _CLOSING[opening], depth + 1)

    def list(self, name: str, inner: str, field: Token, depth: int) -> None:
        items: list[str] = []
        while not self.accept("]"):
            if self.token.kind == "end":
                raise self.error(f"the list {field.value!r} is not closed with ']'")
            if opening := self.accept("{", "<"):
                self.message(inner, self.token.line, opening, depth)
            else:
                items.append(self.value())
            self.values += 1
            if self.token.value != "]" and not self.accept(","):
                raise self.error(f"',' or ']' is expected in the list {field.value!r}, not {self.token.value!r}")
        if items:
            text = ", ".join(items)
            self.file.group(name, field.line).entries.append(Entry(field.value, text, field.line, tuple(items)))

    def value(self) -> str:
        """One value as it is written; texts that follow each other are one."""
        if self.token.kind == "text":
            parts = []
            while self.token.kind == "text":
                parts.append(self.take().value)
            return parts[0] if len(parts) == 1 else '"' + "".join(part[1:-1] for part in parts) + '"'
        if self.token.kind not in ("number", "word"):
            raise self.error(f"{self.token.value or 'the end'!r} stands where a value is expected")
        value = self.take().value
        return os.environ.get(value[2:-1], value) if value.startswith("$") else value
