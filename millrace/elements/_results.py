"""What a model said, put where it belongs: objects into frames, labels onto objects, all in source pixels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..media import Batch, Detections, Frame, Label, Object, Placement, Reading
from ..media.objects import Box
from ..media.tensor import InputSpec, corner, fitted_size, part_of
from ..parsers.custom import Objects
from ..parsers.masks import in_box
from ._memory import Known, moved
from ._reader import Reader
from ._units import Call, Unit

try:
    from . import _boxes as native
except ImportError:  # no compiler when the package was installed
    native = None  # type: ignore[assignment]


@dataclass(slots=True)
class Results:
    """Puts the answers of one model, `stage`, into frames."""

    reader: Reader
    spec: InputSpec
    stage: str
    masks: bool = True

    def told(self, unit: Unit) -> Reading | list[Object]:
        """The answer of a unit, in source pixels: what may be put onto its object, now or later."""
        assert unit.placement is not None
        if isinstance(unit.answer, Reading):
            return self.in_source(unit.answer, unit)
        if isinstance(unit.answer, Objects):
            return self._mapped(unit.answer, unit)
        return self.objects(unit.answer, unit.placement, unit.target)

    def told_all(self, units: Sequence[Unit]) -> list[Reading | list[Object]]:
        """The same for many units: boxes alone, of pictures that lie alike in the input, are mapped at once."""
        if len(units) < 2 or self.reader.limits is not None:
            return [self.told(unit) for unit in units]
        placement = units[0].placement
        found = [unit.answer for unit in units]
        alike = all([unit.placement == placement and _plain(unit.answer) for unit in units])
        if placement is None or not alike:
            return [self.told(unit) for unit in units]
        boxes, own, inside = _boxes_in_source([each.boxes for each in found], placement)
        numbers = [number for each in found for number in each.classes.tolist()]
        scores = [score for each in found for score in each.scores.tolist()]
        rows = zip(inside, boxes, numbers, scores, own, strict=True)
        name, stage = self.reader.names.get, self.stage
        return [
            [
                Object(box, number, name(number) or str(number), score, None, own, None, stage, unit.target)
                for seen, box, number, score, own in islice(rows, len(unit.answer)) if seen
            ]
            for unit in units
        ]  # fmt: skip

    def place(self, told: Reading | list[Object], unit: Unit) -> Reading | list[Object]:
        """Put what a unit was told into its frame; returns it."""
        if isinstance(told, Reading):
            self._attach(told, unit.frame, unit.target)
        else:
            unit.frame.objects.extend(told)
        return told

    def keep_tensors(self, unit: Unit) -> None:
        """Put the raw outputs beside what was read from them."""
        raw = self.in_source(Reading(tensors=unit.outputs), unit)
        self._attach(raw, unit.frame, unit.target)

    def again(self, known: Known, frame: Frame, target: Object) -> None:
        """Put an answer that was given for an earlier frame onto the object as it is now."""
        if isinstance(known.answer, Reading):
            reading = known.answer
            if reading.keypoints is not None:
                points = reading.keypoints.copy()
                points[:, :2] = moved(points[:, :2], known.box, target.box)
                reading = replace(reading, keypoints=points)
            self._attach(reading, frame, target)
            return
        for each in known.answer:
            old = each.fork()
            old.box = moved(each.box.reshape(2, 2), known.box, target.box).reshape(4).astype(np.float32)
            if each.keypoints is not None:
                old.keypoints = each.keypoints.copy()
                old.keypoints[:, :2] = moved(each.keypoints[:, :2], known.box, target.box)
            old.detected_box, old.parent = None, target
            frame.objects.append(old)

    def objects(self, found: Detections, placement: Placement, parent: Object | None = None) -> list[Object]:
        """Detections as objects in source pixels; what lies outside the picture, or is too small, is dropped."""
        if not len(found):
            return []
        if found.angles is not None:
            found, boxes = _turned(found, placement)
            inside = _touches(boxes, found.angles, placement)
        else:
            boxes = placement.to_source(found.boxes)
            inside = (boxes[:, 2] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 1])
        if self.reader.limits is not None:
            inside &= self.reader.limits.apply(boxes, found.classes, placement.height)
        if not inside.all():
            found, boxes = found.take(inside), boxes[inside]
        numbers, names, stage = found.classes.tolist(), self.reader.names, self.stage
        out = [
            Object(box, number, names.get(number) or str(number), score, None, own, None, stage, parent)
            for box, number, score, own in zip(boxes, numbers, found.scores.tolist(), boxes.copy(), strict=True)
        ]
        if out and (found.masks or found.keypoints is not None or found.angles is not None):
            self._more(out, found, placement)
        if found.embeddings is not None:
            for each, vector in zip(out, found.embeddings, strict=True):
                each.embedding = vector
        return out

    def _more(self, objects: list[Object], found: Detections, placement: Placement) -> None:
        """Masks, keypoints and angles of objects that were just made."""
        if found.masks and self.masks:
            whole = _to_source(found.boxes, placement)
            threshold = self.reader.settings.mask_threshold
            for each, mask, box in zip(objects, found.masks, whole, strict=True):
                each.mask = in_box(mask, box, each.box, threshold)
        if found.keypoints is not None:
            points = found.keypoints.astype(np.float32, copy=True)
            points[..., 0] = (points[..., 0] - placement.offset_x) / placement.scale_x
            points[..., 1] = (points[..., 1] - placement.offset_y) / placement.scale_y
            for each, own in zip(objects, points, strict=True):
                each.keypoints = own
        if found.angles is not None:
            for each, angle in zip(objects, found.angles.tolist(), strict=True):
                each.angle = angle

    def in_source(self, reading: Reading, unit: Unit) -> Reading:
        """A reading with places in source pixels, labels named, maps cut to the picture's part of the input."""
        placement = unit.placement
        assert placement is not None
        out = replace(reading, stage=self.stage, area=unit.area)
        if any(not label.name for label in reading.labels):
            out.labels = [
                label if label.name else Label(self.stage, label.value, label.confidence, label.class_id)
                for label in reading.labels
            ]
        if reading.keypoints is not None:
            out.keypoints = _points(reading.keypoints, placement)
        if reading.class_map is not None:
            out.class_map = self._cut(reading.class_map, unit)
        if reading.depth is not None:
            out.depth = self._cut(reading.depth, unit)
        if reading.tensors is not None:
            sx, sy = 1 / placement.scale_x, 1 / placement.scale_y
            out.input_size = (self.spec.width, self.spec.height)
            out.input_to_source = (sx, sy, -placement.offset_x * sx, -placement.offset_y * sy)
        return out

    def _cut(self, rows: NDArray[Any], unit: Unit) -> NDArray[Any]:
        """The part of a map over the input where the picture lies."""
        if self.spec.fit == "stretch" or unit.tensor is not None:
            return rows
        image = unit.frame.image
        part = None if unit.area is None else part_of(unit.area.tolist(), image.width, image.height)
        x1, y1, x2, y2 = part or (0, 0, image.width, image.height)
        size = (x2 - x1, y2 - y1)
        (wide, high), (left, top) = fitted_size(*size, self.spec), corner(*size, self.spec)
        per_x, per_y = rows.shape[1] / self.spec.width, rows.shape[0] / self.spec.height
        bottom, right = max(1, round((top + high) * per_y)), max(1, round((left + wide) * per_x))
        return rows[round(top * per_y) : bottom, round(left * per_x) : right]

    def _attach(self, reading: Reading, frame: Frame, target: Object | None) -> None:
        if target is None:
            self._attach_to_frame(reading, frame)
            return
        target.labels.extend(reading.labels)
        if reading.text is not None:
            target.text = reading.text
        if reading.embedding is not None:
            target.embedding = reading.embedding
        if reading.keypoints is not None:
            target.keypoints = reading.keypoints
        if reading.depth is not None:
            target.depth = float(np.median(reading.depth))
        if reading.class_map is not None and self.masks:
            background = self.reader.settings.background or 0
            target.mask = (reading.class_map != background) & (reading.class_map >= 0)
        if reading.class_map is not None or reading.tensors is not None or reading.depth is not None:
            target.extras["readings"] = [*target.extras.get("readings", ()), reading]

    def _attach_to_frame(self, reading: Reading, frame: Frame) -> None:
        if reading.keypoints is not None and not reading.labels and reading.text is None:
            frame.objects.append(self._person(reading.keypoints, frame))
            return
        if reading.depth is not None:
            for each in frame.objects:
                each.depth = depth_of(each.box, reading.depth, reading.area, frame)
        frame.readings.append(reading)

    def _person(self, points: NDArray[np.float32], frame: Frame) -> Object:
        """The object that keypoints found in a whole frame make: its box is the one about the sure ones."""
        sure = points[points[:, 2] >= min(0.2, float(points[:, 2].max()))]
        x1, y1 = np.clip(sure[:, :2].min(axis=0), 0, (frame.image.width, frame.image.height))
        x2, y2 = np.clip(sure[:, :2].max(axis=0), 0, (frame.image.width, frame.image.height))
        box = np.array([x1, y1, x2, y2], np.float32)
        name = self.reader.names.get(0) or "person"
        found = Object(box, 0, name, float(points[:, 2].mean()), None, box.copy(), None, self.stage)
        found.keypoints = points
        return found

    def _mapped(self, found: Objects, unit: Unit) -> list[Object]:
        """A user's objects, given in input pixels."""
        placement = unit.placement
        assert placement is not None
        for each in found:
            each.box = placement.to_source(np.asarray(each.box, np.float32)[None])[0]
            each.detected_box = each.box.copy()
            each.label = each.label or self.reader.label(each.class_id)
            each.stage, each.parent = each.stage or self.stage, unit.target
            if each.keypoints is not None:
                each.keypoints = _points(np.asarray(each.keypoints, np.float32), placement)
        return [each for each in found if each.box[2] > each.box[0] and each.box[3] > each.box[1]]


