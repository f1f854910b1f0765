"""The C part of JSON lines against Python: the same bytes."""

from __future__ import annotations

import json

import numpy as np
import pytest

from millrace.media import Frame, Image, Label, Object
from millrace.outputs import jsonl


@pytest.fixture
def both(monkeypatch):
    """What C and what Python make of something."""
    if jsonl._lines is None:
        pytest.skip("the C part was not built")

    def write(function, *arguments):
        by_c = function(*arguments)
        with monkeypatch.context() as without:
            without.setattr(jsonl, "_lines", None)
            return by_c, function(*arguments)

    return write


def frame(objects):
    return Frame("gate", 7, 123456789, Image("GRAY8", [np.zeros((8, 8), np.uint8)], 8, 8), objects=objects)


def found(rng):
    """An object of any kind, plain ones most of the time."""
    box = (rng.normal(0, 1, 4) * 10.0 ** rng.integers(-3, 6)).astype(np.float32)
    if rng.random() < 0.3:
        box = (rng.integers(-4000, 4000, 4) / 8).astype(np.float32)  # ties between two roundings
    confidence = float(rng.choice([rng.random(), np.float32(rng.random()), 1.0, 0.0, 1e-9]))
    label = rng.choice(["person", "двор", 'a "b" \\ c', "tab\t", "\x7f", "☃"])
    out = Object(box, int(rng.integers(0, 90)), str(label), confidence, None if rng.random() < 0.3 else 12)
    if rng.random() < 0.5:
        out.labels = [Label("colour", str(label), float(rng.random())), Label("", "x", 0.25)]
    if rng.random() < 0.5:
        out.extras["analytics"] = {
            "zones": ["left", str(label)], "speed": float(rng.normal()) * 1e3, "still": True, "n": 3,
            "position": (0.125, -0.0, 1e-7), "deep": {"er": [1, [2.0005, None]]},
        }  # fmt: skip
        if rng.random() < 0.5:
            del out.extras["analytics"]["still"], out.extras["analytics"]["deep"]
    if rng.random() < 0.1:
        out.text = "W 34"
    if rng.random() < 0.1:
        out.angle = 0.5
    return out


@pytest.mark.parametrize("seed", range(40))
def test_lines_are_the_same_bytes(both, seed):
    rng = np.random.default_rng(seed)
    line, same = both(jsonl.frame_line, frame([found(rng) for _ in range(rng.integers(0, 12))]))
    assert line == same
    json.loads(line)


@pytest.mark.parametrize(
    "value",
    [0.0005, 0.0015, 0.0025, 1.0005, 2.5, 1e8, 1e9, 123456.7895, -0.0004, 1e300, float("inf"), 2**70, -(2**63), True,
     False, None, {1: 2}, {"a": {"b": []}}, [[[[]]]], (), "", b"x"],
)  # fmt: skip
def test_single_values_are_the_same_bytes(both, value):
    text, same = both(jsonl._compact, [value])
    assert text == same


RULES = {
    "none": [],
    "plain": [("zone", "a", {"count": 2, "classes": {"person": 2}}), ("zone", "b", {"count": 0}), ("line", "a", {})],
    "kinds apart": [("zone", "a", {"count": 2}), ("line", "a", {"in": 1}), ("zone", "b", {"count": 0})],
    "a name twice": [("zone", "a", {"count": 2}), ("zone", "b", {"count": 0}), ("zone", "a", {"count": 5})],
    "odd words": [("zone", "двор", {"count": 2}), ("ó", "b", {"count": None}), ("s", '"', {"a": [1.00051]})],
    "many": [("zone", f"z{n}", {"count": n}) for n in range(40)],
    "without values": [("zone", "a", {"count": 2}), ("roi", "b", None)],
}


@pytest.mark.parametrize("name", RULES)
def test_what_rules_have_counted_is_the_same(both, name):
    made = frame([])
    made.extras["analytics"] = [
        {"kind": kind, "name": name, "points": [], **({} if values is None else {"values": values})}
        for kind, name, values in RULES[name]
    ]
    line, same = both(jsonl.frame_line, made)
    assert line == same
    said: dict[str, dict[str, object]] = {}
    for kind, own, values in RULES[name]:
        if values is not None:
            said.setdefault(f"{kind}s", {})[own] = values
    said = json.loads(json.dumps(said).replace("1.00051", "1.001"))
    assert json.loads(line).get("analytics", {}) == said
    assert list(json.loads(line).get("analytics", {})) == list(said)


def test_numbers_near_a_half_are_rounded_by_their_exact_value(both):
    rng = np.random.default_rng(0)
    near = (rng.integers(0, 10**7, 4000) + 0.5) / 10000
    values = [*near, *np.nextafter(near, 0), *np.nextafter(near, 1e9), *(near + 1e-10), *rng.random(4000)]
    made = frame([])
    for value in values:
        made.objects.append(Object(np.zeros(4, np.float32), 0, "x", float(value)))
    line, same = both(jsonl.frame_line, made)
    assert line == same


def test_deep_nesting_is_left_to_python(both):
    value = []
    for _ in range(40):
        value = [value]
    text, same = both(jsonl._compact, value)
    assert text == same


def test_what_is_not_finite_is_refused_as_in_python(both):
    bad = Object(np.array([0, np.nan, 1, 1], np.float32), 0, "x", 0.5)
    with pytest.raises(ValueError, match="frame 7 has a x that is not finite"):
        jsonl.frame_line(frame([bad]))
