"""How fast identities go, and who is too fast or too slow."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from .dwell import Change
from .paths import Path
from .sightings import SECOND, Sighting

MANY = 1024  # identities that may be remembered without having been too fast for long enough
LEAST = 300_000_000  # ns of path from which a speed is taken


def speed_of(path: Path, ground: bool) -> float | None:
    """Metres per second on the floor plan with `ground`, else pixels per second; None while it is not known."""
    velocity = path.velocity(LEAST, ground)
    return None if velocity is None else math.hypot(*velocity)


class SpeedLimit:
    """Tells identities that go faster than `over`, or slower than `under`, for `after` seconds without a break.

    Units are those of the speeds: m/s where the stream is calibrated, else pixels per second.
    """

    def __init__(self, over: float | None = None, under: float | None = None, after: float = 0.5) -> None:
        self.over = math.inf if over is None else over
        self.under = -math.inf if under is None else under
        self.after = round(after * SECOND)
        self.since: dict[int, int] = {}
        self.known: dict[int, tuple[str, int, int]] = {}  # label, since, seen

    def update(self, seen: Sequence[Sighting], speeds: Mapping[int, float], pts: int) -> list[Change]:
        out = []
        for found in seen:
            speed = speeds.get(found.id)
            if speed is None:
                continue
            if self.under <= speed <= self.over:
                self.since.pop(found.id, None)
                if found.id in self.known:
                    label, since, _ = self.known.pop(found.id)
                    out.append(Change(found.id, label, False, since, {"speed": speed}))
                continue
            since = self.since.setdefault(found.id, pts)
            if found.id in self.known:
                self.known[found.id] = (self.known[found.id][0], since, pts)
            elif pts - since >= self.after:
                self.known[found.id] = (found.label, since, pts)
                limit = self.over if speed > self.over else self.under
                out.append(Change(found.id, found.label, True, since, {"speed": speed, "limit": limit}))
        for key, (label, since, last) in list(self.known.items()):
            if pts - last > SECOND:
                del self.known[key]
                self.since.pop(key, None)
                out.append(Change(key, label, False, since, {"gone": True}))
        if len(self.since) > MANY:
            here = {found.id for found in seen}
            self.since = {key: since for key, since in self.since.items() if key in here or key in self.known}
        return out

    def forget(self) -> None:
        self.since.clear()
        self.known.clear()
