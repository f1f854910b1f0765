"""`millrace run`: options → a plan → a run with progress and a summary."""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from .. import registry
from ..config.load import has_pipeline
from ..config.plan import Line, Plan, Step, Tee
from ..config.sources import streams_of
from ..core.errors import ConfigError, OutputError, redact
from ..summary import Run
from . import FAILED, INTERRUPTED, OK, SOURCE, view
from .models import prepare
from .report import INTERVAL, Progress, show_summary

_FILE_ONLY = "these belong into the file, as settings of its elements"


@dataclass(slots=True)
class Options:
    """The command line of `millrace run`."""

    sources: list[str]
    model: str | None = None
    track: bool | None = None
    tracker: str | None = None
    save: str | None = None
    json: str | None = None
    record: str | None = None
    confidence: float | None = None
    classes: str | None = None
    every: int = 1
    device: str | None = None  # cpu, or what a pipeline file says
    line: list[str] | tuple[str, ...] = ()
    zone: list[str] | tuple[str, ...] = ()
    max_frames: int | None = None
    codec: str | None = None
    draw: bool = True
    perf: bool = False
    interval: float = INTERVAL
    quiet: bool = False
    verbose: bool = False
    loop: int = 1
    pace: bool = False
    start: str | None = None
    stop: str | None = None
    option: list[str] | tuple[str, ...] = ()
    optimize: str | None = None
    no_cache: bool = False
    processes: int | None = None
    cores: int | None = None
    view: bool = False
    view_on: str | None = None
    launch: str | None = None

    @property
    def viewed(self) -> bool:
        """Whether a page is wanted."""
        return self.view or self.view_on is not None


def run(options: Options) -> int:
    """Run to the end; returns the exit code."""
    from ..testing import scene_source  # noqa: F401  the address scene: is known from here on

    prepare(options.model, options.quiet)
    return execute(plan_of(options), options)


def execute(plan: Plan, options: Options) -> int:
    """Run a plan to its end with progress and a summary; returns the exit code."""
    to_stdout = options.json == "-"
    from .. import fleet

    several = fleet.is_fleet(plan, options.processes)
    if several and options.viewed:
        raise ConfigError("--view shows the streams of one process: leave --processes away, or name one device")
    work = fleet.Fleet(plan, options.processes, cores=options.cores) if several else Run(plan)
    with Progress(work, options.quiet, options.verbose, options.perf, options.interval, to_stdout) as progress:
        tick: Any = progress.tick
        if options.viewed and isinstance(work, Run):
            tick = view.opening(work, options.quiet, progress.tick, progress.say)
        with fleet.on_cores(None if several else options.cores):
            summary = work.run(tick)
    if not options.quiet:
        out = sys.stderr if to_stdout else sys.stdout
        show_summary(summary, out)
        if isinstance(work, Run):
            out.writelines(f"{line}\n" for line in engine_lines(work))
    if summary.interrupted:
        return INTERRUPTED
    if any(isinstance(message.error, OutputError) for message in summary.errors):
        return FAILED
    return SOURCE if summary.errors else OK


def engine_lines(run: Run) -> Iterator[str]:
    """Which engines were used that `millrace build` had made."""
    for name, node in run.pipeline.graph.nodes.items():
        opened = getattr(getattr(node.element, "loaded", None), "opened", None)
        if opened is not None and opened.built is not None:
            yield f"{name}: engine {opened.built.text}"


def plan_of(options: Options) -> Plan:
    """What a command line asks for. Raises ConfigError."""
    from . import launch

    if options.launch is not None or launch.is_line(options.sources):
        return launch.plan_of_line(options)
    if not options.sources:
        raise ConfigError("run what? Give a video or a pipeline file: millrace run street.mp4 --model street")
    from . import deepstream_app as theirs

    if any(theirs.is_app(source) for source in options.sources):
        return theirs.plan_of_file(next(filter(theirs.is_app, options.sources)), options)
    files = [source for source in options.sources if source.lower().endswith((".yaml", ".yml"))]
    files = [source for source in files if has_pipeline(source)]
    if not files:
        return Plan(streams_of(options.sources, (), stream_options(options)), line_of(options), options.device or "cpu")
    return _plan_of_file(files[0], options)


def stream_options(options: Options) -> dict[str, Any]:
    """Settings of every source: `--loop 0 --pace`, and `--option track=1`. Raises ConfigError."""
    out: dict[str, Any] = _given(start=options.start, stop=options.stop)
    out |= {"loop": options.loop} if options.loop != 1 else {}
    out |= {"pace": True} if options.pace else {}
    for text in options.option:
        key, equals, value = text.partition("=")
        if not equals:
            raise ConfigError(f"--option {text!r}: it is written setting=value, as in track=1")
        out[key.strip().replace("-", "_")] = value
    return out


def alone(path: str, options: Options) -> None:
    """Raise ConfigError where a pipeline file is given with what belongs into it."""
    if len(options.sources) > 1:
        raise ConfigError(f"{path}: a pipeline file is given alone; its streams stand in it")
    allowed = {
        "sources", "max_frames", "device", "processes", "cores", "perf", "interval", "quiet", "verbose", "view",
        "view_on",
    }  # fmt: skip
    plain = Options(options.sources)
    wrong = [
        f"--{name.replace('_', '-')}" for name in Options.__slots__
        if name not in allowed and getattr(options, name) != getattr(plain, name) and getattr(options, name)
    ]  # fmt: skip
    if wrong:
        raise ConfigError(f"{path}: {', '.join(wrong)} cannot be given with a pipeline file: {_FILE_ONLY}")


