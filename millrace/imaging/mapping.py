"""What is known of a frame, carried over when its picture is moved, scaled, mirrored or turned."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..media import Event, Frame, Object, Reading
from .base import Turn


class Affine(NamedTuple):
    """x' = xx * x + xy * y + x0, y' = yx * x + yy * y + y0, in pixels; axes stay axes."""

    xx: float
    xy: float
    x0: float
    yx: float
    yy: float
    y0: float

    def points(self, points: Any) -> NDArray[np.float64]:
        """Points [n, 2] carried over."""
        array = np.asarray(points, np.float64).reshape(-1, 2)
        x, y = array[:, 0], array[:, 1]
        return np.stack([self.xx * x + self.xy * y + self.x0, self.yx * x + self.yy * y + self.y0], axis=1)

    def box(self, box: Any) -> NDArray[np.float32]:
        """x1 y1 x2 y2 carried over, left before right and top before bottom."""
        corners = self.points(box)
        return np.concatenate([corners.min(axis=0), corners.max(axis=0)]).astype(np.float32)

    def mask(self, mask: NDArray[Any]) -> NDArray[Any]:
        """A mask in box coordinates mirrored and turned as the box is; its size does not matter."""
        if self.xx == 0:
            mask = mask.T
        columns, rows = (self.xx or self.xy) < 0, (self.yy or self.yx) < 0
        return mask[:: -1 if rows else 1, :: -1 if columns else 1]


def shifted(x: float, y: float, scale_x: float = 1.0, scale_y: float = 1.0) -> Affine:
    """Scaled, then moved by (x, y)."""
    return Affine(scale_x, 0.0, x, 0.0, scale_y, y)


def turned(how: Turn, width: int, height: int) -> Affine:
    """Where compose.turn brings the points of a picture of width x height."""
    return {
        "horizontal": Affine(-1, 0, width, 0, 1, 0),
        "vertical": Affine(1, 0, 0, 0, -1, height),
        "half": Affine(-1, 0, width, 0, -1, height),
        "clockwise": Affine(0, -1, height, 1, 0, 0),
        "counterclockwise": Affine(0, 1, 0, -1, 0, width),
        "transpose": Affine(0, 1, 0, 1, 0, 0),
        "transverse": Affine(0, -1, height, -1, 0, width),
    }[how]


def box_mask(found: Object, width: int, height: int) -> NDArray[Any] | None:
    """An object's mask in the coordinates of its box; one as large as the picture is cut to the box."""
    mask = found.mask
    if mask is None or mask.shape != (height, width):
        return mask
    x1, y1, x2, y2 = (round(float(v)) if np.isfinite(v) else 0 for v in found.box)
    return mask[max(0, y1) : max(0, y2), max(0, x1) : max(0, x2)]


def map_objects(objects: Iterable[Object], way: Affine, width: int, height: int) -> list[Object]:
    """New objects with boxes, masks, keypoints, angles and velocities carried over.

    `width` and `height` are those of the picture that the objects come from. Masks are in box coordinates after this.
    """
    found = list(objects)
    out = {id(old): _mapped(old, way, width, height) for old in found}
    for new in out.values():
        new.parent = out.get(id(new.parent), new.parent)
    return list(out.values())


def _mapped(old: Object, way: Affine, width: int, height: int) -> Object:
    new = old.fork()
    mask = box_mask(old, width, height)
    new.mask = None if mask is None else way.mask(mask)
    new.box = way.box(old.box)
    if old.detected_box is not None:
        new.detected_box = way.box(old.detected_box)
    if old.keypoints is not None:
        new.keypoints = old.keypoints.copy()
        new.keypoints[:, :2] = way.points(old.keypoints[:, :2])
    if old.angle is not None and way.xx * way.yy - way.xy * way.yx < 0:
        new.angle = -old.angle  # mirrored; a quarter turn has gone into the box's sides
    if old.velocity is not None:
        x, y = old.velocity
        new.velocity = (way.xx * x + way.xy * y, way.yx * x + way.yy * y)
    return new


def map_readings(readings: Iterable[Reading], way: Affine, width: int, height: int) -> list[Reading]:
    """What models said of a whole picture of width x height, or of regions, carried over with its maps and points."""
    whole = np.array([0, 0, width, height], np.float32)
    out = []
    for old in readings:
        new = replace(old, area=way.box(whole if old.area is None else old.area), input_to_source=None)
        if old.class_map is not None:
            new.class_map = way.mask(old.class_map)
        if old.depth is not None:
            new.depth = way.mask(old.depth)
        if old.flow is not None:
            x, y = way.mask(old.flow[..., 0]), way.mask(old.flow[..., 1])
            new.flow = np.stack([way.xx * x + way.xy * y, way.yx * x + way.yy * y], axis=2).astype(np.float32)
        if old.keypoints is not None:
            new.keypoints = old.keypoints.copy()
            new.keypoints[:, :2] = way.points(old.keypoints[:, :2])
        out.append(new)
    return out


def map_frame(frame: Frame, way: Affine, width: int, height: int) -> None:
    """Carry over all that is known of a frame whose picture was width x height."""
    frame.objects = map_objects(frame.objects, way, width, height)
    frame.events = map_events(frame.events, way)
    frame.readings = map_readings(frame.readings, way, width, height)
    if "analytics" in frame.extras:
        frame.extras["analytics"] = map_rules(frame.extras["analytics"], way)


def map_rules(rules: Iterable[Mapping[str, Any]], way: Affine) -> list[dict[str, Any]]:
    """Lines and zones of `frame.extras["analytics"]` with their points carried over."""
    return [
        {
            **rule,
            **{
                key: [(x, y) for x, y in way.points(rule[key]).tolist()]
                for key in ("points", "direction")
                if key in rule
            },
        }
        for rule in rules
    ]


def map_events(events: Iterable[Event], way: Affine) -> list[Event]:
    """Events with the point where they happened carried over, where they have one."""
    return [
        replace(event, extras={**event.extras, "point": tuple(way.points([event.extras["point"]])[0].tolist())})
        if event.extras.get("point") is not None
        else event
        for event in events
    ]


def cut(found: Object, width: int, height: int) -> bool:
    """Cut an object's boxes, and its mask with them, at a picture's edges; False when it lies outside.

    The object must be ours, its mask in box coordinates (see map_objects).
    """
    x1, y1, x2, y2 = (float(side) for side in found.box)
    left, top, right, bottom = max(0.0, x1), max(0.0, y1), min(float(width), x2), min(float(height), y2)
    if not (np.isfinite(found.box).all() and left < right and top < bottom):
        return False
    if found.mask is not None:
        rows, columns = found.mask.shape
        per_x, per_y = columns / (x2 - x1), rows / (y2 - y1)
        found.mask = found.mask[
            round((top - y1) * per_y) : max(1, round((bottom - y1) * per_y)),
            round((left - x1) * per_x) : max(1, round((right - x1) * per_x)),
        ]
    found.box = np.array([left, top, right, bottom], np.float32)
    if found.detected_box is not None:
        found.detected_box = np.clip(found.detected_box, 0, np.array([width, height] * 2, np.float32))
    return True
