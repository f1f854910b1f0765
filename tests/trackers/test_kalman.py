"""The filter in columns against the plain one in matrices."""

from __future__ import annotations

import numpy as np
import pytest

from millrace.trackers.kalman import POSITION, RATE, VELOCITY, Boxes, centred


def plain(box: np.ndarray, steps: list[tuple[float, np.ndarray]]) -> tuple[np.ndarray, np.ndarray]:
    """The textbook filter: state of 8, matrices; returns mean and covariance after predict and update of each step."""
    mean = np.concatenate((centred(box[None])[0], np.zeros(4)))
    height = mean[3]
    covariance = np.diag([(2 * POSITION * height) ** 2] * 4 + [(10 * VELOCITY * height) ** 2] * 4)
    see = np.eye(4, 8)
    for seconds, measured in steps:
        move = np.eye(8) + np.eye(8, k=4) * seconds
        grow = np.diag([(POSITION * mean[3]) ** 2] * 4 + [(VELOCITY * mean[3]) ** 2] * 4) * seconds * RATE
        mean, covariance = move @ mean, move @ covariance @ move.T + grow
        noise = np.eye(4) * (POSITION * mean[3]) ** 2
        gain = covariance @ see.T @ np.linalg.inv(see @ covariance @ see.T + noise)
        mean = mean + gain @ (centred(measured[None])[0] - see @ mean)
        covariance = (np.eye(8) - gain @ see) @ covariance
    return mean, covariance


def test_equal_to_the_textbook_filter() -> None:
    random = np.random.default_rng(1)
    first = np.array([[10.0, 20, 60, 140], [300, 200, 420, 260]])
    steps = [(0.04, first + random.normal(3, 2, (2, 4))), (0.12, first + random.normal(9, 2, (2, 4)))]
    filters = Boxes()
    filters.add(first)
    for seconds, measured in steps:
        filters.predict(seconds)
        filters.update([0, 1], measured)
    for row in range(2):
        mean, covariance = plain(first[row], [(seconds, measured[row]) for seconds, measured in steps])
        assert np.allclose(filters.state[0, row], mean[:4])
        assert np.allclose(filters.state[1, row], mean[4:])
        assert np.allclose(filters.state[2, row], np.diag(covariance)[:4])
        assert np.allclose(filters.state[3, row], np.diag(covariance[:4, 4:]))
        assert np.allclose(filters.state[4, row], np.diag(covariance)[4:])


def test_it_learns_the_velocity_whatever_the_frame_rate() -> None:
    for steps in ([0.04] * 60, [0.1] * 24, [0.02, 0.1] * 20):
        filters, time = Boxes(), 0.0
        filters.add(np.array([[0.0, 0, 40, 80]]))
        for seconds in steps:
            time += seconds
            filters.predict(seconds)
            x, y = 120 * time, -30 * time
            filters.update([0], np.array([[x, y, x + 40, y + 80]]))
        assert filters.velocities()[0] == pytest.approx([120, -30], abs=3)


def test_rows_that_are_not_seen_only_move() -> None:
    filters = Boxes()
    filters.add(np.array([[0.0, 0, 10, 10], [50, 50, 60, 60], [90, 90, 99, 99]]))
    before = filters.state.copy()
    filters.update([1], np.array([[52.0, 50, 62, 60]]))
    assert np.array_equal(filters.state[:, [0, 2]], before[:, [0, 2]])
    assert filters.boxes()[1, 0] > 50


def test_doubt_grows_with_time_alone() -> None:
    once, often = Boxes(), Boxes()
    for filters in (once, often):
        filters.add(np.array([[0.0, 0, 10, 20]]))
    once.predict(1.0)
    for _ in range(1000):
        often.predict(0.001)
    assert np.allclose(once.state[4], often.state[4])
    assert np.allclose(once.boxes(), often.boxes())


def test_keep_and_forget_motion() -> None:
    filters = Boxes()
    filters.add(np.array([[0.0, 0, 10, 10], [50, 50, 60, 60]]))
    filters.predict(0.1)
    filters.update([0, 1], np.array([[5.0, 0, 15, 10], [50, 55, 60, 65]]))
    filters.keep([1])
    assert len(filters) == 1
    where = filters.boxes()
    filters.forget_motion()
    filters.predict(1.0)
    assert np.allclose(filters.boxes(), where)


def test_a_side_never_turns_inside_out() -> None:
    filters = Boxes()
    filters.add(np.array([[0.0, 0, 40, 40]]))
    for side in (30.0, 20, 10):
        filters.predict(0.1)
        filters.update([0], np.array([[0.0, 0, side, side]]))
    filters.predict(5.0)
    x1, y1, x2, y2 = filters.boxes()[0]
    assert x2 > x1 and y2 > y1
