"""A small language of conditions: `zone.dock.count > 5 for 2s and not line.door.in within 1m >= 10`.

    condition   = and { "or" and }
    and         = lasting { "and" lasting }
    lasting     = not [ "for" duration ]                 without a break for so long
    not         = "not" not | comparison
    comparison  = sum [ ("<" | "<=" | ">" | ">=" | "==" | "!=") sum ]
    sum         = product { ("+" | "-") product }
    product     = value { ("*" | "/") value }
    value       = number | duration | text | "true" | "false" | "-" value | "(" condition ")"
                | name [ "within" duration ]             how much it grew in that time

A name is words joined by dots (`zone.dock.count.car`); a word may hold hyphens, so a minus stands between blanks. A
duration is seconds as a number. There is nothing else: no calls, no attributes, no assignment.
"""

from __future__ import annotations

import operator
import re
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from .sightings import SECOND

Lookup = Callable[[str], Any]  # what a name stands for now: a number, a truth value or a text
Value = float | bool | str
_TOKEN = re.compile(
    r"\s*(?:(?P<duration>(?:\d+\.?\d*|\.\d+)(?:ms|s|m|h)\b)|(?P<number>\d+\.?\d*|\.\d+)"
    r"|(?P<name>[A-Za-z_][\w-]*(?:\.[\w-]+)*)|(?P<text>\"[^\"]*\"|'[^']*')|(?P<sign><=|>=|==|!=|[<>()+*/-]))"
)
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge, "==": operator.eq, "!=": operator.ne,
}  # fmt: skip
_WORDS = ("and", "or", "not", "for", "within", "true", "false")
_DEEPEST = 50


class ExpressionError(ValueError):
    """A condition is not understood: what was found, where, and what may stand there."""


class Token(NamedTuple):
    kind: str  # duration, number, name, text, sign, word, end
    text: str
    at: int


class Node(ABC):
    """A part of a condition. `value` is asked once for every frame, so that durations can be watched."""

    @abstractmethod
    def value(self, look: Lookup, pts: int) -> Value: ...

    def names(self) -> Iterator[str]:
        yield from ()

    def parts(self) -> tuple[Node, ...]:
        return ()

    def forget(self) -> None:
        for part in self.parts():
            part.forget()


class Constant(Node):
    def __init__(self, value: Value) -> None:
        self.constant = value

    def value(self, look: Lookup, pts: int) -> Value:
        return self.constant


class Name(Node):
    def __init__(self, name: str) -> None:
        self.name = name

    def value(self, look: Lookup, pts: int) -> Value:
        return look(self.name)  # type: ignore[no-any-return]

    def names(self) -> Iterator[str]:
        yield self.name


class Within(Name):
    """How much a number grew in the last so many seconds."""

    def __init__(self, name: str, seconds: float) -> None:
        super().__init__(name)
        self.window = round(seconds * SECOND)
        self.past: deque[tuple[int, float]] = deque()

    def value(self, look: Lookup, pts: int) -> Value:
        now = float(look(self.name))
        self.past.append((pts, now))
        while len(self.past) > 1 and self.past[1][0] <= pts - self.window:
            self.past.popleft()
        return now - self.past[0][1]

    def forget(self) -> None:
        self.past.clear()


class Apply(Node):
    """An operator on its parts."""

    def __init__(self, sign: str, *operands: Node) -> None:
        self.sign = sign
        self.operands = operands

    def parts(self) -> tuple[Node, ...]:
        return self.operands

    def names(self) -> Iterator[str]:
        for part in self.operands:
            yield from part.names()

    def value(self, look: Lookup, pts: int) -> Value:
        values = [part.value(look, pts) for part in self.operands]  # all of them: durations run on
        sign = self.sign
        if sign == "and":
            return all(values)
        if sign == "or":
            return any(values)
        if sign == "not":
            return not values[0]
        if sign in _COMPARE:
            return self._compare(*values)
        if any(isinstance(value, str) for value in values):
            raise ExpressionError(f"{sign!r} is for numbers, got {values[0]!r}")
        return _arithmetic(sign, [float(value) for value in values])

    def _compare(self, left: Value, right: Value) -> bool:
        if isinstance(left, str) != isinstance(right, str):
            raise ExpressionError(f"{left!r} cannot be compared with {right!r}: a text and a number")
        return _COMPARE[self.sign](left, right)


class For(Node):
    """True when its part has been true for so many seconds without a break."""

    def __init__(self, part: Node, seconds: float) -> None:
        self.part = part
        self.length = round(seconds * SECOND)
        self.since: int | None = None

    def parts(self) -> tuple[Node, ...]:
        return (self.part,)

    def names(self) -> Iterator[str]:
        yield from self.part.names()

    def value(self, look: Lookup, pts: int) -> Value:
        if not self.part.value(look, pts):
            self.since = None
            return False
        if self.since is None:
            self.since = pts
        return pts - self.since >= self.length

    def forget(self) -> None:
        self.since = None
        self.part.forget()


