"""The life of an event: new, update, end under one number."""

from __future__ import annotations

from millrace.analytics.events import Journal
from millrace.media import Event

S = 1_000_000_000


def told(events: list[Event]) -> list[tuple[int | None, str | None]]:
    return [(event.number, event.phase) for event in events]


def test_moments_and_lasting_events_share_the_numbers() -> None:
    journal = Journal("a", updates=2 * S)
    journal.begin_frame(0)
    journal.moment("line", "door", 1, "car", "in", {})
    visit = journal.begin("zone", "dock", 1, "car", "enter", {"point": (1, 2)})
    assert told(journal.end_frame()) == [(1, None), (2, "new")]
    journal.begin_frame(S)
    assert journal.end_frame() == []
    journal.begin_frame(2 * S)
    (update,) = journal.end_frame()
    assert (update.phase, update.extras) == ("update", {"point": (1, 2), "seconds": 2.0})
    journal.begin_frame(3 * S)
    journal.end(visit, "leave", {"point": (3, 4)})
    journal.end(visit)  # twice is once
    (end,) = journal.end_frame()
    assert (end.number, end.direction, end.extras) == (2, "leave", {"point": (3, 4), "seconds": 3.0})
    assert journal.open == {}


def test_what_began_before_it_was_known() -> None:
    journal = Journal("a")
    journal.begin_frame(5 * S)
    journal.begin("crowd", "dock", None, None, since=3 * S)
    (event,) = journal.end_frame()
    assert event.extras == {"seconds": 2.0}


def test_after_a_jump_the_ends_come_with_the_next_frame() -> None:
    journal = Journal("a", updates=0)
    journal.begin_frame(0)
    journal.begin("zone", "dock", 1, "car")
    journal.end_frame()
    journal.forget()
    journal.begin_frame(9 * S)
    (event,) = journal.end_frame()
    assert (event.phase, event.pts, event.extras["jump"]) == ("end", 9 * S, True)
