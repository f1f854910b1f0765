"""`millrace inspect`: the elements there are, and their settings."""

from __future__ import annotations

import json
from pathlib import Path

import typer

from .. import registry
from ..core.element import Element
from .describe import allowed, body, default, examples, in_python, kinds, summary


def inspect(name: str | None, schema: bool, docs: Path | None, markdown: bool, card: bool = False) -> None:
    """Print the list, one element, the schema or the keys of model cards; or write the pages of the documentation."""
    if card:
        from .card_page import page as card_page

        typer.echo(card_page(), nl=False)
    elif schema:
        from ..config.schema import schema as schema_of_files

        typer.echo(json.dumps(schema_of_files(), indent=2))
    elif docs is not None:
        from .pages import write

        typer.echo(f"{len(write(docs))} files written to {docs}")
    elif name is None:
        _list()
    elif markdown:
        from .pages import page

        typer.echo(page(name, registry.get(name)))
    else:
        _show(name, registry.get(name))


def _list() -> None:
    names = registry.names()
    width = max(map(len, names))
    for name in names:
        typer.echo(f"{name:{width}}  {summary(registry.get(name))}")
    typer.echo("\n`millrace inspect NAME` shows one with its settings and an example.")


def _show(name: str, cls: type[Element]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    typer.echo(f"{name}: {summary(cls)}\n")
    if text := body(cls):
        typer.echo(text + "\n")
    typer.echo(f"It {kinds(cls)}.\n")
    settings = registry.settings_of(cls)
    if settings:
        table = Table(box=None, pad_edge=False, header_style="bold")
        for title in ("setting", "type", "default", "allowed", "what it is"):
            table.add_column(title, overflow="fold")
        for setting in settings:
            live = " (live)" if setting.live else ""
            cells = (setting.name, setting.type_name, default(cls, setting), allowed(setting), setting.help + live)
            table.add_row(*(Text(cell) for cell in cells))
        Console(highlight=False, soft_wrap=False).print(table)
        if any(setting.live for setting in settings):
            typer.echo("\nlive: may change while running (`Pipeline.set`)")
    else:
        typer.echo("It has no settings.")
    steps = examples(name, cls)
    if cls.in_files:
        typer.echo("\nIn a file:\n\npipeline:")
        for step in steps:
            typer.echo("\n".join(f"  {line}" for line in step.splitlines()))
    typer.echo("\nIn Python:\n\n" + "\n".join(in_python(name, cls, step) for step in steps))
