"""Objects of frames, read back from what others and we write: JSON lines, KITTI, MOTChallenge.

The way back from `outputs.jsonl` and `outputs.dumps`. Numbers of frames begin at 0 here, whatever the file counts from.
"""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ..media import Label, Object, box
from .jsonl import safe_name

_NUMBER = re.compile(r"(?:(\d+)_(\d+)_)?(\d+)\.txt")


@dataclass(slots=True)
class Labels:
    """What is known of one stream: the objects of each frame that has some, and how many frames there are.

    `size` (width, height) is that of the pictures the boxes are pixels of, where the file says it.
    """

    frames: dict[int, list[Object]] = field(default_factory=dict)
    count: int = 0
    size: tuple[int, int] | None = None

    def add(self, index: int, objects: Sequence[Object]) -> None:
        self.frames.setdefault(index, []).extend(objects)
        self.count = max(self.count, index + 1)


class LabelError(ValueError):
    """A file of labels that cannot be read; its text names file and line."""


def objects_of(line: Mapping[str, Any]) -> list[Object]:
    """The objects of a line of JSON (outputs.jsonl), with their labels, text, keypoints, angles and parents.

    Raises KeyError, TypeError, ValueError or OverflowError for what is no such line.
    """
    given = line["objects"]
    found = []
    for each in given:
        one = Object(box(each["box"]), int(each["class_id"]), str(each["label"]), _finite(each["confidence"]))
        if one.box.shape != (4,) or not np.isfinite(one.box).all():
            raise ValueError(f"box {each['box']} is not four numbers")
        one.id = None if each.get("id") is None else int(each["id"])
        one.text = None if each.get("text") is None else str(each["text"])
        one.angle, one.depth = (None if each.get(key) is None else _finite(each[key]) for key in ("angle", "depth"))
        one.labels = [
            Label(str(said["name"]), str(said["value"]), _finite(said["confidence"])) for said in each.get("labels", ())
        ]
        for key, dimensions in (("keypoints", 2), ("embedding", 1)):
            if key in each:
                setattr(one, key, _numbers(key, each[key], dimensions))
        found.append(one)
    for number, (one, each) in enumerate(zip(found, given, strict=True)):
        if "parent" in each:
            one.parent = _parent(found, number, each["parent"])
    return found


def _finite(value: Any) -> float:
    number = float(value)
    if not math.isfinite(number):
        raise ValueError(f"{value} is no finite number")
    return number


def _numbers(name: str, value: Any, dimensions: int) -> Any:
    array = np.array(value, np.float32)
    if array.ndim != dimensions or (dimensions == 2 and array.shape[1] < 2) or not np.isfinite(array).all():
        raise ValueError(f"{name} are not {'rows of x, y' if dimensions == 2 else 'numbers'}: {str(value)[:60]}")
    return array


def _parent(found: Sequence[Object], number: int, parent: Any) -> Object:
    """The object that another names as its parent. Raises ValueError for itself, its own part, or nobody."""
    if not isinstance(parent, int) or not 0 <= parent < len(found):
        raise ValueError(f"object {number} has the parent {parent!r}; there are {len(found)} objects, from 0")
    above: Object | None = found[parent]
    while above is not None:
        if above is found[number]:
            raise ValueError(f"object {number} is a part of itself")
        above = above.parent
    return found[parent]


def size_of(line: Mapping[str, Any]) -> tuple[int, int]:
    """Width and height of the picture that a line is of. Raises KeyError, TypeError or ValueError."""
    width, height = int(line["width"]), int(line["height"])
    if width < 1 or height < 1:
        raise ValueError(f"a picture of {width}x{height}")
    return width, height


