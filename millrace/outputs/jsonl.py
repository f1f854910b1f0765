"""JSON lines: how a frame becomes a line, and files of lines."""

from __future__ import annotations

import json
import math
import os
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache, partial
from importlib.resources import files
from pathlib import Path
from typing import Any, BinaryIO, NoReturn

import numpy as np

from ..core.errors import OutputError
from ..media import Event, Frame, Label, Object, Reading
from .masks import polygons, rle

try:
    from . import _lines  # type: ignore[attr-defined,unused-ignore]
except ImportError:  # not built: Python writes the same
    _lines = None
try:
    from . import _write  # type: ignore[attr-defined,unused-ignore]
except ImportError:
    _write = None

BUFFER = 1 << 16  # bytes that wait for more, where nobody reads along
STDOUT = "-"

quoted = lru_cache(maxsize=4096)(json.dumps)  # names and labels come again and again


def frame_line(frame: Frame, masks: str = "none", embeddings: bool = False) -> str:
    """One frame as a line (with its newline), in the form of `schema()`. Same frame, same bytes.

    What further models said stands there where they did. `masks`: none, rle or polygon (outputs.masks); `embeddings`:
    with their vectors. Raises ValueError for an object whose box or confidence is not a finite number.
    """
    write = partial(_object, frame, masks, embeddings)
    head = (
        f'{{"stream":{quoted(frame.stream)},"frame":{frame.index},"pts":{frame.pts},"width":{frame.image.width},'
        f'"height":{frame.image.height},"objects":['
    )
    events = f',"events":[{",".join(map(event_text, frame.events))}]' if frame.events else ""
    readings = f',"readings":[{",".join(_reading(r, embeddings) for r in frame.readings)}]' if frame.readings else ""
    tail = f"{readings}{events}{trace_text(frame)}}}\n"
    rules = frame.extras.get("analytics")
    if _lines is not None:
        line: str = _lines.line(head, frame.objects, write, rules, rules_text, tail)
        return line
    return f"{head}{','.join(map(write, frame.objects))}]{rules_text(rules or ())}{tail}"


def _object(frame: Frame, masks: str, embeddings: bool, found: Object) -> str:
    x1, y1, x2, y2 = found.box.tolist()
    if not math.isfinite(x1 + y1 + x2 + y2 + found.confidence):
        raise ValueError(f"frame {frame.index} has a {found.label} that is not finite: {found.box.tolist()}")
    return (
        f'{{"box":[{x1:.2f},{y1:.2f},{x2:.2f},{y2:.2f}],"label":{quoted(found.label)},"class_id":{found.class_id},'
        f'"confidence":{found.confidence:.4f},"id":{"null" if found.id is None else found.id}'
        f"{analytics_text(found)}{_more(found, frame, masks, embeddings)}}}"
    )


def end_line(last: Frame) -> str:
    """What is over with a stream, as its last line: `frame` and `pts` of its last frame, `end`, and events."""
    events = ",".join(map(event_text, last.events))
    return (
        f'{{"stream":{quoted(last.stream)},"frame":{last.index},"pts":{last.pts},"width":{last.image.width},'
        f'"height":{last.image.height},"objects":[],"end":true,"events":[{events}]}}\n'
    )


def analytics_text(found: Object) -> str:
    """What `analyze` says of an object: its zones, speed, position, …"""
    said = found.extras.get("analytics")
    return f',"analytics":{_compact(said)}' if said else ""


def rules_text(rules: Iterable[Mapping[str, Any]]) -> str:
    """What lines, zones and directions have counted, as {"lines": {"door": {"in": 1, …}}, …}."""
    out: dict[str, dict[str, Any]] = {}
    for rule in rules:
        if "values" in rule:
            out.setdefault(rule["kind"] + "s", {})[rule["name"]] = rule["values"]
    return f',"analytics":{_compact(out)}' if out else ""


def trace_text(frame: Frame) -> str:
    """What was kept of how things came about, where tracing is on."""
    return f',"trace":{_compact(frame.extras["trace"])}' if frame.extras.get("trace") else ""


