"""The C part of analytics against Python: the same state, the same sightings and the same events, to the bit."""

from __future__ import annotations

import dataclasses
import importlib.util
import sys

import numpy as np
import pytest

from millrace.analytics import lines, native, paths, states, zones
from millrace.analytics.lines import LineCounter
from millrace.analytics.paths import Path, Paths
from millrace.analytics.settings import Described, check
from millrace.analytics.sightings import SECOND, Sighting
from millrace.analytics.stream import Options, StreamAnalytics
from millrace.analytics.zones import ZoneCounter
from millrace.media import Frame, Image, Object, box
from millrace.outputs.jsonl import frame_line

STEP = SECOND // 30
FIELDS = {  # of the structs: one that is missing in C would be an error
    "course": [name for name in vars(states.Course) if name[0] != "_"],
    "side": [name for name in vars(states.Side) if name[0] != "_"],
    "visit": [name for name in vars(states.Visit) if name[0] != "_"],
}
KINDS = ("course", "side", "side", "visit", "visit")
RULES = [
    ("line", "door", {"points": [(100, 320), (600, 300)]}),
    ("zone", "dock", {"points": [(100, 100), (500, 80), (560, 500), (300, 300), (90, 480)], "patience": 0.3}),
    ("line", "gate", {"points": [(320, 600), (300, 20)], "anchor": "right", "classes": ["kind 1"], "once": True}),
    ("zone", "kerb", {"points": [(200, 0), (400, 0), (400, 640), (200, 640)], "margin": 0, "classes": [0, "kind 2"]}),
    ("zone", "rest", {"points": [(60, 60), (580, 60), (580, 580), (60, 580)], "inverse": True, "anchor": "centre"}),
]


@pytest.fixture(autouse=True)
def built():
    if native.steps is None:
        pytest.skip("the C part was not built")


def walks(seed, frames=240, things=9):
    """Those who wander about, tremble, vanish for a while, jump, and stand still; with times that are uneven."""
    rng = np.random.default_rng(seed)
    at, speed = rng.uniform(0, 640, (things, 2)), rng.normal(0, 4, (things, 2))
    pts = 0
    for _ in range(frames):
        pts += int(STEP * rng.choice([1, 1, 1, 2, 7]))
        speed += rng.normal(0, 0.6, (things, 2))
        at += speed
        jumps = rng.random(things) < 0.01
        at[jumps] = rng.uniform(0, 640, (int(jumps.sum()), 2))
        shown = rng.random(things) < 0.9
        trembling = at + rng.normal(0, 1, (things, 2)) * rng.choice([0.0, 1.5, 6.0], (things, 1))
        yield (
            pts,
            [
                Sighting(n + 1, f"kind {(n + (rng.random() < 0.02)) % 3}", x, y, x + 40.0, y + 60.0 + n)
                for n, (x, y) in enumerate(trembling.astype(np.float32).tolist())
                if shown[n]
            ],
        )


def told(seed):
    """All that lines, zones and paths say of a scene, and their state at the end."""
    ways, line = Paths(), LineCounter((100, 320), (600, 300))
    slanted = LineCounter((320, 600), (300, 20), margin=0.2, anchor="top_left")
    corners = [(100, 100), (500, 80), (560, 500), (300, 300), (90, 480)]
    zone = ZoneCounter(corners, patience=0.3)
    outside = ZoneCounter(corners, inverse=True, anchor="centre", margin=0.0)
    counters = (line, slanted, zone, outside)
    out = []
    for pts, seen in walks(seed):
        seen = ways.update(seen, pts)
        out += [seen, *(counter.update(seen, pts) for counter in counters), zone.present(), outside.labels()]
    state = [
        {key: [getattr(one, name) for name in FIELDS[kind]] for key, one in known.items()}
        for kind, known in zip(KINDS, (ways.known, *(counter.states for counter in counters)), strict=True)
    ]
    places = [place for path in ways.known.values() for place in path.places]
    return out, state, line.totals(), zone.totals(), outside.totals(), places


@pytest.mark.parametrize("seed", range(6))
def test_the_same_as_in_python(seed, monkeypatch):
    by_c = told(seed)
    monkeypatch.setattr(native, "steps", None)
    by_python = told(seed)
    assert by_c == by_python
    assert by_c[2]["in"] + by_c[2]["out"] > 0
    assert by_c[3]["entered"] > 3


