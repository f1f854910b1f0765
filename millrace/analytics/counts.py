"""How many objects of each class there are, without the flicker of single frames."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable

from .sightings import Sighting


class Counts:
    """The count of each class that was most frequent in the last `window` ns, of the counts of single frames.

    Of counts that are equally frequent, the latest. This is the `objCnt` of DeepStream's nvdsanalytics.
    """

    def __init__(self, window: int) -> None:
        self.window = window
        self.forget()

    def forget(self) -> None:
        self.past: dict[str, deque[tuple[int, int]]] = {}
        self.now: dict[str, int] = {}

    def update(self, seen: Iterable[Sighting], pts: int) -> dict[str, int]:
        """{label: count}, also of those that were here a moment ago."""
        counts = Counter(found.label for found in seen)
        for label in sorted({*counts, *self.past}):
            past = self.past.setdefault(label, deque())
            past.append((pts, counts[label]))
            while past[0][0] < pts - self.window:
                past.popleft()
            often = Counter(count for _, count in past)
            most = max(often.values())
            self.now[label] = next(count for _, count in reversed(past) if often[count] == most)
            if not any(count for _, count in past):
                del self.past[label], self.now[label]
        return dict(self.now)
