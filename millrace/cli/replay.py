"""`millrace replay`: run again what came after the detector, and show what changes."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import typer

from ..config.text import read
from ..core.errors import ConfigError
from ..outputs.record import Recording, read_record
from ..replay import FromVideo, Outcome, Picture, Replay, Steps, changed, differences, only, steps_of

MOST = 12  # events that only one of the two has, shown of each


def replay(
    run: Path, tracker: str | None, zones: Path | None, json: str | None, video: str | None, options: list[str]
) -> None:
    """Repeat a recorded run, with other settings if they are given, and print the differences."""
    recording = read_record(str(run))
    before, left = steps_of(recording)
    after = altered(before, tracker, zones, options)
    if not after and json is None:
        raise ConfigError(f"{run} holds nothing after `record` to repeat: give --tracker, --zones or --json")
    for name in left:
        typer.echo(f"millrace: {name} cannot be repeated from a recorded run; its work is left out", err=True)
    began = time.perf_counter()
    new = outcome(after, recording, json, video)
    seconds = time.perf_counter() - began
    rate = new.frames / seconds if seconds > 0 else 0.0
    typer.echo(f"{new.frames} frames in {seconds:.2f} s, {rate:.0f} frames per second")
    old = new if after == before else outcome(before, recording, None, video)
    show(old, new, same=after == before)


def altered(steps: Steps, tracker: str | None, zones: Path | None, options: list[str]) -> Steps:
    """The steps with another tracker and other zones."""
    if tracker is not None or options:
        steps = changed(steps, "track", tracker_settings(tracker, options), whole=tracker is not None)
    if zones is not None:
        steps = changed(steps, "analyze", {"config": str(zones)}, whole=True)
        steps = changed(steps, "track", {"report": ["past"]})  # as a pipeline asks for it
    return steps


def tracker_settings(tracker: str | None, options: list[str]) -> dict[str, Any]:
    """A tracker's name, or a YAML file of the settings of `track`; and `max_age=3`. Raises ConfigError."""
    from .track import settings

    out: dict[str, Any] = {}
    if tracker is not None and tracker.endswith((".yaml", ".yml")):
        data = read(tracker).data
        data = data.get("track", data) if isinstance(data, dict) else data
        if not isinstance(data, dict):
            raise ConfigError(f"{tracker}: it is a table of the settings of track")
        out = dict(data)
    elif tracker is not None:
        out = {"tracker": tracker, "report": ["past"]}
    return {**out, **settings(options)}


def outcome(steps: Steps, recording: Recording, json: str | None, video: str | None) -> Outcome:
    """What a replay gives; its lines go to the file `json`."""
    if json is not None:
        steps = [*steps, ("json", {"path": json})]
    work = Replay(steps, pictures(video) if video else None)
    found = work.run(recording)
    for warning in work.warnings:
        typer.echo(f"millrace: warning: {warning}", err=True)
    return found


def pictures(video: str) -> Picture:
    """The pictures of a video, in their order."""
    from ..flow import open as open_flow

    return FromVideo(video, iter(open_flow(video)))


def show(old: Outcome, new: Outcome, same: bool) -> None:
    """The table of what there is before and after, and the events that only one of them has."""
    from rich.console import Console
    from rich.table import Table

    console = Console(highlight=False, markup=False)
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("stream")
    table.add_column("what")
    for title in ("count",) if same else ("as recorded", "now", "change"):
        table.add_column(title, justify="right")
    for stream, what, before, after in differences(old, new):
        numbers = (
            [f"{after:g}"] if same else [f"{before:g}", f"{after:g}", f"{after - before:+g}" if after != before else ""]
        )
        table.add_row(stream, what, *numbers)
    console.print(table)
    if same:
        return
    for stream in sorted({*old.streams, *new.streams}):
        for title, events in zip(("only as recorded", "only now"), only(old, new, stream), strict=True):
            for event in events[:MOST]:
                typer.echo(f"{stream}: {title}: frame {event[0]}: {' '.join(str(word) for word in event[1:] if word)}")
            if len(events) > MOST:
                typer.echo(f"{stream}: {title}: {len(events) - MOST} more")
