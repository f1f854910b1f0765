"""Presentation times that grow, whatever the stream says."""

from __future__ import annotations

from fractions import Fraction

SECOND = 1_000_000_000
DEFAULT_FPS = Fraction(25)  # what demuxers assume of raw elementary streams


class Clock:
    """Gives each picture of one stream, in presentation order, its time in ns; the times strictly grow.

    * A time that is later than the one before is kept as it is.
    * A missing time is that of the last known picture plus the pictures since / fps (from 0: index / fps).
    * A time that repeats or goes back a little is wrong by a picture or so, and those after it are right: the
      picture is put half a picture's duration after the one before, so that the right ones keep their place.
    * A time that goes back by more than a second means that the stream's clock was set back (a wrap, files
      joined): the picture follows at one period and all later times are moved by as much.
    """

    def __init__(self, fps: Fraction | None) -> None:
        self.fps = fps or DEFAULT_FPS
        self.period = round(SECOND / self.fps)
        self.last: int | None = None
        self._offset = 0
        self._anchor = 0  # the last time that the stream said, and the pictures without one since
        self._missing = 0

    def stamp(self, pts: int | None) -> int:
        """The time of the next picture, of which the decoder says `pts` (ns or None)."""
        if pts is None:
            return self._without()
        pts += self._offset
        if self.last is not None and pts <= self.last:
            if self.last - pts > SECOND:
                self._offset += self.last + self.period - pts
                pts = self.last + self.period
            else:
                pts = self.last + max(1, self.period // 2)
        self._anchor, self._missing = pts, 0
        self.last = pts
        return pts

    def _without(self) -> int:
        if self.last is not None:
            self._missing += 1
        pts = self._anchor + round(self._missing * SECOND / self.fps)
        self.last = pts
        return pts
