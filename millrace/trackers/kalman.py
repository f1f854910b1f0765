"""A Kalman filter of constant velocity over many boxes at once, in columns (the twin of that in `_step.c`).

State of a target: centre x, centre y, width, height and their velocities. No coordinate's noise depends on another's,
so the 8 x 8 covariance falls apart into four 2 x 2 ones and a filter is a few products of columns. Kalman, "A new
approach to linear filtering and prediction problems", 1960. Noise as a part of the box: Wojke et al., "Simple online
and realtime tracking with a deep association metric", ICIP 2017; by the side of its own axis: Aharon et al.,
"BoT-SORT", 2022; variances grow with time, so that a filter does not depend on the frame rate.
"""

from __future__ import annotations

import numpy as np

from .rules import BOX as BOX_ALONE
from .rules import INACTIVE, NO_VELOCITY_OF_SIDES, RATE, Life
from .table import POSITION, STATE, VELOCITY, VV, XV, XX, Columns, centred

SMALLEST = 1.0  # pixels: a side is never held to be shorter


def sides(table: Columns, life: Life) -> Columns:
    """[n, 4]: by what the noise of each coordinate is measured."""
    height = np.maximum(table[:, POSITION + 3], SMALLEST)
    width = np.maximum(table[:, POSITION + 2], SMALLEST) if life.by_axis > 0 else height
    return np.stack((width, height, width, height), axis=1)


def predict(table: Columns, life: Life, seconds: float) -> None:
    """Move every target of a table on, in place."""
    if life.filter == BOX_ALONE:
        return
    position, velocity, xx, xv, vv = (table[:, at : at + 4] for at in (POSITION, VELOCITY, XX, XV, VV))
    side, steps = sides(table, life), seconds * RATE
    unseen = table[:, STATE] == INACTIVE
    if life.hold_size > 0:
        velocity[unseen, 2:] = 0.0
    if life.damping > 0:
        velocity[unseen] = velocity[unseen] / (1.0 + life.damping * seconds)
    place, speed = life.noise_place * side, life.noise_velocity * side
    q = place * place + np.array((life.place_abs, life.place_abs, life.size_abs, life.size_abs))
    qv = speed * speed + life.velocity_abs
    free = slice(0, 2) if life.filter == NO_VELOCITY_OF_SIDES else slice(0, 4)
    if free.stop == 2:
        xx[:, 2:] += q[:, 2:] * steps
    position[:, free] += velocity[:, free] * seconds
    xx[:, free] += (2 * xv[:, free] + vv[:, free] * seconds) * seconds + q[:, free] * steps
    xv[:, free] += vv[:, free] * seconds
    vv[:, free] += qv[:, free] * steps
    np.maximum(position[:, 2:], SMALLEST, out=position[:, 2:])


def measured_noise(table: Columns, life: Life, confidence: Columns | float) -> Columns:
    """[n, 4]: the variance of a measurement."""
    r = life.noise_measured * sides(table, life)
    doubt = 1.0 + life.confidence_noise * (1.0 - np.asarray(confidence, dtype=np.float64))
    return np.asarray((r * r + life.measured_abs) * doubt.reshape(-1, 1))


def update(table: Columns, life: Life, boxes: Columns, confidence: Columns) -> None:
    """Correct every target of a table by its measured box [n, 4], in place."""
    seen = centred(boxes)
    position, velocity, xx, xv, vv = (table[:, at : at + 4] for at in (POSITION, VELOCITY, XX, XV, VV))
    if life.filter == BOX_ALONE:
        position[:] = seen
        return
    total = xx + measured_noise(table, life, confidence)
    gain, gain_velocity = xx / total, xv / total
    error = seen - position
    position += gain * error
    velocity += gain_velocity * error
    vv -= gain_velocity * xv
    xv -= gain * xv
    xx -= gain * xx


def begin(table: Columns, life: Life, boxes: Columns) -> None:
    """New targets, at rest: `table` is zero but for what this sets."""
    table[:, POSITION : POSITION + 4] = centred(boxes)
    side = sides(table, life)
    place, speed = life.first_place * side, life.first_velocity * side
    table[:, XX : XX + 4] = place * place + life.measured_abs
    table[:, VV : VV + 4] = speed * speed + life.velocity_abs * (RATE * RATE)


def rest(table: Columns, life: Life) -> None:
    """All targets stand still where they are, with the doubt of new ones."""
    side = sides(table, life)
    place, speed = life.first_place * side, life.first_velocity * side
    table[:, VELOCITY : VELOCITY + 4] = table[:, XV : XV + 4] = 0.0
    table[:, XX : XX + 4] = place * place + life.measured_abs
    table[:, VV : VV + 4] = speed * speed + life.velocity_abs * (RATE * RATE)
