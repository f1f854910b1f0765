from __future__ import annotations

import itertools
from fractions import Fraction

from millrace.decoders.timing import Clock

MS = 1_000_000


def stamps(times, fps=Fraction(25)):
    clock = Clock(fps)
    return [clock.stamp(None if t is None else t * MS) for t in times]


def test_good_times_are_kept():
    assert stamps([7, 47, 500]) == [7 * MS, 47 * MS, 500 * MS]


def test_no_times_are_index_over_fps_without_drift():
    clock = Clock(Fraction(30))
    times = [clock.stamp(None) for _ in range(91)]
    assert times[:3] == [0, 33_333_333, 66_666_667]
    assert times[90] == 3_000_000_000


def test_no_fps_is_25():
    assert stamps([None, None], None) == [0, 40 * MS]


def test_a_missing_time_follows_the_last_known():
    assert stamps([100, None, None, 220]) == [100 * MS, 140 * MS, 180 * MS, 220 * MS]


def test_a_repeated_time_leaves_room_for_the_next_right_one():
    assert stamps([40, 160, 240, 240, 280]) == [40 * MS, 160 * MS, 240 * MS, 260 * MS, 280 * MS]


def test_a_small_step_back_does_not_move_those_after_it():
    assert stamps([0, 40, 20, 80]) == [0, 40 * MS, 60 * MS, 80 * MS]


def test_a_clock_that_is_set_back_goes_on():
    assert stamps([5000, 5040, 0, 40]) == [5000 * MS, 5040 * MS, 5080 * MS, 5120 * MS]


def test_times_always_grow():
    times = stamps([0, 0, 0, 0, None, 0, 900, 899, 40, 41, None, None, 42] * 3)
    assert all(later > earlier for earlier, later in itertools.pairwise(times))