def _plain(answer: Any) -> bool:
    """Whether an answer is boxes with scores and classes, and no more."""
    return (
        answer.__class__ is Detections and answer.masks is None and answer.keypoints is None
        and answer.angles is None and answer.embeddings is None
    )  # fmt: skip


def _boxes_in_source(found: list[Any], placement: Placement) -> tuple[list[Box], list[Box], list[bool]]:
    """Boxes of several pictures in source pixels, a copy of each, and which have something of the picture."""
    given = native.to_source(found, *placement) if native is not None else None
    if given is not None:
        both, inside = list(np.frombuffer(given[0], np.float32).reshape(-1, 4)), given[1]
        return both[: len(inside)], both[len(inside) :], inside
    boxes = placement.to_source(np.concatenate(found))
    return list(boxes), list(boxes.copy()), ((boxes[:, 2] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 1])).tolist()


def depth_of(box: Box, depth: NDArray[np.float32], area: Box | None, frame: Frame) -> float | None:
    """The median depth of the middle half of a box; None where the map does not cover it."""
    whole = (0.0, 0.0, float(frame.image.width), float(frame.image.height)) if area is None else area.tolist()
    x1, y1, x2, y2 = box.tolist()
    per_x, per_y = depth.shape[1] / (whole[2] - whole[0]), depth.shape[0] / (whole[3] - whole[1])
    left, right = (((x1 + x2) / 2 + part * (x2 - x1) / 4 - whole[0]) * per_x for part in (-1, 1))
    top, bottom = (((y1 + y2) / 2 + part * (y2 - y1) / 4 - whole[1]) * per_y for part in (-1, 1))
    rows = depth[max(0, int(top)) : max(int(top) + 1, int(bottom)), max(0, int(left)) : max(int(left) + 1, int(right))]
    return float(np.median(rows)) if rows.size else None