def _plan_of_file(path: str, options: Options) -> Plan:
    from ..config import load

    alone(path, options)
    sys.path.insert(0, os.getcwd())  # `function: {call: "rules:only_cars"}` beside the file's user
    plan = load(path)
    if not plan.streams:
        raise ConfigError(f"{path}: there are no 'streams:' to run")
    if options.device is not None:
        plan.device = options.device
    if options.max_frames:
        plan.line.insert(0, Step("limit", {"count": options.max_frames}))
    if options.viewed:
        view.add_page(plan.line, options.view_on, options.draw)
    return plan


def line_of(options: Options) -> Line:
    """The elements that the options ask for, in their order. Raises ConfigError."""
    line: Line = []
    if options.max_frames:
        line.append(Step("limit", {"count": options.max_frames}))
    if options.model:
        line.append(Step("infer", _given(model=options.model, confidence=options.confidence,
                                         classes=_words(options.classes), every=options.every,
                                         optimize=options.optimize,
                                         engine="default" if options.no_cache else None)))  # fmt: skip
    else:
        _refuse(options, ("confidence", "classes", "track", "tracker", "line", "zone"), "--model")
    analysed = bool(options.line or options.zone)
    tracked = options.track if options.track is not None else analysed or options.tracker is not None
    if analysed and not tracked:
        raise ConfigError("--line and --zone count identities: leave --no-track away")
    if options.record:  # before tracking: what follows can be repeated from it
        line.append(Step("record", {"path": options.record, "header": header(options)}))
    if tracked:
        line.append(Step("track", _given(tracker=options.tracker)))
    if analysed:
        line.append(Step("analyze", shapes(options.line, options.zone)))
    if options.json:
        line.append(Step("json", {"path": options.json}))
    if (options.save or options.viewed) and options.draw and options.model:
        line.append(Step("draw"))
    if options.viewed:
        view.add_page(line, options.view_on, draw=False)
    if options.save:
        steps: Line = [Step("encode", _given(codec=options.codec)), Step("file", {"path": options.save})]
        line.append(Tee({"save": steps}, side=True))
    else:
        _refuse(options, ("codec",), "--save")
    _folders(options)
    _check(line)
    return line


def shapes(lines: list[str] | tuple[str, ...], zones: list[str] | tuple[str, ...]) -> dict[str, Any]:
    """`--line door=0.1,0.8,0.9,0.8` → the settings of analyze. Raises ConfigError."""
    out: dict[str, Any] = {}
    for option, least, texts in (("line", 2, lines), ("zone", 3, zones)):
        for number, text in enumerate(texts, 1):
            name, equals, numbers = text.rpartition("=")
            name = name if equals else f"{option}-{number}"
            try:
                values = [float(value) for value in numbers.split(",")]
            except ValueError:
                values = []
            points = [values[at : at + 2] for at in range(0, len(values), 2)]
            if len(values) % 2 or len(points) < least or (option == "line" and len(points) != least):
                shape = "x1,y1,x2,y2" if option == "line" else "x,y,x,y,x,y,… (three points or more)"
                raise ConfigError(f"--{option} {text!r}: it is written {shape}, with name= before it if you like")
            named = out.setdefault(f"{option}s", {})
            if name in named:
                raise ConfigError(f"--{option} {text!r}: there is a {option} {name!r} already")
            named[name] = {"points": points}
    return out


def header(options: Options) -> dict[str, Any]:
    """What a recorded run says of itself: settings, model and its hash, engine, sources."""
    import onnxruntime

    from .. import devices, engines
    from .._version import __version__
    from ..models import model_file

    device = devices.named(options.device or "cpu")
    runtime = devices.TABLE[devices.kind(device)].runtime
    out: dict[str, Any] = {
        "millrace": __version__,
        "engine": f"{f'onnxruntime {onnxruntime.__version__}' if runtime == 'onnx' else runtime} on {device}",
        "sources": [redact(source) for source in options.sources],
        "settings": _given(confidence=options.confidence, classes=_words(options.classes), every=options.every),
    }
    if options.model:
        path = model_file(options.model)
        digest = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else None
        out["model"] = {"path": str(path), "sha256": digest}
        built = None if options.no_cache else engines.find(path, device)
        if built is not None and not built.is_default:
            out["engine"] = f"{built.engine.label} on {device}"
    return out


def _folders(options: Options) -> None:
    for name in ("save", "json", "record"):
        path = getattr(options, name)
        folder = os.path.dirname(path or "")
        if folder and "{stream}" not in folder and not os.path.isdir(folder):
            raise ConfigError(f"--{name} {path}: the folder {folder} does not exist; create it")
        if path and path != "-" and "{stream}" not in folder and not os.access(folder or ".", os.W_OK):
            raise ConfigError(f"--{name} {path}: nothing can be written in the folder {folder or '.'}: no permission")


def _check(line: Line) -> None:
    """Wrong settings are found before anything is opened, and named as options."""
    for step in line:
        if isinstance(step, Tee):
            for branch in step.branches.values():
                _check(branch)
        elif isinstance(step, Step) and isinstance(step.element, str):
            step.settings = registry.check(step.element, step.settings)


def _refuse(options: Options, names: tuple[str, ...], needs: str) -> None:
    for name in names:
        if getattr(options, name):
            raise ConfigError(f"--{name} needs {needs}")


def _given(**settings: Any) -> dict[str, Any]:
    return {key: value for key, value in settings.items() if value is not None}


def _words(text: str | None) -> list[str] | None:
    return [word.strip() for word in text.split(",") if word.strip()] if text is not None else None
