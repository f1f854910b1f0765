"""The JSON Schema of pipeline files, made from the settings that the elements declare."""

from __future__ import annotations

from typing import Any

from .. import registry
from .commands import COMMANDS
from .sources import RESTARTS

_NODE = {
    "name": {"type": "string", "description": "the node's name"},
    "on_error": {"enum": ["fail", "skip"], "description": "what happens when the element fails at an item"},
    "queue": {
        "type": "object",
        "properties": {
            "size": {"type": "integer", "minimum": 1},
            "policy": {"enum": ["wait", "drop_oldest", "drop_newest"]},
        },
        "additionalProperties": False,
    },
}
_TEXTS = {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]}
_LISTEN = {
    "anyOf": [
        {"type": "string"},
        {
            "type": "object",
            "properties": {
                "broker": {"type": "string", "description": "address of the broker whose messages are commands"},
                "topics": {**_TEXTS, "description": "instead of the one in the address"},
                "allow": {"anyOf": [{"enum": list(COMMANDS)}, {"type": "array", "items": {"enum": list(COMMANDS)}}]},
                "sources": {**_TEXTS, "description": "patterns of what may be added"},
                "sensors": {"type": "object", "additionalProperties": {"type": "string"}},
                "stay": {"type": "boolean", "description": "do not end with the last stream"},
            },
            "required": ["broker"],
            "additionalProperties": False,
        },
    ]
}


def schema() -> dict[str, Any]:
    """JSON Schema, draft 2020-12."""
    names = [name for name in registry.names() if registry.get(name).in_files]
    steps: list[dict[str, Any]] = [{"enum": names}]
    steps += [_step(name, _settings(name)) for name in names]
    branches = {"type": "object", "minProperties": 1, "additionalProperties": {"$ref": "#/$defs/line"}}
    steps += [_step("tee", branches), _step("select", {"type": "string"})]
    known = {"uri": {"type": "string"}, "restart": {"enum": list(RESTARTS)}}
    stream = {"type": "object", "properties": known, "required": ["uri"]}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "millrace pipeline",
        "type": "object",
        "properties": {
            "streams": {"type": "object", "additionalProperties": {"anyOf": [{"type": "string"}, stream]}},
            "device": {"type": "string"},
            "listen": {"anyOf": [_LISTEN, {"type": "array", "items": _LISTEN}]},
            "pipeline": {"$ref": "#/$defs/line"},
        },
        "required": ["pipeline"],
        "additionalProperties": False,
        "$defs": {"line": {"type": "array", "items": {"anyOf": steps}}},
    }


def _step(name: str, value: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": {name: value}, "required": [name], "additionalProperties": False}


def _settings(name: str) -> dict[str, Any]:
    settings = registry.settings_of(registry.get(name))
    properties = {setting.name: setting.schema() for setting in settings}
    out: dict[str, Any] = {"type": "object", "properties": {**_NODE, **properties}, "additionalProperties": False}
    if required := [setting.name for setting in settings if setting.required]:
        out["required"] = required
    return out
