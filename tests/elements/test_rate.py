"""rate: ticks of stream time, each with the frame that is nearest."""

from __future__ import annotations

from fractions import Fraction

import pytest
from pictures import frame

from millrace.core import Caps, StreamStart
from millrace.elements.rate import Rate
from millrace.media import Batch, Event, Frame

MS = 1_000_000


def given(rate: Rate, times: list[int], stream: str = "a") -> list[tuple[int, int]]:
    """(ms, number of the frame that came) of what leaves, for frames at these ms."""
    out: list[Frame] = []
    for index, time in enumerate(times):
        one = frame(stream, index)
        one.pts = time * MS
        out += rate.process(one)  # type: ignore[arg-type]
    out += rate.end_stream(stream)  # type: ignore[arg-type]
    return [(each.pts // MS, each.index) for each in out]


def test_fewer_frames() -> None:
    assert given(Rate(fps=5), list(range(0, 1000, 100))) == [(0, 0), (200, 2), (400, 4), (600, 6), (800, 8)]


def test_the_frames_of_a_batch_one_by_one() -> None:
    rate = Rate(fps=25, repeat=False)
    batch = Batch([frame("a", 0), frame("b", 0)])
    assert list(rate.process(batch)) == batch.frames


def test_more_frames_are_copies_with_metadata_of_their_own() -> None:
    rate = Rate(fps=20)
    assert given(rate, [0, 100, 200]) == [(0, 0), (50, 0), (100, 1), (150, 1), (200, 2)]
    first, second = frame("b", 0), frame("b", 1)
    first.events.append(Event("line", "b", 0, "door"))
    out = [*rate.process(first), *rate.process(second)]
    assert len(out) == 2 and out[0] is first
    assert isinstance(out[1], Frame) and len(first.events) == 1 and not out[1].events
    assert isinstance(out[1], Frame) and out[1].objects is not first.objects and out[1].image is not None


def test_a_gap_is_filled_and_a_late_start_is_the_first_tick() -> None:
    assert given(Rate(fps=10), [30, 130, 530]) == [(30, 0), (130, 1), (230, 1), (330, 1), (430, 2), (530, 2)]


def test_without_repeating_times_stay() -> None:
    assert given(Rate(fps=5, repeat=False), [0, 70, 130, 260, 390, 520, 2000]) == [
        (0, 0), (130, 2), (390, 4), (520, 5), (2000, 6)
    ]  # fmt: skip


@pytest.mark.parametrize(("fps", "repeat", "wanted"), [(5, True, 5), (20, True, 20), (5, False, 5), (20, False, 10)])
def test_the_caps_say_it(fps: float, repeat: bool, wanted: int) -> None:
    caps = Rate(fps=fps, repeat=repeat).start_stream(StreamStart("a", Caps("frames", fps=Fraction(10)))).caps
    assert caps["fps"] == Fraction(wanted)


def test_a_jump_begins_anew() -> None:
    rate = Rate(fps=10)
    one, other = frame("a", 0), frame("a", 1)
    other.pts = 55 * MS
    out = [*rate.process(one), *rate.flush("a"), *rate.process(other), *rate.end_stream("a")]
    assert [each.pts // MS for each in out] == [0, 55]  # type: ignore[union-attr]
