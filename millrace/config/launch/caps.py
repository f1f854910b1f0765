"""Caps: `video/x-raw(memory:NVMM), format={I420, NV12}, width=[1, 1920], framerate=30/1; image/jpeg`.

The notation is that of gst_caps_from_string; types in brackets, `width=(int)640`, may be left out.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

from ...core.errors import did_you_mean

_MIME = re.compile(r"\s*([A-Za-z0-9-]+/[A-Za-z0-9.+-]+|ANY|NONE)\s*")
_FEATURES = re.compile(r"\(([^()]*)\)\s*")
_FIELD = re.compile(r"\s*([A-Za-z_][\w-]*)\s*=\s*")
_TYPE = re.compile(r"\(\s*([A-Za-z0-9-]+)\s*\)\s*")
_PLAIN = re.compile(r"[^\s,;{}\[\]()\"'<>]+")
_STRING = re.compile(r'"((?:[^"\\]|\\.)*)"|\'([^\']*)\'')
_INTEGER = re.compile(r"[+-]?(?:0x[0-9a-fA-F]+|[0-9]+)")
_FRACTION = re.compile(r"([+-]?[0-9]+)/([0-9]+)")
_FLOAT = re.compile(r"[+-]?(?:[0-9]+\.[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_TYPES = (
    "int", "i", "uint", "u", "int64", "uint64", "float", "f", "double", "d", "string", "s", "str", "boolean", "bool",
    "b", "fraction", "bitmask", "buffer", "guint", "gint", "gboolean", "gchararray", "GstFraction", "gdouble",
)  # fmt: skip
DEEPEST = 8


class CapsError(ValueError):
    """What is wrong in caps; `at` is the offset in their text."""

    def __init__(self, message: str, at: int) -> None:
        super().__init__(message)
        self.at = at


@dataclass(frozen=True, slots=True)
class Range:
    """All values from `least` to `most`."""

    least: Any
    most: Any

    def __str__(self) -> str:
        return f"{self.least} to {self.most}"


@dataclass(slots=True)
class Structure:
    """One alternative: the media type, its features (memory:NVMM), and what must hold for each field.

    A value is a number, a text, a Fraction, a Range, or a list of those: any of them.
    """

    media: str
    features: tuple[str, ...] = ()
    fields: dict[str, Any] = field(default_factory=dict)
    places: dict[str, int] = field(default_factory=dict)


def parse_caps(text: str) -> list[Structure]:
    """The alternatives of caps. Raises CapsError."""
    reader = _Reader(text)
    out = [reader.structure()]
    while reader.skip(";"):
        if reader.ended:
            break
        out.append(reader.structure())
    if not reader.ended:
        raise CapsError(f"{text[reader.at :][:20]!r} is not expected in caps: `, field=value` is", reader.at)
    return out


class _Reader:
    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0

    @property
    def ended(self) -> bool:
        return not self.text[self.at :].strip()

    def match(self, pattern: re.Pattern[str]) -> re.Match[str] | None:
        found = pattern.match(self.text, self.at)
        if found is not None:
            self.at = found.end()
        return found

    def skip(self, letter: str) -> bool:
        """Take this letter, with blanks around it, where it comes next."""
        rest = self.text[self.at :]
        if not rest.lstrip().startswith(letter):
            return False
        self.at += len(rest) - len(rest.lstrip()) + 1
        return True

    def structure(self) -> Structure:
        start = self.at
        mime = self.match(_MIME)
        if mime is None:
            raise CapsError("caps begin with a media type, as in video/x-raw", start)
        features = self.match(_FEATURES)
        found = Structure(mime[1], tuple(part.strip() for part in features[1].split(",")) if features else ())
        while self.skip(","):
            if self.ended or self.text[self.at :].lstrip().startswith(";"):
                break
            start = self.at
            name = self.match(_FIELD)
            if name is None:
                raise CapsError(f"{self.text[start:].strip()[:20]!r} is no field=value of caps", start)
            found.places[name[1]] = start + len(name[0]) - len(name[0].lstrip())
            found.fields[name[1]] = self.value(0)
        return found

    def value(self, depth: int) -> Any:
        if depth > DEEPEST:
            raise CapsError(f"more than {DEEPEST} lists lie in each other", self.at)
        kind = None
        start = self.at
        if typed := self.match(_TYPE):
            kind = typed[1]
            if kind not in _TYPES:
                raise CapsError(f"({kind}) is no type of caps.{did_you_mean(kind, _TYPES)}", start)
        for opening, closing in (("{", "}"), ("<", ">")):
            if self.skip(opening):
                return self.items(closing, depth)
        if self.skip("["):
            values = self.items("]", depth)
            if len(values) < 2:
                raise CapsError("a range has two ends: [1, 100]", start)
            return Range(values[0], values[1])
        return self.plain(kind)

    def items(self, closing: str, depth: int) -> list[Any]:
        out: list[Any] = []
        while not self.skip(closing):
            if self.ended:
                raise CapsError(f"{closing!r} is missing", self.at)
            if out and not self.skip(","):
                raise CapsError(f"a comma or {closing!r} is missing", self.at)
            self.at += len(self.text[self.at :]) - len(self.text[self.at :].lstrip())
            out.append(self.value(depth + 1))
        return out

    def plain(self, kind: str | None) -> Any:
        if quoted := self.match(_STRING):
            return re.sub(r"\\(.)", r"\1", quoted[1] if quoted[1] is not None else quoted[2])
        start = self.at
        match = self.match(_PLAIN)
        if match is None:
            raise CapsError("a value is missing", start)
        text = match[0]
        if kind in ("string", "s", "str", "gchararray"):
            return text
        if _INTEGER.fullmatch(text):
            return int(text, 0) if "x" in text.lower() else int(text)
        if fraction := _FRACTION.fullmatch(text):
            if not int(fraction[2]):
                raise CapsError(f"{text} has the denominator 0", start)
            return Fraction(int(fraction[1]), int(fraction[2]))
        if _FLOAT.fullmatch(text):
            return float(text)
        return {"true": True, "false": False, "yes": True, "no": False}.get(text.lower(), text)
