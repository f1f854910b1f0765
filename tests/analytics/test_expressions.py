"""The language of conditions: what it means, and what it says when it is not understood."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from millrace.analytics.expressions import ExpressionError, parse

S = 1_000_000_000
NOW: dict[str, Any] = {"zone.dock.count": 6, "zone.dock-2.count.car": 2, "line.door.in": 3, "stream.name": "gate"}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("zone.dock.count > 5", True),
        ("zone.dock.count>5 and not line.door.in >= 4", True),
        ("zone.dock.count < 5 or zone.dock-2.count.car == 2", True),
        ("zone.dock.count - 1 == 5", True),
        ("2 + 3 * 4", 14),
        ("(2 + 3) * -4", -20),
        ("10 / 4 - 0.5", 2.0),
        ("1 / 0", 0.0),
        ("1m + 500ms", 60.5),
        ("stream.name == 'gate'", True),
        ('stream.name != "gate" or true', True),
        ("not not false", False),
        ("not 1 > 2 and 3 >= 3", True),
        ("1 or 0 and 0", True),
    ],
)
def test_values(text: str, value: object) -> None:
    assert parse(text).value(NOW.__getitem__, 0) == value


def test_names_are_listed() -> None:
    tree = parse("zone.a.count > 1 for 2s and (line.b.in within 1m > 2 or not -zone.c.count < stream.objects)")
    assert list(tree.names()) == ["zone.a.count", "line.b.in", "zone.c.count", "stream.objects"]


def test_for_wants_it_without_a_break() -> None:
    tree = parse("x > 5 for 2s")
    values = [6, 6, 4, 6, 6, 6, 6, 4]
    assert [tree.value({"x": x}.__getitem__, n * S) for n, x in enumerate(values)] == [
        False, False, False, False, False, True, True, False,
    ]  # fmt: skip


def test_durations_run_on_behind_an_operator() -> None:
    tree = parse("y and x for 1s")
    steps = [(0, 1), (0, 1), (1, 1)]
    assert [tree.value({"y": y, "x": x}.__getitem__, n * S) for n, (y, x) in enumerate(steps)] == [False, False, True]


def test_within_is_growth() -> None:
    tree = parse("x within 2s")
    assert [tree.value({"x": x}.__getitem__, n * S) for n, x in enumerate([5, 6, 8, 8, 8, 9])] == [0, 1, 3, 2, 0, 1]
    tree.forget()
    assert tree.value({"x": 100}.__getitem__, 9 * S) == 0


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "the condition is empty"),
        ("zone.dock.count >", "the end stands where a name, a number or a bracket is wanted, at character 18"),
        ("zone.dock.count > 5 for", "where a time as `2s`"),
        ("zone.dock.count > 5 for dock", "'dock' stands where a time"),
        ("(a > 1", "where `\\)` is wanted"),
        ("a > 1)", "where an operator"),
        ("1 < a < 3", "a comparison has two sides"),
        ("a = 3", "'=' means nothing here, at character 3"),
        ("__import__('os')", "where an operator"),
        ("a.b()", "'\\(' stands where an operator"),
        ("a; b", "';' means nothing"),
        ("a[0]", "means nothing"),
        ("(" * 80 + "1" + ")" * 80, "more than 50 brackets"),
    ],
)
def test_what_is_wrong_is_shown(text: str, words: str) -> None:
    with pytest.raises(ExpressionError, match=words):
        parse(text)


def test_texts_and_numbers_do_not_mix() -> None:
    with pytest.raises(ExpressionError, match="a text and a number"):
        parse("stream.name > 3").value(NOW.__getitem__, 0)
    with pytest.raises(ExpressionError, match="for numbers"):
        parse("stream.name + 3").value(NOW.__getitem__, 0)


@given(st.text(alphabet="ab.01 ()<>=!+-*/andornotforwithin2s'\"", max_size=40))
def test_any_text_is_a_tree_or_an_error_of_ours(text: str) -> None:
    with contextlib.suppress(ExpressionError):
        parse(text)
