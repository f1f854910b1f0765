"""Our YAML → a plan. The shape of the file is docs/configuration.md; every error names file and line."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .. import registry
from ..core.errors import ConfigError, did_you_mean
from ..sources import is_many
from .plan import Line, Listen, Plan, Queue, Select, Step, Stream, Tee
from .sources import RESTARTS
from .text import Document, Place, parse, read

_TOP = ("streams", "pipeline", "device", "listen")
_LISTEN = ("broker", "topics", "allow", "sources", "sensors", "stay")
_NODE = ("name", "on_error", "queue")  # keys of a step that are the engine's, not the element's
_ON_ERROR = ("fail", "skip")
_POLICIES = ("wait", "drop_oldest", "drop_newest")


def load(path: str | Path, environment: Mapping[str, str] | None = None) -> Plan:
    """The plan in a YAML file. Raises ConfigError."""
    return _Schema(read(path, environment)).plan()


def loads(text: str, name: str = "<text>", environment: Mapping[str, str] | None = None) -> Plan:
    """The plan in YAML text. Raises ConfigError."""
    return _Schema(parse(text, name, environment)).plan()


def load_streams(path: str | Path, environment: Mapping[str, str] | None = None) -> list[Stream]:
    """The streams of a YAML file that holds `streams:` and no pipeline. Raises ConfigError."""
    return _Schema(read(path, environment)).only_streams()


def has_pipeline(path: str | Path) -> bool:
    """Whether a YAML file says more than streams. Raises ConfigError."""
    data = read(path).data if os.path.isfile(path) else None
    return not (isinstance(data, dict) and "streams" in data and "pipeline" not in data)


class Written:
    """A place in a document: the `where` of what was read there."""

    def __init__(self, document: Document, place: Place) -> None:
        self.document = document
        self.place = place

    def error(self, message: str, *keys: str | int) -> ConfigError:
        return self.document.error((*self.place, *keys), message)


class _Schema:
    """Checks the shape of a document and makes the plan; what an element may be set to is checked when it is built."""

    def __init__(self, document: Document) -> None:
        self.document = document

    def plan(self) -> Plan:
        data = self.table(self.document.data, (), "the file")
        self.known(data, _TOP, ())
        if "pipeline" not in data:
            raise self.document.error((), "there is no 'pipeline:' (a list of elements)")
        device = data.get("device", "cpu")
        return Plan(
            streams=self.streams(data.get("streams")),
            line=self.line(data["pipeline"], ("pipeline",)),
            device=self.text(device, ("device",), "device"),
            where=Written(self.document, ()),
            listen=[self.listen(each, ("listen", n)) for n, each in enumerate(self.items(data.get("listen", [])))],
        )

    def items(self, data: Any) -> list[Any]:
        """One or several."""
        return data if isinstance(data, list) else [data]

    def listen(self, data: Any, place: Place) -> Listen:
        table = {"broker": data} if isinstance(data, str) else self.table(data, place, "'listen'")
        self.known(table, _LISTEN, place)
        if "broker" not in table:
            raise self.document.error(place, "'listen' has no 'broker'")
        given: dict[str, Any] = {"broker": self.text(table["broker"], (*place, "broker"), "broker")}
        for key in ("topics", "allow", "sources"):
            if key in table:
                values = self.items(table[key])
                given[key] = [self.text(each, (*place, key), key) for each in values]
        if "sensors" in table:
            sensors = self.table(table["sensors"], (*place, "sensors"), "'sensors'")
            given["sensors"] = {
                str(id): self.text(name, (*place, "sensors", id), "a stream's name") for id, name in sensors.items()
            }
        if "stay" in table:
            given["stay"] = self.choice(table["stay"], (*place, "stay"), "stay", (True, False))
        return Listen(**given, where=Written(self.document, place))

    def only_streams(self) -> list[Stream]:
        data = self.table(self.document.data, (), "the file")
        self.known(data, ("streams",), ())
        return self.streams(data.get("streams"))

    def streams(self, data: Any) -> list[Stream]:
        out = []
        for name, value in self.table(data if data is not None else {}, ("streams",), "'streams'").items():
            place: Place = ("streams", name)
            options = {"uri": value} if isinstance(value, str) else dict(self.table(value, place, f"stream {name!r}"))
            if "uri" not in options:
                raise self.document.error(place, f"stream {name!r} has no 'uri'")
            uri = self.text(options.pop("uri"), (*place, "uri"), "uri")
            restart = self.choice(options.pop("restart", "never"), (*place, "restart"), "restart", RESTARTS)
            if is_many(uri):
                raise self.document.error((*place, "uri"), f"{uri!r} names several streams; this is the place of one")
            out.append(Stream(name, uri, options, restart, Written(self.document, place)))
        return out

    def line(self, data: Any, place: Place) -> Line:
        if not isinstance(data, list):
            raise self.document.error(place, f"{place[-1]!r} must be a list of elements, not {_kind(data)}")
        return [self.step(value, (*place, index)) for index, value in enumerate(data)]

    def step(self, data: Any, place: Place) -> Step | Select | Tee:
        if isinstance(data, str):
            return Step(data, where=Written(self.document, place))
        if not (isinstance(data, dict) and len(data) == 1):
            shape = "an element's name, or one {name: settings}"
            keys = f" with {len(data)} keys (are the settings indented?)" if isinstance(data, dict) else ""
            raise self.document.error(place, f"a step is {shape}, not {_kind(data)}{keys}")
        [(element, value)] = data.items()
        inner = (*place, element)
        if element == "tee":
            branches = self.table(value, inner, "'tee'")
            lines = {label: self.line(branch, (*inner, label)) for label, branch in branches.items()}
            if not lines:
                raise self.document.error(inner, "'tee' has no branches")
            return Tee(lines, where=Written(self.document, inner))
        if element == "select":
            return Select(self.text(value, inner, "select"), Written(self.document, inner))
        return self.element(
            element, {} if value is None else self.table(value, inner, f"the settings of {element!r}"), inner
        )

    def element(self, element: str, data: dict[str, Any], place: Place) -> Step:
        keys = _NODE[1:] if "name" in data and registry.names_itself(element) else _NODE
        settings = {key: value for key, value in data.items() if key not in keys}
        step = Step(element, settings, where=Written(self.document, place))
        if "name" in data and "name" in keys:
            step.name = self.text(data["name"], (*place, "name"), "name")
        if "on_error" in data:
            step.on_error = self.choice(data["on_error"], (*place, "on_error"), "on_error", _ON_ERROR)
        if "queue" in data:
            step.queue = self.queue(data["queue"], (*place, "queue"))
        return step

    def queue(self, data: Any, place: Place) -> Queue:
        table = self.table(data, place, "'queue'")
        self.known(table, ("size", "policy"), place)
        size = table.get("size")
        if size is not None and not (isinstance(size, int) and not isinstance(size, bool) and size > 0):
            raise self.document.error((*place, "size"), f"size must be a whole number above 0, not {size!r}")
        policy = self.choice(table.get("policy", "wait"), (*place, "policy"), "policy", _POLICIES)
        return Queue(size, policy)

    # shapes

    def table(self, data: Any, place: Place, what: str) -> dict[str, Any]:
        if not isinstance(data, dict):
            raise self.document.error(place, f"{what} must be a mapping of names to values, not {_kind(data)}")
        return data

    def text(self, data: Any, place: Place, what: str) -> str:
        if not isinstance(data, str):
            raise self.document.error(place, f"{what} must be a text, not {_kind(data)}")
        return data

    def choice(self, data: Any, place: Place, what: str, allowed: tuple[Any, ...]) -> Any:
        if data not in allowed:
            known = [str(each) for each in allowed]
            near = did_you_mean(str(data), known)
            raise self.document.error(place, f"{what}: {data!r} is not one of {', '.join(known)}.{near}")
        return data

    def known(self, data: Mapping[str, Any], allowed: tuple[str, ...], place: Place) -> None:
        for key in data:
            if key not in allowed:
                near = did_you_mean(key, allowed)
                message = f"{key!r} is not known here.{near} There are: {', '.join(allowed)}"
                raise self.document.error((*place, key), message)


def _kind(data: Any) -> str:
    if data is None:
        return "nothing"
    words = {dict: "a mapping", list: "a list", str: f"the text {data!r}", bool: str(data).lower()}
    return words.get(type(data), f"the number {data!r}")
