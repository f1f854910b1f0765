"""What is known of a scene: every object of every frame, and who crossed the line when."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from math import dist
from pathlib import Path
from typing import Any, Literal

from ..media.geometry import side

Point = tuple[float, float]
Direction = Literal["in", "out"]


@dataclass(frozen=True, slots=True)
class TruthObject:
    """One object in one frame.

    `box` x1 y1 x2 y2, source pixels: the whole object as if nothing stood before it, clipped to the picture.
    `visible`: the share of its whole outline (its convex hull, the part outside the picture included) that is seen.
    """

    id: int
    class_id: int
    label: str
    box: tuple[float, float, float, float]
    visible: float


@dataclass(frozen=True, slots=True)
class Crossing:
    """Object `id` is across the line in `frame`.

    `in` is from the left to the right of somebody who walks in the picture from the line's start to its end.
    """

    id: int
    frame: int
    direction: Direction
    label: str = ""


@dataclass(slots=True)
class Truth:
    """A scene's truth. `line` is start and end, `zone` a polygon, source pixels."""

    width: int
    height: int
    fps: float
    labels: tuple[str, ...]
    line: tuple[Point, Point]
    zone: tuple[Point, ...]
    frames: list[list[TruthObject]] = field(default_factory=list)
    crossings: list[Crossing] = field(default_factory=list)

    def to_json(self, path: str | Path) -> None:
        """Write all of it to a file."""
        Path(path).write_text(json.dumps(asdict(self), separators=(",", ":")) + "\n", encoding="utf-8")

    @classmethod
    def from_json(cls, path: str | Path) -> Truth:
        """Read what `to_json` wrote."""
        facts: dict[str, Any] = json.loads(Path(path).read_text(encoding="utf-8"))
        frames = [[TruthObject(**{**o, "box": tuple(o["box"])}) for o in frame] for frame in facts.pop("frames")]
        crossings = [Crossing(**c) for c in facts.pop("crossings")]
        start, end = (tuple(p) for p in facts.pop("line"))
        zone = tuple(tuple(p) for p in facts.pop("zone"))
        labels = tuple(facts.pop("labels"))
        return cls(**facts, labels=labels, line=(start, end), zone=zone, frames=frames, crossings=crossings)


@dataclass(slots=True)
class _Way:
    """Where an object was last seen, and the side of the line where it is at home."""

    point: Point
    offset: float  # > 0: to the right
    home: bool
    between: bool = False  # it last passed between the line's ends


def line_crossings(
    frames: Iterable[Sequence[TruthObject]], line: tuple[Point, Point], margin: float = 0.05
) -> list[Crossing]:
    """Who crossed the line by the middle of the box's lower edge, frame by frame.

    A crossing counts in the frame in which the point is beyond the line by `margin` box heights, so that a step on the
    line is not three crossings; the straight way over the line, however many frames long, must meet it between its
    ends.
    """
    start, end = line
    length = dist(start, end)
    found: list[Crossing] = []
    ways: dict[int, _Way] = {}
    for index, objects in enumerate(frames):
        for o in objects:
            point = ((o.box[0] + o.box[2]) / 2, o.box[3])
            offset = side(point, start, end) / length
            right = offset > 0
            way = ways.setdefault(o.id, _Way(point, offset, right))
            if right != (way.offset > 0):
                way.between = side(start, way.point, point) * side(end, way.point, point) <= 0
            if right != way.home and abs(offset) >= margin * (o.box[3] - o.box[1]):
                way.home = right
                if way.between:
                    found.append(Crossing(o.id, index, "in" if right else "out", o.label))
            way.point, way.offset = point, offset
    return found
