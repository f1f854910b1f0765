"""The step in C and the step in NumPy give the same numbers, to the bit."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from millrace.media import Object, box
from millrace.trackers import TABLE, motion, rules_of, step
from millrace.trackers import arrays as python
from millrace.trackers.base import Rules
from millrace.trackers.motion import MotionTracker
from millrace.trackers.rules import Life, Stage, life_array, stages_array
from millrace.trackers.table import DETECTION, WIDTH

MOTION = sorted(set(TABLE) - {"dcf"})  # those that need no picture
compiled = pytest.mark.skipif(motion.native is None, reason="the C part was not built: no compiler")


def crowd(seed: int, frames: int = 60, most: int = 14) -> list[list[tuple[list[float], int, float]]]:
    """Boxes that wander, meet, vanish and come back: (box, class, confidence) a frame."""
    random = np.random.default_rng(seed)
    place = random.uniform(0, 300, (most, 2))
    speed = random.normal(0, 4, (most, 2))
    size = random.uniform(20, 70, (most, 2))
    out = []
    for _ in range(frames):
        speed += random.normal(0, 0.8, speed.shape)
        place = place + speed
        frame = []
        for k in range(most):
            if random.random() < 0.75:
                x, y = place[k] + random.normal(0, 2, 2)
                w, h = size[k] * random.uniform(0.9, 1.1, 2)
                frame.append(([x, y, x + w, y + h], k % 3, float(random.choice([0.2, 0.5, 0.8, 0.95]))))
        out.append(frame)
    return out


def follow(tracker: MotionTracker, frames: list[Any]) -> list[Any]:
    out = []
    for n, frame in enumerate(frames):
        objects = [Object(box(values), kind, "abc"[kind], sure) for values, kind, sure in frame]
        looked = n % 5 != 4
        for found in tracker.update(objects if looked else [], n * 33_000_000 + n % 3 * 7_000_000, looked):
            out.append((n, found.id, found.box.tolist(), found.velocity, found.age, found.track_confidence))
    return [*out, tracker.table[: tracker.n].tolist(), tracker.ids]


@compiled
@pytest.mark.parametrize("name", MOTION)
@pytest.mark.parametrize("more", [{}, {"smooth": False, "coast": 0.2, "reassociate": 2.0, "min_hits": 1}])
def test_every_tracker(name: str, more: dict[str, Any]) -> None:
    for seed in range(3):
        frames = crowd(seed)
        both = [follow(MotionTracker(rules_of(name, **more), compiled=way), frames) for way in (True, False)]
        assert both[0] == both[1]
        assert both[0][-1] > 5


number = st.floats(0, 1)
flag = st.sampled_from([0.0, 1.0])
stage = st.builds(
    Stage, states=st.sampled_from([1.0, 2.0, 3.0, 4.0, 7.0]), recent=flag, low=st.sampled_from([0.0, 0.4]), last=flag,
    buffer=st.sampled_from([0.0, 0.2]), growth=number, buffer_most=number, iou=number, size=number, confidence=number,
    direction=number, fuse=flag, height=flag, min_iou=st.floats(0, 0.5), min_size=number, min_score=st.floats(0, 0.5),
    mahalanobis=st.sampled_from([-1.0, 4.0, 30.0]), greedy=flag, class_penalty=number,
)  # fmt: skip
life = st.builds(
    Life, filter=st.sampled_from([0.0, 1.0, 2.0]), by_axis=flag, place_abs=number, size_abs=number, velocity_abs=number,
    measured_abs=number, confidence_noise=number, damping=number, hold_size=flag, reupdate=flag, moment=number,
    new_confidence=number, new_iou=number, most=st.sampled_from([5.0, 50.0]), hits=st.sampled_from([1.0, 2.0, 4.0]),
    probation=st.sampled_from([0.0, 0.1]), early=st.sampled_from([1.0, 3.0]), max_age=st.floats(0, 1), duplicate=number,
    evidence=number,
)  # fmt: skip


class MadeUp(Rules):
    """Rules that are made up."""

    made: tuple[tuple[Stage, ...], Life]

    def stages(self) -> tuple[Stage, ...]:
        return self.made[0]

    def life(self) -> Life:
        return self.made[1]


@compiled
@settings(max_examples=60, deadline=None)
@given(st.lists(stage, min_size=1, max_size=3), life, st.integers(0, 99))
def test_any_rules(stages: list[Stage], life: Life, seed: int) -> None:
    rules = MadeUp()
    rules.made = tuple(stages), life
    frames = crowd(seed, 14, 9)
    both = [follow(MotionTracker(rules, compiled=way), frames) for way in (True, False)]
    assert both[0] == both[1]


def arrays(n: int, m: int) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(n + m)
    table, found = np.zeros((n + m, WIDTH)), np.zeros((m, DETECTION))
    places = random.uniform(0, 60, (max(n, m), 2))
    found[:, :2] = places[:m]
    found[:, 2:4], found[:, 4] = places[:m] + 40, 0.9
    return table, found


@compiled
def test_further_likenesses_are_weighed() -> None:
    rules = (replace(Stage(), extra=(2.0, 0.0), min_extra=(0.1, -np.inf)),), Life(hits=1)
    for way in (True, False):
        table, found = arrays(0, 6)
        match, gone = np.zeros(6, np.int32), np.zeros((12, WIDTH))
        n = 0
        for time in (0.0, 0.04):
            extras = np.zeros((2, n, 6))
            if n:
                extras[0] = np.eye(6)[::-1]  # each looks like the one that came last before
            table = np.vstack((table[:n], np.zeros((12, WIDTH))))
            if way:
                arguments = (stages_array(rules[0]), life_array(rules[1]))
                n, *_ = motion.native.step(table, n, found, 6, *arguments, time, 0, 1.0 + n, match, gone, extras)
            else:
                n, *_ = step.step(table, n, found, rules, time, False, 1.0 + n, match, gone, extras)
        paired = [(k, int(row)) for k, row in enumerate(match) if row < 6]
        assert paired
        assert all(row == 5 - k for k, row in paired)


@compiled
def test_wrong_arrays_are_refused() -> None:
    native: Any = motion.native
    table, found = arrays(2, 3)
    stages, life = stages_array((Stage(),)), life_array(Life())
    match, gone = np.zeros(3, np.int32), np.zeros((5, WIDTH))
    for wrong in (
        (table[:3], 2, found, 3, stages, life, 0.0, 0, 1.0, match, gone, None),
        (table.astype(np.float32), 2, found, 3, stages, life, 0.0, 0, 1.0, match, gone, None),
        (table, 2, found[:2], 3, stages, life, 0.0, 0, 1.0, match, gone, None),
        (table, 2, found, 3, stages[:0], life, 0.0, 0, 1.0, match, gone, None),
        (table, 2, found, 3, stages, life[:-1], 0.0, 0, 1.0, match, gone, None),
        (table, 2, found, 3, stages, life, 0.0, 0, 1.0, match[:2], gone, None),
        (table, 2, found, 3, stages, life, 0.0, 0, 1.0, match.astype(np.int64), gone, None),
        (table, 2, found, 3, stages, life, 0.0, 0, 1.0, match, gone[:1], None),
        (table, 2, found, 3, stages, life, 0.0, 0, 1.0, match, gone, np.zeros(5)),
        (table, -1, found, 3, stages, life, 0.0, 0, 1.0, match, gone, None),
    ):
        with pytest.raises(ValueError, match=r"at least|out of range|int32"):
            native.step(*wrong)
    with pytest.raises(ValueError, match="four float32"):
        native.gather([Object(np.zeros(3, np.float32), 0, "a", 1.0)], found, {}, [])
    with pytest.raises(ValueError, match="boxes float32"):
        native.publish([Object(box((0, 0, 1, 1)), 0, "a", 1.0)], match, table, 2, np.zeros(4), 1, 0.0)


@compiled
def test_both_say_how_many_targets_were_detected() -> None:
    native: Any = motion.native
    table, _ = arrays(3, 3)
    match = np.array([2, -1, 0, 9], np.int32)  # of three detections
    for publish in (native.publish, publish_in_python):
        objects = [Object(box((0, 0, 1, 1)), 0, "a", 1.0) for _ in range(3)]
        assert publish(objects, match, table, 3, None, 1, 0.0) == 2
        assert [found.track_confidence is None for found in objects] == [False, True, False]


def publish_in_python(
    objects: list[Object], match: Any, table: Any, n: int, boxes: Any, filtered: int, now: float
) -> int:
    return python.publish(objects, match, table[:n], boxes, bool(filtered), now)
