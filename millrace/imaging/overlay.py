"""What is known of a frame, drawn on a canvas of any device: objects, their trails, lines and zones."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from ..media import Object
from .base import Canvas, Colour, Point
from .palette import colour_of, parse_colour, readable_on

LINE_COLOUR: Colour = (255, 210, 0)
ZONE_COLOUR: Colour = (0, 190, 255)
MOST_POINTS = 256  # of one trail


@dataclass(slots=True)
class Style:
    """How things look; sizes are pixels of the picture."""

    thickness: int = 2
    text_size: int = 16
    boxes: bool = True
    labels: bool = True
    confidence: bool = True
    ids: bool = True
    by_identity: bool = False  # one colour per identity, else per class
    colours: Mapping[str, Colour] = field(default_factory=dict)  # of labels

    def fitted(self, width: int, height: int, thickness: int | None, text_size: int | None) -> Style:
        """This style for a picture's size, where sizes are not given."""
        short = min(width, height)
        return replace(
            self,
            thickness=thickness or max(2, 2 * round(short / 540)),
            text_size=text_size or max(16, round(short / 38)),
        )

    def colour(self, found: Object) -> Colour:
        given = self.colours.get(found.label)
        if given is not None:
            return given
        return colour_of(found.id if self.by_identity and found.id is not None else found.class_id)

    def caption(self, found: Object) -> str:
        """`car 12 0.87`, then what classifiers and readers said."""
        parts = [found.label] if self.labels else []
        if self.ids and found.id is not None:
            parts.append(str(found.id))
        if self.confidence:
            parts.append(f"{found.confidence:.2f}")
        if self.labels:
            parts.extend(answer.value for answer in found.labels)
            parts.extend([found.text] if found.text else [])
        return " ".join(parts)


def colours_from(given: Mapping[str, str]) -> dict[str, Colour]:
    """`{"car": "#ff8000"}` as colours. Raises ValueError naming the wrong one."""
    return {label: parse_colour(text) for label, text in given.items()}


def draw_objects(canvas: Canvas, objects: Iterable[Object], style: Style) -> None:
    """All boxes, then all captions, so that no box crosses one out. Boxes that are no numbers are left out."""
    seen = [(found, [float(side) for side in found.box]) for found in objects]
    seen = [(found, box) for found, box in seen if all(map(math.isfinite, box))]
    if style.boxes:
        for found, box in seen:
            canvas.rectangle(box, style.colour(found), style.thickness)
    for found, box in seen:
        _draw_caption(canvas, style.caption(found), box, style.colour(found), style)


def _draw_caption(canvas: Canvas, caption: str, box: Sequence[float], colour: Colour, style: Style) -> None:
    """Above the box, or inside it where there is no room above."""
    if not caption:
        return
    half, size = style.thickness // 2, style.text_size
    above = box[1] - half - size
    top = above if above >= 0 else min(box[1] + half, canvas.image.height - size)
    canvas.text(caption, (max(0.0, box[0] - half), max(0.0, top)), readable_on(colour), size, colour)


def draw_rule(canvas: Canvas, rule: Mapping[str, Any], style: Style) -> None:
    """A line or zone of the frame's analytics: {"kind", "name", "points" in source pixels, "text"}."""
    points, colour = _points(rule), _rule_colour(rule)
    zone = rule["kind"] == "zone"
    if zone:
        canvas.polygon(points, colour, 0.2)
    canvas.polyline(points, colour, style.thickness, closed=zone)


def draw_rule_caption(canvas: Canvas, rule: Mapping[str, Any], style: Style) -> None:
    """Its name and count: at a zone's first corner, in the middle of a line."""
    points, colour, size = _points(rule), _rule_colour(rule), style.text_size
    x, y = points[0] if rule["kind"] == "zone" else [sum(axis) / len(points) for axis in zip(*points, strict=True)]
    at = (min(max(0.0, x), canvas.image.width - size), min(max(0.0, y - size), canvas.image.height - size))
    canvas.text(" ".join(filter(None, (rule["name"], rule.get("text")))), at, readable_on(colour), size, colour)


def _points(rule: Mapping[str, Any]) -> list[Point]:
    return [(float(x), float(y)) for x, y in rule["points"]]


def _rule_colour(rule: Mapping[str, Any]) -> Colour:
    return ZONE_COLOUR if rule["kind"] == "zone" else LINE_COLOUR


class Trails:
    """Where the tracked objects of one stream have been, for some seconds of stream time."""

    def __init__(self) -> None:
        self.paths: dict[int, deque[tuple[int, float, float]]] = {}

    def update(self, objects: Iterable[Object], pts: int, seconds: float) -> None:
        """Add the feet of this frame's objects (the middle of the box's lower edge), forget what is too old."""
        for found in objects:
            if found.id is not None and found.parent is None:
                x1, _, x2, y2 = map(float, found.box)
                path = self.paths.setdefault(found.id, deque(maxlen=MOST_POINTS))
                path.append((pts, (x1 + x2) / 2.0, y2))
        oldest = pts - round(seconds * 1e9)
        for key in list(self.paths):
            path = self.paths[key]
            while path and path[0][0] < oldest:
                path.popleft()
            if not path:
                del self.paths[key]

    def draw(self, canvas: Canvas, objects: Iterable[Object], style: Style) -> None:
        """The trails of the objects in this frame."""
        for found in objects:
            path = self.paths.get(found.id) if found.id is not None and found.parent is None else None
            if path is not None and len(path) > 1:
                canvas.polyline([(x, y) for _, x, y in path], style.colour(found), style.thickness)
