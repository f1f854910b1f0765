"""Measuring: calls in flight, turns, what noise is, and a choice that noise cannot make."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from millrace.builder.measure import WARM_UP, Pace, Turns, alone, pace, take_turns
from millrace.builder.trial import Trial
from millrace.builder.whole import choose
from millrace.engines import Engine


class Sleeper:
    """A runtime whose calls take a known time."""

    def __init__(self, seconds, parallel):
        self.seconds, self.parallel = seconds, parallel
        self.lock, self.now, self.most, self.calls = threading.Lock(), 0, 0, 0
        self.pool = ThreadPoolExecutor(parallel)

    def run(self, inputs):
        with self.lock:
            self.now += 1
            self.calls += 1
            self.most = max(self.most, self.now)
        time.sleep(self.seconds)
        with self.lock:
            self.now -= 1
        return {}

    def submit(self, inputs, done=None):
        return self.pool.submit(self.run, inputs)

    def close(self):
        self.pool.shutdown()


@pytest.fixture
def sleeper():
    made = []

    def make(seconds, parallel=2):
        made.append(Sleeper(seconds, parallel))
        return made[-1]

    yield make
    for each in made:
        each.close()


def paced(runtime, batch, seconds):
    """The rate that is measured, and the least that it may be: the clock runs for a part of the call only."""
    began = time.perf_counter()
    rate = pace(runtime, [{}], batch, seconds).rate
    counted = runtime.calls - WARM_UP * (runtime.parallel + 1)
    return rate, counted * batch / (time.perf_counter() - began)


def test_all_calls_that_can_run_are_in_flight_and_no_more(sleeper):
    runtime = sleeper(0.01)
    rate, least = paced(runtime, 1, 0.1)
    assert runtime.most == 2
    assert least < rate <= 201  # two calls of 10 ms


def test_one_at_a_time(sleeper):
    runtime = sleeper(0.005)
    measured = pace(runtime, [{}], 1, 0.05, one_at_a_time=True)
    assert runtime.most == 1
    assert measured.rate <= 201
    assert alone(runtime, [{}], 3) >= 0.005


def test_pictures_of_a_batch_count_each(sleeper):
    rate, least = paced(sleeper(0.02), 8, 0.1)
    assert least < rate <= 801


def test_what_a_call_raises_comes_out(sleeper):
    runtime = sleeper(0.0)
    runtime.run = lambda inputs: 1 / 0
    with pytest.raises(ZeroDivisionError):
        pace(runtime, [{}], 1, 0.01)


def test_turns_measure_every_engine_once_a_round(sleeper):
    slow, quick = sleeper(0.02), sleeper(0.001)
    turns = take_turns({"slow": (slow, [{}], 1), "quick": (quick, [{}], 1)}, 3, 0.05)
    assert [len(rounds) for rounds in turns.paces.values()] == [3, 3]
    assert turns.gain("quick", "slow") > 1.5


def paces(*rates, cpu=0.01):
    return [Pace(rate, cpu) for rate in rates]


def test_gain_is_the_median_of_ratios_so_a_bad_round_falls_on_both():
    turns = Turns({"base": paces(100, 50, 100), "other": paces(120, 60, 300)})
    assert turns.gain("other", "base") == pytest.approx(1.2)


def test_noise_is_how_far_the_same_engine_differs_from_itself():
    assert Turns({"a": paces(100, 100, 100), "b": paces(100, 100, 100)}).noise("a", "b") == 0.0
    assert Turns({"a": paces(100, 100, 100), "b": paces(90, 90, 90)}).noise("a", "b") == pytest.approx(0.1)
    spread = Turns({"a": paces(100, 100, 100), "b": paces(80, 100, 120)}).noise("a", "b")
    assert spread == pytest.approx(1.4826 * 0.2)


def test_processor_time_can_be_compared_instead():
    turns = Turns({"a": paces(100, 20, cpu=0.02), "b": paces(10, 90, cpu=0.01)})
    assert turns.gain("b", "a", "cpu") == pytest.approx(2.0)


def trial(gain, refused=None, final=True, agreement=1.0):
    from millrace.builder.accuracy import Accuracy

    judged = Accuracy(0.1, 0.01, agreement, "F1", 100)
    return Trial(Engine(note=str(gain)), accuracy=judged, gain=gain, final=final, refused=refused)


def test_nothing_below_the_noise_is_chosen():
    default = trial(1.0)
    assert choose([default, trial(1.04)], noise=0.05) is default
    better = trial(1.3)
    assert choose([default, trial(1.06), better], noise=0.05) is better


def test_what_is_refused_or_was_not_in_the_final_is_not_chosen():
    default = trial(1.0)
    assert choose([default, trial(2.0, refused="too far"), trial(2.0, final=False)], noise=0.01) is default


def test_of_equally_fast_ones_the_nearest_to_fp32_is_chosen():
    near = trial(1.50, agreement=0.999)
    assert choose([trial(1.0), trial(1.52, agreement=0.975), near], noise=0.05) is near
