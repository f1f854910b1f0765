"""What `tile` keeps of one stream: the picture that is shown, and those that wait for their time."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from fractions import Fraction

from ..imaging.mapping import Affine, map_objects, map_rules
from ..media import Event, Frame, Object

MOST_WAITING = 64  # frames of a stream that runs ahead in batches; beyond, it is shown early


@dataclass(slots=True, eq=False)
class Seat:
    """One stream on the wall. `offset` is what its pts lack to be the wall's time, known from its first frame."""

    live: bool = False
    started: bool = False
    ended: bool = False
    fps: Fraction | None = None
    aspect: Fraction | None = None
    matrix: str = "bt601"
    offset: int | None = None
    waiting: deque[Frame] = field(default_factory=deque)
    shown: Frame | None = None
    painted: Frame | None = None
    way: Affine | None = None  # where the shown picture's points lie on the wall
    events: list[Event] = field(default_factory=list)

    def add(self, frame: Frame, now: int) -> None:
        """A frame has come, at `now` ns of the wall's time. Of a live stream only the newest waits."""
        if self.offset is None:
            self.offset = now - frame.pts
        if self.live:
            self.events += [event for old in self.waiting for event in old.events]
            self.waiting.clear()
        self.waiting.append(frame)

    def due(self, until: int) -> None:
        """Show the last frame whose time has come by `until`."""
        while self.waiting and (self.live or self._time(self.waiting[0]) <= until or len(self.waiting) > MOST_WAITING):
            frame = self.waiting.popleft()
            if not self.live and self._time(frame) > until:
                self.offset = until - frame.pts  # it ran ahead; from here on it is shown that much earlier
            self.shown = frame
            self.events += frame.events

    def ahead(self, until: int) -> bool:
        """Whether a frame waits whose time comes after `until`: no other can still be due before."""
        return bool(self.waiting) and self._time(self.waiting[-1]) > until

    def _time(self, frame: Frame) -> int:
        return frame.pts + (self.offset or 0)

    def over(self) -> None:
        """The stream has ended: its last picture stays, what was in it does not."""
        self.ended = True
        if self.shown is not None:
            self.shown.objects, self.shown.extras = [], {}

    def objects(self, stream: str) -> list[Object]:
        """The shown frame's objects where they lie on the wall; each names its stream in its extras."""
        if self.shown is None or self.way is None:
            return []
        out = map_objects(self.shown.objects, self.way, self.shown.image.width, self.shown.image.height)
        for found in out:
            found.extras["stream"] = stream
        return out

    def rules(self) -> list[dict[str, object]]:
        if self.shown is None or self.way is None:
            return []
        return map_rules(self.shown.extras.get("analytics", ()), self.way)
