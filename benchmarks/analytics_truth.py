"""Analytics against the truth of generated scenes: counts, visits, dwell, crowds, loitering, stopping, ways, speeds.

    python benchmarks/analytics_truth.py [--scenes 12] [--fps 30 15 5]

Staged street scenes of 20 s (testing/staged.py), seen as a perfect detector would (`clean`), without what is hidden
(`occluded`: less than 30 % seen), and as a poor one would (`poor`: 10 % of the boxes dropped, every side of the others
moved by 5 % of the box, one deviation). The tracker gives the identities; in the first rows the truth does, to see
what is the tracker's and what is the analytics' fault. The same scenes at every frame rate; the
truth is in continuous time (testing/known.py) and knows nothing of trackers and margins.
"""

from __future__ import annotations

import argparse
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from multiprocessing import Pool
from typing import Any

import numpy as np

from millrace.core.caps import Caps
from millrace.core.element import Context
from millrace.core.item import StreamStart
from millrace.elements.analyze import Analyze
from millrace.elements.track import Track
from millrace.media import Frame, Image, Object, box
from millrace.metrics.events import Happening, judge
from millrace.testing.known import Known
from millrace.testing.staged import staged_scene

INSET = 0.08  # zones keep away from the picture's edges, where boxes are cut and feet not seen
CROWD, LOITER, STOPPED = 4, 5.0, 3.0
DETECTORS = ("clean, true identities", "clean", "occluded", "poor", "occluded and poor")


@dataclass(slots=True)
class Scene:
    """What is needed of one scene: how to look at it, and what is true."""

    seed: int
    known: Known
    settings: dict[str, Any]
    size: tuple[int, int]
    truth: list[Happening]
    dwell: float = 0.0  # seconds of all visits
    crowded: float = 0.0
    speeds: dict[int, float] = field(default_factory=dict)
    pauses: dict[int, tuple[float, float]] = field(default_factory=dict)


def made(seed: int) -> Scene:
    scene = staged_scene(seed, width=960, height=540)
    layout, edge = scene.layout, scene.layout.pavement
    whole = scene.area(-edge, edge, INSET)
    pavement, right = scene.area(layout.road + 0.1, edge, INSET), scene.area(layout.lane, layout.road, INSET)
    settings: dict[str, Any] = {
        "lines": {"door": {"points": [list(p) for p in scene.line]}},
        "zones": {
            "all": {"points": [list(p) for p in whole], "loiter": LOITER, "stopped": STOPPED},
            "pavement": {"points": [list(p) for p in pavement], "crowd": CROWD, "classes": ["person"]},
            "right": {"points": [list(p) for p in right], "classes": ["bicycle"],
                      "wrong_way": [list(p) for p in scene.way(layout.lane + 0.65)]},
        },
        "world": scene.calibration,
        "updates": 0,
    }  # fmt: skip
    settings["zones"] = {name: zone for name, zone in settings["zones"].items() if zone["points"]}
    known = Known(scene)
    known.cut(*quiet(known, scene.line))
    visits = known.visits(whole)
    pauses = known.pauses()
    truth = [Happening(each.time, "line", "door", each.direction) for each in known.crossings(scene.line)]
    truth += [Happening(each.start, "zone", "all", "enter") for each in visits]
    truth += [Happening(each.end, "zone", "all", "leave") for each in visits if each.end < known.seconds - 0.1]
    truth += [Happening(each.start, "loiter", "all") for each in visits if each.seconds >= LOITER]
    for key, (start, end) in pauses.items():
        if (
            any(v.id == key and v.start <= start and v.end > start + STOPPED + 0.2 for v in visits)
            and end > start + STOPPED
        ):
            truth.append(Happening(start, "stopped", "all"))
    against = {a.id for a in scene.actors if a.class_id == 2 and a.path.points[0][1] > a.path.points[-1][1]}
    truth += [Happening(v.start, "wrong_way", "right") for v in known.visits(right) if v.id in against] if right else []
    people = [visit for visit in known.visits(pavement) if visit.label == "person"] if pavement else []
    crowds = known.crowded(people, CROWD)
    return Scene(
        seed, known, settings, (scene.width, scene.height), truth, sum(v.seconds for v in visits),
        sum(end - start for start, end in crowds), {key: known.speed(key) for key in known.tracks}, pauses,
    )  # fmt: skip


def quiet(known: Known, line: Any) -> tuple[float, float]:
    """A beginning and an end about which nobody crosses: a scene that is cut in a crossing has two truths."""
    times = [each.time for each in known.crossings(line)]
    steps = [n / 5 for n in range(round(known.seconds * 5) - 3)]  # of which all frame rates have a frame
    good = [t for t in steps if all(abs(t - time) > 0.6 for time in times)]
    return good[0], good[-1]


def detections(scene: Scene, fps: int, detector: str) -> Iterator[list[Object]]:
    """The boxes of every frame; each knows whose it is."""
    rng = np.random.default_rng([scene.seed, fps])
    for objects in scene.known.frames(fps):
        found = []
        for each in objects:
            if "occluded" in detector and each.visible < 0.3:
                continue
            sides = np.array(each.box)
            if "poor" in detector:
                if rng.random() < 0.1:
                    continue
                sides += rng.normal(0, 0.05, 4) * np.tile(sides[2:] - sides[:2], 2)
            one = Object(box(sides), each.class_id, each.label, 0.9)
            one.extras["truth"] = each.id
            found.append(one)
        yield found


