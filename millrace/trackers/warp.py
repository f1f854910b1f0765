"""The camera moved: targets are brought to where they are in the new picture."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .table import BOX, MARK, MARKS, POSITION, RING, SAVED, VELOCITY, Columns


def move(table: Columns, warp: NDArray[np.float64]) -> None:
    """Apply an affine map [2, 3] of pixels to all places and velocities of a table, in place; sides scale with it."""
    turn, shift = warp[:, :2], warp[:, 2]
    scale = float(np.sqrt(abs(np.linalg.det(turn))))
    for start in (POSITION, SAVED):
        centre, speed = slice(start, start + 2), slice(start + VELOCITY, start + VELOCITY + 2)
        table[:, centre] = table[:, centre] @ turn.T + shift
        table[:, speed] = table[:, speed] @ turn.T
        table[:, start + 2 : start + 4] *= scale
        table[:, start + VELOCITY + 2 : start + VELOCITY + 4] *= scale
    box = table[:, BOX : BOX + 4]
    centre_of_box = (box[:, :2] + box[:, 2:]) * 0.5 @ turn.T + shift
    half = (box[:, 2:] - box[:, :2]) * (0.5 * scale)
    table[:, BOX : BOX + 2], table[:, BOX + 2 : BOX + 4] = centre_of_box - half, centre_of_box + half
    for mark in range(MARKS):
        at = slice(RING + MARK * mark + 1, RING + MARK * mark + 3)
        table[:, at] = table[:, at] @ turn.T + shift
