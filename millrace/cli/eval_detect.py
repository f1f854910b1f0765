"""`millrace eval detect`: judge detections by a truth in COCO's form."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import typer

from ..metrics.detection import NAMES, coco_figures


def eval_detect(truth: Path, results: Path, as_json: bool) -> None:
    """Print AP and AR over all classes, and AP of each."""
    figures = coco_figures(truth, results)
    typer.echo(json.dumps(figures, indent=2) if as_json else table(figures))


def table(figures: dict[str, Any]) -> str:
    lines = [f"{name:6} {_number(figures[name])}" for name in NAMES]
    width = max([5, *map(len, figures["classes"])])
    lines += ["", f"{'class':{width}}     AP   AP50"] if figures["classes"] else []
    lines += [f"{n:{width}} {_number(c['AP'])} {_number(c['AP50'])}" for n, c in figures["classes"].items()]
    return "\n".join(lines)


def _number(value: float | None) -> str:
    return f"{value:6.4f}" if value is not None else "     -"
