"""The text form of protocol buffers, as a tree: enough to read prototxt without a schema.

Grammar: https://protobuf.dev/reference/protobuf/textformat-spec/. Every field is a list of its values in order; a
message is a Message; numbers, words (enums, true, false) and strings are Python's.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from typing import Any

_TOKEN = re.compile(
    r"""(?P<skip>\s+|\#[^\n]*)|(?P<string>"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*')"""
    r"""|(?P<word>[+-]?[\w.][\w.+-]*)|(?P<mark>[{}<>\[\],:;])""",
    re.VERBOSE,
)
_CLOSING = {"{": "}", "<": ">"}


class Message(dict[str, list[Any]]):
    """Fields by name, each a list of its values."""

    def one(self, name: str, default: Any = None) -> Any:
        """The last value of a field, or the default where it is not there."""
        values = self.get(name)
        return values[-1] if values else default

    def all(self, name: str) -> list[Any]:
        return self.get(name, [])

    def message(self, name: str) -> Message:
        """A field that is a message; an empty one where it is not there."""
        found = self.one(name)
        return found if isinstance(found, Message) else Message()


def parse(text: str) -> Message:
    """Read a text. Raises ValueError with the line of what is not understood."""
    tokens = _Tokens(text)
    message = _fields(tokens, "")
    return message


class _Tokens:
    """Tokens with one of look-ahead."""

    def __init__(self, text: str) -> None:
        self._tokens = self._split(text)
        self.line = 1
        self.next: str | None = None
        self.take()

    def _split(self, text: str) -> Iterator[tuple[str, int]]:
        at, line = 0, 1
        while at < len(text):
            match = _TOKEN.match(text, at)
            if match is None:
                raise ValueError(f"line {line}: {text[at : at + 20].splitlines()[0]!r} is not understood")
            if match.lastgroup != "skip":
                yield match[0], line
            line += match[0].count("\n")
            at = match.end()

    def take(self) -> str | None:
        """The next token; None at the end."""
        taken = self.next
        self.next, self.line = next(self._tokens, (None, self.line))
        return taken


def _fields(tokens: _Tokens, closing: str) -> Message:
    message = Message()
    while tokens.next != (closing or None):
        name = tokens.take()
        if name is None or not (name[0].isalpha() or name[0] in "_["):
            raise ValueError(f"line {tokens.line}: a field's name or {closing or 'the end'!r} is due, not {name!r}")
        if tokens.next == ":":
            tokens.take()
        message.setdefault(name, []).extend(_values(tokens, name))
        if tokens.next in (",", ";"):
            tokens.take()
    tokens.take()
    return message


def _values(tokens: _Tokens, name: str) -> list[Any]:
    if tokens.next != "[":
        return [_value(tokens, name)]
    tokens.take()
    values = []
    while tokens.next != "]":
        values.append(_value(tokens, name))
        if tokens.next == ",":
            tokens.take()
    tokens.take()
    return values


def _value(tokens: _Tokens, name: str) -> Any:
    token = tokens.take()
    if token in _CLOSING:
        return _fields(tokens, _CLOSING[token])
    if token is None or token in "}>],:;":
        raise ValueError(f"line {tokens.line}: {name} has no value")
    if token[0] in "\"'":
        text = str(ast.literal_eval(token))
        while tokens.next is not None and tokens.next[0] in "\"'":  # strings side by side are one
            text += str(ast.literal_eval(tokens.take() or "''"))
        return text
    return _number(token)


def _number(token: str) -> Any:
    if token in ("true", "false"):
        return token == "true"
    for kind in (lambda t: int(t, 0), lambda t: float(t.rstrip("fF"))):
        try:
            return kind(token)
        except ValueError:
            continue
    return token
