"""How long identities stay: the times of their visits, and who stays too long."""

from __future__ import annotations

from collections.abc import Container, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from .sightings import SECOND


@dataclass(slots=True)
class Stay:
    """Visits of one label that are over, in seconds."""

    visits: int = 0
    total: float = 0.0
    most: float = 0.0


class Dwell:
    """Sums up visits by label."""

    def __init__(self) -> None:
        self.labels: dict[str, Stay] = {}

    def add(self, label: str, seconds: float) -> None:
        stay = self.labels.setdefault(label, Stay())
        stay.visits += 1
        stay.total += seconds
        stay.most = max(stay.most, seconds)

    def totals(self) -> dict[str, dict[str, float]]:
        """{label: {"visits", "mean", "most"}}, seconds."""
        return {
            label: {"visits": s.visits, "mean": round(s.total / s.visits, 3), "most": round(s.most, 3)}
            for label, s in sorted(self.labels.items())
        }


class Change(NamedTuple):
    """Something that lasts begins (`starts`) or is over for one identity; `since` is pts."""

    id: int
    label: str
    starts: bool
    since: int
    facts: dict[str, object]


class Loitering:
    """Tells identities that are inside for `after` seconds, once a visit."""

    def __init__(self, after: float) -> None:
        self.after = round(after * SECOND)
        self.known: dict[int, tuple[str, int]] = {}

    def update(self, inside: Mapping[int, tuple[str, int]], seen: Container[int], pts: int) -> list[Change]:
        """`inside` holds label and pts of the coming of those inside; only one that is `seen` now begins to loiter."""
        out = []
        for key, (label, since) in list(self.known.items()):
            if inside.get(key, (label, -1))[1] != since:
                del self.known[key]
                out.append(Change(key, label, False, since, {}))
        for key, (label, since) in inside.items():
            if key not in self.known and key in seen and pts - since >= self.after:
                self.known[key] = (label, since)
                out.append(Change(key, label, True, since, {"after": self.after / SECOND}))
        return out

    def forget(self) -> None:
        self.known.clear()
