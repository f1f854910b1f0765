"""The options of `millrace app`, which are those of DeepStream's deepstream-app, and of `migrate` and `check`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def deepstream(
    config: Annotated[list[str], typer.Option("-c", "--cfg-file", help="A file of deepstream-app.")],
    uri: Annotated[list[str] | None, typer.Option("-i", "--input-uri", help="Of the first source.")] = None,
    captions: Annotated[bool, typer.Option("-t", "--tiledtext", help="Show captions in tiles, too.")] = False,
    max_frames: Annotated[int | None, typer.Option(min=1, help="End each stream after so many frames.")] = None,
    device: Annotated[str | None, typer.Option(help="Where to work: cpu, cuda:0 (default: as its files say).")] = None,
    quiet: Annotated[bool, typer.Option("-q", "--quiet", help="No progress, no summary.")] = False,
    verbose: Annotated[bool, typer.Option("-v", "--verbose", help="Show warnings and tracebacks.")] = False,
) -> None:
    """Run a configuration of DeepStream's deepstream-app, with its options."""
    from .deepstream_app import app as command
    from .run import Options

    options = Options([], max_frames=max_frames, device=device, quiet=quiet, verbose=verbose)
    raise typer.Exit(command(config, uri or [], captions, options))


LaunchLine = Annotated[str | None, typer.Option(help="A line of gst-launch: 'filesrc … ! … ! autovideosink'.")]


def migrate(
    file: Annotated[str | None, typer.Argument(help="A file of deepstream-app.", show_default=False)] = None,
    launch: LaunchLine = None,
    verbose: Annotated[bool, typer.Option("-v", "--verbose", help="Show tracebacks.")] = False,
) -> None:
    """Print DeepStream's application file or a launch line as a pipeline file of ours, which runs the same."""
    from .migrate import migrate as command

    command(file, launch)


def check(
    file: Annotated[
        Path | None,
        typer.Argument(help="A pipeline, model card, model, video, or DeepStream's file.", show_default=False),
    ] = None,
    launch: LaunchLine = None,
    verbose: Annotated[bool, typer.Option("-v", "--verbose", help="Show tracebacks.")] = False,
) -> None:
    """Say how a pipeline, model card, model, video, DeepStream configuration or launch line is understood."""
    from .check import check as command

    command(file, launch)
