"""How many were in a zone over time, in stretches of equal length."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from .sightings import SECOND


@dataclass(slots=True)
class Stretch:
    """One stretch of time; `area` sums up count times seconds, by label."""

    start: int
    seconds: float = 0.0
    most: int = 0
    area: Counter[str] = field(default_factory=Counter)


class Occupancy:
    """The mean and the most in each stretch of `length` seconds, by label. A count holds until the next frame."""

    def __init__(self, length: float) -> None:
        self.length = round(length * SECOND)
        self.stretches: list[Stretch] = []
        self._last: tuple[int, dict[str, int]] | None = None

    def update(self, counts: Mapping[str, int], pts: int) -> None:
        if self._last is not None:
            self._fill(self._last[0], pts, self._last[1])
        self._at(pts).most = max(self._at(pts).most, sum(counts.values()))
        self._last = (pts, dict(counts))

    def totals(self) -> list[dict[str, object]]:
        """[{"start" in seconds, "mean", "most", "classes": {label: mean}}, …], those in which there were frames."""
        return [
            {
                "start": each.start / SECOND,
                "mean": round(sum(each.area.values()) / each.seconds, 4) if each.seconds else float(each.most),
                "most": each.most,
                "classes": {
                    label: round(area / each.seconds, 4) for label, area in sorted(each.area.items()) if each.seconds
                },
            }
            for each in self.stretches
        ]

    def forget(self) -> None:
        self._last = None

    def _at(self, pts: int) -> Stretch:
        start = pts // self.length * self.length
        if not self.stretches or self.stretches[-1].start != start:
            self.stretches.append(Stretch(start))
        return self.stretches[-1]

    def _fill(self, start: int, end: int, counts: Mapping[str, int]) -> None:
        while start < end:
            stretch = self._at(start)
            stop = min(end, stretch.start + self.length)
            seconds = (stop - start) / SECOND
            stretch.seconds += seconds
            stretch.most = max(stretch.most, sum(counts.values()))
            for label, count in counts.items():
                stretch.area[label] += count * seconds  # type: ignore[assignment]  # a Counter of seconds
            start = stop
