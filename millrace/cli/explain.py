"""`millrace explain`: why an event came about, or why something did not count; as text and as a picture."""

from __future__ import annotations

import json
from collections import defaultdict, deque
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import typer

from ..analytics.explain import sentences, title
from ..core.errors import ConfigError
from ..outputs.jsonl import frame_line
from ..outputs.record import read_record
from ..replay import Replay, changed, steps_of
from .replay import altered, pictures

TRAIL = 50  # places of the way that are drawn
MOST = 12  # sentences under the picture
LEAST = 640  # pixels of its width, so that they fit
PAPER = (235, 235, 235)
Line = dict[str, Any]


class Found(NamedTuple):
    """An event or a miss, the line it stands in, and the boxes that its object had up to there."""

    line: Line
    record: dict[str, Any]
    trail: list[list[float]]


def explain(
    run: Path, event: str | None, stream: str | None, out: Path | None, video: str | None, tracker: str | None,
    zones: Path | None,
) -> None:  # fmt: skip
    """Print, and draw where `out` says so. Raises ConfigError when there is no such event."""
    if out is not None and out.suffix.lower() not in (".png", ".jpg", ".jpeg"):
        raise ConfigError(f"explain: --out {out}: the picture is a .png or a .jpg")
    lines = traced(run, video, tracker, zones)
    if event is None:
        listing(lines, stream)
        return
    found = find(lines, event, stream)
    typer.echo(title(found.line, found.record))
    for sentence in sentences(found.record):
        typer.echo(f"  {sentence}")
    if out is not None:
        draw(found, out, video)
        typer.echo(f"  drawn in {out}")


def traced(run: Path, video: str | None, tracker: str | None, zones: Path | None) -> Iterator[Line]:
    """The lines of a run with the facts of its events: a recorded run is repeated with tracing on."""
    if is_recorded(run):
        recording = read_record(str(run))
        steps = altered(steps_of(recording)[0], tracker, zones, [])
        for name in ("track", "analyze"):
            if any(step == name for step, _ in steps):
                steps = changed(steps, name, {"trace": True})
        if not steps:
            raise ConfigError(f"{run} holds nothing after the detector: give --zones")
        for frame in Replay(steps, pictures(video) if video else None).frames(recording):
            yield json.loads(frame_line(frame))
        return
    if tracker is not None or zones is not None:
        raise ConfigError(f"{run} holds results: --tracker and --zones need a recorded run")
    with run.open(encoding="utf-8") as file:
        for number, text in enumerate(file, 1):
            try:
                yield json.loads(text)
            except json.JSONDecodeError as error:
                raise ConfigError(f"{run}:{number}: broken off or damaged ({error.msg})") from error


def is_recorded(run: Path) -> bool:
    """Whether a file is a recorded run, else JSON lines of frames. Raises ConfigError for what is neither."""
    try:
        with run.open(encoding="utf-8") as file:
            first = json.loads(file.readline() or "{}")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{run}: cannot be read: {error}") from error
    except json.JSONDecodeError:
        first = None
    if not isinstance(first, dict) or not ({"millrace", "objects"} & set(first)):
        raise ConfigError(f"{run} is neither a recorded run nor JSON lines of one")
    return "millrace" in first


def records(line: Line, stream: str | None) -> Iterator[dict[str, Any]]:
    """The events of a line and what did not count, but updates."""
    if stream in (None, line["stream"]):
        yield from (event for event in line.get("events", ()) if event.get("phase") != "update" and "event" in event)
        yield from line.get("trace", ())


def listing(lines: Iterator[Line], stream: str | None) -> None:
    count = 0
    for line in lines:
        for record in records(line, stream):
            typer.echo(title(line, record))
            count += 1
    if not count:
        typer.echo("nothing happened, or it was not traced (analyze: {trace: true})")


