"""`millrace check` on DeepStream's files: what becomes of each key, and whether the files that they name are there.

A kind of file that can be checked has a line in CHECKS. The exit code is 0, 2 for a file that is wrong (ConfigError),
and 3 when only files that it names are missing.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import typer

from ..core.errors import ConfigError, redact
from ..deepstream import Report, read
from ..models.card import ModelCard
from ..models.deepstream import READERS, where_else
from . import OK, SOURCE


class Checked(NamedTuple):
    """What there is to say of a file: its reports, remarks, and what it names that is not there."""

    reports: list[Report]
    remarks: list[str]
    missing: list[str]


REASONS = {  # kinds that are known and not read, and why
    "lidar": "is a list of point clouds: lidar is out of scope for now, pictures and sound are what comes in",
    "service-maker": "is a pipeline of Service Maker: write it as a launch line, or as a pipeline of millrace's own",
    "video-template": "is for a compiled library (nvdsvideotemplate), which is not loaded",
    "tracker-overrides": "replaces values of a tracker of several cameras together, which is not there",
    "camera-model": "is a camera's projection for a tracker in three dimensions, which is not there",
    "message-broker": "is read with its adapter: name both at the sink of an application, or an address at `publish`",
}


def check_deepstream(path: Path, kind: str) -> int:
    """Print the report and return the exit code. Raises ConfigError for a file that is wrong."""
    if kind in REASONS:
        raise ConfigError(f"{path} {REASONS[kind]}")
    if kind not in CHECKS:
        raise ConfigError(f"{path} configures {kind}; its keys are not read yet. Read are: {', '.join(CHECKS)}")
    typer.echo(f"{kind} configuration")
    checked = CHECKS[kind](path)
    for report in checked.reports:
        typer.echo(redact(report.text()))
    for line in checked.remarks:
        typer.echo(redact(line))
    for line in checked.missing:
        typer.echo(redact(f"missing: {line}"))
    typer.echo("files that it names are missing" if checked.missing else "ok")
    return SOURCE if checked.missing else OK


def _model(kind: str) -> Callable[[Path], Checked]:
    def check(path: Path) -> Checked:
        card, report = READERS[kind](path)
        missing = [] if kind == "nvdspostprocess" or not isinstance(card, ModelCard) else list(_missing(card))
        remarks = []
        if not missing and isinstance(card, ModelCard) and card.model and "://" not in card.model:
            from .check import model_lines

            remarks = list(model_lines(path))
        return Checked([report], remarks, missing)

    return check


def _missing(card: ModelCard) -> Iterator[str]:
    if card.model is None:
        yield f"a model: {card.no_model}"
    elif "://" not in card.model and not os.path.exists(card.model):
        yield f"{card.model}{where_else(card.model)}"
    for name in (card.labels, card.input.mean_file):
        if isinstance(name, str) and not os.path.isfile(name):
            yield f"{name}{where_else(name)}"


def _analytics(path: Path) -> Checked:
    from ..analytics.nvdsanalytics import read_nvdsanalytics

    report = read_nvdsanalytics(str(path)).report
    return Checked([report] if report else [], [], [])


def _msgconv(path: Path) -> Checked:
    from ..brokers.msgconv import Msgconv

    report = Msgconv(str(path)).report
    return Checked([report] if report else [], [], [])


def _tracker(path: Path) -> Checked:
    from ..trackers.nvtracker import read_nvtracker

    return Checked([read_nvtracker(path).report], [], [])


def _dewarper(path: Path) -> Checked:
    from ..imaging.nvdewarper import read_nvdewarper

    return Checked([read_nvdewarper(path).report], [], [])


def _streammux(path: Path) -> Checked:
    from ..elements._streammux import read_streammux

    report = read_streammux(path).report
    return Checked([report] if report else [], [], [])


def _metamux(path: Path) -> Checked:
    from ..elements._metamux import read_metamux

    report = read_metamux(path).report
    return Checked([report] if report else [], [], [])


def _wrapper(path: Path) -> Checked:
    """A file whose group [tracker] an application of NVIDIA's gives to nvtracker."""
    from ..config.deepstream import App
    from ..config.deepstream.models import tracker

    app = App(Report(read(path)), sample=True)
    tracker(app, app.report.section("tracker"))
    app.report.finish()
    return Checked([app.report], app.remarks, [str(each) for each in app.missing])


def _app(path: Path) -> Checked:
    from ..config.deepstream import load_app

    app = load_app(path)
    return Checked([app.report], app.remarks, [str(each) for each in app.missing])


CHECKS: dict[str, Callable[[Path], Checked]] = {
    **{kind: _model(kind) for kind in READERS},
    "nvdsanalytics": _analytics,
    "nvmsgconv": _msgconv,
    "nvtracker": _tracker,
    "nvdewarper": _dewarper,
    "nvstreammux": _streammux,
    "nvdsmetamux": _metamux,
    "tracker": _wrapper,
    "deepstream-app": _app,
}
