"""Distances of objects, from depth cameras and 16-bit pictures."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..core.element import Context, Element, Seconds, setting, state
from ..core.errors import ConfigError, StreamError
from ..core.item import Item, StreamStart
from ..imaging.depth import coloured, distance, metres
from ..media import Batch, Frame, Image, Reading

STAGE = "depth"  # the reading that a depth camera's frames carry


class Depth(Element):
    """Tell how far away objects are, in metres: `depth: {unit: 0.001}`.

    The distances are those that a depth camera gave (`realsense://`), or the picture itself where it has 16 bits of
    grey (PNG, FFV1), or the frames of another stream, as `of` says. An object's `depth` is the median over its mask,
    else over the middle of its box; pixels without a measure (0) are left out. With `picture` the picture becomes the
    distances in colours.
    """

    unit: float = setting(default=0.001, help="metres of one step of a 16-bit picture", minimum=1e-9)
    part: float = setting(
        default=0.5, help="of a box's width and height that counts, from its middle", minimum=0.01, maximum=1, live=True
    )
    least: float = setting(
        default=0.05, help="share of the pixels that must be known for an object to have a distance", minimum=0,
        maximum=1, live=True,
    )  # fmt: skip
    picture: bool = setting(default=False, help="show the distances in colours instead of the picture")
    near: float = setting(default=0.3, help="metres that are red, and before", minimum=0, live=True)
    far: float = setting(default=6.0, help="metres that are blue, and behind", minimum=0.001, live=True)
    of: dict[str, str] = setting(
        factory=dict, help="streams whose distances come from another one: {colour: depth}; that one ends here"
    )
    apart: Seconds = setting(default=0.1, help="how far apart in time the pictures of the two may be", minimum=0.0001)

    pairs: dict[str, _Pair] = state(dict)  # by the stream of pictures
    maps: dict[str, _Pair] = state(dict)  # by the stream of distances
    context: Context | None = state(lambda: None)

    def validate(self) -> None:
        if self.near >= self.far:
            raise ConfigError(f"depth: near={self.near:g} is not nearer than far={self.far:g}")
        twice = sorted({each for each in self.of.values() if list(self.of.values()).count(each) > 1 or each in self.of})
        if twice:
            raise ConfigError(
                f"depth: of: {twice[0]} must stand for the distances of one stream, and have none of its own"
            )

    def open(self, context: Context) -> None:
        self.validate()
        self.context = context
        self.pairs = {stream: _Pair(round(self.apart * 1e9)) for stream in self.of}
        self.maps = {depth: self.pairs[stream] for stream, depth in self.of.items()}

    def start_stream(self, start: StreamStart) -> StreamStart:
        if start.stream in self.maps and start.caps.get("format") not in (None, "GRAY16"):
            raise StreamError(start.stream, f"depth: its pictures are {start.caps['format']}, and distances are GRAY16")
        if (pair := self.maps.get(start.stream)) is not None:
            pair.over = False  # it ended, and comes again
        if not self.picture:
            return start
        caps = start.caps.replace(format="RGB", matrix="bt601", full_range=False)
        return StreamStart(start.stream, caps, start.live, start.epoch, start.discontinuity)

    def process(self, item: Any) -> Iterator[Item]:
        if not self.of:
            for frame in item.frames if isinstance(item, Batch) else (item,):
                self._measure(frame, _map(frame, self.unit))
            yield item
            return
        for frame in item.frames if isinstance(item, Batch) else (item,):
            if (pair := self.maps.get(frame.stream)) is not None:
                pair.maps.append((frame.pts, metres(frame.image, self.unit)))
                yield from self._matched(pair)
            elif (pair := self.pairs.get(frame.stream)) is not None:
                pair.frames.append(frame)
                yield from self._matched(pair)
            else:
                self._measure(frame, _map(frame, self.unit))
                yield frame

    def flush(self, stream: str) -> Iterator[Item]:
        pair = self.pairs.get(stream)
        if pair is not None:
            yield from self._matched(pair, all_of_it=True)
        if (pair := self.maps.get(stream)) is not None:
            yield from self._matched(pair, all_of_it=True)
            pair.maps.clear()

    def end_stream(self, stream: str) -> Iterator[Item]:
        if (pair := self.maps.get(stream)) is not None:
            pair.over = True
        yield from self.flush(stream)

    def _matched(self, pair: _Pair, all_of_it: bool = False) -> Iterator[Item]:
        for frame, depth in pair.take(all_of_it):
            if depth is not None:
                frame.readings.append(Reading(depth=depth, stage=STAGE, distance=True))
            self._measure(frame, depth)
            yield frame

    def _measure(self, frame: Frame, depth: NDArray[np.float32] | None) -> None:
        """Give the objects of a frame their distances, and its picture colours where that is asked."""
        if depth is not None:
            for found in frame.objects:
                far, known = distance(found, depth, frame.image.width, frame.image.height, self.part)
                found.depth = far if known >= self.least else None
        if self.picture:
            shape = (frame.image.height, frame.image.width)
            shown = np.zeros((*shape, 3), np.uint8) if depth is None else coloured(depth, self.near, self.far)
            if shown.shape[:2] != shape:
                rows, columns = (np.arange(size) * have // size for size, have in zip(shape, shown.shape, strict=False))
                shown = shown[np.ix_(rows, columns)]
            frame.image = Image("RGB", [shown], shape[1], shape[0])


class _Pair:
    """Frames and maps of two streams that wait for each other. Each frame gets the map nearest in time."""

    MOST = 32  # frames that wait, and maps

    def __init__(self, apart: int) -> None:
        self.frames: deque[Frame] = deque()
        self.maps: deque[tuple[int, NDArray[np.float32]]] = deque()
        self.over = False  # no more maps come
        self._apart = apart

    def take(self, all_of_it: bool) -> Iterator[tuple[Frame, NDArray[np.float32] | None]]:
        """Frames that a later map cannot suit better, with their map; None where none is near enough."""
        while self.frames:
            pts = self.frames[0].pts
            decided = bool(self.maps) and self.maps[-1][0] >= pts
            if not (decided or all_of_it or self.over or len(self.frames) > self.MOST):
                return
            while len(self.maps) > 1 and abs(self.maps[1][0] - pts) <= abs(self.maps[0][0] - pts):
                self.maps.popleft()
            near = bool(self.maps) and abs(self.maps[0][0] - pts) <= self._apart
            yield self.frames.popleft(), self.maps[0][1] if near else None
        while len(self.maps) > self.MOST:
            self.maps.popleft()


def _map(frame: Frame, unit: float) -> NDArray[np.float32] | None:
    """The distances that a frame brings: a depth camera's, or its own 16-bit picture, which becomes a reading."""
    for reading in frame.readings:
        metric = reading.distance or reading.stage == STAGE  # a model whose step is called so says metres
        if reading.depth is not None and metric and reading.area is None:
            return reading.depth
    if frame.image.format != "GRAY16" or frame.image.memory != "cpu":
        return None
    depth = metres(frame.image, unit)
    frame.readings.append(Reading(depth=depth, stage=STAGE, distance=True))
    return depth
