"""Pictures of wide lenses, made straight."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, ClassVar

from ..core.element import Context, Element, setting, state
from ..core.errors import ConfigError, StreamError
from ..core.item import Item, StreamEnd, StreamStart
from ..devices import part
from ..imaging.base import Imaging
from ..media import Batch, Frame

EIGHT_BIT = {"P010": "NV12", "GRAY16": "GRAY8"}


class Dewarp(Element):
    """Straightens what a fisheye or a wide lens shows: `dewarp: {surfaces: [{fov: 180, width: 960, height: 540}]}`.

    A surface is a view into the lens's picture: `projection` (fisheye-perspective, fisheye-cylinder, …), width and
    height, focal or fov, angles, and more (docs/dewarping.md). One surface takes the place of the stream's pictures;
    several make streams of their own, `gate.0`, `gate.1`, … of a stream `gate`. `config` names a file of DeepStream's
    nvdewarper instead. It stands before models: what was found in the bent picture is not carried over. Where each
    pixel comes from is computed once for each size of pictures.
    """

    threaded: ClassVar[bool] = True

    surfaces: list[dict[str, Any]] = setting(factory=list, help="the views, each a mapping: see docs/dewarping.md")
    config: str | None = setting(default=None, help="a configuration file of nvdewarper, instead of surfaces")
    width: int | None = setting(
        default=None, help="of the pictures that leave; surfaces are scaled to it; default: their own", minimum=16
    )
    height: int | None = setting(
        default=None, help="of the pictures that leave; default: the surfaces' own", minimum=16
    )
    most: int | None = setting(default=None, help="surfaces that are made at most; default: all", minimum=1)
    streams: list[str] | None = setting(default=None, help="the streams that it straightens, others pass; default: all")

    imagings: dict[str, Imaging] = state(dict)
    views: list[Any] = state(list)  # imaging.dewarp.Surface
    size: tuple[int, int] | None = state(lambda: None)
    ways: dict[tuple[int, int, int], Any] = state(dict)  # (number of the surface, width, height) → Ways
    starts: dict[str, StreamStart] = state(dict)  # streams whose parts have not started yet

    def validate(self) -> None:
        from ..imaging.dewarp import surface_of

        if bool(self.surfaces) == bool(self.config):
            raise ConfigError("dewarp: give surfaces, or config, a file of nvdewarper")
        self.size = None
        if self.config:
            from ..imaging.nvdewarper import read_nvdewarper

            found = read_nvdewarper(self.config, self.most)
            self.views, self.size = found.surfaces, found.size
        else:
            try:
                self.views = [surface_of(dict(each)) for each in self.surfaces][: self.most]
            except (TypeError, ValueError) as error:
                raise ConfigError(f"dewarp: surfaces: {error}") from None
        if bool(self.width) != bool(self.height):
            raise ConfigError("dewarp: give width and height, or neither")
        if self.width and self.height:
            self.size = self.width, self.height

    def splits(self, stream: str) -> Sequence[str]:
        if len(self.views) < 2 or not self._mine(stream):
            return (stream,)
        return [f"{stream}.{number}" for number in range(len(self.views))]

    def open(self, context: Context) -> None:
        self.validate()
        self.ways.clear()

    def start_stream(self, start: StreamStart) -> StreamStart | None:
        if not self._mine(start.stream):
            return start
        if len(self.views) > 1:
            self.starts[start.stream] = start
            return None
        return self._start(start, start.stream, 0)

    def process(self, item: Any) -> Iterator[Item]:
        frames = item.frames if isinstance(item, Batch) else [item]
        out: list[Frame] = []
        for frame in frames:
            if not self._mine(frame.stream):
                out.append(frame)
                continue
            names = self.splits(frame.stream)
            start = self.starts.pop(frame.stream, None)
            if start is not None:
                yield from (self._start(start, name, number) for number, name in enumerate(names))
            out += [self._straight(frame, name, number) for number, name in enumerate(names)]
        if isinstance(item, Batch):
            yield Batch(out, item.extras)
        else:
            yield from out

    def end_stream(self, stream: str) -> Iterator[Item]:
        self.starts.pop(stream, None)
        if self._mine(stream) and len(self.views) > 1:
            yield from (StreamEnd(name) for name in self.splits(stream))

    def _mine(self, stream: str) -> bool:
        return self.streams is None or stream in self.streams

    def _start(self, start: StreamStart, name: str, number: int) -> StreamStart:
        caps: Any = start.caps
        view = self.views[number]
        width, height = self.size or (view.width or caps.get("width"), view.height or caps.get("height"))
        given = caps.get("format")
        caps = caps.replace(width=width, height=height, sample_aspect=None, format=EIGHT_BIT.get(given, given))
        return StreamStart(name, caps, start.live, start.epoch, start.discontinuity)

    def _straight(self, frame: Frame, name: str, number: int) -> Frame:
        image, view = frame.image, self.views[number]
        if image.memory not in self.imagings:
            self.imagings[image.memory] = part(image.memory, "imaging")(image.memory)
        key = (number, image.width, image.height)
        if key not in self.ways:
            from ..imaging.dewarp import ways

            try:
                self.ways[key] = ways(view, image.width, image.height, self.size)
            except ValueError as error:
                raise StreamError(frame.stream, f"surface {number}: {error}") from None
        straight = self.imagings[image.memory].remap(image, self.ways[key])
        extras = {"surface": {"stream": frame.stream, "index": view.index, "projection": view.projection}}
        return Frame(
            name, frame.index, frame.pts, straight, frame.epoch, frame.duration, frame.arrived, frame.wall,
            extras=extras,
        )  # fmt: skip
