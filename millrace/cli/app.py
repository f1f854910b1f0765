"""The commands and their options; what they do stands in the other files of this folder."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ._commands import Commands
from .bench import bench
from .deepstream import check, deepstream, migrate
from .evaluate import Verbose, evaluate

app = typer.Typer(
    name="millrace",
    cls=Commands,
    help="Real-time video analytics: decode, infer, track, analyse, draw, encode.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # plain help: rich would take a third of a second to load
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="""To begin: `millrace demo`, then `millrace run street.mp4 --model street --save out.mp4`.
    `millrace COMMAND --help` tells more.""",
)
Device = Annotated[
    str | None,
    typer.Option(
        help="Where to work: cpu, cuda:0, auto; cuda:0,cuda:1 or cuda:all, a process for each (default: as a pipeline"
        " file says, else cpu)."
    ),
]
Processes = Annotated[
    int | None, typer.Option(min=1, help="Share the streams among so many processes (default: one a device).")
]
Cores = Annotated[int | None, typer.Option(min=1, help="Keep each process on so many cores of its own (Linux).")]


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
    model: Annotated[str | None, typer.Option(help="A model file, its card, or a name: street, fastestdet.")] = None,
    track: Annotated[bool | None, typer.Option(help="Give objects identities (on with --line, --zone).")] = None,
    tracker: Annotated[str | None, typer.Option(help="The tracker to use; turns tracking on.")] = None,
    save: Annotated[str | None, typer.Option(help="Write the video: out.mp4, or out-{stream}.mp4.")] = None,
    json: Annotated[str | None, typer.Option(help="Write one JSON line for each frame.")] = None,
    record: Annotated[str | None, typer.Option(help="Record the run, so that it can be replayed.")] = None,
    confidence: Annotated[float | None, typer.Option(help="Drop objects less sure than this (0 to 1).")] = None,
    classes: Annotated[str | None, typer.Option(help="Only these classes: person,car.")] = None,
    every: Annotated[int, typer.Option(min=1, help="Infer every Nth frame; tracks carry the others.")] = 1,
    device: Device = None,
    processes: Processes = None,
    cores: Cores = None,
    optimize: Annotated[
        str | None, typer.Option(help="background: start at once, build an engine beside the run, then use it.")
    ] = None,
    no_cache: Annotated[bool, typer.Option("--no-cache", help="Do not use an engine that was built before.")] = False,
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
    launch: Annotated[str | None, typer.Option(help="A line of gst-launch: 'filesrc … ! … ! autovideosink'.")] = None,
    view: Annotated[bool, typer.Option("--view", help="Show it in a browser, on this machine only.")] = False,
    view_on: Annotated[str | None, typer.Option(help="The same, for others too: 0.0.0.0:8080.")] = None,
) -> None:
    """Run streams through a model and write what was found.

    Coordinates of --line and --zone are pixels of the source, or fractions of its size when all are at most 1.
    """
    from .run import Options
    from .run import run as command

    options = Options(
        sources or [], model, track, tracker, save, json, record, confidence, classes, every, device, line or [],
        zone or [], max_frames, codec, draw, perf, interval, quiet, verbose, loop, pace, start, stop, option or [],
        optimize, no_cache, processes, cores, view, view_on, launch,
    )  # fmt: skip
    raise typer.Exit(command(options))


app.command("app")(deepstream)
app.command()(migrate)
app.command()(check)


@app.command()
def build(
    model: Annotated[str | None, typer.Argument(help="A model, its card, or its name.", show_default=False)] = None,
    calibrate: Annotated[
        list[str] | None, typer.Option(help="A video, folder or glob of pictures. Repeatable.")
    ] = None,
    crops_of: Annotated[str | None, typer.Option(help="A detector: its objects are the pictures.")] = None,
    classes: Annotated[str | None, typer.Option(help="With --crops-of: only these classes: person,car.")] = None,
    accuracy: Annotated[float, typer.Option(min=0, max=1, help="Least agreement with the model in FP32.")] = 0.97,
    labels: Annotated[
        str | None, typer.Option(help="A COCO file of truth, its pictures beside it: average precision counts too.")
    ] = None,
    map_loss: Annotated[float, typer.Option(min=0, help="With --labels: the loss of AP that is allowed.")] = 0.01,
    goal: Annotated[str, typer.Option(help="throughput (all cores) or latency (one picture).")] = "throughput",
    precisions: Annotated[str, typer.Option(help="What may be tried: fp32,bf16,fp16,int8.")] = "fp32,bf16,fp16,int8",
    runtimes: Annotated[str | None, typer.Option(help="Only these runtimes: onnx,openvino.")] = None,
    frames: Annotated[int, typer.Option(min=2, help="Pictures to judge on; half as many others tune INT8.")] = 64,
    rounds: Annotated[int, typer.Option(min=3, help="Rounds in which the finalists are measured in turns.")] = 7,
    seconds: Annotated[float, typer.Option(min=0.01, help="Length of each measurement.")] = 1.0,
    within: Annotated[float | None, typer.Option(min=1, help="Try nothing more after so many seconds.")] = None,
    device: Annotated[str, typer.Option(help="What the engine is for: cpu, cuda:0.")] = "cpu",
    fresh: Annotated[bool, typer.Option("--fresh", help="Build anew, whatever was built before.")] = False,
    html: Annotated[Path | None, typer.Option(help="Write the report as a page.")] = None,
    beside: Annotated[bool, typer.Option("--beside", hidden=True, help="A pipeline runs: go slow.")] = False,
    kept: Annotated[bool, typer.Option("--list", help="List the engines that are kept.")] = False,
    clear: Annotated[bool, typer.Option("--clear", help="Delete the kept engines, of MODEL or all.")] = False,
    quiet: Annotated[bool, typer.Option("-q", "--quiet", help="No progress.")] = False,
    verbose: Verbose = False,
) -> None:
    """Find the fastest engine for a model on this machine; `run` uses it from then on.

    Runtimes, threads, batches and precisions are each measured, and judged against the model in FP32.
    """
    from . import build as command

    if kept:
        return command.show_kept()
    if clear:
        return command.clear(model)
    wishes = {"rounds": rounds, "seconds": seconds, "within": within} | (command.step_back() if beside else {})
    command.run(
        model, calibrate or [], crops_of, classes, device, fresh, html, quiet,
        accuracy=accuracy, goal=goal, precisions=precisions, runtimes=runtimes, frames=frames,
        labels=labels, map_loss=map_loss, **wishes,
    )  # fmt: skip


models = typer.Typer(no_args_is_help=False, rich_markup_mode=None, help="The models that can be had by name.")
app.add_typer(models, name="models")


@models.callback(invoke_without_command=True)
def models_(context: typer.Context) -> None:
    """List the models that can be had by name: `millrace run street.mp4 --model fastestdet`."""
    if context.invoked_subcommand is None:
        from .models import show

        show(None)


@models.command("show")
def models_show(name: Annotated[str, typer.Argument(help="A model of the catalogue.")]) -> None:
    """Tell everything of one model: its authors, licence, files and hashes."""
    from .models import show

    show(name)


@models.command("pull")
def models_pull(
    name: Annotated[str, typer.Argument(help="A model of the catalogue.")],
    accept_licence: Annotated[
        bool, typer.Option("--accept-licence", help="Accept a licence that is not permissive.")
    ] = False,
    quiet: Annotated[bool, typer.Option("-q", "--quiet", help="No progress.")] = False,
    verbose: Verbose = False,
) -> None:
    """Fetch a model into the cache and print its path; what broke off before goes on where it stopped."""
    from .models import pull

    pull(name, accept_licence, quiet)


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
    card: Annotated[bool, typer.Option("--card", help="Print every key of a model card, as Markdown.")] = False,
) -> None:
    """List the elements, or show one element's settings and an example."""
    from .inspect import inspect as command

    command(element, schema, docs, markdown, card)


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


