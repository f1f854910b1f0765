"""The filter in columns against the plain one in matrices."""

from __future__ import annotations

import numpy as np
import pytest

from millrace.trackers import kalman
from millrace.trackers.rules import ACTIVE, INACTIVE, RATE, Life
from millrace.trackers.table import POSITION, STATE, VELOCITY, VV, WIDTH, XV, XX, centred, corners, speeds

LIFE = Life()
SURE = np.ones(9)


def begun(*boxes: tuple[float, float, float, float], life: Life = LIFE) -> np.ndarray:
    table = np.zeros((len(boxes), WIDTH))
    kalman.begin(table, life, np.array(boxes, dtype=np.float64))
    table[:, STATE] = ACTIVE
    return table


def update(table: np.ndarray, *boxes: tuple[float, float, float, float], life: Life = LIFE) -> None:
    kalman.update(table, life, np.array(boxes, dtype=np.float64), SURE[: len(boxes)])


def plain(box: np.ndarray, steps: list[tuple[float, np.ndarray]]) -> tuple[np.ndarray, np.ndarray]:
    """The textbook filter: state of 8, matrices; returns mean and covariance after predict and update of each step."""
    mean = np.concatenate((centred(box[None])[0], np.zeros(4)))
    height = mean[3]
    covariance = np.diag([(LIFE.first_place * height) ** 2] * 4 + [(LIFE.first_velocity * height) ** 2] * 4)
    see = np.eye(4, 8)
    for seconds, measured in steps:
        move = np.eye(8) + np.eye(8, k=4) * seconds
        place, speed = (LIFE.noise_place * mean[3]) ** 2, (LIFE.noise_velocity * mean[3]) ** 2
        grow = np.diag([place] * 4 + [speed] * 4) * seconds * RATE
        mean, covariance = move @ mean, move @ covariance @ move.T + grow
        noise = np.eye(4) * (LIFE.noise_measured * mean[3]) ** 2
        gain = covariance @ see.T @ np.linalg.inv(see @ covariance @ see.T + noise)
        mean = mean + gain @ (centred(measured[None])[0] - see @ mean)
        covariance = (np.eye(8) - gain @ see) @ covariance
    return mean, covariance


def test_equal_to_the_textbook_filter() -> None:
    random = np.random.default_rng(1)
    first = np.array([[10.0, 20, 60, 140], [300, 200, 420, 260]])
    steps = [(0.04, first + random.normal(3, 2, (2, 4))), (0.12, first + random.normal(9, 2, (2, 4)))]
    table = begun(*first)
    for seconds, measured in steps:
        kalman.predict(table, LIFE, seconds)
        kalman.update(table, LIFE, measured, SURE[:2])
    for row in range(2):
        mean, covariance = plain(first[row], [(seconds, measured[row]) for seconds, measured in steps])
        for at, known in (
            (POSITION, mean[:4]), (VELOCITY, mean[4:]), (XX, np.diag(covariance)[:4]),
            (XV, np.diag(covariance[:4, 4:])), (VV, np.diag(covariance)[4:]),
        ):  # fmt: skip
            assert np.allclose(table[row, at : at + 4], known)


def test_it_learns_the_velocity_whatever_the_frame_rate() -> None:
    for steps in ([0.04] * 60, [0.1] * 24, [0.02, 0.1] * 20, [0.2] * 12):
        table, time = begun((0, 0, 40, 80)), 0.0
        for seconds in steps:
            time += seconds
            kalman.predict(table, LIFE, seconds)
            x, y = 120 * time, -30 * time
            update(table, (x, y, x + 40, y + 80))
        assert speeds(table, True)[0] == pytest.approx([120, -30], abs=4)


def test_doubt_grows_with_time_alone() -> None:
    once, often = begun((0, 0, 10, 20)), begun((0, 0, 10, 20))
    kalman.predict(once, LIFE, 1.0)
    for _ in range(1000):
        kalman.predict(often, LIFE, 0.001)
    assert np.allclose(once[:, VV : VV + 4], often[:, VV : VV + 4])
    assert np.allclose(corners(once), corners(often))


def test_at_rest_after_a_jump() -> None:
    table = begun((50, 50, 60, 60))
    kalman.predict(table, LIFE, 0.1)
    update(table, (50, 55, 60, 65))
    where = corners(table)
    kalman.rest(table, LIFE)
    kalman.predict(table, LIFE, 1.0)
    assert np.allclose(corners(table), where)


def test_a_side_never_turns_inside_out() -> None:
    table = begun((0, 0, 40, 40))
    for side in (30.0, 20, 10):
        kalman.predict(table, LIFE, 0.1)
        update(table, (0, 0, side, side))
    kalman.predict(table, LIFE, 5.0)
    x1, y1, x2, y2 = corners(table)[0]
    assert x2 > x1 and y2 > y1


def test_the_width_measures_its_own_axis() -> None:
    wide = begun((0, 0, 100, 20), life=Life(by_axis=1))
    assert wide[0, XX] == pytest.approx(25 * wide[0, XX + 1])


def test_an_unsure_measurement_moves_less() -> None:
    life = Life(confidence_noise=4)
    moved = []
    for confidence in (1.0, 0.2):
        table = begun((0, 0, 40, 40), life=life)
        kalman.update(table, life, np.array([[10.0, 0, 50, 40]]), np.array([confidence]))
        moved.append(table[0, POSITION] - 20)
    assert moved[0] > moved[1] > 0


def test_what_is_not_seen_slows_down_and_keeps_its_size() -> None:
    life = Life(damping=1.0, hold_size=1)
    table = begun((0, 0, 40, 40), life=life)
    table[0, VELOCITY : VELOCITY + 4] = (10, 0, 5, 5)
    table[0, STATE] = INACTIVE
    kalman.predict(table, life, 1.0)
    assert table[0, VELOCITY] == pytest.approx(5)
    assert table[0, POSITION + 2] == pytest.approx(40)
    assert table[0, POSITION] == pytest.approx(25)
