"""What nobody may see, made unrecognisable."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

import numpy as np

from ..core.element import Context, Element, Seconds, setting, state
from ..core.errors import SettingError
from ..core.item import Item, StreamStart
from ..devices import part
from ..imaging.base import Conceal, Imaging
from ..imaging.overlay import corners
from ..media import Frame, Object
from ..media.geometry import to_pixels

Hidden = dict[Any, tuple[int, list[Any]]]  # key → when it was seen last, its box or corners


class Blur(Element):
    """Hides objects of some classes, and zones: `blur: {classes: [person, face], mode: pixelate}`.

    Luma and chroma are reduced to at most 8 cells along the longer side, so nothing is left to sharpen. Put it
    before `draw`, `encode` and every branch that lets pictures out. An object that is not found for a moment stays
    hidden where it was for `hold` seconds of stream time. Zones are hidden always:
    `zones: {door: {points: [[0, 0], [0.2, 0], [0.2, 1], [0, 1]], streams: [gate]}}`.
    """

    classes: list[str] | None = setting(
        default=None, help="labels of objects that are hidden; default: all, or none where zones are given"
    )
    zones: dict[str, Any] = setting(factory=dict, help="name: {points: [[x, y], …], streams}, always hidden")
    mode: str = setting(default="pixelate", help="how it looks", choices=("pixelate", "blur"), live=True)
    strength: float = setting(
        default=1.0, help="1: eight cells along the longer side, 2: four, 8: a single colour", minimum=1, live=True
    )
    margin: float = setting(default=0.1, help="of its size that a box is widened by on each side", minimum=0, maximum=1)
    hold: Seconds = setting(default=0.5, help="seconds that an object stays hidden after it was seen", minimum=0)

    imagings: dict[str, Imaging] = state(dict)
    seen: dict[str, Hidden] = state(dict)

    def open(self, context: Context) -> None:
        for name, zone in self.zones.items():
            points = zone.get("points") if isinstance(zone, dict) else None
            unknown = set(zone) - {"points", "streams"} if isinstance(zone, dict) else set()
            try:
                right = not unknown and len([(float(x), float(y)) for x, y in points or ()]) >= 3
            except (TypeError, ValueError):
                right = False
            if not right:
                allowed = "it is a table with points (at least 3, [[x, y], …]) and perhaps streams"
                raise SettingError(context.name, f"zones.{name}", zone, allowed)

    def start_stream(self, start: StreamStart) -> StreamStart:
        if start.discontinuity or start.stream not in self.seen:
            self.seen[start.stream] = {}
        return start

    def process_frame(self, frame: Frame) -> None:
        image = frame.image
        if image.memory not in self.imagings:
            self.imagings[image.memory] = part(image.memory, "imaging")(image.memory)
        areas: list[Any] = [
            to_pixels(zone["points"], image.width, image.height)
            for zone in self.zones.values()
            if zone.get("streams") is None or frame.stream in zone["streams"]
        ]
        areas += [corner for _, corner in self._objects(frame).values()]
        mode = cast(Conceal, self.mode)
        frame.image = self.imagings[image.memory].conceal(image, areas, mode, self.strength)

    def end_stream(self, stream: str) -> Iterator[Item]:
        self.seen.pop(stream, None)
        return super().end_stream(stream)

    def _objects(self, frame: Frame) -> Hidden:
        """What is hidden in this frame: the objects in it, and those that were there a moment ago."""
        known = self.seen[frame.stream]
        found = [each for each in frame.objects if self._hides(each) and np.isfinite(each.box).all()]
        loose = [each for each in found if each.id is None]
        if loose:  # without identities nobody knows which of the earlier ones these are
            for key in [key for key in known if isinstance(key, int)]:
                del known[key]
        for number, each in enumerate(loose):
            known[number] = (frame.pts, self._corners(each))
        for each in found:
            if each.id is not None:
                known[(each.stage, each.label, each.id)] = (frame.pts, self._corners(each))
        for key in [key for key, (pts, _) in known.items() if frame.pts - pts > self.hold * 1e9]:
            del known[key]
        return known

    def _hides(self, found: Object) -> bool:
        return not self.zones if self.classes is None else found.label in self.classes

    def _corners(self, found: Object) -> list[Any]:
        x1, y1, x2, y2 = (float(side) for side in found.box)
        wide, high = (x2 - x1) * self.margin, (y2 - y1) * self.margin
        box = [x1 - wide, y1 - high, x2 + wide, y2 + high]
        return box if found.angle is None else corners(box, found.angle)