app.command()(bench)


@app.command()
def devices() -> None:
    """Show what this machine can decode, infer and encode with."""
    from .devices import devices as command

    command()


@app.command()
def track(
    detections: Annotated[Path, typer.Option(help="A MOT file: frame, id, left, top, width, height, confidence.")],
    save: Annotated[Path, typer.Option(help="Where to write the tracks, a MOT file too.")],
    tracker: Annotated[str, typer.Option(help="The tracker to use.")] = "default",
    fps: Annotated[
        float | None, typer.Option(min=0.01, help="Frames a second; else seqinfo.ini's beside the folder, else 30.")
    ] = None,
    confidence: Annotated[float, typer.Option(help="Do not show the tracker what is less sure.")] = -1.0,
    every: Annotated[int, typer.Option(min=1, help="Show it every Nth frame; it carries the others.")] = 1,
    option: Annotated[list[str] | None, typer.Option(help="A setting of the tracker: max_age=3. Repeatable.")] = None,
    verbose: Verbose = False,
) -> None:
    """Follow the detections of a file: no video is needed."""
    from .track import track as command

    command(detections, tracker, save, fps, confidence, every, option or [])


app.add_typer(evaluate, name="eval")


@app.command()
def replay(
    run: Annotated[Path, typer.Argument(help="A recorded run: what `run --record` or the element `record` wrote.")],
    tracker: Annotated[
        str | None, typer.Option(help="Another tracker, or a YAML file of the settings of track.")
    ] = None,
    zones: Annotated[
        Path | None, typer.Option(help="Another file of lines, zones, rules: settings of analyze.")
    ] = None,
    json: Annotated[str | None, typer.Option(help="Write one JSON line for each frame.")] = None,
    video: Annotated[str | None, typer.Option(help="The video, for trackers that look at pixels.")] = None,
    option: Annotated[list[str] | None, typer.Option(help="A setting of track: max_age=3. Repeatable.")] = None,
    verbose: Verbose = False,
) -> None:
    """Run again all that came after the detector, without decoding or inference, and show what changes."""
    from .replay import replay as command

    command(run, tracker, zones, json, video, option or [])


