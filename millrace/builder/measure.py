"""How fast an engine is: pictures a second with its calls in flight, processor time, and the time of one call.

Measuring is done in turns: every engine once a round, in another order each time, so that what else the machine does
falls on all alike. What counts is the median over rounds of the ratio to the default engine of the same round. The
default takes part twice; how far its two halves differ is what the measurement cannot tell apart (`noise`).

On a busy machine time tells little. Where its noise is above NOISY, processor time a picture is compared instead: on a
machine whose cores are all used it is what a picture costs.
"""

from __future__ import annotations

import statistics
import time
from collections import deque
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, Literal

from ..runtimes.base import Runtime

By = Literal["time", "cpu"]

NOISY = 0.1
WARM_UP = 3  # calls before the clock runs, for each call in flight
FEWEST = 3  # calls that a round counts, however slow they are


@dataclass(frozen=True, slots=True)
class Pace:
    """One measurement. `cpu` is processor time of the whole process, in seconds a picture."""

    rate: float  # pictures a second
    cpu: float


@dataclass(slots=True)
class Turns:
    """Paces of several engines, measured in turns: `paces[name][round]`."""

    paces: dict[str, list[Pace]] = field(default_factory=dict)

    def rate(self, name: str) -> float:
        return statistics.median(pace.rate for pace in self.paces[name])

    def cpu(self, name: str) -> float:
        return statistics.median(pace.cpu for pace in self.paces[name])

    def gain(self, name: str, base: str, by: By = "time") -> float:
        """The median over rounds of how many times faster (cheaper) `name` was than `base` in that round."""
        return statistics.median(self._ratios(name, base, by))

    def noise(self, base: str, again: str, by: By = "time") -> float:
        """How far two measurements of one engine differ: a share of 1.

        The larger of the difference of their medians and the median absolute deviation of their ratio, times 1.4826
        (what a standard deviation would be, were it normally spread).
        """
        ratios = self._ratios(again, base, by)
        middle = statistics.median(ratios)
        spread = 1.4826 * statistics.median(abs(ratio - middle) for ratio in ratios)
        return max(abs(middle - 1.0), spread)

    def _ratios(self, name: str, base: str, by: By) -> list[float]:
        pairs = zip(self.paces[name], self.paces[base], strict=True)
        return [a.rate / b.rate if by == "time" else b.cpu / a.cpu for a, b in pairs]


def pace(
    runtime: Runtime, calls: Sequence[Mapping[str, Any]], batch: int, seconds: float, one_at_a_time: bool = False
) -> Pace:
    """Run calls for so long with one more in flight than can run, as `infer` does; or each when the last is done."""
    ahead = 1 if one_at_a_time else runtime.parallel + 1
    _drive(runtime, calls, WARM_UP * ahead, None, ahead)
    cpu, began = time.process_time(), time.perf_counter()
    done = _drive(runtime, calls, FEWEST * ahead, began + seconds, ahead)
    took = time.perf_counter() - began
    return Pace(done * batch / took, (time.process_time() - cpu) / (done * batch))


def _drive(runtime: Runtime, calls: Sequence[Mapping[str, Any]], least: int, until: float | None, ahead: int) -> int:
    """Submit calls in turn until `until`, at least so many; returns how many there were. Raises what a call raised."""
    flying: deque[Future[Any]] = deque()
    count = 0
    while count < least or (until is not None and time.perf_counter() < until):
        if len(flying) >= ahead:
            flying.popleft().result()
        flying.append(runtime.submit(calls[count % len(calls)]))
        count += 1
    for future in flying:
        future.result()
    return count


def alone(runtime: Runtime, calls: Sequence[Mapping[str, Any]], count: int = 15) -> float:
    """The median time of a call alone, in seconds."""
    times = []
    for number in range(count + 2):
        began = time.perf_counter()
        runtime.run(calls[number % len(calls)])
        times.append(time.perf_counter() - began)
    return statistics.median(times[2:])


def take_turns(
    engines: Mapping[str, tuple[Runtime, Sequence[Mapping[str, Any]], int]],
    rounds: int,
    seconds: float,
    one_at_a_time: bool = False,
) -> Turns:
    """Measure engines, by name (runtime, calls, pictures of a call), in turns; each round begins with another one."""
    turns = Turns({name: [] for name in engines})
    names = list(engines)
    for number in range(rounds):
        at = number % len(names)
        for name in names[at:] + names[:at]:
            turns.paces[name].append(pace(*engines[name], seconds, one_at_a_time))
    return turns
