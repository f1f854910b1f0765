"""GStreamer fragments beside an element, one a stream: what goes in, what has come out, and whose metadata it has."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator
from typing import Any, ClassVar

from ..core.caps import FRAMES
from ..core.element import Context, Element, state
from ..core.errors import StreamError
from ..core.item import Item, StreamStart
from ..gstreamer.process import Fragment, GstError, Picture
from ..imaging.mapping import map_events, map_objects, map_readings, map_rules, shifted
from ..media import Frame, Image, Packet

PATIENCE = 30.0  # seconds that a fragment has to give what it still holds
NEAR = 1_000_000  # ns: times of one picture may differ by what a conversion of units loses


class Feed:
    """A fragment, fed by the element's thread and listened to by one of its own."""

    def __init__(self, launch: str, start: StreamStart, context: Context) -> None:
        """Raises StreamError when the fragment cannot be built."""
        self.start = start
        self.said: StreamStart | None = None  # of what comes out, once that is known
        self.context = context
        self._stream = start.stream
        caps = start.caps if start.caps.get("memory", "cpu") == "cpu" else start.caps.replace(format="NV12")
        try:
            self._fragment = Fragment(launch, caps, start.live, context.wake)
        except GstError as error:
            raise StreamError(self._stream, f"gst: {error}") from error
        self.gives = self._fragment.gives
        self._base: int | None = None  # pts of the first; the fragment's times begin at 0
        self._waiting: deque[Frame] = deque()  # whose pictures have not come out
        self._owned: Frame | None = None  # whose picture came out last
        self._out: deque[Any] = deque()  # pictures, warnings, at the end None or what it failed with
        self._through = False
        self._index: int | None = None
        self._last = -1
        self._thread = threading.Thread(target=self._listen, name=f"millrace:gst:{self._stream}", daemon=True)
        self._thread.start()

    @property
    def ready(self) -> bool:
        return self._through or self._fragment.ready

    def give(self, item: Frame | Packet) -> None:
        """Hand in a frame or a packet. Waits where the fragment has no room."""
        if self._through:
            return
        dts = item.dts if isinstance(item, Packet) else None
        times = [time for time in (item.pts, dts) if time is not None]
        self._base = min(times, default=0) if self._base is None else self._base
        content: Image | Packet = self._on_cpu(item.image) if isinstance(item, Frame) else item
        if isinstance(item, Frame) and self.gives:
            self._waiting.append(item)
        self._fragment.send(content, self.start.caps, self._from_base(item.pts), self._from_base(dts), item.duration)

    def _from_base(self, time: int | None) -> int | None:
        """A time of the stream as the fragment counts it, from 0."""
        return None if time is None or self._base is None or time < self._base else time - self._base

    @staticmethod
    def _on_cpu(image: Image) -> Image:
        """The pictures of a device have `numpy()`, which brings them here."""
        planes = [plane.numpy() if hasattr(plane, "numpy") else plane for plane in image.planes]
        return Image(image.format, planes, image.width, image.height, matrix=image.matrix, full_range=image.full_range)

    def take(self) -> Iterator[Item | StreamStart]:
        """What has come out. Raises StreamError when the fragment has failed."""
        while self._out:
            out = self._out.popleft()
            if isinstance(out, Picture):
                yield from self._frame(out)
            elif isinstance(out, str):
                self.context.warn(f"gst: {out}", self._stream)
            else:
                self._through = True
                if out is not None:
                    raise StreamError(self._stream, f"gst: {out}")

    def _frame(self, out: Picture) -> Iterator[Item | StreamStart]:
        assert isinstance(out.content, Image)
        frame = self._owner(out.pts)
        pts = (self._base or 0) + out.pts if out.pts is not None else frame.pts
        self._index = frame.index if self._index is None else self._index + 1
        size = (frame.image.width, frame.image.height)
        made = Frame(
            self._stream, self._index, max(pts, self._last + 1), out.content, frame.epoch,
            out.duration or frame.duration, frame.arrived, frame.wall, frame.objects, frame.events, frame.inferred,
            frame.extras, frame.readings,
        )  # fmt: skip
        if size != (out.content.width, out.content.height):
            _scale(made, *size)
        self._last = made.pts
        yield from self._renegotiated(made.image)
        yield made

    def _owner(self, pts: int | None) -> Frame:
        """The frame that a picture shows: that of its time, else the latest before it. Those before it are gone.

        One that is shown once more has what is known of it, but its events have happened once.
        """
        until = (self._base or 0) + pts + NEAR if pts is not None else None  # without a time: the next
        owner = None
        while self._waiting and (self._waiting[0].pts <= until if until is not None else owner is None):
            owner = self._waiting.popleft()
        if owner is None:
            owner = (self._owned or self._waiting[0]).fork()
            owner.events = []
        else:
            self._owned = owner.fork()  # the frame itself is changed by those who get it
        return owner

    def _renegotiated(self, image: Image) -> Iterator[StreamStart]:
        """Say what comes out where it is not what came in."""
        caps, fps = self.start.caps, self._fragment.fps
        new = caps.replace(
            format=image.format, width=image.width, height=image.height, matrix=image.matrix,
            full_range=image.full_range, memory="cpu", fps=fps or caps.get("fps"),
        )  # fmt: skip
        start = StreamStart(self._stream, new, self.start.live, self.start.epoch, self.start.discontinuity)
        if new != caps and start != self.said:
            self.said = start
            yield start

    def finish(self) -> Iterator[Item | StreamStart]:
        """No more comes in: what the fragment still holds, and its end."""
        try:
            if not self._through:
                self._fragment.end()
                self._thread.join(PATIENCE)
                if self._thread.is_alive():
                    self.context.warn(f"gst: it has not ended within {PATIENCE:g} s of its input's end", self._stream)
                yield from self.take()
        finally:
            self.stop()

    def interrupt(self) -> None:
        self._fragment.interrupt()

    def stop(self) -> None:
        self._through = True
        self._fragment.stop()
        self._thread.join(PATIENCE)

    def _listen(self) -> None:
        """In a thread of its own: take down what comes out and wake the element."""
        failure: GstError | None = None
        try:
            for out in self._fragment.receive():
                if isinstance(out, str) or self.start.caps.kind == FRAMES:
                    self._out.append(out)
                    self.context.wake()
        except GstError as error:
            failure = error
        self._out.append(failure)
        self.context.wake()


