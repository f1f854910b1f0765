"""What is known of a frame, drawn on a canvas of any device: objects, their trails, lines and zones, a clock."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Hashable, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from ..media import Frame, Object, Reading
from .base import Canvas, Colour, Point
from .mapping import box_mask
from .palette import colour_of, parse_colour, readable_on
from .style import Style

LINE_COLOUR: Colour = (255, 210, 0)
ZONE_COLOUR: Colour = (0, 190, 255)
MOST_POINTS = 256  # of one trail
_SECOND = 1_000_000_000
COCO_17 = (  # nose, eyes, ears, shoulders, elbows, wrists, hips, knees, ankles: the skeleton of COCO's person keypoints
    (15, 13), (13, 11), (16, 14), (14, 12), (11, 12), (5, 11), (6, 12), (5, 6), (5, 7), (6, 8), (7, 9), (8, 10),
    (1, 2), (0, 1), (0, 2), (1, 3), (2, 4), (3, 5), (4, 6),
)  # fmt: skip
Rule = Mapping[str, object]


def draw_objects(canvas: Canvas, objects: Iterable[Object], style: Style) -> None:
    """Masks and fills, then boxes, skeletons, then captions, so that no box crosses one out.

    Boxes that are no numbers are left out.
    """
    seen = [(found, [float(side) for side in found.box], style.of(found.label)) for found in objects]
    seen = [each for each in seen if all(map(math.isfinite, each[1]))]
    for found, box, own in seen:
        if own.masks and found.mask is not None:
            inner = box_mask(found, canvas.width, canvas.height)
            if inner is not None:
                canvas.mask(inner, box, own.colour(found), own.mask_opacity)
        if own.fill > 0:
            if found.angle is None:
                canvas.fill(box, own.colour(found), own.fill)
            else:
                canvas.polygon(corners(box, found.angle), own.colour(found), own.fill)
    for found, box, own in seen:
        if own.boxes and found.angle is None:
            canvas.rectangle(box, own.colour(found), own.thickness)
        elif own.boxes and found.angle is not None:
            canvas.polyline(corners(box, found.angle), own.colour(found), own.thickness, closed=True)
        if own.keypoints and found.keypoints is not None:
            draw_keypoints(canvas, found, own)
    for found, box, own in seen:
        _draw_caption(canvas, own.caption(found), box, own.colour(found), own)


def draw_readings(canvas: Canvas, readings: Iterable[Reading], style: Style, opacity: float) -> None:
    """What models said of the whole frame or of regions: class maps and depth blended over, then labels and texts.

    A class that means "nothing" (number 0 where it is named background, or has no name) is left out of a map.
    """
    lines = 0
    for reading in readings:
        area = (0, 0, canvas.width, canvas.height) if reading.area is None else reading.area.tolist()
        if reading.class_map is not None and opacity > 0:
            for number in np.unique(reading.class_map).tolist():
                nothing = number == 0 and "background" in reading.names.get(0, "background").lower()
                if number >= 0 and not nothing:
                    canvas.mask(reading.class_map == number, area, colour_of(number), opacity)
        if reading.depth is not None and opacity > 0 and reading.area is None:
            known = reading.depth != 0 if reading.distance else np.ones(reading.depth.shape, bool)
            values = reading.depth[known] if known.any() else np.zeros(1, np.float32)
            low, high = float(values.min()), float(values.max())
            density = (reading.depth - low) / max(high - low, 1e-9)
            canvas.heat(np.where(known, 1 - density, 0) if reading.distance else density, opacity)  # near is red
        words = [label.value for label in reading.labels] + ([reading.text] if reading.text else [])
        if words and style.labels:
            at = (area[0], area[1] + (lines * style.text_size if reading.area is None else 0))
            canvas.text(" ".join(words), at, (255, 255, 255), style.text_size, (0, 0, 0), inside=True)
            lines += reading.area is None


def corners(box: Sequence[float], angle: float | None) -> list[Point]:
    """The corners of a box turned about its centre by `angle` radians, clockwise as seen."""
    x1, y1, x2, y2 = box
    cx, cy, cos, sin = (x1 + x2) / 2, (y1 + y2) / 2, math.cos(angle or 0.0), math.sin(angle or 0.0)
    return [
        (cx + (x - cx) * cos - (y - cy) * sin, cy + (x - cx) * sin + (y - cy) * cos)
        for x, y in ((x1, y1), (x2, y1), (x2, y2), (x1, y2))
    ]


def draw_keypoints(canvas: Canvas, found: Object, style: Style) -> None:
    """Points and the edges between them, where the confidence of both ends is enough."""
    assert found.keypoints is not None
    points = [[float(value) for value in row] for row in found.keypoints]
    good = [all(map(math.isfinite, p[:2])) and (len(p) < 3 or p[2] >= style.keypoint_confidence) for p in points]
    edges = style.skeletons.get(found.label, COCO_17 if len(points) == 17 else ())
    colour = style.colour(found)
    for a, b in edges:
        if max(a, b) < len(points) and good[a] and good[b]:
            canvas.line((points[a][0], points[a][1]), (points[b][0], points[b][1]), colour, style.thickness)
    for point, seen in zip(points, good, strict=True):
        if seen:
            canvas.circle((point[0], point[1]), style.thickness * 1.5, readable_on(colour), 0)
            canvas.circle((point[0], point[1]), style.thickness, colour, 0)


def _draw_caption(canvas: Canvas, caption: str, box: Sequence[float], colour: Colour, style: Style) -> None:
    """Above the box, or inside it where there is no room above; never beyond the picture's edges."""
    if not caption:
        return
    half, size = style.thickness // 2, style.text_size
    above = box[1] - half - size
    top = above if above >= 0 else box[1] + half
    canvas.text(caption, (box[0] - half, top), readable_on(colour), size, colour, inside=True)


