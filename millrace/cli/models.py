"""`millrace models`: the models that can be had by name, fetched with their progress shown."""

from __future__ import annotations

import sys
from pathlib import Path

from ..core.errors import redact
from ..models import SHIPPED, catalogue


def show(name: str | None) -> None:
    """List all, or tell everything of one. Raises ConfigError for an unknown name."""
    if name is not None:
        return _show_one(name)
    from rich.console import Console
    from rich.table import Table

    console = Console(highlight=False, markup=False, width=None if sys.stdout.isatty() else 140)
    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("name", "what", "licence", "MB", "needs", "here"):
        table.add_column(title, justify="right" if title == "MB" else "left")
    for shipped in SHIPPED:
        table.add_row(shipped, "a demonstration: made for generated scenes", "Apache-2.0", "", "", "in the package")
    for each, entry in catalogue.entries().items():
        here = "yes" if catalogue.have(each) else ""
        licence = entry.licence if entry.permissive else f"{entry.licence} (asks to be accepted)"
        table.add_row(each, entry.what, licence, f"{entry.bytes / 1e6:.1f}", entry.needs or "", here)
    console.print(table)


def _show_one(name: str) -> None:
    entry = catalogue.get(name)
    lines = [
        ("what", entry.what), ("authors", entry.authors), ("page", entry.page),
        ("licence", f"{entry.licence}, {entry.licence_page}"), ("checked", _CHECKED[entry.checked]),
        ("needs", f"pip install 'millrace[{entry.needs}]'" if entry.needs else ""), ("note", entry.note),
        *(("file", f"{each.url}, {each.bytes} bytes, {each.digest}") for each in entry.files),
        ("here", str(catalogue.have(name) or "no")),
    ]  # fmt: skip
    sys.stdout.write("".join(f"{key:<9} {redact(text)}\n" for key, text in lines if text))


_CHECKED = {
    "copy": "a copy with this hash was run",
    "authors": "the hash is the one that the authors publish",
}


def pull(name: str, accept_licence: bool, quiet: bool) -> None:
    """Fetch a model and say where it lies."""
    sys.stdout.write(f"{ready(name, accept_licence, quiet)}\n")


def ready(name: str, accept_licence: bool = False, quiet: bool = False) -> Path:
    """The file of a model of the catalogue, fetched with a bar where there is a terminal, a line elsewhere."""

    def say(text: str) -> None:
        if not quiet:
            sys.stderr.write(f"millrace: {redact(text)}\n")

    if quiet or not sys.stderr.isatty() or catalogue.have(name):
        return catalogue.pull(name, accept_licence, say=say)
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

    columns = TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn()
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(name)
        return catalogue.pull(name, accept_licence, lambda done, size: bar.update(task, completed=done, total=size))


def prepare(name: str | None, quiet: bool = False) -> None:
    """Fetch what a `--model` option names, when it is a name of the catalogue that is not here yet."""
    if name and name not in SHIPPED and catalogue.is_name(name) and name in catalogue.entries():
        ready(name, quiet=quiet)
