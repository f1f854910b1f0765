"""Recorded runs: everything that models said, exactly, so that all that comes after them can be run again.

A file of JSON lines: first the header, {"millrace": version, "kind": "header", …} with what the run was made of; then
"stream" lines, before the first frame of a stream that opened or changed ("end" before one that ended and came again),
and "frame" lines. Boxes, confidences, key points and embeddings are float32 written so that reading gives the same
bits; masks, class maps and depths are packed (zlib, base64). Raw tensors are not recorded. What a tracker made of
detections stands beside them as "track": it is used where no tracker runs again. `line` in the header holds the steps
that followed, so that `replay` can repeat them.
"""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._version import __version__
from ..core.errors import ConfigError
from ..core.item import StreamStart
from ..media import Frame, Label, Object, Reading

HEADER = ("settings", "model", "engine", "sources", "streams", "line")
CAPS = ("width", "height", "fps", "format", "frames", "duration")


@dataclass(slots=True, eq=False)
class RecordedFrame:
    """A frame without its picture. `objects` are as they were when they were recorded."""

    stream: str
    index: int
    pts: int
    epoch: int
    width: int
    height: int
    inferred: list[str] = field(default_factory=list)
    duration: int | None = None
    wall: int | None = None
    objects: list[Object] = field(default_factory=list)
    readings: list[Reading] = field(default_factory=list)

    def detections(self) -> list[Object]:
        """The objects as the detector gave them, for a tracker to begin with."""
        found = [each for each in self.objects if each.detected_box is not None]
        for each in found:
            assert each.detected_box is not None
            each.box, each.id, each.track_confidence, each.velocity, each.age = (
                each.detected_box,
                None,
                None,
                None,
                None,
            )
        return found


@dataclass(frozen=True, slots=True)
class RecordedStart:
    """A stream opens, or changes. `caps` holds what was known of CAPS; fps is a Fraction."""

    stream: str
    epoch: int
    live: bool
    discontinuity: bool
    caps: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class RecordedEnd:
    """A stream ended here, and one of the same name comes after it."""

    stream: str


Entry = RecordedFrame | RecordedStart | RecordedEnd


@dataclass(frozen=True, slots=True)
class Recording:
    """A recorded run: its header, and on iteration what happened, in order; may be iterated again."""

    path: str
    header: Mapping[str, Any]

    def __iter__(self) -> Iterator[Entry]:
        for number, line in _lines(self.path):
            if number > 1:
                yield _entry(self.path, number, line)

    def frames(self) -> Iterator[RecordedFrame]:
        """The frames alone."""
        return (entry for entry in self if isinstance(entry, RecordedFrame))


def header_line(facts: Mapping[str, Any]) -> str:
    """The first line. `facts` may hold settings, model ({"file", "sha256"}), engine, sources, streams, and more."""
    known = {key: facts.get(key) for key in HEADER}
    return _text({"millrace": __version__, "kind": "header", **known, **facts}, default=str)


def start_line(start: StreamStart) -> str:
    caps = {key: start.caps[key] for key in CAPS if start.caps.get(key) is not None}
    if "fps" in caps:
        caps["fps"] = str(Fraction(caps["fps"]))
    return _text(
        {
            "kind": "stream",
            "stream": start.stream,
            "epoch": start.epoch,
            "live": start.live,
            "discontinuity": start.discontinuity,
            "caps": caps,
        }
    )


def end_line(stream: str) -> str:
    return _text({"kind": "end", "stream": stream})