def draw_rule(canvas: Canvas, rule: Rule, style: Style) -> None:
    """A line or zone of the frame's analytics: {"kind", "name", "points" in source pixels, "text"}.

    A line carries an arrow across its middle: the way that counts as "in", to the right of who walks along it. Some
    have besides "colour" (r, g, b), "direction" (two points: an arrow) and "hidden".
    """
    points, colour = _points(rule), _rule_colour(rule)
    if rule.get("hidden") or rule["kind"] == "count":
        return
    way = [(float(x), float(y)) for x, y in rule.get("direction", ())]  # type: ignore[attr-defined]
    if len(way) == 2:
        canvas.arrow(way[0], way[1], colour, style.thickness)
    if rule["kind"] == "direction":
        canvas.arrow(points[0], points[1], colour, style.thickness)
        return
    if rule["kind"] == "zone":
        canvas.polygon(points, colour, 0.2)
        canvas.polyline(points, colour, style.thickness, closed=True)
        return
    canvas.polyline(points, colour, style.thickness)
    if len(points) == 2 and not way:
        (x1, y1), (x2, y2) = points
        length = math.hypot(x2 - x1, y2 - y1)
        if length > 0 and math.isfinite(length):
            x, y, reach = (x1 + x2) / 2, (y1 + y2) / 2, style.text_size * 1.2 / length
            canvas.arrow((x, y), (x - (y2 - y1) * reach, y + (x2 - x1) * reach), colour, style.thickness)


def draw_rule_caption(canvas: Canvas, rule: Rule, style: Style) -> None:
    """Its name and count: at a zone's first corner, in the middle of a line."""
    points, colour, size = _points(rule), _rule_colour(rule), style.text_size
    if rule.get("hidden"):
        return
    x, y = points[0] if rule["kind"] == "zone" else [sum(axis) / len(points) for axis in zip(*points, strict=True)]
    if rule["kind"] == "count":
        canvas.text(str(rule.get("text", "")), points[0], (255, 255, 255), size, (0, 0, 0), inside=True)
        return
    text = " ".join(str(part) for part in (rule["name"], rule.get("text")) if part)
    canvas.text(text, (x, y - size), readable_on(colour), size, colour, inside=True)


