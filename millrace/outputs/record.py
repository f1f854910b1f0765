"""Recorded runs: everything that a detector said, exactly, so that all that comes after it can be run again.

A file of JSON lines: first the header, {"millrace": version, "kind": "header", …} with what the run was made of; then
"stream" lines, before the first frame of a stream that opened or changed ("end" before one that ended and came again),
and "frame" lines. Boxes, confidences, key points and embeddings are float32 written so that reading gives the same
bits. Masks are not recorded. `line` in the header holds the steps that followed, so that `replay` can repeat them.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._version import __version__
from ..core.errors import ConfigError
from ..core.item import StreamStart
from ..media import Frame, Object

HEADER = ("settings", "model", "engine", "sources", "streams", "line")
CAPS = ("width", "height", "fps", "format", "frames", "duration")


@dataclass(slots=True, eq=False)
class RecordedFrame:
    """A frame without its picture. `objects` are as the detector gave them."""

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
    """One frame: what was detected in it, not what a tracker made of that.

    Raises ValueError for numbers that are not finite.
    """
    detected = [found for found in frame.objects if found.detected_box is not None or found.id is None]
    numbers = {id(found): number for number, found in enumerate(detected)}
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
    fields["objects"] = [_object(found, numbers) for found in detected]
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
    for key, array in (("keypoints", found.keypoints), ("embedding", found.embedding)):
        if array is not None:
            fields[key] = np.asarray(array, dtype=np.float32).tolist()
    return fields


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
        found.keypoints = _array(fields.get("keypoints"))
        found.embedding = _array(fields.get("embedding"))
        objects.append(found)
    for found, fields in zip(objects, line["objects"], strict=True):
        if "parent" in fields:
            found.parent = objects[fields["parent"]]
    return RecordedFrame(
        line["stream"], line["frame"], line["pts"], line["epoch"], line["width"], line["height"],
        list(line["inferred"]), line.get("duration"), line.get("wall"), objects,
    )  # fmt: skip


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
