"""`millrace migrate FILE`, `--launch LINE`: DeepStream's application file or a launch line as our YAML."""

from __future__ import annotations

import typer

from ..config.deepstream import load_app
from ..config.write import dumps
from ..core.errors import ConfigError, redact


def migrate(path: str | None, launch: str | None = None) -> None:
    """Print the pipeline file that runs the same; what has no effect here, and what is missing, goes to stderr."""
    if launch is not None:
        from .launch import migrate_launch

        migrate_launch(launch)
        return
    if path is None:
        raise ConfigError("migrate what? Give a file of deepstream-app, or --launch LINE")
    app = load_app(path)
    text = dumps(app.plan)
    for finding in app.report.findings():
        if finding.status in ("ignored", "unknown"):
            typer.echo(redact(f"{path}:{finding.line}: {finding}"), err=True)
    for line in [*app.remarks, *map(str, app.missing)]:
        typer.echo(redact(line), err=True)
    typer.echo(text, nl=False)
