"""Assignment: which detection belongs to which track."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

Candidates = list[list[tuple[int, float]]]  # for every row, the columns it may take and what each costs


def assign(cost: NDArray[Any], limit: float) -> tuple[list[int], list[int]]:
    """The best one-to-one pairs of rows and columns of `cost` [n, m]: (rows, columns), rows ascending.

    Only pairs that cost less than `limit` are allowed (infinite and NaN never are). To leave a row alone costs
    `limit`, so the pairs chosen have the greatest sum of (limit - cost): the rule of a cost limit in trackers.
    """
    rows, columns = (found.tolist() for found in np.nonzero(cost < limit))
    if len(set(rows)) == len(rows) and len(set(columns)) == len(columns):
        return rows, columns  # nobody competes, which is nearly every frame of most streams
    candidates: Candidates = [[] for _ in range(cost.shape[0])]
    for row, column, value in zip(rows, columns, cost[rows, columns].tolist(), strict=True):
        candidates[row].append((column, value))
    taken = shortest_paths(candidates, cost.shape[1], limit)
    chosen = [row for row, column in enumerate(taken) if column >= 0]
    return chosen, [taken[row] for row in chosen]


def shortest_paths(candidates: Candidates, columns: int, limit: float) -> list[int]:
    """The column of every row, -1 for none, by shortest augmenting paths over the candidates alone.

    Jonker and Volgenant, "A shortest augmenting path algorithm for dense and sparse linear assignment problems",
    Computing 38, 1987, without their initial phases: rows come one by one, and each takes the cheapest alternating
    path to a free column. Every row has besides a column of its own that costs `limit` and means "left alone".
    """
    row_of = [-1] * columns
    column_of = [-1] * len(candidates)
    cost_of = [0.0] * len(candidates)  # what a row pays for the column it has
    price = [0.0] * columns  # dual variables of the columns, never above 0; 0 for a free column
    for start in range(len(candidates)):
        distance: dict[int, float] = {}  # open columns
        settled: dict[int, float] = {}
        before: dict[int, tuple[int, float]] = {}  # the row that leads to a column, and at what cost
        alone, loser = math.inf, start  # the cheapest way to end by leaving a row alone
        row, shift = start, 0.0
        while True:
            if shift + limit < alone:
                alone, loser = shift + limit, row
            for column, value in candidates[row]:
                length = shift + value - price[column]
                if column not in settled and length < distance.get(column, math.inf):
                    distance[column] = length
                    before[column] = (row, value)
            end = min(distance, key=lambda column: (distance[column], column), default=-1)
            if end < 0 or distance[end] >= alone:
                total, end = alone, column_of[loser]
                column_of[loser] = -1
                break
            total = distance.pop(end)
            row = row_of[end]
            if row < 0:
                break
            settled[end] = total
            shift = total - (cost_of[row] - price[end])
        for column, length in settled.items():
            price[column] += length - total
        while end >= 0:  # swap along the path, back to the row that came new
            row, value = before[end]
            row_of[end], previous = row, column_of[row]
            column_of[row], cost_of[row] = end, value
            end = previous if row != start else -1
    return column_of


def greedy(score: NDArray[Any], floor: float) -> list[int]:
    """The column of every row, -1 for none: the best pair of all first, then the best of the rest, …

    Only pairs above `floor`; of equal scores the first row's, then the first column's. `score` is [n, m].
    """
    taken = [-1] * score.shape[0]
    rest = np.where(score > floor, score, -math.inf)
    while rest.size:
        row, column = divmod(int(rest.argmax()), score.shape[1])
        if rest[row, column] == -math.inf:
            break
        taken[row] = column
        rest[row] = -math.inf
        rest[:, column] = -math.inf
    return taken


def optimal(score: NDArray[Any], floor: float) -> list[int]:
    """The column of every row, -1 for none: the greatest sum of (score - floor). `score` is [n, m]."""
    rows, columns = (found.tolist() for found in np.nonzero(score > floor))
    taken = [-1] * score.shape[0]
    if len(set(rows)) == len(rows) and len(set(columns)) == len(columns):
        for row, column in zip(rows, columns, strict=True):
            taken[row] = column
        return taken
    candidates: Candidates = [[] for _ in taken]
    for row, column in zip(rows, columns, strict=True):
        candidates[row].append((column, floor - float(score[row, column])))
    return shortest_paths(candidates, score.shape[1], 0.0)
