"""Many streams in one picture."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from fractions import Fraction
from typing import Any

from ..core import FRAMES, Caps, Context, Element, SettingError, StreamEnd, StreamStart, setting, state
from ..core.item import Item
from ..devices import part
from ..imaging.base import Area
from ..imaging.palette import parse_colour
from ..imaging.wall import Wall, custom, grid
from ..media import Batch, Frame
from ._tile import Seat

PATIENCE = 5.0  # seconds that files wait for a stream that has been announced and does not start
SECOND = 1_000_000_000


class Tile(Element):
    """Puts many streams into one picture, the stream `tiles`: `tile: {columns: 2, width: 1280, height: 720}`.

    The wall has a pace of its own. Of files the pictures depend on the files only: each stream shows the frame whose
    time has come. With a live stream among them the clock decides, and each live stream shows its newest frame. A
    stream that pauses or has ended keeps its last picture. Objects, lines and zones move along; each object names
    its stream in `extras["stream"]`, and `extras["tiles"]` says where each stream's picture lies.
    """

    threaded = True

    width: int = setting(default=1280, help="of the picture, pixels", minimum=16, maximum=16384)
    height: int = setting(default=720, help="of the picture, pixels", minimum=16, maximum=16384)
    columns: int | None = setting(default=None, help="of the grid; default: by the number of streams", minimum=1)
    rows: int | None = setting(default=None, help="of the grid; default: by the number of streams", minimum=1)
    layout: dict[str, Any] = setting(
        factory=dict, help="instead of a grid: {stream: [x1, y1, x2, y2]} in fractions or pixels of the picture"
    )
    show: str | None = setting(default=None, help="one stream that fills the picture", live=True)
    fps: float | None = setting(
        default=None, help="pictures a second; default: the fastest stream's, or 25", minimum=0.1, maximum=240
    )
    labels: bool = setting(default=True, help="the streams' names in their tiles")
    background: str = setting(default="#202020", help="what is left free, #rrggbb")
    stream: str = setting(default="tiles", help="the name of the stream that it makes")

    seats: dict[str, Seat] = state(dict)  # in their order on the wall
    expected: set[str] = state(set)
    wall: Wall | None = state(lambda: None)  # from the first picture to the end
    areas: dict[str, Area] | None = state(lambda: None)  # where streams lie; None: to be found anew
    tick: int = state(int)  # the number of the next picture in the wall's time
    index: int = state(int)
    period: int | None = state(lambda: None)  # ns from picture to picture, from the first one to the end
    live: bool = state(bool)  # the clock decides
    batched: bool = state(bool)  # frames come in batches, so none can be held back
    began: float | None = state(lambda: None)  # when the clock of a live wall began
    patience: float | None = state(lambda: None)  # until when files wait for streams that have not started
    owed: bool = state(bool)  # those behind expect the stream

    @property
    def merges(self) -> str:
        return self.stream

    def open(self, context: Context) -> None:
        self.context = context
        self.wanted = _Turn(self)
        for name, check in (("background", parse_colour), ("layout", self._custom)):
            try:
                check(getattr(self, name))
            except ValueError as error:
                raise SettingError(context.name, name, getattr(self, name), str(error)) from None
        self._reset()

    def expect(self, streams: Sequence[str]) -> None:
        self.expected = set(streams)
        self.owed = self.owed or bool(streams)
        for stream in [name for name, seat in self.seats.items() if not seat.started and name not in self.expected]:
            self._leave(stream)
        for stream in streams:
            self._seat(stream)
        self.context.wake()  # what was waited for may not come any more

    def start_stream(self, start: StreamStart) -> None:
        seat = self._seat(start.stream)
        if seat.ended or not seat.started:
            seat.started, seat.ended, seat.offset = True, False, None
        seat.live, caps = start.live, start.caps
        seat.fps, seat.aspect = caps.get("fps"), caps.get("sample_aspect")
        seat.matrix = caps.get("matrix") or "bt601"
        self.live = self.live or start.live
        self.owed = True
        if self.patience is None:
            self.patience = time.monotonic() + PATIENCE
        self._arm()

    def process(self, item: Any) -> Iterator[Item]:
        for frame in item.frames if isinstance(item, Batch) else (item,):
            self.batched = self.batched or isinstance(item, Batch) or "batched" in frame.extras
            if self.live and self.began is None:
                self.began = time.monotonic()
            self.seats[frame.stream].add(frame, self._time())
            yield from self._ready()
        self._arm()

    def end_stream(self, stream: str) -> Iterator[Item]:
        seat = self.seats.get(stream)
        if seat is None or not seat.started:
            return
        self.expected.discard(stream)
        if seat.live:
            seat.due(0)
        seat.ended = True
        yield from self._ready()
        yield from self._finish()
        self._arm()

    def on_wake(self) -> Iterator[Item]:
        yield from self._ready()
        yield from self._finish()

    def on_deadline(self) -> Iterator[Item]:
        if self.live and self.began is not None:
            if any(seat.waiting or seat.shown for seat in self.seats.values()):
                yield from self._picture()
                late = int((time.monotonic() - self.began) * SECOND / self._period())
                self.tick = max(self.tick, late)
        else:
            self.patience = 0.0
            yield from self._ready()
        self._arm()

    def apply(self, prepared: Any) -> None:
        super().apply(prepared)
        self.areas = None

    def close(self) -> None:
        self.seats.clear()
        self.wall = self.areas = None

    def wants(self, stream: str) -> bool:
        """Whether the next frame of a stream may come; one of a file that is ahead waits, unless it came in batches."""
        seat = self.seats.get(stream)
        return seat is None or seat.live or self.batched or not seat.ahead(self._limit())

    # time

    def _reset(self) -> None:
        self.tick = self.index = 0
        self.live = self.batched = self.owed = False
        self.period = self.began = self.patience = self.deadline = None
        self.wall = self.areas = None

    def _period(self) -> int:
        """ns from picture to picture."""
        if self.period is None:
            rates = [float(seat.fps) for seat in self.seats.values() if seat.fps]
            return round(SECOND / (self.fps or min(240.0, max(rates, default=25.0))))
        return self.period

    def _time(self) -> int:
        """The wall's time, ns: that of the next picture."""
        return self.tick * self._period()

    def _limit(self) -> int:
        """Frames up to here are shown in the next picture; a quarter of its time makes up for rounded timestamps."""
        return self._time() + self._period() // 4

    def _ready(self) -> Iterator[Item]:
        """The pictures of files for which every frame is there."""
        while not self.live and self._complete():
            yield from self._picture()

    def _complete(self) -> bool:
        patient = self.wall is None and (self.patience is None or time.monotonic() < self.patience)
        if patient and not all(seat.started for seat in self.seats.values()):
            return False
        seats = [seat for seat in self.seats.values() if seat.started]
        limit = self._limit()
        return any(seat.waiting for seat in seats) and all(seat.ended or seat.ahead(limit) for seat in seats)

    def _finish(self) -> Iterator[Item]:
        """When the last stream has ended, so does this one."""
        if self.expected or any(seat.started and not seat.ended for seat in self.seats.values()):
            return
        if self.live and any(seat.waiting for seat in self.seats.values()):
            yield from self._picture()
        owed = self.owed
        self.seats.clear()
        self._reset()
        if owed:
            yield StreamEnd(self.stream)

    def _arm(self) -> None:
        if self.live:
            self.deadline = None if self.began is None else self.began + self._time() / SECOND
        else:
            self.deadline = self.patience or None if self.wall is None else None

    # places

    def _seat(self, stream: str) -> Seat:
        """The stream's place: its old one, that of a stream that has ended, or a new one."""
        seat = self.seats.get(stream)
        if seat is None:
            self.areas = None
            gone = next((name for name, old in self.seats.items() if old.ended and name not in self.expected), None)
            names = [stream if name == gone else name for name in self.seats] + [stream] * (gone is None)
            seat = Seat()
            self.seats = {name: seat if name == stream else self.seats[name] for name in names}
        return seat

    def _leave(self, stream: str) -> None:
        del self.seats[stream]
        self.areas = None

    def _custom(self, layout: dict[str, Any]) -> dict[str, Area]:
        return custom(layout, self.width, self.height)

    def _places(self) -> dict[str, Area]:
        if self.show is not None:
            return {self.show: (0, 0, self.width, self.height)}
        if self.layout:
            return self._custom(self.layout)
        return grid(list(self.seats), self.width, self.height, self.columns, self.rows)

    # pictures

    def _picture(self) -> Iterator[Item]:
        if self.wall is None:
            yield self._start()
        until = self._limit()
        for seat in self.seats.values():
            if seat.waiting:
                seat.due(until)
            elif seat.ended:
                seat.over()
        self._paint()
        yield self._frame()
        self.tick += 1

    def _start(self) -> StreamStart:
        self.period = self._period()
        first = next(seat for seat in self.seats.values() if seat.started)
        memory = next(frame.image.memory for seat in self.seats.values() for frame in seat.waiting)
        self.wall = Wall(
            part(memory, "imaging")(memory), self.width, self.height, parse_colour(self.background),
            first.matrix,  # type: ignore[arg-type]
        )  # fmt: skip
        caps = Caps(
            FRAMES, format="I420", width=self.width, height=self.height, time_base=None, frames=None, duration=None,
            fps=Fraction(SECOND, self.period).limit_denominator(1001), sample_aspect=None, matrix=first.matrix,
            full_range=False, memory=memory,
        )  # fmt: skip
        return StreamStart(self.stream, caps, live=self.live)

    def _paint(self) -> None:
        """Put what is new on the wall, or everything when places have changed."""
        assert self.wall is not None
        if self.areas is None:
            self.areas = self._places()
            self.wall.clear()
            for seat in self.seats.values():
                seat.painted = seat.way = None
        for stream, area in self.areas.items():
            seat = self.seats.get(stream, Seat())
            if seat.shown is not None and seat.shown is not seat.painted:
                label = stream if self.labels else ""
                seat.way = self.wall.paint(seat.shown.image, area, seat.aspect, label)
                seat.painted = seat.shown

    def _frame(self) -> Frame:
        assert self.wall is not None and self.areas is not None
        shown = [seat.shown for seat in self.seats.values() if seat.shown is not None]
        frame = Frame(self.stream, self.index, self._time(), self.wall.picture(), duration=self._period())
        self.index += 1
        frame.arrived = max((each.arrived for each in shown), default=0)
        frame.wall = max((each.wall for each in shown if each.wall is not None), default=None)
        for stream, seat in self.seats.items():
            frame.objects += seat.objects(stream)
            frame.events += seat.events
            seat.events = []
        rules = [rule for seat in self.seats.values() for rule in seat.rules()]
        if rules:
            frame.extras["analytics"] = rules
        frame.extras["tiles"] = dict(self.areas)
        return frame


class _Turn:
    """The streams of which a frame may come, as the engine asks for them."""

    def __init__(self, tile: Tile) -> None:
        self.tile = tile

    def __contains__(self, stream: object) -> bool:
        return self.tile.wants(str(stream))
