"""`millrace check FILE`: what a pipeline, a model card, a model or a video is understood to say."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer

from ..config.plan import Plan
from ..core.errors import ConfigError, redact
from ..core.item import StreamStart
from ..deepstream.kinds import kind_of


def check(path: Path | None, launch: str | None = None) -> None:
    """Print how the file or the launch line is understood. Raises ConfigError when wrong, SourceError for a video."""
    if launch is not None:
        from .launch import check_launch

        raise typer.Exit(check_launch(launch))
    if path is None:
        raise ConfigError(
            "check what? Give a pipeline, model card, model, video or DeepStream's file, or --launch LINE"
        )
    if not path.exists():
        raise ConfigError(f"{path}: there is no such file")
    if path.is_file() and (theirs := kind_of(path)) is not None:
        from .check_deepstream import check_deepstream

        raise typer.Exit(check_deepstream(path, theirs))
    kind = path.suffix.lower()
    if _is_model(path):
        lines = model_lines(path)
    elif kind in (".yaml", ".yml"):
        lines = _yaml_lines(path)
    else:
        lines = iter([f"video   {path}: {media(str(path), path.stem or 'file')}"])
    for line in list(lines):
        typer.echo(line)
    typer.echo("ok")


def _is_model(path: Path) -> bool:
    """Whether it is of a format that models have."""
    from ..runtimes.files import format_of

    try:
        format_of(path)
    except ConfigError:
        return False
    return True


def _yaml_lines(path: Path) -> Iterator[str]:
    from ..config.text import read

    data = read(path).data
    if (
        isinstance(data, dict)
        and not ({"pipeline", "streams"} & set(data))
        and ({"model", "parser", "input"} & set(data))
    ):
        return model_lines(path)
    return pipeline_lines(path)


def pipeline_lines(path: Path) -> Iterator[str]:
    """The streams, and every element in order with what feeds it and the settings that differ from the default."""
    from ..config import load

    yield from plan_lines(load(path))


def plan_lines(plan: Plan) -> Iterator[str]:
    """The same of a plan. Raises ConfigError where it cannot be built."""
    from .. import registry
    from ..config.build import build

    graph = build(plan).pipeline.graph
    for stream in plan.streams:
        options = "".join(f" {key}={value!r}" for key, value in stream.options.items())
        found = f" ({media(stream.uri, stream.name)})" if isinstance(stream.uri, str) and _is_local(stream.uri) else ""
        yield redact(f"stream {stream.name}: {stream.uri}{options}{found}")
    for name in graph.order():
        element = graph.nodes[name].element
        changed = [
            f"{setting.name}={_shown(setting.name, getattr(element, setting.name))!r}"
            for setting in registry.settings_of(type(element))
            if getattr(element, setting.name) != setting.default
        ]
        feeding = [link.source + (f"[{link.stream}]" if link.stream else "") for link in graph.into(name)]
        yield redact(" ".join([f"{name} ←", ", ".join(feeding) or "streams", *changed]))


def _shown(name: str, value: Any) -> Any:
    """A setting's value without passwords."""
    return dict.fromkeys(value, "***") if name == "users" else value


def _is_local(uri: str) -> bool:
    """Whether it is a path of one file: others (a camera, a folder, a URL) are opened when they are run."""
    return "://" not in uri and os.path.splitext(uri)[1] != "" and not set(uri) & set("*?[%")


def media(path: str, stream: str) -> str:
    """What a video file says of itself: `h264, 1920x1080, 25 fps, 1500 frames, 60.0 s`. Raises SourceError."""
    from ..sources.file import FileSource

    reading = FileSource(stream=stream, uri=path).read()
    try:
        caps = next(start.caps for start in reading if isinstance(start, StreamStart))
    finally:
        reading.close()  # type: ignore[attr-defined]  # it is a generator
    size = f"{caps.get('width')}x{caps.get('height')}"
    facts = [str(getattr(caps.get("parameters"), "codec", None) or caps.get("codec") or "video"), size]
    if caps.get("fps"):
        facts.append(f"{float(caps['fps']):g} fps")
    if caps.get("frames"):
        facts.append(f"{caps['frames']} frames")
    if caps.get("duration"):
        facts.append(f"{caps['duration'] / 1e9:.1f} s")
    return ", ".join(facts)


def model_lines(path: Path) -> Iterator[str]:
    """The tensors, the parser that was recognised and why, the input and the classes."""
    from ..elements._model import load_model

    model = load_model(str(path))
    try:
        yield f"model   {model.path}"
        yield from (f"input   {info}" for info in model.runtime.inputs)
        yield from (f"output  {info}" for info in model.runtime.outputs)
        yield f"parser  {model.reader.guess.parser} ({model.reader.guess.why})"
        spec, settings = model.spec, model.reader.settings
        yield (
            f"picture {spec.width}x{spec.height} {spec.colour} {spec.layout} {spec.dtype}, {spec.fit}"
            f" (pad {spec.pad}), scale {spec.scale:g}, mean {_numbers(spec.mean)}, std {_numbers(spec.std)}"
        )
        yield f"default confidence {settings.confidence:g}, iou {settings.iou:g}, at most {settings.top_k} objects"
        names = list(model.reader.names.values())
        more = f" … {len(names)} in all" if len(names) > 12 else ""
        yield f"classes {', '.join(names[:12])}{more}" if names else "classes have no names (give them in a model card)"
    finally:
        model.runtime.close()


def _numbers(values: tuple[float, ...]) -> str:
    return "/".join(f"{value:g}" for value in values)
