"""`millrace eval track`: judge results of tracking by the truth."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import typer

from ..core.errors import ConfigError
from ..metrics.mot import judge, read_rows
from ..metrics.tracking import Tally, tally, total

COLUMNS = ("HOTA", "DetA", "AssA", "MOTA", "IDF1", "IDs", "Frag", "FP", "FN")
TOGETHER = "together"


def eval_track(truth: Path, results: Path, rules: str | None, as_json: bool) -> None:
    """Print the figures of every sequence, and of all together where there are several."""
    tallies: dict[str, Tally] = {}
    for name, real, found in sequences(truth, results):
        tallies[name] = tally(judge(name, read_rows(real, 7), read_rows(found), rules))
    if len(tallies) > 1:
        tallies[TOGETHER] = total(tallies.values())
    figures = {name: counted.figures() for name, counted in tallies.items()}
    typer.echo(json.dumps(figures, indent=2) if as_json else table(figures))


def sequences(truth: Path, results: Path) -> Iterator[tuple[str, Path, Path]]:
    """(name, truth file, result file) of a pair of files, or of every sequence of a folder that has a result.

    Raises ConfigError where a result has no truth, or there is none at all.
    """
    if not truth.exists() or not results.exists():
        raise ConfigError(f"{truth if not truth.exists() else results}: there is no such file or folder")
    if results.is_file():
        file = truth if truth.is_file() else truth / "gt" / "gt.txt"
        yield _name(file, results), file, results
        return
    found = sorted(results.glob("*.txt"))
    if not found:
        raise ConfigError(f"{results}: has no results; they are named after their sequences: SEQUENCE.txt")
    for result in found:
        file = truth / result.stem / "gt" / "gt.txt"
        if not file.is_file():
            raise ConfigError(f"{result}: its truth is not there: {file}")
        yield result.stem, file, result


def _name(truth: Path, result: Path) -> str:
    return truth.parents[1].name if truth.parent.name == "gt" else result.stem


def table(figures: dict[str, dict[str, float]]) -> str:
    """A line a sequence: shares in per cent, then counts."""
    width = max(len("sequence"), *map(len, figures))
    lines = [f"{'sequence':{width}}" + "".join(f"{column:>8}" for column in COLUMNS)]
    for name, values in figures.items():
        cells = (f"{values[c]:8.0f}" if isinstance(values[c], int) else f"{values[c]:8.2f}" for c in COLUMNS)
        lines.append(f"{name:{width}}" + "".join(cells))
    return "\n".join(lines)