@app.command()
def explain(
    run: Annotated[Path, typer.Argument(help="A recorded run, or JSON lines of a run with `trace`.")],
    event: Annotated[
        str | None, typer.Argument(help="Number of an event (12), or of what did not count (m3, t5); none lists all.")
    ] = None,
    stream: Annotated[str | None, typer.Option(help="Of this stream, where there are several.")] = None,
    out: Annotated[Path | None, typer.Option(help="Draw it into this picture (.png).")] = None,
    video: Annotated[str | None, typer.Option(help="The video, to draw on; else a blank picture.")] = None,
    tracker: Annotated[str | None, typer.Option(help="As with replay: another tracker.")] = None,
    zones: Annotated[Path | None, typer.Option(help="As with replay: another file of lines and zones.")] = None,
    verbose: Verbose = False,
) -> None:
    """Say why an event came about, or why something did not count, from the recorded facts."""
    from .explain import explain as command

    command(run, event, stream, out, video, tracker, zones)


@app.command()
def calibrate(
    pairs: Annotated[
        list[str] | None, typer.Argument(help="Pairs x,y=X,Y: pixels, then metres on the ground. Four or more.")
    ] = None,
    points: Annotated[Path | None, typer.Option(help="A file of pairs: CSV x,y,X,Y or YAML.")] = None,
    out: Annotated[Path | None, typer.Option(help="Write the YAML here; else to stdout.")] = None,
    stream: Annotated[str | None, typer.Option(help="Only for this stream; several share a file.")] = None,
    size: Annotated[str | None, typer.Option(help="WIDTHxHEIGHT of the picture that the pixels are in.")] = None,
    at: Annotated[list[str] | None, typer.Option(help="Say where this picture point x,y lies. Repeatable.")] = None,
    verbose: Verbose = False,
) -> None:
    """From pairs of points in the picture and on the ground: metres and m/s for analyze."""
    from .calibrate import calibrate as command

    command(pairs or [], points, out, stream, size, at or [])


@app.command()
def version() -> None:
    """Print the version."""
    from .._version import __version__

    typer.echo(f"millrace {__version__}")
