"""The group of our commands: whatever one of them raises comes to the last line of defence."""

from __future__ import annotations

from typing import Any

from typer.core import TyperGroup


class Unheard(Exception):
    """Around an error of a command, its cause, that Typer would end the process for without a word."""


class Commands(TyperGroup):
    """Typer takes a broken pipe for that of the terminal, and the end of a file for that of the keyboard."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except (OSError, EOFError) as error:
            raise Unheard from error
