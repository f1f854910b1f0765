"""Values of properties by the rules of GStreamer."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import pytest

from millrace.config.launch.values import convert

TYPES = {"leaky": {"no": 0, "upstream": 1, "downstream": 2}}


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        ("int", "-3", -3), ("int", "0x10", 16), ("uint", " 7 ", 7), ("bool", "TRUE", True), ("bool", "no", False),
        ("bool", "1", True), ("float", "0.5", 0.5), ("fraction", "30/1", Fraction(30)), ("fraction", "7", Fraction(7)),
        ("box", "0:0:500:400", (0, 0, 500, 400)), ("leaky", "downstream", 2), ("leaky", "2", 2),
        ("leaky", "Upstream", 1), ("string", "a b", "a b"),
    ],
)  # fmt: skip
def test_values(kind: str, text: str, value: Any) -> None:
    assert convert(kind, text, TYPES) == value


@pytest.mark.parametrize(
    ("kind", "text", "message"),
    [
        ("int", "1e3", "whole number"), ("uint", "-1", "out of range"), ("int", "9" * 60, "out of range"),
        ("bool", "maybe", "neither true nor false"), ("bool", "2", "neither"), ("float", "x", "not a number"),
        ("fraction", "1/0", "not a fraction"), ("box", "1:2:3", "left:top:width:height"),
        ("leaky", "downsteam", "Did you mean 'downstream'?"), ("leaky", "3", "is not one of"),
        ("caps", "x", "is wrong: caps begin"),
    ],
)  # fmt: skip
def test_what_is_wrong(kind: str, text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message.replace("?", r"\?")):
        convert(kind, text, TYPES)
