"""Lines of gst-launch on the command line: `millrace run "filesrc location=a.mp4 ! decodebin ! autovideosink"`."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence

import typer

from ..config.launch import load_launch
from ..config.plan import Plan, Step
from ..config.write import dumps
from ..core.errors import ConfigError, redact
from . import OK, SOURCE, view
from .run import Options, alone

_LINK = re.compile(r"(^|\s)!(\s|$)")


def is_line(sources: Sequence[str]) -> bool:
    """Whether what stands where sources do is a launch line, in one argument or in many; `gst:…` is an address."""
    if any(source.startswith("gst:") for source in sources):
        return False
    return any(_LINK.search(source) or source.startswith("gst-launch") for source in sources)


def joined(words: Sequence[str]) -> str:
    """Arguments as one line. Blanks inside of an argument belong to its value, as gst-launch takes them."""
    if len(words) == 1:
        return words[0]
    return " ".join(word if '"' in word else word.replace(" ", "\\ ") for word in words)


def plan_of_line(options: Options) -> Plan:
    """The plan for `millrace run LINE`. Raises ConfigError."""
    if options.launch is not None and options.sources:
        raise ConfigError(
            f"--launch is given alone: its sources stand in the line, not beside it ({options.sources[0]})"
        )
    line = options.launch if options.launch is not None else joined(options.sources)
    options.sources, options.launch = [line], None
    alone("a launch line", options)
    found = load_launch(line)
    if found.missing:
        raise ConfigError("\n".join(map(str, found.missing)))
    if not options.quiet:
        for remark in found.remarks:
            sys.stderr.write(redact(f"millrace: {remark}\n"))
    if found.perf is not None and not options.quiet:
        options.perf, options.interval = True, found.perf
    if options.device is not None:
        found.plan.device = options.device
    if options.max_frames:
        found.plan.line.insert(0, Step("limit", {"count": options.max_frames}))
    if options.viewed:
        view.add_page(found.plan.line, options.view_on, options.draw)
    return found.plan


def check_launch(line: str) -> int:
    """Print what becomes of each property and the pipeline that is made; returns the exit code. Raises ConfigError."""
    from .check import plan_lines

    found = load_launch(line)
    typer.echo(found.report())
    for text in [*found.remarks, *(f"missing: {each}" for each in found.missing)]:
        typer.echo(redact(text))
    if found.missing:
        typer.echo("files or streams that it names are missing")
        return SOURCE
    for text in list(plan_lines(found.plan)):
        typer.echo(text)
    typer.echo("ok")
    return OK


def migrate_launch(line: str) -> None:
    """Print the pipeline file; what has no effect here, and what is missing, goes to stderr."""
    found = load_launch(line)
    text = dumps(found.plan)
    for finding in found.findings:
        if finding.status == "ignored":
            typer.echo(
                redact(f"column {finding.line}: {finding.group} {finding.key}: ignored: {finding.why}"), err=True
            )
    for said in [*found.remarks, *map(str, found.missing)]:
        typer.echo(redact(said), err=True)
    typer.echo(text, nl=False)
