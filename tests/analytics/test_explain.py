"""Facts as sentences."""

from __future__ import annotations

from millrace.analytics.directed_lines import DirectedLine
from millrace.analytics.explain import sentences, title
from millrace.analytics.sightings import Sighting

LINE = {"stream": "gate", "frame": 204, "pts": 8_160_000_000}


def test_a_title_says_what_who_and_when() -> None:
    event = {"kind": "line", "name": "door", "direction": "in", "id": 7, "label": "person", "event": 12}
    assert title(LINE, event) == "event 12 of gate: line door in, person 7, at 8.160 s (frame 204)"
    crowd = {"kind": "crowd", "name": "dock", "direction": None, "id": None, "label": None, "event": 3, "phase": "new"}
    assert title(LINE, crowd) == "event 3 of gate: crowd dock new, at 8.160 s (frame 204)"
    miss = {"miss": "m2", "kind": "line", "name": "door", "id": 7, "label": "car", "reason": "turned back"}
    assert title(LINE, miss) == "m2 of gate: line door, car 7, at 8.160 s (frame 204): turned back"


def test_the_modes_of_directed_lines() -> None:
    line = DirectedLine([(0, 200), (400, 200)], [(200, 150), (200, 250)], mode="strict", trace=True)
    found = []
    for n in range(40):
        x, y = 20.0 + 6 * n, 120.0 + 4 * n
        line.update([Sighting(1, "car", x - 10, y - 40, x + 10, y)], n * 33_000_000)
        found += line.misses
    (miss,) = found
    record = {"kind": "line", "name": "a", "id": 1, "label": "car", "reason": miss.reason, "facts": miss.facts}
    text = "\n".join(sentences(record))
    assert "mode strict, direction (0, 1)" in text
    assert "needed > 6000" in text
    assert "sightings, needed > 20" in text
    assert "so it is counted" not in text


def test_zones_and_those_who_were_lost() -> None:
    why = {"polygon": [[0, 0], [9, 0], [9, 9]], "anchor": "bottom", "point": [3, 2], "depth": -4.0, "unseen_for": 1.0}
    text = "\n".join(sentences({"event": 1, "why": why, "facts": {"point": [3, 2], "seconds": 4.5}}))
    assert "4.0 px outside the boundary" in text
    assert "not seen for more than 1 s" in text
    assert "seconds: 4.5" in text
    lost = {
        "line": [[0, 0], [9, 0]],
        "anchor": "bottom",
        "point": [3, 2],
        "distance": 2.0,
        "seen": 10**9,
        "height": 40.0,
    }
    text = "\n".join(sentences({"miss": "m1", "reason": "was lost near the line", "facts": lost}))
    assert "it was last seen at 1.000 s, its bottom at (3, 2), 2.0 px to the right of it" in text


def test_tracks_that_a_look_did_not_find() -> None:
    other = {"box": [1, 2, 3, 4], "label": "van", "confidence": 0.8, "overlap": 0.31, "id": None, "penalty": 0.3}
    facts = {
        "box": [0, 0, 9, 9],
        "predicted": [1, 1, 9, 9],
        "unseen": 0.04,
        "least_overlap": 0.2,
        "detections": [other],
    }
    text = "\n".join(sentences({"miss": "t1", "reason": "no detection was taken for it", "facts": facts}))
    assert "overlap 0.31, needed > 0.2, 0.3 is taken off for another class; taken by no track" in text
    assert "nothing was detected" in "\n".join(sentences({"reason": "x", "facts": {**facts, "detections": []}}))


def test_facts_that_are_not_known_are_given_as_they_are() -> None:
    assert list(sentences({"event": 1, "facts": {"count": 5, "threshold": 4}})) == ["count: 5", "threshold: 4"]
