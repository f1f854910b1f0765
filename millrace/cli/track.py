"""`millrace track`: follow detections that stand in a file; no picture is needed."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import typer

from ..core.errors import ConfigError, OutputError
from ..media import Object, box
from ..metrics.mot import Rows, corners, frame_rate, read_rows
from ..trackers import open_tracker
from ..trackers.base import Tracker

FPS = 30.0  # where nobody says


def track(
    detections: Path, tracker: str, save: Path, fps: float | None, confidence: float, every: int, options: list[str]
) -> None:
    """Read MOT detections, write MOT results, say how much was done."""
    rows = read_rows(detections, 7)
    rows = rows[rows[:, 6] >= confidence]
    fps = fps or frame_rate(detections.parent.parent) or FPS
    text, frames, identities = follow(rows, open_tracker(tracker, **settings(options)), fps, every)
    try:
        save.write_text(text, encoding="utf-8")
    except OSError as error:
        raise OutputError(str(save), error) from error
    typer.echo(f"{frames} frames, {len(rows)} detections, {identities} identities: {save}")


def follow(rows: Rows, tracker: Tracker, fps: float, every: int = 1) -> tuple[str, int, int]:
    """The results of a sequence as MOT text, its length in frames, and the number of identities.

    `every`: only each so-manieth frame's detections are shown to the tracker; it carries the others.
    """
    out = io.StringIO()
    identities: set[int] = set()
    last = int(rows[:, 0].max(initial=0))
    boxes = corners(rows)
    by_frame: dict[int, list[int]] = {}
    for n, frame in enumerate(rows[:, 0].astype(int).tolist()):
        by_frame.setdefault(frame, []).append(n)
    for frame in range(1, last + 1):
        looked = (frame - 1) % every == 0
        objects = [
            Object(box(boxes[n]), _class(rows[n]), "", float(rows[n, 6])) for n in by_frame.get(frame, []) if looked
        ]
        for found in tracker.update(objects, round((frame - 1) * 1e9 / fps), looked):
            if found.id is not None:
                identities.add(found.id)
                out.write(line(frame, found))
    return out.getvalue(), last, len(identities)


def settings(options: list[str]) -> dict[str, Any]:
    """`max_age=3` → {"max_age": 3}, values as YAML. Raises ConfigError."""
    import yaml

    found = {}
    for text in options:
        name, equals, value = text.partition("=")
        if not equals:
            raise ConfigError(f"--option {text!r}: it is written setting=value, as in max_age=3")
        try:
            found[name.strip()] = yaml.safe_load(value)
        except (yaml.YAMLError, RecursionError):
            raise ConfigError(f"--option {text[:80]!r}: its value is not YAML") from None
    return found


def _class(row: Rows) -> int:
    """The eighth column where it is a class (ours, KITTI converters); in MOT's detections it is -1: all one class."""
    return int(row[7]) if len(row) == 8 and row[7] > 0 else 0


def line(frame: int, found: Object) -> str:
    """A tracked object in the form of MOTChallenge; pixels count from 1."""
    x1, y1, x2, y2 = found.box.tolist()
    place = f"{x1 + 1:.3f},{y1 + 1:.3f},{x2 - x1:.3f},{y2 - y1:.3f}"
    return f"{frame},{found.id},{place},{found.confidence:.4f},-1,-1,-1\n"
