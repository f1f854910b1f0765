"""The life of targets: rules one by one, for every tracker where they are common."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from millrace.core.errors import ConfigError
from millrace.media import Object, box
from millrace.trackers import TABLE, rules_of
from millrace.trackers.base import Tracker
from millrace.trackers.motion import MotionTracker
from millrace.trackers.table import MARKS

MS = 1_000_000
MOTION = sorted(set(TABLE) - {"dcf"})  # those that need no picture
every_tracker = pytest.mark.parametrize("name", MOTION)


def open_tracker(name: str = "default", **settings: Any) -> Tracker:
    """One that shows only what it sees, unless it is told otherwise."""
    return rules_of(name, **{"coast": 0.0, **settings}).open()  # type: ignore[no-any-return]


def found(
    x: float, y: float = 100, confidence: float = 0.9, kind: int = 0, w: float = 40, h: float = 80, **more: Any
) -> Object:
    return Object(box((x, y, x + w, y + h)), kind, "ab"[kind], confidence, **more)


def walk(
    tracker: Tracker, xs: Sequence[float | None], start: int = 0, step: int = 40, **settings: float
) -> list[int | None]:
    """The id of one walker in each frame; None stands for a frame in which it is not detected."""
    ids = []
    for n, x in enumerate(xs):
        objects = [] if x is None else [found(x, **settings)]  # type: ignore[arg-type]
        out = tracker.update(objects, (start + n * step) * MS, True)
        ids.append(out[0].id if out else None)
    return ids


@every_tracker
def test_the_first_frame_is_confirmed_at_once(name: str) -> None:
    assert walk(open_tracker(name), [0, 4, 8]) == [1, 1, 1]


@every_tracker
def test_later_ones_are_tentative_first_and_nothing_is_lost(name: str) -> None:
    tracker = open_tracker(name)
    tracker.update([], 0, True)
    ids = walk(tracker, [n * 4.0 for n in range(12)], start=40)
    assert ids[0] is None
    assert ids[-1] == 1
    assert ids == [None] * ids.count(None) + [1] * ids.count(1)


def test_evidence_is_how_often_and_how_sure_or_how_long() -> None:
    for confidence, wait in ((0.95, 2), (0.75, 2), (0.5, 3)):
        tracker = open_tracker(evidence=2.2)
        tracker.update([], 0, True)
        ids = walk(tracker, [n * 2.0 for n in range(8)], start=40, confidence=confidence)
        assert ids == [None] * wait + [1] * (8 - wait)


@every_tracker
def test_a_tentative_track_that_is_not_seen_again_takes_no_number(name: str) -> None:
    tracker = open_tracker(name)
    tracker.update([], 0, True)
    assert walk(tracker, [0, None, *[300 + n * 4.0 for n in range(12)]], start=40)[-1] == 1


@pytest.mark.parametrize("name", [name for name in MOTION if name != "iou"])
def test_an_identity_survives_a_gap_and_follows_its_motion(name: str) -> None:
    tracker = open_tracker(name, max_age=1.0)
    moving: list[float | None] = [n * 10.0 for n in range(15)]
    assert walk(tracker, [*moving, *[None] * 8, 230.0]) == [1] * 15 + [None] * 8 + [1]


@every_tracker
def test_after_max_age_it_is_a_new_one_and_ids_are_not_used_twice(name: str) -> None:
    tracker = open_tracker(name, max_age=0.2, min_hits=1)
    ids = walk(tracker, [0, 0, 0, *[None] * 9, *[0] * 6])
    assert ids[:3] == [1, 1, 1]
    assert ids[-1] == 2


@every_tracker
def test_age_is_counted_in_stream_time_not_frames(name: str) -> None:
    slow = open_tracker(name, max_age=0.5, min_hits=1)
    assert walk(slow, [0, 0, 0], step=2000) == [1, 1, 1]  # the very next frame still finds it
    assert walk(slow, [None, 0, 0], start=6000, step=2000)[-1] == 2


@pytest.mark.parametrize("name", [name for name in MOTION if name != "iou"])
def test_uneven_frames_are_predicted_by_their_times(name: str) -> None:
    tracker = open_tracker(name)
    times = [0, 40, 80, 120, 160, 200, 240, 280, 320, 360, 400, 640, 680, 1000]
    for time in times:
        (out,) = tracker.update([found(time * 0.3)], time * MS, True)  # 300 pixels per second
        assert out.id == 1
    assert out.velocity is not None
    assert out.velocity[0] == pytest.approx(300, rel=0.1)
    assert out.age == pytest.approx(1.0)


@pytest.mark.parametrize("step", [200, 66, 33])
def test_frame_rates_behave_alike(step: int) -> None:
    """A walker of 60 pixels a second is hidden for 1.2 s: the same at 5, 15 and 30 frames a second."""
    tracker = open_tracker()
    ids = []
    for time in range(0, 6000, step):
        objects = [] if 3000 < time < 4200 else [found(time * 0.06)]
        out = tracker.update(objects, time * MS, True)
        ids += [o.id for o in out]
    assert set(ids) == {1}


@every_tracker
def test_two_that_cross_keep_their_names(name: str) -> None:
    tracker = open_tracker(name)
    for n in range(60):
        out = tracker.update([found(n * 6), found(360 - n * 6, y=150)], n * 40 * MS, True)
        assert [o.id for o in out] == [1, 2]


@pytest.mark.parametrize("name", ["default", "bytetrack"])
def test_a_weak_detection_continues_a_track_but_starts_none(name: str) -> None:
    tracker = open_tracker(name, high_confidence=0.5, low_confidence=0.1, min_hits=1)
    assert walk(tracker, [0, 2, 4], confidence=0.3) == [None, None, None]
    assert walk(tracker, [0, 2], start=120) == [1, 1]
    assert walk(tracker, [4, 6], start=200, confidence=0.3) == [1, 1]
    assert walk(tracker, [8], start=280, confidence=0.05) == [None]


def test_a_weak_detection_does_not_take_a_track_from_a_strong_one() -> None:
    tracker = open_tracker(min_hits=1)
    tracker.update([found(0)], 0, True)
    weak, strong = found(0, confidence=0.3), found(8)
    tracker.update([weak, strong], 40 * MS, True)
    assert (weak.id, strong.id) == (None, 1)


@pytest.mark.parametrize(("penalty", "ids"), [(0.0, [1, 1, 1]), (0.3, [1, 1, 2]), (1.0, [1, 2, 1])])
def test_a_track_changes_its_class_only_where_it_hardly_moved(penalty: float, ids: list[int]) -> None:
    tracker = open_tracker(min_hits=1, class_penalty=penalty)
    out = [
        tracker.update([found(x, kind=kind)], n * 40 * MS, True)[0].id
        for n, (x, kind) in enumerate([(0, 0), (2, 1), (22, 0)])
    ]
    assert out == ids


def test_classes_of_different_models_are_different_things() -> None:
    tracker = open_tracker(min_hits=1, class_penalty=1.0)
    for n in range(3):
        car, plate = found(0, stage="cars"), found(0, stage="plates")
        tracker.update([car, plate][:: 1 if n % 2 else -1], n * 40 * MS, True)
        ids = {o.stage: o.id for o in (car, plate)}
        assert ids == {"cars": 2, "plates": 1}


@every_tracker
def test_frames_without_inference_carry_the_tracks(name: str) -> None:
    tracker = open_tracker(name, max_age=1.0)
    for n in range(10):
        tracker.update([found(n * 8.0)], n * 40 * MS, True)
    (carried,) = tracker.update([], 400 * MS, False)
    assert (carried.id, carried.label, carried.detected_box) == (1, "a", None)
    x = 72 if name == "iou" else 80  # without a filter a target stays where it was
    assert carried.box == pytest.approx([x, 100, x + 40, 180], abs=2)
    assert carried.track_confidence is not None
    assert 0 < carried.track_confidence < carried.confidence
    assert tracker.update([], 3000 * MS, False) == []


@every_tracker
def test_a_track_that_a_look_did_not_find_is_not_shown(name: str) -> None:
    tracker = open_tracker(name)
    tracker.update([found(0)], 0, True)
    assert tracker.update([], 40 * MS, True) == []
    assert tracker.update([], 80 * MS, False) == []


def test_unless_it_may_coast() -> None:
    tracker = open_tracker(coast=0.1)
    for n in range(10):
        tracker.update([found(n * 8.0)], n * 40 * MS, True)
    for n, shown in ((10, 1), (11, 1), (12, 0)):
        out = tracker.update([], n * 40 * MS, True)
        assert len(out) == shown
        assert all(o.id == 1 and o.detected_box is None for o in out)


def test_tentative_tracks_survive_frames_without_inference() -> None:
    tracker = open_tracker(min_hits=2, evidence=0)
    tracker.update([], 0, True)
    tracker.update([found(0)], 40 * MS, True)
    assert tracker.update([], 80 * MS, False) == []
    (out,) = tracker.update([found(2)], 120 * MS, True)
    assert out.id == 1


def test_detected_objects_take_the_filters_box_unless_told_otherwise() -> None:
    for smooth in (False, True):
        tracker = open_tracker(smooth=smooth)
        tracker.update([found(0)], 0, True)
        (out,) = tracker.update([found(10)], 40 * MS, True)
        assert out.detected_box is not None
        assert out.detected_box[0] == 10
        assert (out.box[0] == 10) is not smooth
        assert 0 < out.box[0] <= 10
        assert out.box.dtype == np.float32


def test_a_discontinuity_forgets_motion_and_keeps_counting() -> None:
    tracker = open_tracker(min_hits=1)
    walk(tracker, [n * 20.0 for n in range(10)])
    tracker.discontinuity()
    # it stands where it stood: motion would have carried it 200 pixels on
    assert walk(tracker, [180.0], start=800) == [1]
    assert walk(tracker, [600.0], start=840) == [2]


@every_tracker
def test_time_that_stands_still_or_goes_back_does_no_harm(name: str) -> None:
    tracker = open_tracker(name)
    for time in (0, 40, 40, 20, 60):
        (out,) = tracker.update([found(time / 10)], time * MS, True)
        assert out.id == 1
        assert np.isfinite(out.box).all()


@every_tracker
def test_boxes_without_size_or_numbers_pass_untracked(name: str) -> None:
    tracker = open_tracker(name, min_hits=1)
    for n in range(3):
        bad = [found(0, w=0), Object(box((0, np.nan, 5, 5)), 0, "a", 0.9), found(9, confidence=float("nan"))]
        out = tracker.update([*bad, found(0)], n * 40 * MS, True)
        assert [o.id for o in out] == [None, None, None, 1]


def test_only_some_classes() -> None:
    tracker = open_tracker(classes=["b"], min_hits=1)
    out = tracker.update([found(0), found(100, kind=1)], 0, True)
    assert [o.id for o in out] == [None, 1]
    assert [o.id for o in open_tracker(classes=[0]).update([found(0), found(100, kind=1)], 0, True)] == [1, None]


def test_at_most_so_many() -> None:
    tracker = open_tracker(max_targets=2)
    out = tracker.update([found(n * 100) for n in range(4)], 0, True)
    assert [o.id for o in out] == [1, 2, None, None]


def test_a_trajectory_is_bounded_and_does_not_change() -> None:
    tracker = open_tracker(trajectory=5, smooth=False)
    kept = []
    for n in range(20):
        (out,) = tracker.update([found(n * 2.0)], n * 40 * MS, True)
        kept.append(out.trajectory)
    for n, trail in enumerate(kept):
        assert trail is not None
        assert [place.x1 for place in trail] == [k * 2.0 for k in range(max(0, n - 4), n + 1)]
        assert trail[-1].pts == n * 40 * MS
        assert len(trail) == min(5, n + 1)


def test_reports() -> None:
    tracker = open_tracker(max_age=0.2, report=["terminated", "shadows", "past"], trajectory=10)
    tracker.update([], 0, True)
    for n in range(1, 6):
        tracker.update([found(n * 4.0)], n * 40 * MS, True)
        assert len(tracker.reports.past) == (1 if n == 3 else 0)
        if n == 3:
            (past,) = tracker.reports.past
            assert past.trajectory is not None
            assert (past.id, past.first_seen, len(past.trajectory)) == (1, 40 * MS, 2)
    tracker.update([], 240 * MS, True)
    (shadow,) = tracker.reports.shadows
    assert (shadow.id, shadow.detected_box) == (1, None)
    ended = []
    for n in range(7, 14):
        tracker.update([], n * 40 * MS, True)
        ended += tracker.reports.terminated
    (one,) = ended
    assert (one.id, one.label, one.last_seen, one.detections) == (1, "a", 200 * MS, 5)


def test_motion_leads_back_to_an_identity_that_ended() -> None:
    for within, ids in ((0.0, [1, 2]), (3.0, [1, 1])):
        tracker = open_tracker(max_age=0.2, reassociate=within)
        walk(tracker, [n * 4.0 for n in range(20)])
        walk(tracker, [None] * 10, start=800)
        there = walk(tracker, [120 + n * 4.0 for n in range(6)], start=1200)
        assert [1, there[-1]] == ids
        far = walk(open_tracker(reassociate=within), [0])
        assert far == [1]


def test_a_warp_moves_targets_with_the_camera() -> None:
    tracker = open_tracker(min_hits=1)
    for n in range(10):
        tracker.update([found(100)], n * 40 * MS, True)
    warp = np.array([[1.0, 0, 150], [0, 1, -20]])
    (out,) = tracker.update([found(250, y=80)], 400 * MS, True, warp=warp)
    assert out.id == 1
    assert out.velocity == pytest.approx((0, 0), abs=5)


def test_names_and_settings() -> None:
    with pytest.raises(ConfigError, match=r"'sorte'.*'sort'"):
        open_tracker("sorte")
    with pytest.raises(ConfigError, match=r"max_agge.*max_age"):
        open_tracker("sort", max_agge=1)
    with pytest.raises(ConfigError, match=r"report='ended'.*terminated"):
        open_tracker(report=["ended"])
    with pytest.raises(ConfigError, match=r"max_age=-1"):
        open_tracker(max_age=-1)


@pytest.mark.parametrize("compiled", [True, False])
def test_after_a_jump_nobody_knows_how_fast_a_thing_is(compiled: bool) -> None:
    tracker = MotionTracker(rules_of("iou"), compiled)
    for n in range(MARKS):
        tracker.update([Object(box((5.0 * n, 0, 5.0 * n + 40, 40)), 0, "car", 0.9)], n * 40_000_000, True)
    tracker.discontinuity()
    (carried,) = tracker.update([], MARKS * 40_000_000, False)
    assert carried.velocity == (0.0, 0.0)