def _points(points: NDArray[np.float32], placement: Placement) -> NDArray[np.float32]:
    out = points.astype(np.float32, copy=True)
    out[:, 0] = (out[:, 0] - placement.offset_x) / placement.scale_x
    out[:, 1] = (out[:, 1] - placement.offset_y) / placement.scale_y
    return out


def _to_source(boxes: NDArray[np.float32], placement: Placement) -> NDArray[np.float32]:
    """As Placement.to_source, not clipped."""
    offset = np.array([placement.offset_x, placement.offset_y] * 2, np.float32)
    scale = np.array([placement.scale_x, placement.scale_y] * 2, np.float32)
    return np.asarray((boxes - offset) / scale, np.float32)


def _turned(found: Detections, placement: Placement) -> tuple[Detections, NDArray[np.float32]]:
    """Turned boxes in source pixels, not clipped; their angles change where the two axes are scaled differently."""
    boxes, angles = found.boxes, found.angles
    assert angles is not None
    if abs(placement.scale_x - placement.scale_y) < 1e-6:
        return found, _to_source(boxes, placement)
    centres, half = (boxes[:, :2] + boxes[:, 2:]) / 2, (boxes[:, 2:] - boxes[:, :2]) / 2
    scale = np.array([placement.scale_x, placement.scale_y])
    across = np.stack([np.cos(angles), np.sin(angles)], axis=1) * half[:, :1] / scale
    down = np.stack([-np.sin(angles), np.cos(angles)], axis=1) * half[:, 1:] / scale
    reach = np.stack([np.hypot(*across.T), np.hypot(*down.T)], axis=1)
    middle = (centres - (placement.offset_x, placement.offset_y)) / scale
    turned = np.concatenate([middle - reach, middle + reach], axis=1).astype(np.float32)
    return replace(found, angles=np.arctan2(across[:, 1], across[:, 0]).astype(np.float32)), turned


def _touches(boxes: NDArray[np.float32], angles: Any, placement: Placement) -> NDArray[np.bool_]:
    """Which turned boxes have their centre in the picture."""
    x, y = (boxes[:, 0] + boxes[:, 2]) / 2, (boxes[:, 1] + boxes[:, 3]) / 2
    return np.asarray((x >= 0) & (x <= placement.width) & (y >= 0) & (y <= placement.height))


@dataclass(slots=True, eq=False)
class Waiting:
    """An item on its way through, in order of arrival: what is asked for it, and of whom it is known already."""

    item: Frame | Batch
    units: list[Unit]
    calls: list[Call]
    results: Results  # of the model that was asked

    def done(self) -> bool:
        return all(call.done() for call in self.calls)

    def has(self, stream: str) -> bool:
        """Whether something of this stream is in it."""
        item = self.item
        return any(f.stream == stream for f in item.frames) if isinstance(item, Batch) else item.stream == stream