def frame_line(frame: Frame) -> str:
    """One frame: what models said of it, and beside that what a tracker made of it.

    Raises ValueError for numbers that are not finite.
    """
    numbers = {id(found): number for number, found in enumerate(frame.objects)}
    fields: dict[str, Any] = {
        "kind": "frame",
        "stream": frame.stream,
        "frame": frame.index,
        "pts": frame.pts,
        "epoch": frame.epoch,
        "width": frame.image.width,
        "height": frame.image.height,
        "inferred": frame.inferred,
    }
    for key, value in (("duration", frame.duration), ("wall", frame.wall)):
        if value is not None:
            fields[key] = value
    fields["objects"] = [_object(found, numbers) for found in frame.objects]
    if frame.readings:
        fields["readings"] = [_reading(reading) for reading in frame.readings]
    try:
        return _text(fields)
    except ValueError as error:
        raise ValueError(f"frame {frame.index} holds a number that is not finite ({error})") from error


def read_record(path: str) -> Recording:
    """Open a recorded run. Raises ConfigError when the file is none; lines are read when the run is iterated."""
    number, first = next(_lines(path), (0, {}))
    if number != 1 or first.get("kind") != "header" or "millrace" not in first:
        raise ConfigError(f"{path} is not a recorded run: its first line is no header")
    return Recording(path, first)


def _object(found: Object, numbers: Mapping[int, int]) -> dict[str, Any]:
    box = found.box if found.detected_box is None else found.detected_box
    fields: dict[str, Any] = {
        "box": box.tolist(),
        "class_id": int(found.class_id),
        "label": found.label,
        "confidence": float(found.confidence),
    }
    if found.stage is not None:
        fields["stage"] = found.stage
    if found.parent is not None and id(found.parent) in numbers:
        fields["parent"] = numbers[id(found.parent)]
    if found.angle is not None:
        fields["angle"] = float(found.angle)
    if found.depth is not None:
        fields["depth"] = float(found.depth)
    if found.id is not None:
        fields["track"] = _track(found)
    return fields | _said(found) | _packed("mask", found.mask)


def _track(found: Object) -> dict[str, Any]:
    """What a tracker made of a detection, or knows of an object without one ("carried")."""
    fields: dict[str, Any] = {"id": found.id, "box": found.box.tolist()}
    if found.detected_box is None:
        fields["carried"] = True
    if found.track_confidence is not None:
        fields["confidence"] = float(found.track_confidence)
    if found.velocity is not None:
        fields["velocity"] = [float(value) for value in found.velocity]
    if found.age is not None:
        fields["age"] = float(found.age)
    return fields


def _reading(reading: Reading) -> dict[str, Any]:
    fields: dict[str, Any] = {"stage": reading.stage}
    if reading.area is not None:
        fields["area"] = reading.area.tolist()
    if reading.text_confidence is not None:
        fields["text_confidence"] = float(reading.text_confidence)
    if reading.names and reading.class_map is not None:
        fields["names"] = {str(number): name for number, name in reading.names.items()}
    return fields | _said(reading) | _packed("class_map", reading.class_map) | _packed("depth", reading.depth)


def _said(found: Object | Reading) -> dict[str, Any]:
    """What classifiers and their kin said."""
    fields: dict[str, Any] = {}
    if found.labels:
        fields["labels"] = [
            [label.name, label.value, float(label.confidence), label.class_id] for label in found.labels
        ]
    if found.text is not None:
        fields["text"] = found.text
    for key, array in (("keypoints", found.keypoints), ("embedding", found.embedding)):
        if array is not None:
            fields[key] = np.asarray(array, dtype=np.float32).tolist()
    return fields


def _packed(key: str, array: NDArray[Any] | None) -> dict[str, Any]:
    if array is None:
        return {}
    data = base64.b64encode(zlib.compress(np.ascontiguousarray(array).tobytes(), 1)).decode()
    return {key: {"dtype": array.dtype.str, "shape": list(array.shape), "data": data}}


def _unpacked(fields: Mapping[str, Any] | None) -> NDArray[Any] | None:
    """Raises ValueError, KeyError or TypeError for what is not so packed."""
    if fields is None:
        return None
    try:
        data = zlib.decompress(base64.b64decode(fields["data"], validate=True))
    except zlib.error as error:
        raise ValueError(f"a map is damaged: {error}") from error
    return np.frombuffer(data, np.dtype(fields["dtype"])).reshape(fields["shape"]).copy()


