"""Messages → what they command: to record, to add and remove streams, to change settings.

Ours are JSON objects with `command`; DeepStream's are understood, too: those of smart record
(`{"command": "start-recording", "start": …, "end": …, "sensor": {"id": …}}`) and those that add and remove sensors
(`{"key": "sensor", "value": {"camera_id": …, "camera_url": …, "change": "camera_add"}}`). Only what is allowed is done.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from .. import registry
from ..core import Pipeline
from ..core.errors import ConfigError, did_you_mean, redact
from .plan import Listen
from .streams import Streams

if TYPE_CHECKING:
    from ..elements.recorder import Recorder

COMMANDS: dict[str, tuple[str, ...]] = {  # and the keys that each has
    "start-recording": ("stream", "sensor", "name", "start", "end", "before", "after"),
    "stop-recording": ("stream", "sensor", "name", "start", "end"),
    "add-stream": ("stream", "uri", "options"),
    "remove-stream": ("stream",),
    "set": ("element", "settings"),
}
CHANGES = {"camera_add": "add-stream", "camera_streaming": "add-stream", "camera_remove": "remove-stream"}
NAME = "clip"  # of a recording that has none: one at a time of each stream, as in DeepStream
LONGEST_NAME = 128


def check(listen: Listen) -> None:
    """Raises ConfigError for a command that does not exist."""
    for name in listen.allow:
        if name not in COMMANDS:
            near = did_you_mean(name, COMMANDS)
            known = ", ".join(COMMANDS)
            raise listen.where.error(f"listen: there is no command {name!r}.{near} There are: {known}", "allow")


class Commands:
    """Does what messages say, to one pipeline. Called from threads that are none of the pipeline's."""

    def __init__(self, listen: Listen, pipeline: Pipeline, streams: Streams, declared: Sequence[str]) -> None:
        self._listen, self._pipeline, self._streams = listen, pipeline, streams
        self._declared = list(declared)
        self._do: dict[str, Callable[[dict[str, Any]], None]] = {
            "start-recording": self._start_recording,
            "stop-recording": self._stop_recording,
            "add-stream": self._add_stream,
            "remove-stream": self._remove_stream,
            "set": self._set,
        }

    def __call__(self, body: bytes) -> None:
        """Raises MillraceError with one sentence for a message that is not understood, not allowed, or fails."""
        said = _read(body)
        name = said.pop("command")
        if name not in COMMANDS:
            raise ConfigError(f"there is no command {name!r}.{did_you_mean(str(name), COMMANDS)}")
        if name not in self._listen.allow:
            allowed = ", ".join(self._listen.allow) or "nothing"
            raise ConfigError(f"the command {name!r} is not allowed here (`allow` of listen): {allowed}")
        for key in said:
            if key not in COMMANDS[name]:
                has = ", ".join(COMMANDS[name])
                raise ConfigError(f"{name} has no {key!r}.{did_you_mean(key, COMMANDS[name])} It has: {has}")
        self._do[name](said)

    # what they do

    def _start_recording(self, said: dict[str, Any]) -> None:
        stream, start, end = self._stream(said), _time(said, "start"), _time(said, "end")
        if start is not None and end is not None and end <= start:
            raise ConfigError(f"start-recording: the end {said['end']} is not after the start {said['start']}")
        before, after = _number(said, "before"), _number(said, "after")
        self._recorder(stream).record(stream, _text(said, "name", NAME), None, before, after, start, end)

    def _stop_recording(self, said: dict[str, Any]) -> None:
        stream = self._stream(said)
        self._recorder(stream).stop_recording(stream, _text(said, "name", NAME))

    def _add_stream(self, said: dict[str, Any]) -> None:
        uri, options = _text(said, "uri"), said.get("options", {})
        if not isinstance(options, dict) or {"name", "uri", "stream"} & set(options):
            raise ConfigError("add-stream: `options` is a table of settings of the source")
        if not any(fnmatchcase(_plain(uri), pattern) for pattern in self._listen.sources):
            allowed = ", ".join(self._listen.sources) or "none"
            raise ConfigError(f"add-stream: {redact(uri)} is not among the sources that may be added: {allowed}")
        self._streams.add(_text(said, "stream"), uri, **options)

    def _remove_stream(self, said: dict[str, Any]) -> None:
        self._streams.remove(_text(said, "stream"))

    def _set(self, said: dict[str, Any]) -> None:
        name, settings = _text(said, "element"), said.get("settings")
        if not isinstance(settings, dict) or not settings:
            raise ConfigError('set: `settings` is a table: {"confidence": 0.4}')
        element = self._pipeline.graph.named(name).element
        checked = {key: each.check(name, settings[key]) for key, each in _settings(element).items() if key in settings}
        self._pipeline.set(name, **{**settings, **checked})

    # whom they mean

    def _stream(self, said: Mapping[str, Any]) -> str:
        """The stream that a message names, or whose sensor it does."""
        if "sensor" not in said:
            return self._known(_text(said, "stream"))
        sensor = said["sensor"]
        id = sensor.get("id") if isinstance(sensor, dict) else None
        if not isinstance(id, (str, int)) or isinstance(id, bool):
            raise ConfigError('`sensor` is {"id": "…"}')
        named = self._listen.sensors.get(str(id), str(id))
        if named not in self._streams.names and named.isascii() and named.isdigit():
            number = int(named)  # DeepStream counts its sources
            if number < len(self._declared):
                return self._known(self._declared[number])
        return self._known(named)

    def _known(self, stream: str) -> str:
        names = self._streams.names
        if stream not in names:
            raise ConfigError(f"there is no stream {stream!r}.{did_you_mean(stream, names)}")
        return stream

    def _recorder(self, stream: str) -> Recorder:
        from ..elements.recorder import Recorder  # with PyAV, which not every pipeline needs

        for spec in list(self._pipeline.graph.nodes.values()):
            if isinstance(spec.element, Recorder) and stream in spec.element.streams:
                return spec.element
        raise ConfigError(f"no recorder keeps packets of stream {stream!r}: it has not begun, or has none")