def read_labels(path: str | os.PathLike[str], stream: str, number: int, label: str = "object") -> Labels:
    """What a file or a folder says of one stream: the `number`th, whose name is `stream`.

    A folder holds KITTI's text files, one a frame: `000041.txt`, or `00_003_000041.txt` as deepstream-app writes them
    for the stream with number 3; or one file of any kind for each stream, NAME.jsonl or NAME.txt. A file holds JSON
    lines of one stream or of many, or rows of MOTChallenge (frame, id, left, top, width, height, confidence; frames
    and pixels count from 1), whose objects are all called `label`. Raises LabelError.
    """
    path = Path(path)
    if path.is_dir():
        for name in (f"{safe_name(stream)}.jsonl", f"{safe_name(stream)}.txt"):
            if (path / name).is_file():
                return read_labels(path / name, stream, number, label)
        return _kitti(path, number)
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise LabelError(f"{path}: cannot be read: {error}") from None
    return _json(path, text, stream) if text.lstrip().startswith("{") else _mot(path, text, label)


def _json(path: Path, text: str, stream: str) -> Labels:
    lines: list[tuple[int, dict[str, Any]]] = []
    for number, each in enumerate(text.splitlines(), 1):
        try:
            line = json.loads(each) if each.strip() else None
            if line is not None and line.get("kind", "frame") == "frame" and not line.get("end"):  # what is over
                lines.append((number, line))
        except (ValueError, AttributeError, RecursionError):
            raise LabelError(f"{path}:{number}: no line of JSON: {each[:60]}") from None
    names = {line.get("stream") for _, line in lines}
    out = Labels()
    for number, line in lines:
        if len(names) == 1 or line.get("stream") == stream:
            try:
                out.add(int(line["frame"]), objects_of(line))
                out.size = size_of(line)
            except (KeyError, TypeError, ValueError, OverflowError) as error:
                raise LabelError(f"{path}:{number}: not what `json` writes: {error!r}") from None
    return out


def _kitti(folder: Path, number: int) -> Labels:
    out = Labels()
    matches = [(match, entry) for entry in sorted(folder.iterdir()) if (match := _NUMBER.fullmatch(entry.name))]
    if not matches:
        raise LabelError(f"{folder}: no file is named 000000.txt or 00_000_000000.txt, nor after a stream")
    for match, path in matches:
        if match[2] is not None and int(match[2]) != number:
            continue
        found = []
        try:
            rows = path.read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise LabelError(f"{path}: cannot be read: {error}") from None
        for row, text in enumerate(rows, 1):
            if text.strip():
                found.append(_kitti_object(text.split(), f"{path}:{row}"))
        out.add(int(match[3]), found)
    return out


def _kitti_object(parts: list[str], where: str) -> Object:
    """One row: a type of one word, perhaps an identity, and the 14 numbers of KITTI with a score or without."""
    try:
        identity = int(parts[1]) if len(parts) == 17 else None  # deepstream-app's tracks have it behind the type
        numbers = [float(each) for each in parts[len(parts) - (15 if len(parts) >= 16 else 14) :]]
        corners = box(numbers[3:7])
        if len(parts) not in (15, 16, 17) or not np.isfinite(corners).all():
            raise ValueError
    except ValueError:
        raise LabelError(f"{where}: not a row of KITTI (15 or 16 columns): {' '.join(parts)[:60]}") from None
    score = numbers[14] if len(numbers) > 14 else 1.0
    return Object(corners, 0, parts[0], score, id=identity, detected_box=corners)


def _mot(path: Path, text: str, label: str) -> Labels:
    out = Labels()
    for row, each in enumerate(text.splitlines(), 1):
        if not each.strip():
            continue
        try:
            frame, identity, left, top, width, height, *rest = (float(part) for part in each.split(","))
            corners = box([left - 1, top - 1, left - 1 + width, top - 1 + height])
            if not np.isfinite([*corners, frame, identity]).all() or frame < 1 or frame != int(frame):
                raise ValueError
        except ValueError:
            wanted = "frame, id, left, top, width, height, confidence"
            raise LabelError(f"{path}:{row}: not a row of {wanted} (frames from 1): {each[:60]}") from None
        known = int(identity) if identity >= 0 else None
        out.add(int(frame) - 1, [Object(corners, 0, label, rest[0] if rest else 1.0, id=known, detected_box=corners)])
    return out
