"""Files of deepstream-app on the command line: `millrace run FILE.txt` and `millrace app -c FILE`."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

import typer

from ..config.deepstream import App, load_app
from ..config.plan import Plan, Step
from ..core.errors import ConfigError, redact
from ..deepstream.kinds import kind_of
from . import view
from .run import Options, alone, execute

APPLICATION = "deepstream-app"


def is_app(path: str) -> bool:
    """Whether a source of `millrace run` is such a file."""
    return path.endswith((".txt", ".yml", ".yaml")) and os.path.isfile(path) and kind_of(path) == APPLICATION


def app(files: Sequence[str], uris: Sequence[str], captions: bool, options: Options) -> int:
    """Run a file as deepstream-app does, and say at the end whether all went well; returns the exit code."""
    if len(files) != 1:
        raise ConfigError(f"{len(files)} files are given with -c: one is run at a time, each by a command of its own")
    found = load_app(files[0], uris, captions)
    code = execute(plan_of_app(found, options), options)
    typer.echo("App run successful" if code == 0 else "App run failed")
    return code


def plan_of_file(path: str, options: Options) -> Plan:
    """The plan for `millrace run FILE`. Raises ConfigError."""
    alone(path, options)
    return plan_of_app(load_app(path), options)


def plan_of_app(app: App, options: Options) -> Plan:
    """The plan with what the command line says of it. Raises ConfigError where files are missing."""
    path = app.report.file.path
    if app.missing:
        raise ConfigError("\n".join(map(str, app.missing)))
    if not app.plan.streams:
        raise ConfigError(f"{path}: it has no sources that are on: [sourceN], [source-list]")
    if not options.quiet:
        for line in [*app.report.warnings(), *app.remarks]:
            sys.stderr.write(redact(f"millrace: {line}\n"))
    if app.perf is not None and not options.quiet:
        options.perf, options.interval = True, app.perf
    if options.device is not None:
        app.plan.device = options.device
    if options.max_frames:
        app.plan.line.insert(0, Step("limit", {"count": options.max_frames}))
    if options.viewed:
        view.add_page(app.plan.line, options.view_on, options.draw)
    return app.plan
