"""`millrace eval events`: judge the events of a run by what truly happened."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import typer

from ..core.errors import ConfigError
from ..metrics.events import Verdict, judge, read_run, read_truth

COLUMNS = ("true", "found", "right", "precision", "recall", "count_error", "late")


def eval_events(truth: Path, results: Path, tolerance: float, stream: str | None, as_json: bool) -> None:
    """Print a line for each sort of event, and all together."""
    if not results.is_file():
        raise ConfigError(f"{results}: there is no such file")
    real = read_truth(truth)
    found = [each for each in read_run(results) if stream in (None, each.stream)]
    if stream is not None:
        real = [each if each.stream else replace(each, stream=stream) for each in real]
        real = [each for each in real if each.stream == stream]
    verdicts = judge(found, real, tolerance)
    if as_json:
        typer.echo(json.dumps({name: verdict.figures() for name, verdict in verdicts.items()}, indent=2))
    else:
        typer.echo(table(verdicts))


def table(verdicts: dict[str, Verdict]) -> str:
    width = max(len(name) for name in verdicts)
    lines = [f"{'':{width}}" + "".join(f"{column.replace('_', ' '):>12}" for column in COLUMNS)]
    for name, verdict in verdicts.items():
        figures = verdict.figures()
        cells = (_cell(figures[column], column) for column in COLUMNS)
        lines.append(f"{name:{width}}" + "".join(f"{cell:>12}" for cell in cells))
    return "\n".join(lines)


def _cell(value: float | None, column: str) -> str:
    if value is None:
        return "-"
    if column == "late":
        return f"{value:+.3f} s"
    return f"{value:.3f}" if isinstance(value, float) else str(value)
