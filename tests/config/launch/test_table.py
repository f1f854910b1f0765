"""The table of elements is whole: every maker is there, and what it applies is what it reads."""

from __future__ import annotations

import ast
import inspect
from pathlib import Path
from types import ModuleType

import pytest

from millrace import registry
from millrace.config.launch import bridge, filters, models, outputs, pictures, sources
from millrace.config.launch.page import page
from millrace.config.launch.table import Alias, table
from millrace.config.launch.values import convert

MODULES: tuple[ModuleType, ...] = (sources, pictures, models, outputs, filters, bridge)
ALIASES = table().aliases
KINDS = {"bytes", "coded", "raw", "rtp", "any"}


@pytest.mark.parametrize("alias", ALIASES, ids=lambda alias: alias.name)
def test_an_element_is_whole(alias: Alias) -> None:
    if alias.kind == "refused":
        assert alias.why and not alias.make
        return
    assert alias.here
    assert set(alias.takes) <= KINDS and (bool(alias.takes) != (alias.kind == "source"))
    assert alias.gives in {"", *KINDS}
    if alias.make:
        assert any(callable(vars(module).get(alias.make)) for module in MODULES)
    for kind, here in alias.applied.values():
        assert here
        with pytest.raises(ValueError, match=r"."):  # every type is known: those of texts take anything
            convert(kind, "\0", table().types) if kind not in ("string", "path", "paths", "output") else int("x")


def test_what_an_element_becomes_exists() -> None:
    """Names in backquotes at the begin of `here` are elements of ours."""
    known = {*registry.names(), "tee", "select", "queue", "pattern:", "gst:", "**PERF", "draw", "expect"}
    for alias in ALIASES:
        for part in alias.here.split(", "):
            if part.startswith("`"):
                assert part.split("`")[1].split()[0] in known, (alias.name, part)


def test_no_element_stands_twice() -> None:
    names = [name for alias in ALIASES for name in alias.names]
    assert sorted(names) == sorted(set(names))


def test_makers_read_what_is_applied() -> None:
    """A property that is called applied is asked for by name somewhere in the makers."""
    read: set[str] = set()
    for module in MODULES:
        for node in ast.walk(ast.parse(inspect.getsource(module))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                read.add(node.value)
    for alias in ALIASES:
        for name in alias.applied:
            assert name in read or name in ("name", "caps"), f"{alias.name} {name} is applied, and nobody reads it"


def test_the_page_is_up_to_date() -> None:
    made = "python -m millrace.config.launch.page > docs/launch-lines.md"
    assert (Path(__file__).parents[3] / "docs/launch-lines.md").read_text(encoding="utf-8") == page(), made
