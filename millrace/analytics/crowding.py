"""Too many at once."""

from __future__ import annotations

from .sightings import SECOND


class Crowding:
    """An area is overcrowded when at least `threshold` are in it, for `after` seconds of stream time without a break.

    DeepStream's nvdsanalytics reads a time threshold and does not use it; here it counts. It is over as soon as there
    are fewer.
    """

    def __init__(self, threshold: int, after: float = 0.0) -> None:
        self.threshold = threshold
        self.after = round(after * SECOND)
        self.times = 0
        self.forget()

    def forget(self) -> None:
        self.since: int | None = None  # pts from which on there are enough
        self.crowded = False
        self.most = 0  # while it is crowded

    def update(self, count: int, pts: int) -> bool | None:
        """True when it begins, False when it is over, None when nothing changed."""
        if count < self.threshold:
            over = self.crowded
            self.since, self.crowded = None, False
            return False if over else None
        if self.since is None:
            self.since, self.most = pts, count
        self.most = max(self.most, count)
        if not self.crowded and pts - self.since >= self.after:
            self.crowded = True
            self.times += 1
            return True
        return None
