"""Boxes that lie in crowds, as cells of networks, and whether what is left out of them is missed by nobody."""

from __future__ import annotations

from typing import Any

import numpy as np

from millrace.parsers.common import corners, grid
from millrace.parsers.nms import nms

SIZE = 256
KINDS = ["centres", "corners", "grid"]


def crowd(random: Any, count: int, how: str) -> Any:
    """Boxes x1 y1 x2 y2 of which many overlap."""
    if how == "random":
        sides = random.uniform(0, SIZE, (count, 4))
        return np.concatenate([np.minimum(sides[:, :2], sides[:, 2:]), np.maximum(sides[:, :2], sides[:, 2:])], 1)
    centres = random.uniform(20, SIZE - 20, (12, 4)) * [1, 1, 0.3, 0.3]
    around = centres[random.integers(0, 12, count)]
    if how == "clusters":
        around = around + random.normal(0, 3, (count, 4))
    if how == "whole pixels":  # touching, equal, one in the other, and overlaps of simple fractions
        around = np.round(around / 8) * 8 + random.integers(-1, 2, (count, 4)) * 8
    if how == "tiny":
        around = around * [1, 1, 0.01, 0.01]
    if how == "fractions":
        around = (around + random.normal(0, 3, (count, 4))) / SIZE
    return np.concatenate([around[:, :2] - around[:, 2:] / 2, around[:, :2] + around[:, 2:] / 2], 1)


HOW = ["random", "clusters", "whole pixels", "tiny", "fractions"]


def as_cells(boxes: Any, kind: str, random: Any) -> Any:
    """The four numbers of each cell that tell these boxes, and the places of a grid's cells."""
    x1, y1, x2, y2 = boxes.T
    centres = np.stack([(x1 + x2) / 2, (y1 + y2) / 2, x2 - x1, y2 - y1], 1)
    points, steps = grid(SIZE, SIZE, (8, 16, 32))
    chosen = random.permutation(len(points))[: len(boxes)]
    places = np.concatenate([points, steps], 1)[chosen].astype(np.float32)
    if kind == "grid":
        sides = np.maximum(centres[:, 2:], 1e-6)
        numbers = np.concatenate([centres[:, :2] / places[:, 2:] - places[:, :2], np.log(sides / places[:, 2:])], 1)
    else:
        numbers = centres if kind == "centres" else boxes
    return numbers.astype(np.float32), places


def boxes_of(numbers: Any, places: Any, kind: str) -> Any:
    """As parsers work them out."""
    if kind == "corners":
        return numbers
    if kind == "grid":
        centres = (numbers[:, :2] + places[:, :2]) * places[:, 2:]
        return corners(np.concatenate([centres, np.exp(numbers[:, 2:4]) * places[:, 2:]], 1))
    return corners(numbers)


def check(suppress: Any, kind: str, how: str, most: int = 150, device: str = "cpu") -> None:
    """NMS of what stays is NMS of all, whatever is asked; and little stays that it removes."""
    import torch

    random, more, all_kept = np.random.default_rng(HOW.index(how)), 0, 0
    for _ in range(4):
        count = int(random.integers(1, most))
        made = [as_cells(crowd(random, count, how), kind, random) for _ in range(3)]
        numbers, places = (np.stack(column) for column in zip(*made, strict=True))
        scores = random.choice([0.1, 0.25, 0.5, 0.5, 0.75, 1.0], (3, count)).astype(np.float32)  # many are equal
        classes = random.integers(0, 3, (3, count)).astype(np.int32)
        asked = np.array([[0.25, 0.45, 0], [0.3, 1 / 3, 1], [0.0, 0.0, 0]], np.float32)
        cells = np.concatenate([numbers, scores[..., None]], 2)
        tensors = [torch.from_numpy(value).to(device) for value in (cells, classes, places, asked)]
        order, in_order, fates = (value.cpu().numpy() for value in suppress(*tensors, KINDS.index(kind), 4, False))
        for n in range(3):
            boxes, (floor, limit, together) = boxes_of(numbers[n], places[n], kind), asked[n]
            assert np.array_equal(order[n], np.argsort(-scores[n], kind="stable"))
            assert np.array_equal(in_order[n], scores[n][order[n]])
            every = np.flatnonzero(scores[n] >= floor)
            stays = np.sort(order[n][fates[n] != 2])
            assert set(stays) <= set(every)
            wanted, found = (
                rows[nms(boxes[rows], scores[n][rows], None if together else classes[n][rows], float(limit))]
                for rows in (every, stays)
            )
            assert np.array_equal(found, wanted)
            more, all_kept = more + len(stays) - len(found), all_kept + len(found)
    assert more <= (0.05 if how in ("random", "clusters", "fractions") else 1) * all_kept
