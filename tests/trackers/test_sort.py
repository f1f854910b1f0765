"""The SORT tracker: rules one by one, then real sequences."""

from __future__ import annotations

import importlib.util
import json
import os
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from millrace.core.errors import ConfigError
from millrace.media import Object, box
from millrace.trackers import open_tracker
from millrace.trackers.sort import Sort

MS = 1_000_000


def found(x: float, y: float = 100, confidence: float = 0.9, kind: int = 0, w: float = 40, h: float = 80) -> Object:
    return Object(box((x, y, x + w, y + h)), kind, "ab"[kind], confidence)


def walk(tracker: Sort, xs: list[float | None], start: int = 0, step: int = 40, **settings: float) -> list[int | None]:
    """The id of one walker in each frame; None stands for a frame in which it is not detected."""
    ids = []
    for n, x in enumerate(xs):
        objects = [] if x is None else [found(x, **settings)]
        out = tracker.update(objects, (start + n * step) * MS, True)
        ids.append(out[0].id if out else None)
    return ids


def test_the_first_frame_is_confirmed_at_once() -> None:
    assert walk(Sort(), [0, 4, 8]) == [1, 1, 1]


def test_later_ones_are_tentative_first_and_nothing_is_lost() -> None:
    tracker = Sort(min_hits=3)
    tracker.update([], 0, True)
    assert walk(tracker, [0, 4, 8, 12], start=40) == [None, None, 1, 1]


def test_a_tentative_track_that_is_not_seen_again_takes_no_number() -> None:
    tracker = Sort(min_hits=2)
    tracker.update([], 0, True)
    assert walk(tracker, [0, None, 4, 8], start=40) == [None, None, None, 1]


def test_an_identity_survives_a_gap_and_follows_its_motion() -> None:
    tracker = Sort(max_age=1.0)
    moving: list[float | None] = [n * 10.0 for n in range(15)]
    assert walk(tracker, [*moving, *[None] * 12, 270.0]) == [1] * 15 + [None] * 12 + [1]


def test_after_max_age_it_is_a_new_one_and_ids_are_not_used_twice() -> None:
    tracker = Sort(max_age=0.2, min_hits=1)
    assert walk(tracker, [0, None, None, None, None, None, None, 0]) == [1, *[None] * 6, 2]


def test_age_is_counted_in_stream_time_not_frames() -> None:
    slow = Sort(max_age=0.5, min_hits=1)
    assert walk(slow, [0, 0, 0], step=2000) == [1, 1, 1]  # the very next frame still finds it
    assert walk(slow, [None, 0], start=6000, step=2000) == [None, 2]


def test_uneven_frames_are_predicted_by_their_times() -> None:
    tracker = Sort()
    times = [0, 40, 80, 120, 160, 200, 240, 280, 320, 360, 400, 640, 680, 1000]
    for time in times:
        (out,) = tracker.update([found(time * 0.3)], time * MS, True)  # 300 pixels per second
        assert out.id == 1
    assert out.velocity is not None
    assert out.velocity[0] == pytest.approx(300, rel=0.1)


def test_two_that_cross_keep_their_names() -> None:
    tracker = Sort()
    for n in range(60):
        out = tracker.update([found(n * 6), found(360 - n * 6, y=110)], n * 40 * MS, True)
        assert [o.id for o in out] == [1, 2]


def test_a_weak_detection_continues_a_track_but_starts_none() -> None:
    tracker = Sort(high_confidence=0.5, low_confidence=0.1, min_hits=1)
    assert walk(tracker, [0, 2, 4], confidence=0.3) == [None, None, None]
    assert walk(tracker, [0, 2], start=120) == [1, 1]
    assert walk(tracker, [4, 6], start=200, confidence=0.3) == [1, 1]
    assert walk(tracker, [8], start=280, confidence=0.05) == [None]


def test_a_weak_detection_does_not_take_a_track_from_a_strong_one() -> None:
    tracker = Sort(min_hits=1)
    tracker.update([found(0)], 0, True)
    weak, strong = found(0, confidence=0.3), found(8)
    tracker.update([weak, strong], 40 * MS, True)
    assert (weak.id, strong.id) == (None, 1)


@pytest.mark.parametrize(("penalty", "ids"), [(0.0, [1, 1, 1]), (0.3, [1, 1, 2]), (1.0, [1, 2, 1])])
def test_a_track_changes_its_class_only_where_it_hardly_moved(penalty: float, ids: list[int]) -> None:
    tracker = Sort(min_hits=1, class_penalty=penalty)
    out = [
        tracker.update([found(x, kind=kind)], n * 40 * MS, True)[0].id
        for n, (x, kind) in enumerate([(0, 0), (2, 1), (22, 0)])
    ]
    assert out == ids


def test_its_own_class_comes_first() -> None:
    tracker = Sort(min_hits=1)
    tracker.update([found(0), found(6, kind=1)], 0, True)
    rider, cycle = found(6), found(0, kind=1)  # each is nearer to where the other was
    tracker.update([cycle, rider], 40 * MS, True)
    assert (rider.id, cycle.id) == (1, 2)


