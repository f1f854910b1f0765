"""Optimal assignment, against brute force and against its own definition."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from millrace.trackers.matching import assign

sizes = st.tuples(st.integers(0, 5), st.integers(0, 5))
values = st.one_of(st.integers(0, 12).map(float), st.just(math.inf), st.floats(-3, 12, allow_nan=False, width=32))


def gain(cost: np.ndarray, limit: float, rows: list[int], columns: list[int]) -> float:
    return sum(limit - float(cost[row, column]) for row, column in zip(rows, columns, strict=True))


def brute_force(cost: np.ndarray, limit: float) -> float:
    n, m = cost.shape
    if n > m:
        return brute_force(cost.T, limit)
    return max(
        sum(max(0.0, limit - float(cost[row, column])) for row, column in enumerate(order))
        for order in itertools.permutations(range(m), n)
    )


@given(sizes.flatmap(lambda size: arrays(np.float64, size, elements=values)), st.floats(0.5, 12))
def test_the_best_of_all_pairs(cost: np.ndarray, limit: float) -> None:
    rows, columns = assign(cost, limit)
    assert rows == sorted(set(rows))
    assert len(columns) == len(set(columns)) == len(rows)
    assert all(cost[row, column] < limit for row, column in zip(rows, columns, strict=True))
    assert gain(cost, limit, rows, columns) == pytest.approx(brute_force(cost, limit), abs=1e-6)


def test_the_greedy_choice_is_not_the_best_one() -> None:
    assert assign(np.array([[0.1, 0.2], [0.15, 0.9]]), 1.0) == ([0, 1], [1, 0])


def test_leaving_a_row_alone_may_pay() -> None:
    # both pairs together cost 0.9 + 0.9; the cheap pair alone gains more than the two
    assert assign(np.array([[0.05, 0.9], [0.9, math.inf]]), 1.0) == ([0], [0])


def test_the_limit_itself_is_not_allowed() -> None:
    assert assign(np.array([[0.5]]), 0.5) == ([], [])


def test_nan_is_never_chosen() -> None:
    assert assign(np.array([[math.nan, 0.2]]), 1.0) == ([0], [1])


@pytest.mark.parametrize("shape", [(0, 0), (0, 3), (3, 0)])
def test_nothing_to_pair(shape: tuple[int, int]) -> None:
    assert assign(np.zeros(shape), 1.0) == ([], [])


def test_a_large_dense_matrix_has_no_improving_swap_or_cycle() -> None:
    cost = np.random.default_rng(3).uniform(0, 1, (60, 45))
    rows, columns = assign(cost, 2.0)
    assert len(rows) == 45
    chosen = dict(zip(rows, columns, strict=True))
    free = sorted(set(range(60)) - set(rows))
    for row, column in chosen.items():
        assert cost[free, column].min() >= cost[row, column] - 1e-12
    # optimal exactly when the graph of swaps has no cycle of negative length (Bellman-Ford)
    picked = np.array([chosen[row] for row in rows])
    step = cost[np.ix_(rows, picked)] - cost[rows, picked][:, None]
    distance = np.zeros(len(rows))
    for _ in range(len(rows)):
        distance = np.minimum(distance, (distance[:, None] + step).min(axis=0))
    assert np.allclose(np.minimum(distance, (distance[:, None] + step).min(axis=0)), distance, atol=1e-9)
