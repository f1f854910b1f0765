"""A constant-velocity Kalman filter over many boxes at once."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Columns = NDArray[np.float64]

# Noise as a part of the box's height (Wojke et al., "Simple online and realtime tracking with a deep association
# metric", ICIP 2017), where a step is a frame; here a variance grows with time, and 30 frames of theirs are a second.
RATE = 30.0
POSITION = 1 / 20
VELOCITY = 1 / 160 * RATE  # heights per second, gained in one of their steps
SMALLEST = 1.0  # pixels: a predicted side is never shorter


class Boxes:
    """The motion of n boxes. State: centre x, centre y, width, height and their velocities (pixels per second).

    No coordinate's noise depends on another's, so the 8 x 8 covariance falls apart into four 2 x 2 ones and a
    filter is a few products of columns: `state` is [5, n, 4], position, velocity, and the variances of position,
    of position with velocity, and of velocity. Kalman, "A new approach to linear filtering", 1960.
    """

    def __init__(self) -> None:
        self.state: Columns = np.zeros((5, 0, 4))

    def __len__(self) -> int:
        return int(self.state.shape[1])

    def add(self, boxes: NDArray[Any]) -> None:
        """Boxes [k, 4] x1 y1 x2 y2, at rest, join at the end."""
        fresh = np.zeros((5, len(boxes), 4))
        fresh[0] = centred(boxes)
        _rest(fresh)
        self.state = np.concatenate((self.state, fresh), axis=1)

    def keep(self, rows: list[int]) -> None:
        """Only these rows stay, in this order."""
        self.state = self.state[:, rows]

    def predict(self, seconds: float) -> None:
        """Move every box on by `seconds`."""
        position, velocity, xx, xv, vv = self.state
        noise = np.square(np.maximum(position[:, 3:4], SMALLEST)) * (seconds * RATE)
        position += velocity * seconds
        np.maximum(position[:, 2:], SMALLEST, out=position[:, 2:])
        xx += (2 * xv + vv * seconds) * seconds + noise * POSITION**2
        xv += vv * seconds
        vv += noise * VELOCITY**2

    def update(self, rows: list[int], boxes: NDArray[Any]) -> None:
        """Correct the filters of `rows` by measured boxes [k, 4] x1 y1 x2 y2."""
        whole = rows == list(range(len(self)))
        state = self.state if whole else self.state[:, rows]
        position, velocity, xx, xv, vv = state
        noise = np.square(np.maximum(position[:, 3:4], SMALLEST) * POSITION)
        total = xx + noise
        gain, gain_velocity = xx / total, xv / total
        error = centred(boxes) - position
        position += gain * error
        velocity += gain_velocity * error
        vv -= gain_velocity * xv
        xv -= gain * xv
        xx -= gain * xx
        if not whole:
            self.state[:, rows] = state

    def forget_motion(self) -> None:
        """All boxes stand still where they are, with the doubt of new ones."""
        _rest(self.state)

    def boxes(self) -> Columns:
        """x1 y1 x2 y2 of every box [n, 4]."""
        position: Columns = self.state[0]
        half = position[:, 2:] * 0.5
        out = np.empty((len(position), 4))
        np.subtract(position[:, :2], half, out=out[:, :2])
        np.add(position[:, :2], half, out=out[:, 2:])
        return out

    def velocities(self) -> list[list[float]]:
        """Of every box's centre: [x, y] in pixels per second."""
        found: list[list[float]] = self.state[1, :, :2].tolist()
        return found


def _rest(state: Columns) -> None:
    height = np.maximum(state[0, :, 3:4], SMALLEST)
    state[1] = state[3] = 0.0
    state[2] = np.square(2 * POSITION * height)
    state[4] = np.square(10 * VELOCITY * height)


def centred(boxes: NDArray[Any]) -> Columns:
    """x1 y1 x2 y2 → centre x, centre y, width, height, in float64."""
    out = np.empty((len(boxes), 4))
    np.subtract(boxes[:, 2:], boxes[:, :2], out=out[:, 2:])
    np.add(boxes[:, :2], out[:, 2:] * 0.5, out=out[:, :2])
    return out
