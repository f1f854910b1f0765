"""A stream waits for no event that it has waited for already."""

from __future__ import annotations

from typing import Any

import pytest
from host_gpu import host_gpu  # noqa: F401

from millrace.cuda.context import Stream


@pytest.fixture
def waits(host_gpu: Any, monkeypatch: pytest.MonkeyPatch) -> list[int]:  # noqa: F811
    """The handles of the events that streams made from now on have waited for."""
    handles: list[int] = []
    numbers = iter(range(1, 100))

    def wait(stream: int, event: int, flags: int) -> int:
        handles.append(event)
        return 0

    monkeypatch.setattr(host_gpu.calls, "cuStreamWaitEvent", wait)
    monkeypatch.setattr(host_gpu.driver, "cuEventCreate", lambda *_: (0, next(numbers)))
    return handles


def test_only_the_last_event_of_each_stream_counts(host_gpu: Any, waits: list[int]):  # noqa: F811
    ours, one, other = (Stream(host_gpu, 0) for _ in range(3))
    events = [one.record(), other.record(), one.record(), ours.record()]
    ours.wait(events)
    assert sorted(waits) == [events[1].handle, events[2].handle]


def test_what_was_waited_for_is_passed_over(host_gpu: Any, waits: list[int]):  # noqa: F811
    ours, one = Stream(host_gpu, 0), Stream(host_gpu, 0)
    first, second = one.record(), one.record()
    ours.wait([second])
    ours.wait([second, first])
    assert waits == [second.handle]
    third = one.record()
    ours.wait([first, third])
    assert waits == [second.handle, third.handle]
    Stream(host_gpu, 0).wait([first])  # another one has not waited yet
    assert waits[-1] == first.handle


def test_what_has_happened_is_passed_over(host_gpu: Any, waits: list[int]):  # noqa: F811
    ours, one = Stream(host_gpu, 0), Stream(host_gpu, 0)
    event = one.record()
    event.synchronize()
    ours.wait([event])
    assert waits == []


def test_a_stream_that_nobody_holds_is_used_again(host_gpu: Any, monkeypatch: pytest.MonkeyPatch):  # noqa: F811
    numbers = iter(range(1, 100))
    monkeypatch.setattr(host_gpu.driver, "cuStreamCreateWithPriority", lambda *_: (0, next(numbers)))
    first, other = Stream(host_gpu, 0), Stream(host_gpu, -1)
    assert (first.handle, other.handle) == (1, 2)
    event = first.record()
    other.wait([event])
    del first
    assert Stream(host_gpu, 0).handle == 3  # the event is one of its own
    del event
    assert Stream(host_gpu, -1).handle == 4 and Stream(host_gpu, 0).handle in (1, 3)