def test_what_is_no_sighting_is_refused():
    line, zone = LineCounter((0, 0), (1, 1)), ZoneCounter([(0, 0), (1, 0), (1, 1)])
    with pytest.raises(TypeError, match="a sighting is a tuple"):
        native.steps.line(line, [1], 0)
    with pytest.raises(TypeError, match="is a Course, a Side or a Visit"):
        native.steps.paths({}, [Sighting(1, "car", 0.0, 0.0, 1.0, 1.0)], 0, dict, None)
    with pytest.raises(TypeError, match="a packed shape"):
        native.steps.zone(line_in_place_of(zone), [], 0)
    with pytest.raises(AttributeError, match="inner"):
        native.steps.zone(line, [], 0)


def line_in_place_of(zone):
    zone.shape = zone.shape[:40]
    return zone


def test_times_that_no_stream_has_are_an_error():
    seen = [Sighting(1, "car", 0.0, 0.0, 1.0, 1.0)]
    with pytest.raises(OverflowError, match="is no time in ns"):
        native.steps.paths({}, seen, 2**62, Path, None)
    known = {1: Path()}
    known[1].held, known[1].last_pts = 1, 2**62
    with pytest.raises(OverflowError, match="is no time in ns"):
        native.steps.paths(known, seen, 0, Path, None)
    zone = ZoneCounter([(0, 0), (1, 0), (1, 1)], patience=1e30)  # for ever
    assert native.steps.zone(zone, seen, 0) == seen


@pytest.mark.parametrize("late", [-1, 0, 1])
def test_a_pause_of_five_steps_is_the_last_that_is_learnt_from(late, monkeypatch):
    def residuals():
        ways = Paths()
        for pts in (0, 10, 60 + late):
            ways.update([Sighting(1, "car", 0.0, 0.0, 10.0, 20.0)], pts)
        return ways.known[1].residuals

    assert residuals() == (late <= 0)
    monkeypatch.setattr(native, "steps", None)
    assert residuals() == (late <= 0)


def test_one_that_is_seen_no_more_left_from_where_it_was():
    zone = ZoneCounter([(0, 0), (100, 0), (100, 100), (0, 100)], patience=0.1)
    for n in range(5):
        zone.update([Sighting(1, "x", 20.0, 0.0, 60.0, 30.0 + n)], n * STEP)
    (passage,) = zone.update([], SECOND)
    assert passage.gone and passage.depth == 34.0  # its foot was at (40, 34)


def test_an_identity_may_stand_in_a_frame_twice(monkeypatch):
    def counts():
        line, zone = LineCounter((0, 50), (100, 50)), ZoneCounter([(0, 50), (100, 50), (100, 99), (0, 99)])
        above, below = (Sighting(1, "x", 40.0, y - 20, 60.0, y) for y in (20.0, 80.0))
        for n, seen in enumerate(([above], [below, above], [above, below], [below])):
            line.update(seen, n * STEP)
            zone.update(seen, n * STEP)
        return line.totals(), zone.totals()

    by_c = counts()
    monkeypatch.setattr(native, "steps", None)
    assert by_c == counts()
    assert by_c[0]["in"] == by_c[1]["entered"] == 2


def frames(seed):
    """The walks as frames: some objects without identity or only predicted, one twice, some boxes of other numbers."""
    rng = np.random.default_rng(seed)
    image = Image("GRAY8", [np.zeros((8, 8), np.uint8)], 640, 640)
    for n, (pts, seen) in enumerate(walks(seed)):
        made = Frame("a", n, pts, image)
        for found in seen[:1] * (n % 50 == 9) + seen:
            one = Object(box(found[2:6]), found.id % 2, found.label, 0.5, found.id if rng.random() < 0.97 else None)
            one.detected_box = one.box if rng.random() < 0.95 else None
            if rng.random() < 0.1:
                one.box = one.box.astype(np.float64)
            made.objects.append(one)
        yield made


def lines_of(seed, predicted=False, more=()):
    """What a stream's frames are as JSON, and the totals."""
    rules = [Described(kind, name, check(f"{kind}s", name, given)) for kind, name, given in [*RULES, *more]]
    triggers = {"long": {"when": "zone.dock.longest > 2", "do": []}, "in": {"when": "line.door.in > 3", "do": []}}
    own = StreamAnalytics("a", rules, triggers, Options(updates=0.5, predicted=predicted))
    out = []
    for n, frame in enumerate(frames(seed)):
        if n == 120:
            own.jump()
        own.update(frame)
        out.append(frame_line(frame))
    return out, own.totals()