def _settings(element: Any) -> dict[str, Any]:
    return {setting.name: setting for setting in registry.settings_of(type(element))}


def _read(body: bytes) -> dict[str, Any]:
    """A message as {"command": …} of ours."""
    try:
        said = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"it is not JSON: {error}") from None
    if not isinstance(said, dict):
        raise ConfigError('a command is a JSON object: {"command": "start-recording", "stream": "gate"}')
    event = said.get("value", said.get("event"))
    if said.get("key") == "sensor" and isinstance(event, dict):
        return _sensor(event)
    if "command" not in said and "sensor" in said:
        said["command"] = "start-recording"
    if "command" not in said:
        raise ConfigError(f"it has no `command`: one of {', '.join(COMMANDS)}")
    return said


def _sensor(event: dict[str, Any]) -> dict[str, Any]:
    """A sensor that comes or goes, as DeepStream's REST interface says it."""
    change = event.get("change")
    if change not in CHANGES:
        raise ConfigError(f"`change` is {change!r}: one of {', '.join(CHANGES)}")
    said = {"command": CHANGES[change], "stream": event.get("camera_name") or event.get("camera_id")}
    return said if said["command"] == "remove-stream" else {**said, "uri": event.get("camera_url")}


def _text(said: Mapping[str, Any], key: str, default: str | None = None) -> str:
    value = said.get(key, default)
    if not isinstance(value, str) or not value or (key != "uri" and len(value) > LONGEST_NAME):
        raise ConfigError(f"`{key}` is a text, got {redact(repr(value))}")
    return value


def _number(said: Mapping[str, Any], key: str) -> float | None:
    value = said.get(key)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < 86400:
        raise ConfigError(f"`{key}` is a number of seconds, got {value!r}")
    return float(value)


def _time(said: Mapping[str, Any], key: str) -> int | None:
    """RFC 3339 as ns of UTC; a time without a zone is UTC."""
    value = said.get(key)
    if value in (None, ""):
        return None
    try:
        moment = datetime.fromisoformat(str(value))
    except ValueError:
        raise ConfigError(f"`{key}` is a time like 2026-05-18T20:02:00.051Z, got {value!r}") from None
    moment = moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
    return round(moment.timestamp() * 1e9)


def _plain(uri: str) -> str:
    """An address as patterns see it: without user and password; a path without detours."""
    if "://" not in uri:
        return os.path.normpath(uri)
    try:
        parts = urlsplit(uri)
    except ValueError:
        raise ConfigError(f"{redact(uri)!r} is not an address") from None
    host = parts.netloc.rpartition("@")[2]
    on_this_machine = parts.scheme == "file" or not host
    path = os.path.normpath(unquote(parts.path)) if on_this_machine and parts.path else parts.path
    return f"{parts.scheme}://{host}{path}{f'?{parts.query}' if parts.query else ''}"