def _points(rule: Rule) -> list[Point]:
    return [(float(x), float(y)) for x, y in rule["points"]]  # type: ignore[attr-defined]


def _rule_colour(rule: Rule) -> Colour:
    given = rule.get("colour")
    if given is not None:
        return given if isinstance(given, tuple) else parse_colour(str(given))
    return ZONE_COLOUR if rule["kind"] == "zone" else LINE_COLOUR


def clock_text(frame: Frame, kind: str) -> str:
    """The frame's stream time as H:MM:SS.mmm (`pts`), or its wall time in UTC (`wall`; dashes when not known)."""
    if kind == "wall":
        if frame.wall is None:
            return "--:--:--"
        time = datetime.fromtimestamp(0, UTC) + timedelta(microseconds=frame.wall // 1000)
        return f"{time:%Y-%m-%d %H:%M:%S}.{time.microsecond // 1000:03d} UTC"
    seconds, rest = divmod(max(0, frame.pts), _SECOND)
    return f"{seconds // 3600}:{seconds // 60 % 60:02d}:{seconds % 60:02d}.{rest // 1_000_000:03d}"


def draw_clock(canvas: Canvas, frame: Frame, kind: str, size: int) -> None:
    """In the lower left corner, where captions are rare."""
    at = (float(size // 2), float(canvas.height - size - size // 2))
    canvas.text(clock_text(frame, kind), at, (255, 255, 255), size, (0, 0, 0), inside=True)


class Path:
    """Where one object has been, at most MOST_POINTS places: an array with room, so that they are a view of it."""

    __slots__ = ("_end", "_room", "_times")

    def __init__(self) -> None:
        self._room = np.empty((4 * MOST_POINTS, 2))
        self._times: deque[int] = deque(maxlen=MOST_POINTS)
        self._end = 0

    def __len__(self) -> int:
        return len(self._times)

    def add(self, pts: int, x: float, y: float) -> None:
        """One place more; the oldest gives way."""
        if self._end == len(self._room):
            kept = self.points.copy()
            self._room[: len(kept)] = kept
            self._end = len(kept)
        self._room[self._end] = x, y
        self._end += 1
        self._times.append(pts)

    def forget(self, oldest: int) -> None:
        """Leave out what was before `oldest`."""
        while self._times and self._times[0] < oldest:
            self._times.popleft()

    @property
    def points(self) -> NDArray[np.float64]:
        """[n, 2], oldest first; not to be kept."""
        return self._room[self._end - len(self._times) : self._end]


class Trails:
    """Where the tracked objects of one stream have been, for some seconds of stream time."""

    def __init__(self) -> None:
        self.paths: dict[Hashable, Path] = {}

    @staticmethod
    def key(found: Object) -> Hashable:
        """What a trail belongs to; in a tiled picture the same identity may come from several streams."""
        source = found.extras.get("stream")
        return found.id if source is None else (source, found.id)

    def update(self, objects: Iterable[Object], pts: int, seconds: float) -> None:
        """Add the feet of this frame's objects (the middle of the box's lower edge), forget what is too old."""
        for found in objects:
            if found.id is not None and found.parent is None:
                x1, _, x2, y2 = map(float, found.box)
                key = self.key(found)
                if key not in self.paths:
                    self.paths[key] = Path()
                self.paths[key].add(pts, (x1 + x2) / 2.0, y2)
        oldest = pts - round(seconds * 1e9)
        for key in list(self.paths):
            path = self.paths[key]
            path.forget(oldest)
            if not len(path):
                del self.paths[key]

    def draw(self, canvas: Canvas, objects: Iterable[Object], style: Style) -> None:
        """The trails of the objects in this frame."""
        for found in objects:
            path = self.paths.get(self.key(found)) if found.id is not None and found.parent is None else None
            if path is not None and len(path) > 1:
                own = style.of(found.label)
                canvas.polyline(path.points, own.colour(found), own.thickness)
