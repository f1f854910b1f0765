"""The analyze element: rules per stream, events, overlays, totals."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from millrace.core.caps import Caps
from millrace.core.element import Context
from millrace.core.errors import SettingError
from millrace.core.item import StreamStart
from millrace.elements.analyze import Analyze
from millrace.media import Frame, Image, Object, box

PICTURE = Image("GRAY8", [np.zeros((100, 200), np.uint8)], 200, 100)
DOOR = {"door": {"points": [[0, 0.5], [1, 0.5]]}}
WARNED: list[tuple[str, str | None]] = []


def opened(*streams: str, **settings: Any) -> Analyze:
    WARNED.clear()
    analyze = Analyze(**settings)
    analyze.open(Context("analyze", lambda: None, lambda message, stream: WARNED.append((message, stream))))
    for stream in streams:
        begin(analyze, stream)
    return analyze


def begin(analyze: Analyze, stream: str = "a", **facts: Any) -> None:
    analyze.start_stream(StreamStart(stream, Caps("frames", width=200, height=100), **facts))


def seen(key: int | None, x: float, y: float, label: str = "car", detected: bool = True) -> Object:
    found = Object(box((x - 5, y - 10, x + 5, y)), 0, label, 0.9, key)
    found.detected_box = found.box if detected else None
    return found


def frame(n: int, *objects: Object, stream: str = "a") -> Frame:
    return Frame(stream, n, n * 40_000_000, PICTURE, objects=list(objects))


def run(analyze: Analyze, *frames: Frame) -> list[tuple[int, str, str | None, int | None]]:
    out = []
    for shown in frames:
        analyze.process_frame(shown)
        out += [(shown.index, e.name, e.direction, e.object_id) for e in shown.events]
    return out


def test_a_crossing_is_an_event_an_overlay_and_a_total() -> None:
    analyze = opened("a", lines=DOOR)
    first, second = frame(0, seen(7, 50, 30)), frame(1, seen(7, 50, 70))
    assert run(analyze, first, second) == [(1, "door", "in", 7)]
    (event,) = second.events
    assert (event.kind, event.stream, event.pts, event.label) == ("line", "a", 40_000_000, "car")
    assert event.extras == {"point": (50.0, 70.0)}
    overlay = {"kind": "line", "name": "door", "points": [(0.0, 50.0), (200.0, 50.0)]}
    assert first.extras["analytics"] == [{**overlay, "text": "in 0 out 0"}]
    assert second.extras["analytics"] == [{**overlay, "text": "in 1 out 0"}]
    assert analyze.totals() == {
        "a": {"lines": {"door": {"in": 1, "out": 0, "classes": {"car": {"in": 1, "out": 0}}}}, "zones": {}}
    }


def test_zones_in_pixels() -> None:
    analyze = opened("a", zones={"dock": {"points": [[20, 20], [80, 20], [80, 80], [20, 80]]}})
    last = frame(2, seen(1, 50, 50), seen(2, 60, 60), seen(3, 150, 50))
    assert run(analyze, frame(0, seen(1, 50, 50)), frame(1, seen(1, 50, 50), seen(2, 60, 60)), last) == [
        (0, "dock", "enter", 1),
        (1, "dock", "enter", 2),
    ]
    assert last.extras["analytics"][0]["text"] == "2"
    assert analyze.totals()["a"]["zones"]["dock"]["identities"] == 2


def test_rules_name_their_streams_and_classes() -> None:
    lines = {
        "all": {"points": [[0, 0.5], [1, 0.5]]},
        "vans": {"points": [[0, 0.5], [1, 0.5]], "classes": ["van"], "streams": ["b"]},
    }
    analyze = opened("a", "b", lines=lines)
    for stream in "ab":
        run(
            analyze,
            frame(0, seen(1, 50, 30), seen(2, 90, 30, "van"), stream=stream),
            frame(1, seen(1, 50, 70), seen(2, 90, 70, "van"), stream=stream),
        )
    totals = analyze.totals()
    assert list(totals["a"]["lines"]) == ["all"]
    assert {name: line["in"] for name, line in totals["b"]["lines"].items()} == {"all": 2, "vans": 1}


def test_untracked_and_predicted_objects_do_not_count() -> None:
    analyze = opened("a", lines=DOOR)
    assert run(analyze, frame(0, seen(None, 50, 30)), frame(1, seen(None, 50, 70))) == []
    assert run(analyze, frame(2, seen(1, 50, 30)), frame(3, seen(1, 50, 70, detected=False))) == []


def test_no_identities_at_all_is_worth_a_warning_once() -> None:
    analyze = opened("a", lines=DOOR)
    run(analyze, *[frame(n, seen(None, 50, 30)) for n in range(120)])
    assert len(WARNED) == 1
    assert WARNED[0][1] == "a"
    assert "put track before" in WARNED[0][0]
    analyze = opened("a", lines=DOOR)
    run(analyze, frame(0, seen(1, 50, 30)), *[frame(n, seen(None, 50, 30)) for n in range(1, 120)])
    assert WARNED == []


def test_an_ended_stream_keeps_its_totals_and_nothing_else() -> None:
    analyze = opened("a", lines=DOOR, zones={"dock": {"points": [[0, 0], [1, 0], [1, 1]]}})
    run(analyze, frame(0, seen(1, 50, 30)), frame(1, seen(1, 50, 70)))
    assert list(analyze.end_stream("a")) == []
    assert analyze.totals()["a"]["lines"]["door"]["in"] == 1
    assert analyze.sizes == {}
    assert all(not getattr(rule.counter, "paths", getattr(rule.counter, "visits", None)) for rule in analyze.rules["a"])
    begin(analyze)  # the same name again: identity 1 is somebody else now, counts go on
    assert run(analyze, frame(0, seen(1, 150, 30)))[0][1] == "dock"
    assert run(analyze, frame(1, seen(1, 150, 70))) == [(1, "door", "in", 1)]
    assert analyze.totals()["a"]["lines"]["door"]["in"] == 2


def test_a_jump_of_the_stream_is_no_crossing() -> None:
    analyze = opened("a", lines=DOOR)
    run(analyze, frame(0, seen(1, 50, 30)))
    begin(analyze, epoch=1, discontinuity=True)
    assert run(analyze, frame(1, seen(1, 50, 70))) == []


def test_fractions_follow_a_new_picture_size() -> None:
    analyze = opened("a", lines=DOOR)
    run(analyze, frame(0, seen(1, 50, 30)), frame(1, seen(1, 50, 70)))
    shown = frame(2, seen(1, 50, 140))
    shown.image = Image("GRAY8", [np.zeros((300, 400), np.uint8)], 400, 300)
    assert run(analyze, shown) == []  # on the upper side again, but these are other pixels
    assert shown.extras["analytics"][0]["points"] == [(0.0, 150.0), (400.0, 150.0)]
    assert analyze.totals()["a"]["lines"]["door"]["in"] == 1


def test_without_rules_frames_are_left_alone() -> None:
    analyze = opened("a")
    shown = frame(0, seen(1, 50, 50))
    run(analyze, shown)
    assert shown.extras == {}
    assert list(analyze.end_stream("a")) == []
    assert analyze.totals() == {}


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"lines": {"door": {"points": [[0, 0]]}}}, "lines.door.points.*two different points"),
        ({"lines": {"door": {"points": [[1, 1], [1, 1]]}}}, "two different points"),
        ({"lines": {"door": {"points": [[1, 1], [1, "x"]]}}}, "two different points"),
        ({"zones": {"dock": {"points": [[0, 0], [1, 1]]}}}, "zones.dock.points.*at least 3"),
        ({"lines": {"door": {"points": [[0, 0], [1, 1]], "color": 1}}}, "lines.door.color.*there are points, streams"),
        ({"lines": {"door": {"points": [[0, 0], [1, 1]], "patience": 1}}}, "lines.door.patience"),
        ({"lines": {"door": [[0, 0], [1, 1]]}}, "a table with points"),
        ({"lines": {"door": {"points": [[0, 0], [1, 1]], "streams": "a"}}}, "a list of names"),
        ({"lines": {"door": {"points": [[0, 0], [1, 1]], "anchor": "top"}}}, "bottom, centre"),
        ({"lines": {"door": {"points": [[0, 0], [1, 1]], "margin": -1}}}, "0 or more"),
    ],
)
def test_wrong_settings_are_refused_before_the_first_stream(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(SettingError, match=words):
        opened(**settings)
