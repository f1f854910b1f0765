"""`millrace eval`: tracks, detections and events against the truth."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Verbose = Annotated[bool, typer.Option("-v", "--verbose", help="Show warnings as they come, and tracebacks.")]

evaluate = typer.Typer(help="Judge results by the truth.", no_args_is_help=True)


@evaluate.command("track")
def eval_track(
    truth: Annotated[Path, typer.Argument(help="A gt.txt, a sequence's folder, or a folder of sequences.")],
    results: Annotated[Path, typer.Argument(help="A MOT file, or a folder of them: SEQUENCE.txt.")],
    rules: Annotated[
        str | None, typer.Option(help="What counts: mot15, mot16, mot17, mot20, all; else as the truth looks.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON with all figures.")] = False,
    verbose: Verbose = False,
) -> None:
    """HOTA, DetA, AssA, MOTA, IDF1, switches and fragments, as TrackEval reckons them."""
    from .eval_track import eval_track as command

    command(truth, results, rules, json)


@evaluate.command("detect")
def eval_detect(
    truth: Annotated[Path, typer.Argument(help="A COCO file of the truth.")],
    results: Annotated[Path, typer.Argument(help="A COCO file of detections.")],
    json: Annotated[bool, typer.Option("--json", help="Print JSON with all figures.")] = False,
    verbose: Verbose = False,
) -> None:
    """AP and AR of COCO, as pycocotools reckons them, over all classes and for each (needs the extra 'eval')."""
    from .eval_detect import eval_detect as command

    command(truth, results, json)


@evaluate.command("events")
def eval_events(
    truth: Annotated[Path, typer.Argument(help="A file of true events (see docs/analytics.md), or a scene's truth.")],
    results: Annotated[Path, typer.Argument(help="JSON lines of a run.")],
    tolerance: Annotated[float, typer.Option(min=0, help="Seconds that an event may be early or late.")] = 1.0,
    stream: Annotated[str | None, typer.Option(help="Judge this stream; all when the truth names its own.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON with all figures.")] = False,
    verbose: Verbose = False,
) -> None:
    """Precision and recall of events, and the error of counts."""
    from .eval_events import eval_events as command

    command(truth, results, tolerance, stream, json)
