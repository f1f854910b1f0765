"""What the makers of steps share: the graph, files that are named, numbers of models, remarks."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ...core.errors import ConfigError
from ...deepstream.paths import resolve, substitute, where_else
from ...deepstream.report import Status
from ..deepstream.parts import Missing
from ..plan import Step
from .graph import Graph, Node


@dataclass(slots=True)
class Work:
    """A line that is being compiled. `stages`: the unique-id of a model → the name of its step."""

    graph: Graph
    missing: list[Missing] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    stages: dict[int, str] = field(default_factory=dict)
    perf: float | None = None
    ids: bool = True  # draw identities (display-tracking-id)

    @property
    def new_mux(self) -> bool:
        """Whether nvstreammux is the new one, which does not scale."""
        return self.graph.line.environment.get("USE_NEW_NVSTREAMMUX", "") == "yes"

    def error(self, node: Node, key: str, message: str) -> ConfigError:
        return self.graph.error(self.graph.place(node, key), f"{node.part.element} {key}: {message}")

    def note(self, node: Node, key: str, status: Status, why: str) -> None:
        """A remark on a property that is given."""
        given = node.part.get(key)
        if given is not None:
            self.graph.note(node, key, status, why, given.at)

    def lack(self, node: Node, key: str, path: str, written: str, why: str = "") -> None:
        """Note that a file or an address is not there."""
        given = node.part.get(key)
        column = self.graph.line.column(given.value_at if given is not None else node.part.at)
        said = why or f"there is no file {path}"
        text = f"launch column {column}: {node.part.element} {key}: {said}{where_else(written)}"
        self.missing.append(Missing(node.alias.name, key, path, text))

    def file(self, node: Node, key: str, written: str | None = None) -> str | None:
        """The path that a property names, or what stands for it; noted as missing when nothing is there.

        It is relative to the working directory.
        """
        text = node.props.get(key) if written is None else written
        if not text:
            return None
        path = locate(text)
        if "://" not in path and not os.path.exists(path):
            self.lack(node, key, path, text)
        return path

    def step(
        self,
        node: Node,
        element: str,
        settings: Mapping[str, Any] | None = None,
        keys: Mapping[str, str] | None = None,
        name: str | None = None,
    ) -> Step:
        """A step with the settings that are not None. `keys`: setting → the property that it comes from."""
        given = {key: value for key, value in (settings or {}).items() if value is not None}
        taken = any(isinstance(each, Step) and each.name == node.name for each in node.steps)
        named = node.name if node.part.named and not taken else None
        return Step(element, given, name=name or named, where=At(self.graph, node, keys or {}))

    def add(self, node: Node, element: str, settings: Mapping[str, Any] | None = None, **keys: str) -> None:
        """Put a step behind those that the node has."""
        node.steps.append(self.step(node, element, settings, keys))


@dataclass(slots=True, eq=False)
class At:
    """The `where` of what an element asks for."""

    graph: Graph
    node: Node
    keys: Mapping[str, str]

    def error(self, message: str, *keys: str | int) -> ConfigError:
        key = self.keys.get(str(keys[0])) if keys else None
        at = self.graph.place(self.node, key) if key else self.node.part.at
        said = f"{self.node.part.element} {key}" if key else self.node.part.element
        return self.graph.error(at, f"{said}: {message}")


def locate(text: str) -> str:
    """A path of a launch line as it is, or what the install folder's and the substitutions' settings make of it."""
    path = resolve(text, os.path.join(os.getcwd(), "launch"))
    other = substitute(text, str(path), os.path.basename(text))
    if other is not None:
        return other
    return text if os.path.realpath(text) == os.path.realpath(path) else os.fspath(path)
