"""The analyze element: rules per stream, events, overlays, totals."""

from __future__ import annotations

import json
from collections import namedtuple
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from millrace.core.caps import Caps
from millrace.core.element import Context
from millrace.core.errors import ConfigError, SettingError
from millrace.core.item import StreamStart
from millrace.elements.analyze import Analyze
from millrace.media import Frame, Image, Object, box
from millrace.outputs.jsonl import frame_line, schema

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
    assert first.extras["analytics"] == [{**overlay, "values": {"in": 0, "out": 0}, "text": "in 0 out 0"}]
    assert second.extras["analytics"] == [{**overlay, "values": {"in": 1, "out": 0}, "text": "in 1 out 0"}]
    assert analyze.totals() == {
        "a": {
            "lines": {
                "door": {
                    "in": 1,
                    "out": 0,
                    "once": {"in": 1, "out": 0},
                    "classes": {"car": {"in": 1, "out": 0}},
                }
            },
            "zones": {},
        }
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
    own = analyze.streams["a"]
    assert own.paths.known == {}
    assert own.journal.open == {}
    assert all(not getattr(rule.counter, "states", None) for rule in own.rules)
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


def test_a_new_picture_size_ends_what_lasted() -> None:
    analyze = opened("a", zones={"dock": {}})
    run(analyze, frame(0, seen(1, 50, 50)))
    last = frame(1, seen(1, 50, 50))
    last.image = Image("GRAY8", [np.zeros((200, 400), np.uint8)], 400, 200)
    run(analyze, last)
    assert [(e.number, e.phase) for e in last.events] == [(1, "end"), (2, "new")]
    ended = analyze.closing("a", None)
    assert ended is not None and [(e.number, e.phase) for e in ended.events] == [(2, "end")]


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
        ({"lines": {"door": {"points": [[0, 0], [1, 1]], "anchor": "middle"}}}, "bottom, centre"),
        ({"lines": {"door": {"points": [[0, 0], [1, 1]], "margin": -1}}}, "0 or more"),
        ({"lines": {"door": {"points": [[0, 0], [1, 1]], "mode": "loose"}}}, "mode .* and direction go together"),
        ({"lines": {"door": {"points": [[0, 0], [1, 1]], "colour": "red"}}}, "#rrggbb"),
        ({"zones": {"dock": {"crowd": 0}}}, "zones.dock.crowd.*1 or more"),
        ({"zones": {"dock": {"loiter": "2 weeks"}}}, "zones.dock.loiter.*2s, 40ms"),
        ({"zones": {"dock": {"inverse": 1}}}, "true or false"),
        ({"directions": {"south": {"points": [[0, 0]]}}}, "directions.south.points"),
        ({"world": {"image": [[0, 0]], "world": [[0, 0]]}}, "at least four pairs"),
        ({"world": {"a": 3}}, "world.a.*table of `image`"),
        ({"rules": {"full": {"when": "zone.dock.count > 5"}}}, "there is no such zone"),
        ({"zones": {"dock": {}}, "rules": {"full": "zone.dock.cuont > 5"}}, "zone dock has count, entered"),
        ({"zones": {"dock": {}}, "rules": {"full": "zone.dock.count >"}}, "the end stands where a name"),
        ({"rules": {"full": {"when": "stream.objects > 1", "do": ["lgo"]}}}, "no action 'lgo'. Did you mean 'log'"),
        ({"rules": {"full": {"do": ["log"]}}}, "a table with `when`"),
        ({"report": "/nowhere/at/all.json"}, "does not exist"),
    ],
)
def test_wrong_settings_are_refused_before_the_first_stream(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(SettingError, match=words):
        opened(**settings)


def test_a_zone_tells_the_life_of_a_visit() -> None:
    analyze = opened("a", zones={"dock": {"points": [[0, 0], [100, 0], [100, 100], [0, 100]]}}, updates=0.04)
    shown = [frame(0, seen(1, 50, 50)), frame(1, seen(1, 51, 50)), frame(2, seen(1, 150, 50)), frame(3)]
    run(analyze, *shown)
    told = [(each.index, e.number, e.phase, e.direction) for each in shown for e in each.events]
    assert told == [(0, 1, "new", "enter"), (1, 1, "update", None), (2, 1, "end", "leave")]
    assert shown[2].events[0].extras["seconds"] == 0.08
    assert shown[0].objects[0].extras["analytics"] == {"zones": ["dock"]}


def test_a_jump_ends_what_lasted() -> None:
    analyze = opened("a", zones={"dock": {}})
    run(analyze, frame(0, seen(1, 50, 50)))
    begin(analyze, epoch=1, discontinuity=True)
    last = frame(1, seen(1, 50, 50))
    run(analyze, last)
    assert [(e.number, e.phase, e.extras.get("jump")) for e in last.events] == [(1, "end", True), (2, "new", None)]


def test_the_end_of_a_stream_ends_what_lasted() -> None:
    zone = {"crowd": 1, "loiter": 0.1}
    analyze = opened("a", zones={"dock": zone}, rules={"full": "zone.dock.count > 0"}, lines=DOOR)
    run(analyze, *(frame(n, seen(1, 50, 50)) for n in range(11)))
    last = analyze.closing("a", None)
    assert last is not None and (last.index, last.pts, last.objects) == (10, 400_000_000, [])
    assert sorted((e.kind, e.phase, e.extras["stream_end"]) for e in last.events) == [
        ("crowd", "end", True), ("loiter", "end", True), ("rule", "end", True), ("zone", "end", True),
    ]  # fmt: skip
    assert {e.extras["seconds"] for e in last.events} == {0.4}
    assert analyze.totals()["a"]["zones"]["dock"]["dwell"]["car"] == {"visits": 1, "mean": 0.4, "most": 0.4}
    assert analyze.totals()["a"]["zones"]["dock"]["left"] == 0
    list(analyze.end_stream("a"))
    begin(analyze)
    assert analyze.closing("a", None) is None  # nothing lasts
    assert analyze.closing("b", last) is last


def test_a_zone_watches_for_crowds_loiterers_and_those_who_stand() -> None:
    zone = {"points": [[0, 0], [150, 0], [150, 100], [0, 100]], "crowd": 2, "crowd_for": "80ms", "loiter": 0.2,
            "stopped": "160ms"}  # fmt: skip
    analyze = opened("a", zones={"dock": zone})
    shown = [frame(n, seen(1, 50, 50), *([seen(2, 80 + 4 * n, 50)] if n < 5 else ())) for n in range(40)]
    run(analyze, *shown)
    told = [(e.kind, e.object_id, e.phase, each.index) for each in shown for e in each.events if e.kind != "zone"]
    assert told == [
        ("crowd", None, "new", 2), ("stopped", 1, "new", 4), ("loiter", 1, "new", 5), ("crowd", None, "end", 30),
    ]  # fmt: skip  # the second is forgotten a second after it was last seen
    assert shown[10].extras["analytics"][0]["values"] == {
        "count": 2, "classes": {"car": 2}, "entered": 2, "left": 0, "crowded": True, "loitering": 1, "stopped": 1,
    }  # fmt: skip
    assert analyze.totals()["a"]["zones"]["dock"]["crowded"] == 1


def test_speed_on_the_ground_and_who_is_too_fast() -> None:
    world = {"image": [[0, 0], [200, 0], [200, 100], [0, 100]], "world": [[0, 0], [20, 0], [20, 10], [0, 10]]}
    analyze = opened("a", zones={"road": {"speed_over": 8.0, "wrong_way": [[1, 0.5], [0, 0.5]]}}, world=world)
    shown = [frame(n, seen(1, 20 + 4 * n, 50)) for n in range(40)]  # 0.4 m in 40 ms
    run(analyze, *shown)
    said = shown[30].objects[0].extras["analytics"]
    assert said == {
        "zones": ["road"], "speed": 10.0, "position": [14.0, 5.0], "speeding": True, "wrong_way": True,
    }  # fmt: skip
    kinds = [(e.kind, e.phase) for each in shown for e in each.events]
    assert ("speed", "new") in kinds
    assert ("wrong_way", "new") in kinds


def test_rules_act_when_a_condition_comes_true() -> None:
    calls: list[tuple[str, str | None, int]] = []
    rules = {
        "full": {
            "when": "zone.dock.count.car >= 2 for 80ms and line.door.in within 1s == 0",
            "do": [{"call": lambda event, frame: calls.append((event.name, event.phase, frame.index))}],
        },
        "crossed": {"when": "event.line.door > 0", "do": [{"event": "alarm"}]},
    }
    analyze = opened("a", lines=DOOR, zones={"dock": {}}, rules=rules)
    both = [frame(n, seen(1, 50, 30), seen(2, 90, 30)) for n in range(5)]
    run(analyze, *both, crossed := frame(5, seen(1, 50, 30), seen(2, 90, 70)), frame(6, seen(1, 50, 30)))
    assert calls == [("full", "new", 2), ("full", "end", 5)]
    assert ("rule", "alarm", "new") in [(e.kind, e.name, e.phase) for e in crossed.events]
    assert analyze.totals()["a"]["rules"] == {"full": 1, "crossed": 1}


def test_tracing_keeps_the_facts_of_events_and_of_misses() -> None:
    analyze = opened("a", lines={"door": {"points": [[0, 50], [60, 50]]}}, trace=True)
    run(analyze, frame(0, seen(1, 50, 30), seen(2, 90, 30)))
    shown = frame(1, seen(1, 50, 70), seen(2, 90, 70))
    run(analyze, shown)
    (event,) = shown.events
    assert event.extras["why"]["distance_before"] == -20.0
    assert event.extras["why"]["line"] == [[0.0, 50.0], [60.0, 50.0]]
    (miss,) = shown.extras["trace"]
    assert (miss["miss"], miss["id"], miss["reason"]) == ("m1", 2, "passed beyond an end of the line")


def test_a_file_of_tables_and_settings_over_it(tmp_path: Path) -> None:
    path = tmp_path / "zones.yaml"
    path.write_text("lines: {door: {points: [[0, 0.5], [1, 0.5]]}}\nzones: {dock: {streams: [b]}}\n")
    analyze = opened("a", "b", config=str(path), zones={"dock": {"streams": ["a"]}})
    run(analyze, frame(0, seen(1, 50, 30)), frame(0, seen(1, 50, 30), stream="b"))
    assert list(analyze.totals()["a"]["zones"]) == ["dock"]
    assert list(analyze.totals()["b"]["zones"]) == []
    path.write_text("lanes: {}\n")
    with pytest.raises(ConfigError, match="'lanes' is not known; there are lines, zones"):
        opened(config=str(path))
    path.write_text("lines: {door: [\n")
    with pytest.raises(ConfigError, match=r"zones.yaml:\d: not valid YAML"):
        opened(config=str(path))


def test_a_report_and_a_heatmap_and_occupancy(tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    analyze = opened("a", zones={"dock": {}}, heatmap=50, occupancy=1.0, report=str(path))
    shown = [frame(n, *([seen(1, 60, 40)] if n < 26 else ())) for n in range(76)]
    run(analyze, *shown)
    list(analyze.end_stream("a"))
    analyze.close()
    found = json.loads(path.read_text())["a"]
    assert found["heatmap"]["seconds"]["car"] == [[0.0, 1.0, 0.0, 0.0], [0.0, 0.0, 0.0, 0.0]]
    assert [(s["start"], s["most"]) for s in found["zones"]["dock"]["occupancy"]] == [
        (0.0, 1),
        (1.0, 1),
        (2.0, 1),
        (3.0, 0),
    ]
    assert found["zones"]["dock"]["occupancy"][0]["mean"] == 1.0
    assert shown[-1].extras["heatmap"].density.max() == 1.0


def test_lines_of_json_carry_it_all() -> None:
    jsonschema = pytest.importorskip("jsonschema")
    world = {"image": [[0, 0], [200, 0], [200, 100], [0, 100]], "world": [[0, 0], [20, 0], [20, 10], [0, 10]]}
    down = {"down": {"points": [[0, 0], [0, 1]]}}
    analyze = opened("a", lines=DOOR, zones={"dock": {"loiter": 0.1}}, directions=down, world=world, trace=True,
                     rules={"busy": "stream.objects > 0"})  # fmt: skip
    for n in range(30):
        shown = frame(n, seen(1, 50, 20 + 3 * n))
        run(analyze, shown)
        jsonschema.validate(json.loads(frame_line(shown)), schema())
    last = json.loads(frame_line(shown))
    assert last["analytics"]["lines"] == {"door": {"in": 1, "out": 0}}
    assert last["objects"][0]["analytics"]["directions"] == ["down"]


def test_what_was_seen_before_an_identity_was_given_counts_with_it() -> None:
    place = namedtuple("place", "pts x1 y1 x2 y2 confidence")
    analyze = opened("a", lines=DOOR, zones={"dock": {"points": [[0, 0], [150, 0], [150, 100], [0, 100]]}})
    shown = frame(2, seen(7, 50, 70))
    trajectory = [place(n * 40_000_000, 45, 20 + 10 * n, 55, 30 + 10 * n, 0.9) for n in range(3)]
    past = SimpleNamespace(id=7, label="car", class_id=0, trajectory=trajectory)
    shown.extras["tracks"] = SimpleNamespace(past=[past])
    run(analyze, frame(0), frame(1), shown)
    told = [(e.kind, e.direction, e.extras.get("seconds")) for e in shown.events]
    assert told == [("zone", "enter", 0.08), ("line", "in", None)]
    assert run(analyze, frame(3, seen(7, 50, 71))) == []
