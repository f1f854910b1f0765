"""A plan → our YAML, which `load` reads as the same plan."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from ..core.element import Element, Source
from ..core.errors import ConfigError
from .plan import Line, Listen, Plan, Select, Step


def dumps(plan: Plan) -> str:
    """The text of a pipeline file. Raises ConfigError for what only a program can give: objects."""
    import yaml

    top: dict[str, Any] = {"streams": {}, "pipeline": _line(plan.line)}
    for stream in plan.streams:
        if isinstance(stream.uri, Source):
            raise ConfigError(f"stream {stream.name!r} is an object: a file cannot hold it")
        options = {"restart": stream.restart} if stream.restart != "never" else {}
        options |= stream.options
        top["streams"][stream.name] = {"uri": stream.uri, **options} if options else stream.uri
    if plan.device != "cpu":
        top["device"] = plan.device
    if plan.listen:
        top["listen"] = [_listen(each) for each in plan.listen]
    return yaml.safe_dump(_plain(top), sort_keys=False, width=120, allow_unicode=True)


def _line(line: Line) -> list[Any]:
    """The steps as the file has them. What follows a tee beside the line becomes a branch of it, which is the same."""
    out: list[Any] = []
    for index, step in enumerate(line):
        if isinstance(step, Select):
            out.append({"select": step.stream})
        elif isinstance(step, Step):
            out.append(_step(step))
        else:
            branches = {label: _line(branch) for label, branch in step.branches.items()}
            if step.side and line[index + 1 :]:
                return [*out, {"tee": {**branches, "main": _line(line[index + 1 :])}}]
            out.append({"tee": branches})
    return out


def _listen(listen: Listen) -> dict[str, Any]:
    usual = Listen(listen.broker)
    names = [field.name for field in fields(listen) if field.name not in ("broker", "where")]
    given = {name: getattr(listen, name) for name in names if getattr(listen, name) != getattr(usual, name)}
    return {"broker": listen.broker, **given}


def _step(step: Step) -> Any:
    if isinstance(step.element, Element):
        raise ConfigError(f"{type(step.element).__name__} is an object: a file cannot hold it")
    settings = dict(step.settings)
    if step.name is not None:
        settings["name"] = step.name
    if step.on_error != "fail":
        settings["on_error"] = step.on_error
    if step.queue is not None:
        settings["queue"] = {"policy": step.queue.policy} | ({"size": step.queue.size} if step.queue.size else {})
    return {step.element: settings} if settings else step.element


def _plain(value: Any) -> Any:
    """Mappings and sequences as YAML writes them."""
    if isinstance(value, Mapping):
        return {key: _plain(each) for key, each in value.items()}
    return [_plain(each) for each in value] if isinstance(value, (list, tuple)) else value
