"""The commands and their options; what they do stands in the other files of this folder."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(
    name="millrace",
    help="Real-time video analytics: decode, infer, track, analyse, draw, encode.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # plain help: rich would take a third of a second to load
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="""To begin: `millrace demo`, then `millrace run street.mp4 --model street --save out.mp4`.
    `millrace COMMAND --help` tells more.""",
)

Verbose = Annotated[bool, typer.Option("-v", "--verbose", help="Show warnings as they come, and tracebacks.")]


def _version(wanted: bool) -> None:
    if wanted:
        version()
        raise typer.Exit


@app.callback()
def millrace(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Real-time video analytics: decode, infer, track, analyse, draw, encode."""


@app.command()
def run(
    sources: Annotated[
        list[str] | None,
        typer.Argument(
            help="Video files, folders, globs or URLs, lists of them (.csv, .yaml), or one pipeline.yaml.",
            metavar="SOURCE",
            show_default=False,
        ),
    ] = None,
    model: Annotated[str | None, typer.Option(help="An .onnx file, a model card, or 'street'.")] = None,
    track: Annotated[bool | None, typer.Option(help="Give objects identities (on with --line, --zone).")] = None,
    tracker: Annotated[str | None, typer.Option(help="The tracker to use; turns tracking on.")] = None,
    save: Annotated[str | None, typer.Option(help="Write the video: out.mp4, or out-{stream}.mp4.")] = None,
    json: Annotated[str | None, typer.Option(help="Write one JSON line for each frame.")] = None,
    record: Annotated[str | None, typer.Option(help="Record the run, so that it can be replayed.")] = None,
    confidence: Annotated[float | None, typer.Option(help="Drop objects less sure than this (0 to 1).")] = None,
    classes: Annotated[str | None, typer.Option(help="Only these classes: person,car.")] = None,
    every: Annotated[int, typer.Option(min=1, help="Infer every Nth frame; tracks carry the others.")] = 1,
    device: Annotated[str, typer.Option(help="Where to work: cpu, cuda:0.")] = "cpu",
    line: Annotated[list[str] | None, typer.Option(help="Count crossings: [name=]x1,y1,x2,y2. Repeatable.")] = None,
    zone: Annotated[list[str] | None, typer.Option(help="Count inside: [name=]x,y,x,y,x,y… Repeatable.")] = None,
    max_frames: Annotated[int | None, typer.Option(min=1, help="End each stream after so many frames.")] = None,
    codec: Annotated[str | None, typer.Option(help="Of --save: h264, hevc, av1, mpeg4, mjpeg.")] = None,
    draw: Annotated[bool, typer.Option(help="Draw what was found into the saved video.")] = True,
    perf: Annotated[bool, typer.Option("--perf", help="Print **PERF lines, as DeepStream's application does.")] = False,
    interval: Annotated[float, typer.Option(min=0.1, help="Seconds between lines about the run.")] = 5.0,
    quiet: Annotated[bool, typer.Option("-q", "--quiet", help="No progress, no summary.")] = False,
    verbose: Verbose = False,
    loop: Annotated[int, typer.Option(min=0, help="Read files so many times; 0: for ever.")] = 1,
    pace: Annotated[bool, typer.Option(help="Read files at their own speed, as a camera gives them.")] = False,
    start: Annotated[str | None, typer.Option(help="Begin so far into each file: 90s, 5m.")] = None,
    stop: Annotated[str | None, typer.Option(help="End so far into each file.")] = None,
    option: Annotated[
        list[str] | None, typer.Option(help="A setting of every source: track=1, rotate=90. Repeatable.")
    ] = None,
) -> None:
    """Run streams through a model and write what was found.

    Coordinates of --line and --zone are pixels of the source, or fractions of its size when all are at most 1.
    """
    from .run import Options
    from .run import run as command

    options = Options(
        sources or [], model, track, tracker, save, json, record, confidence, classes, every, device, line or [],
        zone or [], max_frames, codec, draw, perf, interval, quiet, verbose, loop, pace, start, stop, option or [],
    )  # fmt: skip
    raise typer.Exit(command(options))


@app.command()
def check(
    file: Annotated[Path, typer.Argument(help="A pipeline or model card (.yaml), a model (.onnx) or a video.")],
    verbose: Verbose = False,
) -> None:
    """Say how a pipeline, model card, model or video is understood."""
    from .check import check as command

    command(file)


@app.command()
def convert(
    model: Annotated[Path, typer.Argument(help="A model of PyTorch, TensorFlow, TFLite or Caffe.")],
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Where to write (default: beside it).")] = None,
    tolerance: Annotated[
        float, typer.Option(min=0, help="Largest difference, relative to an output's numbers.")
    ] = 1e-3,
    size: Annotated[str | None, typer.Option(help="Of pictures, where the file does not say it: 640x384.")] = None,
    network: Annotated[str | None, typer.Option(help="The class of PyTorch weights: module:Class.")] = None,
    input: Annotated[list[str] | None, typer.Option(help="images=float32[?,3,384,640]. Repeatable.")] = None,
    verbose: Verbose = False,
) -> None:
    """Make ONNX of a model, check it against its framework, and write its card."""
    from .convert import convert as command

    command(model, output, tolerance, size, network, input)


@app.command()
def inspect(
    element: Annotated[str | None, typer.Argument(help="An element's name; none lists all.")] = None,
    schema: Annotated[bool, typer.Option("--schema", help="Print the JSON Schema of pipeline files.")] = False,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print the element's page as Markdown.")] = False,
    docs: Annotated[Path | None, typer.Option(help="Write a page for each element into this folder.")] = None,
) -> None:
    """List the elements, or show one element's settings and an example."""
    from .inspect import inspect as command

    command(element, schema, docs, markdown)


@app.command()
def demo(
    folder: Annotated[Path, typer.Option("--out", help="Where to write.")] = Path("demo"),
    seconds: Annotated[float, typer.Option(min=1, help="Length of the generated scene.")] = 10.0,
    seed: Annotated[int, typer.Option(help="Which scene.")] = 7,
    quiet: Annotated[bool, typer.Option("-q", "--quiet", help="No progress.")] = False,
    verbose: Verbose = False,
) -> None:
    """Run the whole chain on a generated scene and judge it."""
    from .demo import demo as command

    raise typer.Exit(command(folder, seconds, seed, quiet, verbose))


@app.command()
def bench(
    quick: Annotated[bool, typer.Option("--quick", help="Shorter, less exact.")] = False,
    live: Annotated[bool, typer.Option("--live", help="How late a live stream's results are, and overload.")] = False,
) -> None:
    """Measure what the engine itself costs on this machine."""
    if live:
        from ..testing.bench_live import main
    else:
        from ..testing.bench import main

    raise typer.Exit(main(quick=quick))


@app.command()
def devices() -> None:
    """Show what this machine can decode, infer and encode with."""
    from .devices import devices as command

    command()


@app.command()
def version() -> None:
    """Print the version."""
    from .._version import __version__

    typer.echo(f"millrace {__version__}")