def _more(found: Object, frame: Frame, masks: str, embeddings: bool) -> str:
    """What is known of an object beyond its box; nothing where nothing is."""
    if found.parent is None and _plain(found):  # as most are
        return f',"labels":[{",".join(map(_label_text, found.labels))}]' if found.labels else ""
    fields: dict[str, Any] = {}
    if found.parent is not None:
        numbers = [n for n, other in enumerate(frame.objects) if other is found.parent]
        if numbers:
            fields["parent"] = numbers[0]
    if found.labels:
        fields["labels"] = [_label(label) for label in found.labels]
    if found.text is not None:
        fields["text"] = found.text
    if found.keypoints is not None:
        fields["keypoints"] = [[round(v, 2) for v in row] for row in found.keypoints.tolist()]
    if found.angle is not None:
        fields["angle"] = round(found.angle, 4)
    if found.depth is not None:
        fields["depth"] = round(found.depth, 4)
    if found.mask is not None and masks != "none":
        picture = frame.image
        write = rle if masks == "rle" else polygons
        fields["mask"] = write(found, picture.width, picture.height)
    if found.embedding is not None and embeddings:
        fields["embedding"] = [round(v, 6) for v in found.embedding.tolist()]
    if not fields:
        return ""
    return "," + json.dumps(fields, separators=(",", ":"), allow_nan=False)[1:-1]


def _plain(found: Object) -> bool:
    """Whether there is nothing beside labels."""
    return (
        found.text is None and found.keypoints is None and found.angle is None and found.depth is None
        and found.mask is None and found.embedding is None
    )  # fmt: skip


def _label_text(label: Label) -> str:
    """As json.dumps writes `_label(label)`."""
    confidence = round(label.confidence, 4)
    if not math.isfinite(confidence):
        raise ValueError(f"the label {label.name} {label.value} is not sure by a finite number: {confidence}")
    return f'{{"name":{quoted(label.name)},"value":{quoted(label.value)},"confidence":{confidence!r}}}'


def _reading(reading: Reading, embeddings: bool) -> str:
    """What a model said of a whole frame or a region of it; of maps, the part that each class covers."""
    fields: dict[str, Any] = {"stage": reading.stage}
    if reading.area is not None:
        fields["area"] = [round(v, 2) for v in reading.area.tolist()]
    if reading.labels:
        fields["labels"] = [_label(label) for label in reading.labels]
    if reading.text is not None:
        fields["text"] = reading.text
    if reading.keypoints is not None:
        fields["keypoints"] = [[round(v, 2) for v in row] for row in reading.keypoints.tolist()]
    if reading.class_map is not None:
        fields["classes"] = {name: round(share, 4) for name, share in reading.shares().items()}
    if reading.depth is not None:
        known = reading.depth[reading.depth != 0] if reading.distance else reading.depth
        fields["depth"] = [round(float(v), 4) for v in (known.min(), known.max())] if known.size else [0.0, 0.0]
    if reading.flow is not None:
        longest = float(np.hypot(reading.flow[..., 0], reading.flow[..., 1]).max(initial=0.0))
        fields["flow"] = [round(float(v), 4) for v in (*reading.flow.mean(axis=(0, 1)), longest)]
    if reading.embedding is not None and embeddings:
        fields["embedding"] = [round(v, 6) for v in reading.embedding.tolist()]
    if reading.tensors is not None:
        fields["tensors"] = {name: list(value.shape) for name, value in reading.tensors.items()}
    return json.dumps(fields, separators=(",", ":"), allow_nan=False)


def _label(label: Label) -> dict[str, Any]:
    return {"name": label.name, "value": label.value, "confidence": round(label.confidence, 4)}


def event_text(event: Event) -> str:
    """An event within a frame's line."""
    fields: dict[str, Any] = {
        "kind": event.kind,
        "name": event.name,
        "direction": event.direction,
        "id": event.object_id,
        "label": event.label,
    }
    if event.number is not None:
        fields["event"] = event.number
    if event.phase is not None:
        fields["phase"] = event.phase
    facts = {key: value for key, value in event.extras.items() if key != "why"}
    if facts:
        fields["facts"] = facts
    if "why" in event.extras:
        fields["why"] = event.extras["why"]
    return _compact(fields)


