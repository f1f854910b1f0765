"""Rows chosen in C are those that NumPy chooses, to the bit."""

from __future__ import annotations

import numpy as np
import pytest

from millrace.parsers import end2end
from millrace.parsers.base import ParserSettings

native = end2end.native
compiled = pytest.mark.skipif(native is None, reason="the C part was not built: no compiler")


def rows_of(seed, count=4):
    random = np.random.default_rng(seed)
    high = int(random.integers(0, 40))
    rows = random.uniform(0, (1.2, 3, 400)[seed % 3], (count, high, 6)).astype(np.float32)
    rows[..., 4] = random.choice([0, 0.1, 0.3, 0.31, 0.6, 0.6, 0.9], (count, high))
    rows[..., 5] = random.integers(0, 4, (count, high))
    if seed % 5 == 0 and high:
        rows[0, 0, seed % 4] = np.nan
    if seed % 7 == 0 and high > 1:
        rows[1, 1, 4] = np.nan
    return rows


def both(rows, settings, monkeypatch):
    answers = []
    for way in (native, None):
        monkeypatch.setattr(end2end, "native", way)
        found = end2end.parse({"rows": rows}, len(rows), settings)
        answers.append([(each.boxes, each.scores, each.classes) for each in found])
    return answers


def check(answers, count):
    one, other = answers
    assert len(one) == len(other) == count
    for mine, theirs in zip(one, other, strict=True):
        for a, b in zip(mine, theirs, strict=True):
            assert (a.dtype, a.shape, a.tobytes()) == (b.dtype, b.shape, b.tobytes())
            assert a.flags.writeable


@compiled
@pytest.mark.parametrize(
    "more", [{}, {"top_k": 2}, {"top_k": 0}, {"extras": {"normalised": True}}, {"confidence": 0.6}]
)
def test_both_ways_are_the_same(more, monkeypatch):
    for seed in range(60):
        settings = ParserSettings(640, 480, **{"confidence": 0.3, **more})
        check(both(rows_of(seed), settings, monkeypatch), 4)


@compiled
def test_columns_in_another_order_and_more_of_them(monkeypatch):
    rows = np.concatenate([rows_of(3), rows_of(3)[..., :2]], axis=2)
    settings = ParserSettings(640, 480, extras={"order": "a x1 y1 score class b x2 y2"})
    rows[..., 4] = np.floor(rows[..., 4])
    check(both(rows, settings, monkeypatch), 4)
    check(both(rows[::2], settings, monkeypatch), 2)  # not one piece of memory
    check(both(rows.astype(np.float64), settings, monkeypatch), 4)


@compiled
def test_what_has_rules_is_left_to_numpy(monkeypatch):
    monkeypatch.setattr(end2end, "native", None)
    for rules in ({"classes": frozenset([1])}, {"drop": frozenset([1])}, {"thresholds": {1: 0.7}}, {"cluster": "nms"}):
        settings = ParserSettings(640, 480, **rules)
        assert not settings.takes_all
        expected = end2end.parse({"rows": rows_of(4)}, 4, settings)
        monkeypatch.setattr(end2end, "native", native)
        found = end2end.parse({"rows": rows_of(4)}, 4, settings)
        assert [each.boxes.tolist() for each in found] == [each.boxes.tolist() for each in expected]


@compiled
def test_a_class_that_is_no_number_is_left_to_numpy():
    rows = np.zeros((1, 2, 6), np.float32)
    rows[0, 1, 4:] = 0.9, np.nan
    assert native.sure(rows, (0, 1, 2, 3, 4, 5), 0.3, 300, 2.0) is None
    rows[0, 1, 4] = 0.1  # not sure, so nobody asks for its class
    assert native.sure(rows, (0, 1, 2, 3, 4, 5), 0.3, 300, 2.0)[0] == [0]


@compiled
@pytest.mark.parametrize("rows", [
    np.zeros((2, 6), np.float32), np.zeros((1, 2, 6)), np.zeros((1, 2, 5), np.float32),
    np.zeros((1, 6, 2), np.float32).T,
])  # fmt: skip
def test_other_arrays_are_an_error(rows):
    with pytest.raises(ValueError, match=r"contiguous|rows are float32"):
        native.sure(rows, (0, 1, 2, 3, 4, 5), 0.3, 300, 2.0)
