"""`millrace demo`: a scene made in code, the whole chain on it, and how right the result is."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import typer
from numpy.typing import NDArray

from .. import flow
from ..summary import Run, Summary
from ..testing.picture import write_png
from ..testing.scene import Scene, write_clip
from ..testing.score import Score, score
from ..testing.truth import Truth
from . import OK
from .report import Progress

FPS = 25


def demo(folder: Path, seconds: float, seed: int, quiet: bool, verbose: bool) -> int:
    """Write scene.mp4, annotated.mp4, metadata.jsonl and picture.png into the folder; print what came of it."""
    folder.mkdir(parents=True, exist_ok=True)
    if not quiet:
        typer.echo(f"making a street scene of {seconds:g} s (seed {seed}) …", err=True)
    clip, lines = folder / "scene.mp4", folder / "metadata.jsonl"
    truth = write_clip(clip, Scene(seed, fps=FPS, frame_count=round(seconds * FPS)))
    with Progress(Run(chain(clip, truth, folder).plan), quiet=quiet, verbose=verbose) as progress:
        summary = progress.run.run(progress.tick)
    write_png(folder / "picture.png", fullest(folder / "annotated.mp4", lines))
    counts = summary.streams["scene"].lines().get("line", {})
    show(summary, score(lines, truth, counts={way: counts.get(way, 0) for way in ("in", "out")}), folder)
    return OK


def chain(clip: Path, truth: Truth, folder: Path) -> flow.Flow:
    """Detect, track, count at the scene's line and in its zone, draw, and write both kinds of result."""
    line = {"line": {"points": [list(point) for point in truth.line]}}
    zone = {"zone": {"points": [list(point) for point in truth.zone]}}
    opened = flow.open(clip, name="scene").infer("street").track().analyze(lines=line, zones=zone)
    return opened.json(folder / "metadata.jsonl").draw().save(folder / "annotated.mp4")


def fullest(video: Path, lines: Path) -> NDArray[np.uint8]:
    """The picture, RGB, of the frame with most objects."""
    with open(lines, encoding="utf-8") as file:
        counts = [line.count('"box"') for line in file]
    wanted = counts.index(max(counts))
    with flow.open(video) as frames:
        return next(frame.image.to_rgb() for frame in frames if frame.index == wanted)


def show(summary: Summary, judged: Score, folder: Path) -> None:
    """Print the figures."""
    stream = summary.streams["scene"]
    counts = ", ".join(f"{judged.crossings[way]} {way} (true {judged.true_crossings[way]})" for way in ("in", "out"))
    rows = [
        ("frames", f"{stream.frames_out} of {stream.frames_in} in {summary.seconds:.1f} s, {summary.fps:.1f} fps"),
        ("objects", f"{stream.objects} ({', '.join(f'{n} {label}' for label, n in sorted(stream.labels.items()))})"),
        ("identities", f"{judged.identities} (true {judged.true_identities})"),
        ("line", counts),
        ("precision", f"{judged.precision:.3f} at IoU 0.5"),
        ("recall", f"{judged.recall:.3f} at IoU 0.5"),
        ("IDF1", f"{judged.idf1:.3f}"),
        ("count error", str(judged.count_error)),
        ("written", ", ".join(str(folder / name) for name in ("annotated.mp4", "metadata.jsonl", "picture.png"))),
    ]
    for name, text in rows:
        typer.echo(f"{name:<12}{text}")
