"""`millrace migrate FILE`: DeepStream's application file as our YAML."""

from __future__ import annotations

import typer

from ..config.deepstream import load_app
from ..config.write import dumps
from ..core.errors import redact


def migrate(path: str) -> None:
    """Print the pipeline file that runs the same; what has no effect here, and what is missing, goes to stderr."""
    app = load_app(path)
    text = dumps(app.plan)
    for finding in app.report.findings():
        if finding.status in ("ignored", "unknown"):
            typer.echo(redact(f"{path}:{finding.line}: {finding}"), err=True)
    for line in [*app.remarks, *map(str, app.missing)]:
        typer.echo(redact(line), err=True)
    typer.echo(text, nl=False)
