"""What `tile` keeps: of each stream the picture that is shown and those that wait for their time; and the wall."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Container, Sequence
from dataclasses import dataclass, field
from fractions import Fraction

from ..devices import part
from ..imaging.base import Area, Colour
from ..imaging.mapping import Affine, map_objects, map_readings, map_rules
from ..imaging.wall import Wall
from ..media import Event, Frame, Object, Reading
from ..media.image import Matrix

MOST_WAITING = 64  # frames of a stream that runs ahead in batches; beyond, it is shown early


@dataclass(slots=True, eq=False)
class Seat:
    """One stream on the wall. `offset` is what its pts lack to be the wall's time, known from its first frame."""

    live: bool = False
    started: bool = False
    ended: bool = False
    fps: Fraction | None = None
    aspect: Fraction | None = None
    matrix: Matrix = "bt601"
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
            self.shown.objects, self.shown.extras, self.shown.readings = [], {}, []

    def objects(self, stream: str) -> list[Object]:
        """The shown frame's objects where they lie on the wall; each names its stream in its extras."""
        if self.shown is None or self.way is None:
            return []
        out = map_objects(self.shown.objects, self.way, self.shown.image.width, self.shown.image.height)
        for found in out:
            found.extras["stream"] = stream
        return out

    def readings(self) -> list[Reading]:
        """What was said of the shown frame as a whole, where it lies on the wall."""
        if self.shown is None or self.way is None:
            return []
        return map_readings(self.shown.readings, self.way, self.shown.image.width, self.shown.image.height)

    def rules(self) -> list[dict[str, object]]:
        if self.shown is None or self.way is None:
            return []
        return map_rules(self.shown.extras.get("analytics", ()), self.way)


class Board:
    """The streams in their order on the wall, and the picture made of them."""

    def __init__(
        self, size: tuple[int, int], colour: Colour, labels: bool, places: Callable[[Sequence[str]], dict[str, Area]]
    ) -> None:
        self.size = size
        self.colour = colour
        self.labels = labels
        self.places = places  # streams → where they lie
        self.seats: dict[str, Seat] = {}
        self.areas: dict[str, Area] | None = None  # None: places have changed, everything is painted anew
        self.wall: Wall | None = None  # from the first picture on

    def seat(self, stream: str, expected: Container[str]) -> Seat:
        """The stream's place: its old one, that of a stream that has ended for good, or a new one."""
        seat = self.seats.get(stream)
        if seat is None:
            self.areas = None
            gone = next((name for name, old in self.seats.items() if old.ended and name not in expected), None)
            names = [stream if name == gone else name for name in self.seats] + [stream] * (gone is None)
            seat = Seat()
            self.seats = {name: seat if name == stream else self.seats[name] for name in names}
        return seat

    def leave(self, stream: str) -> None:
        """Take away the place of a stream that will not come."""
        del self.seats[stream]
        self.areas = None

    def start(self) -> Seat:
        """Make the wall, in the terms of the first stream, which is returned, and where the first picture lives."""
        first = next(seat for seat in self.seats.values() if seat.started)
        memory = next(frame.image.memory for seat in self.seats.values() for frame in seat.waiting)
        self.wall = Wall(part(memory, "imaging")(memory), *self.size, self.colour, first.matrix)
        return first

    def show(self, until: int) -> None:
        """Bring the wall to a time: frames that are due, and the last picture of those that have ended."""
        for seat in self.seats.values():
            if seat.waiting:
                seat.due(until)
            elif seat.ended:
                seat.over()
        assert self.wall is not None
        if self.areas is None:
            self.areas = self.places(list(self.seats))
            self.wall.clear()
            for seat in self.seats.values():
                seat.painted = seat.way = None
        for stream, area in self.areas.items():
            shown = self.seats.get(stream)
            if shown is not None and shown.shown is not None and shown.shown is not shown.painted:
                label = stream if self.labels else ""
                shown.way = self.wall.paint(shown.shown.image, area, shown.aspect, label)
                shown.painted = shown.shown

    def frame(self, stream: str, index: int, pts: int, duration: int) -> Frame:
        """What is on the wall, with all that is known of what is shown."""
        assert self.wall is not None and self.areas is not None
        frame = Frame(stream, index, pts, self.wall.picture(), duration=duration)
        shown = [seat.shown for seat in self.seats.values() if seat.shown is not None]
        frame.arrived = max((each.arrived for each in shown), default=0)
        frame.wall = max((each.wall for each in shown if each.wall is not None), default=None)
        for name, seat in self.seats.items():
            frame.objects += seat.objects(name)
            frame.readings += seat.readings()
            frame.events += seat.events
            seat.events = []
        if rules := [rule for seat in self.seats.values() for rule in seat.rules()]:
            frame.extras["analytics"] = rules
        frame.extras["tiles"] = dict(self.areas)
        return frame
