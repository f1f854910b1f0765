"""`millrace check FILE`: what a pipeline, a model card or a model is understood to say."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import typer

from ..core.errors import ConfigError, redact


def check(path: Path) -> None:
    """Print how the file is understood. Raises ConfigError when it is wrong."""
    if not path.exists():
        raise ConfigError(f"{path}: there is no such file")
    kind = path.suffix.lower()
    if kind == ".onnx":
        lines = model_lines(path)
    elif kind in (".yaml", ".yml"):
        lines = _yaml_lines(path)
    else:
        raise ConfigError(f"{path}: check reads .yaml (pipelines and model cards) and .onnx")
    for line in list(lines):
        typer.echo(line)
    typer.echo("ok")


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
    from .. import registry
    from ..config import load
    from ..config.build import build

    plan = load(path)
    graph = build(plan).pipeline.graph
    for stream in plan.streams:
        options = "".join(f" {key}={value!r}" for key, value in stream.options.items())
        yield redact(f"stream {stream.name}: {stream.uri}{options}")
    for name in graph.order():
        element = graph.nodes[name].element
        changed = [
            f"{setting.name}={getattr(element, setting.name)!r}"
            for setting in registry.settings_of(type(element))
            if getattr(element, setting.name) != setting.default
        ]
        feeding = [link.source + (f"[{link.stream}]" if link.stream else "") for link in graph.into(name)]
        yield redact(" ".join([f"{name} ←", ", ".join(feeding) or "streams", *changed]))


def model_lines(path: Path) -> Iterator[str]:
    """The tensors, the parser that was recognised and why, the input and the classes."""
    from ..elements._model import load_model

    model = load_model(str(path))
    try:
        yield f"model   {model.path}"
        yield from (f"input   {info}" for info in model.runtime.inputs)
        yield from (f"output  {info}" for info in model.runtime.outputs)
        yield f"parser  {model.guess.parser} ({model.guess.why})"
        spec, settings = model.spec, model.settings
        yield (
            f"picture {spec.width}x{spec.height} {spec.colour} {spec.layout} {spec.dtype}, {spec.fit}"
            f" (pad {spec.pad}), scale {spec.scale:g}, mean {_numbers(spec.mean)}, std {_numbers(spec.std)}"
        )
        yield f"default confidence {settings.confidence:g}, iou {settings.iou:g}, at most {settings.top_k} objects"
        names = list(model.names.values())
        more = f" … {len(names)} in all" if len(names) > 12 else ""
        yield f"classes {', '.join(names[:12])}{more}" if names else "classes have no names (give them in a model card)"
    finally:
        model.runtime.close()


def _numbers(values: tuple[float, ...]) -> str:
    return "/".join(f"{value:g}" for value in values)
