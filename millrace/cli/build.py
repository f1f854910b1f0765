"""`millrace build`: the table of candidates, the choice, and what is kept."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .. import folders
from ..builder import Wishes, build
from ..builder.report import HEAD, Report
from ..builder.wishes import GOALS, PRECISIONS
from ..core.errors import ConfigError, did_you_mean
from ..engines import cache
from ..models import model_file
from ..runtimes import RUNTIMES
from .models import prepare

BESIDE = 90.0  # seconds that a build beside a pipeline tries engines


def run(
    model: str | None, sources: list[str], crops_of: str | None, classes: str | None, device: str, fresh: bool,
    html: Path | None, quiet: bool, **wishes: Any,
) -> None:  # fmt: skip
    """Build and print. Raises ConfigError."""
    if model is None:
        raise ConfigError("build what? Give a model: millrace build yolox.onnx --calibrate street.mp4")
    if html is not None and not html.parent.is_dir():
        raise ConfigError(f"--html {html}: the folder {html.parent} does not exist; create it")
    asked = wishes_of(**wishes)
    for name in (model, crops_of):
        prepare(name, quiet)

    def say(text: str) -> None:
        if not quiet:
            sys.stderr.write(f"millrace: {text}\n")

    began = time.monotonic()
    report = build(
        model, sources, asked, device=device, crops_of=crops_of, classes=words(classes), fresh=fresh, say=say
    )  # fmt: skip
    show(report)
    if report.cached:
        now = time.monotonic() - began
        sys.stdout.write(
            f"built before with the same settings: {report.took - now:.1f} s saved (--fresh builds anew)\n"
        )
    if html is not None:
        html.write_text(report.html(), encoding="utf-8")
        sys.stdout.write(f"report: {html}\n")


def step_back() -> dict[str, Any]:
    """Work beside a running pipeline: at the lowest priority, one build at a time, with what takes least.

    What else runs may leave it next to nothing of the processor, so it ends by the clock.
    """
    if hasattr(os, "nice"):
        os.nice(19)
    _wait_for_turn()
    return {"rounds": 5, "seconds": 0.2, "finalists": 3, "methods": ("minmax",), "within": BESIDE}


def _wait_for_turn() -> None:
    """Two that measured at the same time would measure each other; the lock is held until this process ends."""
    try:
        import fcntl
    except ImportError:
        return
    folders.cache().mkdir(parents=True, exist_ok=True)
    lock = os.open(folders.cache() / "building.lock", os.O_CREAT | os.O_RDWR, 0o600)
    fcntl.flock(lock, fcntl.LOCK_EX)


def wishes_of(precisions: str, runtimes: str | None, goal: str, **numbers: Any) -> Wishes:
    """The options as wishes. Raises ConfigError for a word that is not known."""
    named = words(runtimes)
    for option, given, known in (
        ("precisions", words(precisions) or [], PRECISIONS), ("runtimes", named or [], tuple(RUNTIMES)),
        ("goal", [goal], GOALS),
    ):  # fmt: skip
        for word in given:
            if word not in known:
                raise ConfigError(f"--{option} {word!r}: it is one of {', '.join(known)}.{did_you_mean(word, known)}")
    wanted: Sequence[str] = words(precisions) or []
    if "fp32" not in wanted:
        raise ConfigError("--precisions: fp32 is always among them; the others are held against it")
    return Wishes(goal=goal, precisions=tuple(wanted), runtimes=named, **numbers)  # type: ignore[arg-type]


def words(text: str | None) -> list[str] | None:
    return [word.strip() for word in text.split(",") if word.strip()] if text is not None else None


def show(report: Report) -> None:
    """The report as tables on the terminal."""
    from rich.console import Console
    from rich.table import Table

    console = Console(highlight=False, markup=False, width=None if sys.stdout.isatty() else 160)
    table = Table(box=None, pad_edge=False, header_style="bold")
    for number, title in enumerate(HEAD):
        table.add_column(title, justify="left" if number in (0, len(HEAD) - 1) else "right")
    for trial, cells in report.rows():
        style = "bold green" if trial is report.best else "dim" if trial.refused else None
        table.add_row(*cells, style=style)
    console.print(table)
    for each in report.left_out:
        console.print(f"not tried  {each.what}: {each.why}", style="dim")
    for name, text in report.facts():
        console.print(f"{name:<10} {text}")
    console.print(f"chosen     {report.verdict}", style="bold")


def show_kept() -> None:
    """`millrace build --list`: every kept engine, and whether it fits this machine."""
    engines = cache.listed()
    for built, fits in engines:
        note = "" if fits else "   (for another machine or other library versions: not used)"
        sys.stdout.write(f"{built.model:<32} {built.text}{note}\n{'':<32} {built.folder}\n")
    if not engines:
        sys.stdout.write(f"no engine is kept in {folders.cache() / 'engines'}\n")


def clear(model: str | None) -> None:
    """`millrace build --clear [MODEL]`."""
    if model is not None and not model_file(model).is_file():
        raise ConfigError(f"there is no file {model}")
    count = cache.clear(model_file(model) if model is not None else None)
    sys.stdout.write(f"{count} engine{'' if count == 1 else 's'} deleted\n")
