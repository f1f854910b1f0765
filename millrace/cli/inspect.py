"""`millrace inspect`: the elements there are, and their settings."""

from __future__ import annotations

import json
from dataclasses import MISSING
from typing import Any

import typer

from .. import registry
from ..config.schema import schema as schema_of_files
from ..core.element import Element
from ..registry import Setting


def inspect(name: str | None, schema: bool) -> None:
    """Print the list, one element, or the schema."""
    if schema:
        typer.echo(json.dumps(schema_of_files(), indent=2))
    elif name is None:
        _list()
    else:
        _show(name, registry.get(name))


def _list() -> None:
    names = registry.names()
    width = max(map(len, names))
    for name in names:
        typer.echo(f"{name:{width}}  {summary(registry.get(name))}")


def summary(cls: type[Element]) -> str:
    """The first line of an element's docstring."""
    return (cls.__doc__ or "").strip().partition("\n")[0]


def _show(name: str, cls: type[Element]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    settings = registry.settings_of(cls)
    typer.echo(f"{name}: {summary(cls)}\n")
    if settings:
        table = Table(box=None, pad_edge=False, header_style="bold")
        for title in ("setting", "type", "default", "allowed", "what it is"):
            table.add_column(title, overflow="fold")
        for setting in settings:
            allowed = setting.allowed if setting.allowed != setting.type_name else ""
            live = " (may change while running)" if setting.live else ""
            cells = (setting.name, setting.type_name, default(setting), allowed, setting.help + live)
            table.add_row(*(Text(cell) for cell in cells))
        Console(highlight=False).print(table)
    else:
        typer.echo("It has no settings.")
    typer.echo("\n" + example(name, settings))


def default(setting: Setting) -> str:
    """The default as it would be written in a file."""
    if setting.required:
        return "must be given"
    return written(setting.default)


def written(value: Any) -> str:
    """A value as YAML on one line."""
    if value is None or isinstance(value, (bool, int, float, str, list, tuple, dict)):
        return json.dumps(value, ensure_ascii=False) if not isinstance(value, str) else value or '""'
    return type(value).__name__


def example(name: str, settings: tuple[Setting, ...]) -> str:
    """The element in a pipeline file, with what must be given and the first settings that have a default."""
    shown = [setting for setting in settings if setting.required]
    shown += [setting for setting in settings if not setting.required and setting.default not in (None, MISSING)][:2]
    if not shown:
        return f"pipeline:\n  - {name}"
    parts = (f"{s.name}: {'…' if s.required else written(s.default)}" for s in shown)
    return f"pipeline:\n  - {name}: {{{', '.join(parts)}}}"