def _compact(value: Any) -> str:
    """A value without spaces, numbers rounded to a thousandth."""
    text: str = _dumps(value) if _lines is None else _lines.compact(value, _dumps)
    return text


def _dumps(value: Any) -> str:
    return json.dumps(_rounded(value), separators=(",", ":"), default=str)


def _rounded(value: Any) -> Any:
    """Numbers to a thousandth, so that lines stay short."""
    if isinstance(value, float):
        return round(value, 3)
    if isinstance(value, dict):
        return {key: _rounded(each) for key, each in value.items()}
    return [_rounded(each) for each in value] if isinstance(value, list | tuple) else value


def schema() -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of a line."""
    text = files(__package__).joinpath("frame.schema.json").read_text(encoding="utf-8")
    found: dict[str, Any] = json.loads(text)
    return found


class LineFile:
    """A file of lines, or stdout for "-". Raises OutputError, naming the file, when it cannot be written: once.

    After that lines go nowhere: whoever skips over the error goes on without this file, which has no holes.

    Written in large pieces, at the latest on `flush()` and `close()`; with `eager` every line at once.
    """

    def __init__(self, path: str, *, append: bool = False, eager: bool = False) -> None:
        self.path = path
        self.eager = eager or path == STDOUT
        self.failed = False
        self._waiting: list[bytes] = []
        self._size = 0
        self._file: BinaryIO
        try:
            self._file = sys.stdout.buffer if path == STDOUT else _open(path, "ab" if append else "wb")
        except OSError as error:
            raise OutputError(path, error) from error

    def write(self, line: str) -> None:
        if self.keep(line):
            self.flush()

    def keep(self, line: str) -> bool:
        """Take a line without writing yet; whether `flush` or `flush_all` is due."""
        if self.failed:
            return False
        data = line.encode()
        self._waiting.append(data)
        self._size += len(data)
        return self.eager or self._size >= BUFFER

    def flush(self) -> None:
        rest = memoryview(self._take())
        try:
            while rest:
                rest = rest[self._file.write(rest) :]
            self._file.flush()
        except OSError as error:
            self._fail(error)

    def _take(self) -> bytes:
        """All that waits, which then no longer does."""
        data, self._waiting, self._size = b"".join(self._waiting), [], 0
        return data

    def _put_back(self, data: bytes) -> None:
        """It could not be written: it waits again."""
        self._waiting, self._size = [data], len(data)

    def _fail(self, error: OSError) -> NoReturn:
        self.failed = True
        self._take()
        raise OutputError(self.path, error) from error

    def close(self) -> None:
        """May be called again."""
        try:
            if not self._file.closed:
                self.flush()
        finally:
            if self.path != STDOUT:
                self._file.close()


def flush_all(files: Sequence[LineFile]) -> None:
    """What `flush` of each does, but Python's lock is given up once for all of them.

    Where many threads wait for it, a thread that gives it up stands still until they have had it: 0.4 ms for each line
    of 53 live streams (docs/gpu-application.md). Raises the first file's OutputError; that of another when it is its
    turn again, or is closed.
    """
    if _write is None or len(files) < 2:
        for file in files:
            file.flush()
        return
    pieces = [(file._file.fileno(), file._take()) for file in files]
    failed: list[tuple[LineFile, OSError]] = []
    for file, (_, data), (done, code) in zip(files, pieces, _write.write_all(pieces), strict=True):
        if code:
            file._put_back(data[done:])
            failed.append((file, OSError(code, os.strerror(code))))
    if failed:
        file, error = failed[0]
        file._fail(error)


def _open(path: str, mode: str) -> Any:
    """Without a buffer of its own, so that what failed once is not tried again behind our back."""
    return open(path, mode, buffering=0)


def safe_name(stream: str) -> str:
    """A stream's name as part of a file's."""
    return re.sub(r"[^\w.-]+", "_", stream)


def stream_path(path: str, stream: str, several: bool) -> str:
    """The file of one stream: `{stream}` is its name; without that -NAME goes before the suffix if `several`."""
    name = safe_name(stream)
    if "{stream}" in path:
        return path.replace("{stream}", name)
    if not several:
        return path
    whole = Path(path)
    return str(whole.with_name(f"{whole.stem}-{name}{whole.suffix}"))
