"""The text of a property → its value, by the rules of gst_value_deserialize."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from fractions import Fraction
from typing import Any

from ...core.errors import did_you_mean
from .caps import CapsError, parse_caps

_INTEGER = re.compile(r"\s*([+-]?)(0x[0-9a-fA-F]+|[0-9]+)\s*")
_TRUE, _FALSE = ("true", "yes", "t", "1"), ("false", "no", "f", "0")
_TEXTS = ("string", "path", "paths", "output")


def convert(kind: str, text: str, types: Mapping[str, Mapping[str, int]]) -> Any:
    """The value of a property of this type. Raises ValueError with the end of a sentence: `is not …`."""
    if kind in _TEXTS:
        return text
    if kind in types:
        return _enumeration(text, types[kind])
    return _READERS[kind](text)


def _integer(text: str, least: int, most: int) -> int:
    match = _INTEGER.fullmatch(text)
    if match is None:
        raise ValueError("is not a whole number")
    value = int(match[1] + match[2], 0) if "x" in match[2] else int(match[1] + match[2][:40])
    if not least <= value <= most:
        raise ValueError(f"is out of range: {least} to {most}")
    return value


def _boolean(text: str) -> bool:
    word = text.strip().lower()
    if word not in _TRUE + _FALSE:
        raise ValueError("is neither true nor false (1, 0, yes, no)")
    return word in _TRUE


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ValueError("is not a number") from None


def _fraction(text: str) -> Fraction:
    match = re.fullmatch(r"\s*([0-9]{1,18})(?:/([0-9]{1,18}))?\s*", text)
    if match is None or (match[2] is not None and not int(match[2])):
        raise ValueError("is not a fraction, as in 30/1")
    return Fraction(int(match[1]), int(match[2] or 1))


def _enumeration(text: str, values: Mapping[str, int]) -> int:
    """The number of a name, or of a number: both are what gst-launch takes."""
    names = {name.lower(): number for name, number in values.items()}
    if text.strip().lower() in names:
        return names[text.strip().lower()]
    if _INTEGER.fullmatch(text):
        number = _integer(text, -(1 << 31), (1 << 31) - 1)
        if number in values.values():
            return number
    known = ", ".join(f"{name} ({number})" for name, number in values.items())
    raise ValueError(f"is not one of {known}.{did_you_mean(text, values)}")


def _box(text: str) -> tuple[int, int, int, int]:
    """left:top:width:height in pixels."""
    match = re.fullmatch(r"\s*(\d{1,9}):(\d{1,9}):(\d{1,9}):(\d{1,9})\s*", text)
    if match is None:
        raise ValueError("is not left:top:width:height in pixels, as in 0:0:640:480")
    return int(match[1]), int(match[2]), int(match[3]), int(match[4])


def _caps(text: str) -> Any:
    try:
        return parse_caps(text)
    except CapsError as error:
        raise ValueError(f"is wrong: {error}") from None


_READERS: dict[str, Callable[[str], Any]] = {
    "int": lambda text: _integer(text, -(1 << 63), (1 << 63) - 1),
    "uint": lambda text: _integer(text, 0, (1 << 64) - 1),
    "bool": _boolean,
    "float": _number,
    "fraction": _fraction,
    "box": _box,
    "caps": _caps,
}
