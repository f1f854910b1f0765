"""What is given to those who watch comes at its own speed: files are held back, live streams are not."""

from __future__ import annotations

import time

LATE = 0.5  # seconds behind its time at which a stream's clock starts anew
AHEAD = 30.0  # the same before its time: a jump, not a slow stream


class Pace:
    """The clocks of streams that do not come live."""

    def __init__(self) -> None:
        self._offsets: dict[str, int] = {}  # from stream time to the time at which it is due, ns of time.monotonic

    def due(self, stream: str, at: int) -> float | None:
        """When what belongs to stream time `at` (ns) is due, in seconds of time.monotonic; None: now."""
        now = time.monotonic_ns()
        due = self._offsets.get(stream, now - at) + at
        if stream not in self._offsets or not -LATE < (due - now) / 1e9 < AHEAD:
            self._offsets[stream], due = now - at, now
        return due / 1e9 if due > now else None

    def forget(self, stream: str) -> None:
        """The next item of the stream is due as it comes."""
        self._offsets.pop(stream, None)