def _arithmetic(sign: str, values: list[float]) -> float:
    if len(values) == 1:
        return -values[0]
    left, right = values
    if sign == "/":
        return left / right if right else 0.0
    return left + right if sign == "+" else left - right if sign == "-" else left * right


def parse(text: str) -> Node:
    """A condition as a tree. Raises ExpressionError with the place."""
    return _Parser(text).parse()


class _Parser:
    def __init__(self, text: str) -> None:
        self.text = text
        self.tokens = list(self._tokens())
        self.at = 0
        self.depth = 0

    def parse(self) -> Node:
        if self.peek.kind == "end":
            raise ExpressionError("the condition is empty; it is written as `zone.dock.count > 5 for 2s`")
        node = self.either()
        if self.peek.kind != "end":
            raise self.error("an operator, `and`, `or`, `for`, or the end")
        return node

    @property
    def peek(self) -> Token:
        return self.tokens[self.at]

    def take(self) -> Token:
        token = self.tokens[self.at]
        self.at += 1
        return token

    def accept(self, *texts: str) -> str | None:
        if self.peek.kind in ("sign", "word") and self.peek.text in texts:
            return self.take().text
        return None

    def error(self, wanted: str) -> ExpressionError:
        token = self.peek
        found = "the end" if token.kind == "end" else repr(token.text)
        mark = f"\n  {self.text}\n  {' ' * token.at}^"
        return ExpressionError(f"{found} stands where {wanted} is wanted, at character {token.at + 1}{mark}")

    def either(self) -> Node:
        self.depth += 1
        if self.depth > _DEEPEST:
            raise ExpressionError(f"more than {_DEEPEST} brackets in one another")
        parts = [self.both()]
        while self.accept("or"):
            parts.append(self.both())
        self.depth -= 1
        return parts[0] if len(parts) == 1 else Apply("or", *parts)

    def both(self) -> Node:
        parts = [self.lasting()]
        while self.accept("and"):
            parts.append(self.lasting())
        return parts[0] if len(parts) == 1 else Apply("and", *parts)

    def lasting(self) -> Node:
        node = self.negated()
        return For(node, self.duration()) if self.accept("for") else node

    def negated(self) -> Node:
        turns = 0
        while self.accept("not"):
            turns += 1
        node = self.comparison()
        return Apply("not", node) if turns % 2 else node

    def comparison(self) -> Node:
        node = self.chain(lambda: self.chain(self.operand, "*", "/"), "+", "-")
        sign = self.accept(*_COMPARE)
        if sign:
            node = Apply(sign, node, self.chain(lambda: self.chain(self.operand, "*", "/"), "+", "-"))
            if self.peek.text in _COMPARE:
                raise self.error("`and` (a comparison has two sides)")
        return node

    def chain(self, part: Callable[[], Node], *signs: str) -> Node:
        node = part()
        while sign := self.accept(*signs):
            node = Apply(sign, node, part())
        return node

    def operand(self) -> Node:
        negative = False
        while self.accept("-"):
            negative = not negative
        node = self.plain()
        return Apply("-", node) if negative else node

    def plain(self) -> Node:
        if self.accept("("):
            node = self.either()
            if not self.accept(")"):
                raise self.error("`)`")
            return node
        if word := self.accept("true", "false"):
            return Constant(word == "true")
        token = self.peek
        if token.kind == "name":
            self.take()
            return Within(token.text, self.duration()) if self.accept("within") else Name(token.text)
        if token.kind in ("number", "duration"):
            self.take()
            return Constant(_seconds(token.text))
        if token.kind == "text":
            return Constant(self.take().text[1:-1])
        raise self.error("a name, a number or a bracket")

    def duration(self) -> float:
        if self.peek.kind not in ("number", "duration"):
            raise self.error("a time as `2s`, `500ms`, `1m`")
        return _seconds(self.take().text)

    def _tokens(self) -> Iterator[Token]:
        at = 0
        text = self.text.rstrip()
        while at < len(text):
            match = _TOKEN.match(text, at)
            if match is None:
                start = at + len(text[at:]) - len(text[at:].lstrip())
                mark = f"\n  {self.text}\n  {' ' * start}^"
                raise ExpressionError(f"{text[start]!r} means nothing here, at character {start + 1}{mark}")
            kind = match.lastgroup or ""
            word = match.group(kind)
            yield Token("word" if kind == "name" and word in _WORDS else kind, word, match.start(kind))
            at = match.end()
        yield Token("end", "", len(text))


def _seconds(text: str) -> float:
    unit = text.lstrip("0123456789.")
    return float(text[: len(text) - len(unit)]) * _UNITS.get(unit, 1.0)