@dataclass(slots=True)
class Result:
    """What the analytics of one scene said."""

    events: list[Happening] = field(default_factory=list)
    totals: dict[str, Any] = field(default_factory=dict)
    crowded: float = 0.0
    speeds: dict[int, list[float]] = field(default_factory=lambda: defaultdict(list))


def analysed(scene: Scene, fps: int, detector: str) -> Result:
    track, analyze = Track(report=["past"]), Analyze(**scene.settings)
    start = StreamStart("a", Caps("frames", width=scene.size[0], height=scene.size[1]))
    for element in (track, analyze):
        element.open(Context("benchmark"))
        element.start_stream(start)
    image = Image("GRAY8", (), *scene.size)
    out = Result()
    for n, objects in enumerate(detections(scene, fps, detector)):
        time = scene.known.start + n / fps
        frame = Frame("a", n, round(time * 1e9), image, objects=objects, inferred=["truth"])
        if "identities" in detector:
            for found in objects:
                found.id, found.detected_box = found.extras["truth"], found.box
        else:
            track.process_frame(frame)
        analyze.process_frame(frame)
        note(out, scene, frame, fps)
    out.totals = analyze.totals()["a"]
    return out


def note(out: Result, scene: Scene, frame: Frame, fps: int) -> None:
    time = frame.pts / 1e9
    for event in frame.events:
        if event.phase == "end" and event.direction is None:
            continue
        late = event.extras.get("seconds", 0.0) if event.phase == "new" else 0.0
        out.events.append(Happening(time - late, event.kind, event.name, event.direction))
    out.crowded += sum(rule["values"].get("crowded", False) for rule in frame.extras["analytics"]) / fps
    for found in frame.objects:
        said: dict[str, Any] = found.extras.get("analytics", {})
        key: Any = found.extras.get("truth")
        start, end = scene.pauses.get(key, (-9.0, -9.0))
        if "speed" in said and "all" in said.get("zones", ()) and not start - 0.2 < time < end + 1.2:
            out.speeds[key].append(said["speed"])


def row(scenes: list[Scene], fps: int, detector: str) -> list[str]:
    """A line of the table, over all scenes."""
    true: Counter[tuple[str, str | None]] = Counter()
    wrong: Counter[str] = Counter()
    crossings: Counter[tuple[str, str]] = Counter()
    dwell = np.zeros(2)
    crowded = np.zeros(2)
    errors: list[float] = []
    for scene in scenes:
        result = analysed(scene, fps, detector)
        for each in scene.truth:
            true[each.kind, each.direction] += 1
        for way in ("in", "out"):
            number = sum(each.kind == "line" and each.direction == way for each in scene.truth)
            wrong["line"] += abs(result.totals["lines"]["door"][way] - number)
        asked = {(each.kind, each.name) for each in scene.truth}
        verdicts = judge([e for e in result.events if (e.kind, e.name) in asked], scene.truth, 1.0)
        for name, verdict in verdicts.items():
            kind = name.split()[0]
            crossings[kind, "right"] += verdict.right
            crossings[kind, "found"] += verdict.found
            crossings[kind, "true"] += verdict.true
        stay = result.totals["zones"]["all"]["dwell"]
        dwell += (scene.dwell, sum(each["visits"] * each["mean"] for each in stay.values()))
        crowded += (scene.crowded, result.crowded)
        errors += [
            abs(float(np.mean(v)) / scene.speeds[k] - 1) for k, v in result.speeds.items() if len(v) >= max(3, fps // 3)
        ]
    lines = true["line", "in"] + true["line", "out"]
    cells = [f"{wrong['line']} of {lines} ({100 * wrong['line'] / lines:.1f} %)"]
    for kind in ("line", "zone", "loiter", "stopped", "wrong_way"):
        right, found, real = (crossings[kind, what] for what in ("right", "found", "true"))
        cells.append(f"{100 * right / max(1, found):.0f}/{100 * right / max(1, real):.0f}")
    cells.append(f"{100 * (crowded[1] / crowded[0] - 1):+.1f} %")
    cells.append(f"{100 * np.median(errors):.1f} / {100 * np.percentile(errors, 95):.1f} %")
    return cells


TITLES = ("count error", "line", "zone", "loiter", "stopped", "wrong way", "crowded time", "speed: median / 95 %")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--scenes", type=int, default=12)
    parser.add_argument("--fps", type=int, nargs="+", default=[30, 15, 5])
    given = parser.parse_args()
    with Pool(2) as pool:
        scenes = pool.map(made, range(1, given.scenes + 1))
    kinds = Counter(each.kind for scene in scenes for each in scene.truth)
    print(f"{given.scenes} scenes of 20 s: " + ", ".join(f"{n} {kind}" for kind, n in sorted(kinds.items())))
    print("kinds of events: precision/recall in per cent, a second early or late at most\n")
    print("| detections | fps | " + " | ".join(TITLES) + " |")
    print("| --- | ---: |" + " ---: |" * len(TITLES))
    for detector in DETECTORS:
        for fps in given.fps:
            print(f"| {detector} | {fps} | " + " | ".join(row(scenes, fps, detector)) + " |", flush=True)


if __name__ == "__main__":
    main()
