"""A parser of the user's own: a Python function or class, NumPy arrays in, objects out.

    def parse(outputs, settings):
        '''Boxes of one picture, in pixels of the model's input.'''
        rows = outputs["boxes"]                          # this picture's part: no dimension of the batch
        rows = rows[rows[:, 4] >= settings.confidence]
        return [Object(box(row[:4]), int(row[5]), "", float(row[4])) for row in rows]

Named in a card or in the settings of infer: `parser: mypackage.rules:parse` or `parser: parsers/mine.py:parse`, a path
beside the card. A class is made once, without arguments, and then called.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..core.errors import ConfigError, MillraceError
from ..core.named import find_named, told
from ..media import Detections, Label, Object, Reading
from .base import Outputs, Parsed, ParserSettings, empty
from .raw import of_picture

_NAME = re.compile(r"(?P<where>[\w./\\-]+):(?P<what>[A-Za-z_]\w*)")
ANSWERS = (
    "a list of Object (boxes in input pixels), an array [n, 6] of x1 y1 x2 y2 score class, Detections, a Reading, "
    "a list of Label, a text, or None"
)


class ParserError(MillraceError, ValueError):
    """What a model gave cannot be read, or a user's parser failed."""


class Objects(list[Object]):
    """A user's objects, with boxes and keypoints in input pixels."""


def is_custom(name: str) -> bool:
    """Whether a parser's name is one of the user's own."""
    return _NAME.fullmatch(name) is not None


def load_custom(name: str, folder: str | os.PathLike[str] = ".") -> CustomParser:
    """The parser that `module:function` or `file.py:function` names. Raises ConfigError."""
    what = name.rpartition(":")[2]
    try:
        found = find_named(name, folder)
    except ConfigError as error:
        raise ConfigError(f"parser {name!r}: {error}") from error
    try:
        call = found() if isinstance(found, type) else found
    except Exception as error:
        raise ConfigError(f"parser {name!r}: {what}() raised {told(error)}") from error
    call = getattr(call, "parse", call) if not callable(call) else call
    if not callable(call):
        raise ConfigError(f"parser {name!r}: {what} is no function, nor a class whose objects can be called")
    return CustomParser(name, call)


class CustomParser:
    """A user's function, called for each picture. What it answers is checked: an error names it and what is wrong."""

    def __init__(self, name: str, call: Callable[..., Any]) -> None:
        self.name = name
        self.call = call

    def __call__(self, outputs: Outputs, count: int, settings: ParserSettings) -> Sequence[Any]:
        found = []
        for picture in range(count):
            try:
                answer = self.call(of_picture(outputs, picture, count), settings)
            except Exception as error:
                raise ParserError(f"parser {self.name} raised {told(error)}") from error
            try:
                found.append(understood(answer))
            except ParserError as error:
                raise ParserError(f"parser {self.name}: {error}") from None
        return found


def understood(answer: Any) -> Parsed | Objects:
    """What a user's parser answered, in the terms of this package. Raises ParserError for what is none of ANSWERS."""
    if answer is None:
        return empty()
    if isinstance(answer, str):
        return Reading(text=answer)
    if isinstance(answer, Reading):
        return answer
    if isinstance(answer, Detections):
        return _checked(answer)
    if isinstance(answer, np.ndarray):
        return _rows(answer)
    if isinstance(answer, (list, tuple)):
        if not answer:
            return empty()
        if all(isinstance(each, Label) for each in answer):
            return Reading(list(answer))
        if all(isinstance(each, Object) for each in answer):
            return _objects(answer)
        if all(isinstance(each, (list, tuple, np.ndarray)) and len(each) == 6 for each in answer):
            return _rows(np.array(answer, np.float64))
        kinds = ", ".join(sorted({type(each).__name__ for each in answer}))
        raise ParserError(f"it returned a list of {kinds}; it may return {ANSWERS}")
    raise ParserError(f"it returned {type(answer).__name__}; it may return {ANSWERS}")


def _rows(rows: Any) -> Detections:
    if rows.size == 0:
        return empty()
    if rows.ndim != 2 or rows.shape[1] != 6 or rows.dtype.kind not in "fiu":
        raise ParserError(f"it returned an array {rows.dtype}{list(rows.shape)}; it may return {ANSWERS}")
    table = np.asarray(rows, np.float32)
    if not np.isfinite(table).all():
        raise ParserError("it returned numbers that are not finite")
    return _checked(Detections(table[:, :4], table[:, 4], rows[:, 5].astype(np.int64)))


def _checked(found: Detections) -> Detections:
    count = len(found.scores)
    if np.shape(found.boxes) != (count, 4) or len(found.classes) != count:
        shapes = ", ".join(str(np.shape(column)) for column in (found.boxes, found.scores, found.classes))
        raise ParserError(f"it returned Detections whose columns do not fit together: boxes, scores, classes {shapes}")
    if not (np.isfinite(found.boxes).all() and np.isfinite(found.scores).all()):
        raise ParserError("it returned numbers that are not finite")
    return found


def _objects(found: Sequence[Object]) -> Objects:
    for each in found:
        sides = np.asarray(each.box, np.float32)
        if sides.shape != (4,) or not np.isfinite(sides).all() or not np.isfinite(each.confidence):
            raise ParserError(f"it returned an object with the box {each.box!r} and confidence {each.confidence!r}")
        each.box = sides
    return Objects(found)