class Fragments(Element):
    """What `gst` and `gstout` share: a Feed for each stream; a subclass has the setting `launch` and makes them."""

    threaded: ClassVar[bool] = True

    feeds: dict[str, Feed] = state(dict)
    context: Context | None = state(lambda: None)

    def open(self, context: Context) -> None:
        self.context = context

    @property
    def ready(self) -> bool:
        return all(feed.ready for feed in self.feeds.values())

    def on_wake(self) -> Iterator[Item]:
        for feed in list(self.feeds.values()):
            try:
                yield from feed.take()
            except StreamError:
                assert self.context is not None
                self.context.wake()  # the others have their turn
                raise

    def end_stream(self, stream: str) -> Iterator[Item]:
        feed = self.feeds.pop(stream, None)
        if feed is not None:
            yield from feed.finish()

    def cancel(self) -> None:
        for feed in list(self.feeds.values()):
            feed.interrupt()

    def close(self) -> None:
        while self.feeds:
            self.feeds.popitem()[1].stop()


def _scale(frame: Frame, width: int, height: int) -> None:
    """What is known of a picture of width x height, carried over to the frame's own size."""
    way = shifted(0.0, 0.0, frame.image.width / width, frame.image.height / height)
    frame.objects = map_objects(frame.objects, way, width, height)
    frame.events = map_events(frame.events, way)
    frame.readings = map_readings(frame.readings, way, width, height)
    if "analytics" in frame.extras:
        frame.extras["analytics"] = map_rules(frame.extras["analytics"], way)