def find(lines: Iterator[Line], event: str, stream: str | None) -> Found:
    """The first telling of an event, or a miss, by its number."""
    trails: dict[tuple[str, int], deque[list[float]]] = defaultdict(lambda: deque(maxlen=TRAIL))
    streams: dict[str, None] = {}
    hits: list[Found] = []
    wanted = event.removeprefix("event").strip()
    for line in lines:
        streams[line["stream"]] = None
        for each in line["objects"]:
            if each["id"] is not None:
                trails[line["stream"], each["id"]].append(each["box"])
        for record in records(line, stream):
            if wanted == str(record.get("miss", record.get("event"))) and line["stream"] not in {
                hit.line["stream"] for hit in hits
            }:
                hits.append(Found(line, record, list(trails[line["stream"], record["id"]])))
    if len(hits) > 1:
        raise ConfigError(
            f"explain: {', '.join(hit.line['stream'] for hit in hits)} have an event {event}: give --stream"
        )
    if not hits:
        among = f"; there are streams {', '.join(streams)}" if stream is not None and stream not in streams else ""
        raise ConfigError(f"explain: there is no event {event!r}{among}; without a number all are listed")
    return hits[0]


def draw(found: Found, out: Path, video: str | None) -> None:
    """The facts over the frame: line or zone, the way, the box, the test points."""
    import cv2

    from ..devices import part
    from ..media import Image

    line = found.line
    imaging = part("cpu", "imaging")("cpu")
    width, height = line["width"] // 2 * 2, line["height"] // 2 * 2
    texts = [title(line, found.record), *list(sentences(found.record))[:MOST]]
    sheet = imaging.blank(max(width, LEAST), height + 20 * len(texts) + 12, PAPER)
    if video:
        imaging.put(frame_of(video, line), sheet, (0, 0, width, height))
    canvas = imaging.canvas(sheet)
    paint(canvas, found)
    canvas.fill((0, height, sheet.width, sheet.height), (30, 30, 30), 1.0)
    for n, text in enumerate(texts):
        canvas.text(text, (6, height + 6 + 20 * n), (255, 255, 255), 16, inside=True)
    picture = canvas.image
    assert isinstance(picture, Image)
    if not cv2.imwrite(str(out), cv2.cvtColor(picture.to_rgb(), cv2.COLOR_RGB2BGR)):
        raise ConfigError(f"explain: {out} cannot be written")


def frame_of(video: str, line: Mapping[str, Any]) -> Any:
    from ..flow import open as open_flow

    for frame in open_flow(video):
        if frame.index == line["frame"]:
            return frame.image.copy()
    raise ConfigError(f"explain: {video} has no frame {line['frame']}")


def paint(canvas: Any, found: Found) -> None:
    line, record = found.line, found.record
    facts = {**record.get("facts", {}), **record.get("why", {})}
    red, green, blue, grey = (220, 30, 30), (20, 150, 60), (30, 90, 220), (130, 130, 130)
    for each in line["objects"]:
        mine = each["id"] is not None and each["id"] == record["id"]
        canvas.rectangle(each["box"], blue if mine else grey, 2 if mine else 1)
    if "line" in facts:
        canvas.arrow(*[tuple(point) for point in facts["line"]], red, 2)
    if "polygon" in facts:
        canvas.polyline([tuple(point) for point in facts["polygon"]], red, 2, closed=True)
    for each in facts.get("detections", ()):
        canvas.text(f"{each['overlap']:.2f}", (each["box"][0], each["box"][3]), (255, 255, 255), 16, grey, inside=True)
    for key, colour in (("predicted", green), ("box", blue)):
        if facts.get(key) is not None:
            canvas.rectangle(facts[key], colour, 2)
    feet = [((box[0] + box[2]) / 2, box[3] if facts.get("anchor") != "centre" else (box[1] + box[3]) / 2)
            for box in found.trail]  # fmt: skip
    if len(feet) > 1:
        canvas.polyline(feet, blue, 1)
    for key, colour in (("before", green), ("point", red)):
        if facts.get(key) is not None:
            canvas.circle(tuple(facts[key]), 5, colour, 0)