@pytest.mark.parametrize("predicted", [False, True])
@pytest.mark.parametrize("seed", range(4))
def test_frames_past_all_rules_at_once_are_as_in_python(seed, predicted, monkeypatch):
    asked = []
    real = native.steps.frame
    monkeypatch.setattr(native.steps, "frame", lambda *given: asked.append(real(*given)) or asked[-1])
    by_c = lines_of(seed, predicted)
    assert len(asked) == 240
    assert 20 < sum(answer is None for answer in asked) < 230
    monkeypatch.setattr(native, "steps", None)
    assert by_c == lines_of(seed, predicted)
    assert by_c[1]["zones"]["rest"]["entered"] > 3


WATCHING = [
    ("zone", "yard", {"points": [(0, 0), (400, 0), (400, 640), (0, 640)], "crowd": 3, "loiter": 1, "stopped": 0.2}),
    ("direction", "south", {"points": [(0, 0), (0, 1)]}),
    ("zone", "sure", {"points": [(0, 0), (400, 0), (400, 640), (0, 640)], "instant": True}),
]


@pytest.mark.parametrize("count", [1, 2, 3])
def test_rules_that_python_must_look_at_are_beside_those_of_c(count, monkeypatch):
    by_c = lines_of(1, more=WATCHING[:count])
    assert '"loiter"' in "".join(by_c[0])
    monkeypatch.setattr(native, "steps", None)
    assert by_c == lines_of(1, more=WATCHING[:count])


def test_what_rules_show_belongs_to_its_frame():
    own = StreamAnalytics("a", [Described("zone", "all", check("zones", "all", {}))], {}, Options())
    first, second, *_ = frames(0)
    own.update(first)
    first.extras["analytics"][0]["values"]["classes"]["of mine"] = 7
    first.extras["analytics"][0]["colour"] = "red"
    second.objects = first.objects
    own.update(second)
    assert "colour" not in second.extras["analytics"][0]
    assert "of mine" not in second.extras["analytics"][0]["values"]["classes"]
    assert second.extras["analytics"][0]["values"]["count"] > 0


def test_objects_may_stand_in_any_sequence():
    found = Object(box((0, 0, 10, 10)), 0, "car", 0.5, 1)
    found.detected_box = found.box
    known, line = {}, LineCounter((0, 0), (1, 1))
    seen, left = native.steps.frame((found,), False, 0, known, Path, Sighting, [(False, line, None, "a")], False)
    assert seen == [Sighting(1, "car", 0.0, 0.0, 10.0, 10.0, 0, 0.0, found)] and left == [seen]


def test_a_step_of_many_refuses_what_is_no_plan():
    known, line = {}, LineCounter((0, 0), (1, 1))
    with pytest.raises(TypeError, match="a plan has"):
        native.steps.frame([], False, 0, known, Path, Sighting, [(False, line)], False)
    with pytest.raises(ValueError, match="more than 64"):
        native.steps.frame([], False, 0, known, Path, Sighting, [(False, line, None, "a")] * 65, False)
    broken = Object(box((0, 0, 1, 1)), 0, "car", 0.5, 1)
    broken.detected_box, broken.box = broken.box, np.zeros(3, np.float32)
    with pytest.raises(ValueError, match="a box has four numbers"):
        native.steps.frame([broken], False, 0, known, Path, Sighting, [(False, line, None, "a")], False)


def again(module, monkeypatch):
    """A module once more, as it is where nothing was built."""
    spec = importlib.util.spec_from_file_location(f"{module.__name__}_plain", module.__file__)
    made = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, spec.name, made)
    spec.loader.exec_module(made)
    return made


def test_without_structs_it_is_the_same(monkeypatch):
    by_c = told(0)
    monkeypatch.setattr(native, "steps", None)
    plain = again(states, monkeypatch)
    monkeypatch.setitem(sys.modules, states.__name__, plain)
    for name, fields in FIELDS.items():
        kind = getattr(plain, name.title())
        assert dataclasses.is_dataclass(kind) and not dataclasses.is_dataclass(getattr(states, name.title()))
        assert sorted(field.name for field in dataclasses.fields(kind)) == sorted(fields)
    monkeypatch.setitem(globals(), "Paths", again(paths, monkeypatch).Paths)
    monkeypatch.setitem(globals(), "LineCounter", again(lines, monkeypatch).LineCounter)
    monkeypatch.setitem(globals(), "ZoneCounter", again(zones, monkeypatch).ZoneCounter)
    assert told(0) == by_c