def _entry(path: str, number: int, line: Mapping[str, Any]) -> Entry:
    try:
        kind = line["kind"]
        if kind == "frame":
            return _frame(line)
        if kind == "end":
            return RecordedEnd(line["stream"])
        if kind == "stream":
            caps = dict(line["caps"])
            if "fps" in caps:
                caps["fps"] = Fraction(caps["fps"])
            return RecordedStart(line["stream"], line["epoch"], line["live"], line["discontinuity"], caps)
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise ConfigError(f"{path}:{number}: not a line of a recorded run ({error!r})") from error
    raise ConfigError(f"{path}:{number}: kind {kind!r} is not known; there are: header, stream, end, frame")


def _frame(line: Mapping[str, Any]) -> RecordedFrame:
    objects = []
    for fields in line["objects"]:
        box = np.array(fields["box"], dtype=np.float32)
        found = Object(box, fields["class_id"], fields["label"], fields["confidence"], detected_box=box)
        found.stage = fields.get("stage")
        found.angle = fields.get("angle")
        found.depth = fields.get("depth")
        found.mask = _unpacked(fields.get("mask"))
        _tell(found, fields)
        if "track" in fields:
            _tracked(found, fields["track"])
        objects.append(found)
    for found, fields in zip(objects, line["objects"], strict=True):
        if "parent" in fields:
            found.parent = objects[fields["parent"]]
    return RecordedFrame(
        line["stream"], line["frame"], line["pts"], line["epoch"], line["width"], line["height"],
        list(line["inferred"]), line.get("duration"), line.get("wall"), objects,
        [_read(fields) for fields in line.get("readings", ())],
    )  # fmt: skip


def _tracked(found: Object, track: Mapping[str, Any]) -> None:
    found.id, found.box = int(track["id"]), np.array(track["box"], dtype=np.float32)
    if track.get("carried"):
        found.detected_box = None
    found.track_confidence, found.age = track.get("confidence"), track.get("age")
    if "velocity" in track:
        x, y = track["velocity"]
        found.velocity = (x, y)


def _read(fields: Mapping[str, Any]) -> Reading:
    reading = Reading(stage=fields["stage"], area=_array(fields.get("area")))
    reading.text_confidence = fields.get("text_confidence")
    reading.class_map, reading.depth = _unpacked(fields.get("class_map")), _unpacked(fields.get("depth"))
    reading.names = {int(number): name for number, name in fields.get("names", {}).items()}
    _tell(reading, fields)
    return reading


def _tell(found: Object | Reading, fields: Mapping[str, Any]) -> None:
    """What classifiers and their kin said, as it was."""
    found.labels = [Label(name, value, sure, number) for name, value, sure, number in fields.get("labels", ())]
    found.text = fields.get("text")
    found.keypoints = _array(fields.get("keypoints"))
    found.embedding = _array(fields.get("embedding"))


def _array(values: Any) -> NDArray[np.float32] | None:
    return None if values is None else np.array(values, dtype=np.float32)


def _lines(path: str) -> Iterator[tuple[int, dict[str, Any]]]:
    try:
        with open(path, encoding="utf-8") as file:
            for number, text in enumerate(file, 1):
                line = json.loads(text)
                if not isinstance(line, dict):
                    raise ConfigError(f"{path}:{number}: not a line of a recorded run")
                yield number, line
    except OSError as error:
        raise ConfigError(f"cannot read the recorded run {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path} is not a recorded run: it is not UTF-8 text") from error
    except json.JSONDecodeError as error:
        raise ConfigError(f"{path}:{number}: broken off or damaged ({error.msg})") from error


def _text(fields: Mapping[str, Any], default: Callable[[Any], Any] | None = None) -> str:
    return json.dumps(fields, separators=(",", ":"), allow_nan=False, default=default) + "\n"