def test_frames_without_inference_carry_the_tracks() -> None:
    tracker = Sort(max_age=1.0)
    for n in range(10):
        tracker.update([found(n * 8.0)], n * 40 * MS, True)
    (carried,) = tracker.update([], 400 * MS, False)
    assert carried.id == 1
    assert carried.detected_box is None
    assert carried.label == "a"
    assert carried.box.dtype == np.float32
    assert carried.box == pytest.approx([80, 100, 120, 180], abs=2)
    assert carried.track_confidence is not None
    assert 0 < carried.track_confidence < carried.confidence
    assert tracker.update([], 3000 * MS, False) == []


def test_a_track_that_a_look_did_not_find_is_not_shown() -> None:
    tracker = Sort()
    tracker.update([found(0)], 0, True)
    assert tracker.update([], 40 * MS, True) == []
    assert tracker.update([], 80 * MS, False) == []


def test_tentative_tracks_survive_frames_without_inference() -> None:
    tracker = Sort(min_hits=2)
    tracker.update([], 0, True)
    tracker.update([found(0)], 40 * MS, True)
    assert tracker.update([], 80 * MS, False) == []
    (out,) = tracker.update([found(2)], 120 * MS, True)
    assert out.id == 1


def test_detected_objects_keep_the_detectors_box_unless_smoothed() -> None:
    for smooth in (False, True):
        tracker = Sort(smooth=smooth)
        tracker.update([found(0)], 0, True)
        (out,) = tracker.update([found(10)], 40 * MS, True)
        assert out.detected_box is not None
        assert out.detected_box[0] == 10
        assert (out.box[0] == 10) is not smooth
        assert 0 < out.box[0] <= 10


def test_a_discontinuity_forgets_motion_and_keeps_counting() -> None:
    tracker = Sort(min_hits=1)
    walk(tracker, [n * 20.0 for n in range(10)])
    tracker.discontinuity()
    # it stands where it stood: motion would have carried it 200 pixels on
    assert walk(tracker, [180.0], start=800) == [1]
    assert walk(tracker, [600.0], start=840) == [2]


def test_time_that_stands_still_or_goes_back_does_no_harm() -> None:
    tracker = Sort()
    for time in (0, 40, 40, 20, 60):
        (out,) = tracker.update([found(time / 10)], time * MS, True)
        assert out.id == 1
        assert np.isfinite(out.box).all()


def test_same_input_same_output() -> None:
    def run() -> list[tuple[int | None, list[float]]]:
        random, tracker, out = np.random.default_rng(5), Sort(), []
        for n in range(40):
            objects = [
                found(float(x), float(y), 0.3 + 0.7 * c) for x, y, c in random.uniform(0, 1, (12, 3)) * (400, 300, 1)
            ]
            out += [(o.id, o.box.tolist()) for o in tracker.update(objects, n * 40 * MS, n % 3 != 2)]
        return out

    assert run() == run()


def test_names_and_settings() -> None:
    assert isinstance(open_tracker("default", max_age=3.0), Sort)
    with pytest.raises(ConfigError, match=r"'sorte'.*sort"):
        open_tracker("sorte")
    with pytest.raises(ConfigError, match=r"max_agge.*max_age"):
        open_tracker("sort", max_agge=1)


def benchmark() -> ModuleType:
    path = Path(__file__).parents[2] / "benchmarks" / "tracking.py"
    spec = importlib.util.spec_from_file_location("benchmark_tracking", path)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def data() -> Path:
    if "MILLRACE_TEST_DATA" not in os.environ:
        pytest.skip("MILLRACE_TEST_DATA is not set: no MOTChallenge sequences")
    return Path(os.environ["MILLRACE_TEST_DATA"])


def test_the_scorer_agrees_with_trackeval() -> None:
    bench, folder = benchmark(), data() / "mot" / "TUD-Stadtmitte"
    known = json.loads((folder.parent / "EXPECTED_trackeval.json").read_text())["TUD-Stadtmitte"]["py_motmetrics_test"]
    wanted, others = bench.truth(bench.read(folder / "gt" / "gt.txt"), False)
    theirs: dict[int, list[tuple[int, list[float]]]] = {}
    for row in bench.read(folder / "py_motmetrics_test_hypothesis.txt"):
        theirs.setdefault(int(row[0]), []).append((int(row[1]), bench.corners(row)))
    score = bench.score(wanted, theirs, others, max(wanted))
    assert (known["IDSW"], known["FP"], known["FN"]) == (score.IDSW, score.FP, score.FN)
    assert pytest.approx((known["MOTA"], known["IDF1"]), abs=0.001) == (100 * score.MOTA, 100 * score.IDF1)


@pytest.mark.parametrize("name", ["TUD-Campus", "TUD-Stadtmitte", "MOT17-04-FRCNN"])
def test_at_or_above_sort(name: str) -> None:
    """Like for like: SORT too gives the filter's boxes, so `smooth`."""
    bench, folder = benchmark(), data()
    baselines = json.loads((folder / "mot" / "EXPECTED_trackeval.json").read_text())[name]
    known = next(value for key, value in baselines.items() if key.startswith("SORT_default"))
    score = bench.run(folder, name, smooth=True)
    assert known["MOTA"] <= 100 * score.MOTA
    assert known["IDF1"] + 3 <= 100 * score.IDF1
