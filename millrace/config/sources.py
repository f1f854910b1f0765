"""Addresses and lists of addresses → the streams of a plan, and a stream → its source."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from .. import registry
from ..core.element import Source
from ..core.errors import ConfigError
from ..sources import address, listed, open_source, source_class
from .plan import Stream

RESTARTS = ("never", "on_error", "always")
_YAML = (".yaml", ".yml")


def streams_of(
    uris: Sequence[str | Source], names: Sequence[str] = (), options: Mapping[str, Any] | None = None
) -> list[Stream]:
    """The streams that addresses name: one each, or those of a folder, a glob, a CSV or YAML list.

    They are called by `names` where each address is one stream, by their list, else by their files (`gate`, `gate-2`).
    `options` go to every source, and what a list says goes before them. Raises ConfigError.
    """
    found = [stream for uri in uris for stream in _listed(uri)]
    if names and len(names) != len(found):
        raise ConfigError(f"{len(names)} names for {len(found)} sources")
    given = list(names) or [stream.name for stream in found]
    said = [name for name in given if name]
    if twice := sorted({name for name in said if said.count(name) > 1}):
        raise ConfigError(f"two streams have the same name: {', '.join(twice)}")
    taken = set(said)
    for stream, name in zip(found, given, strict=True):
        stream.name = name or unique(_stem(stream.uri), taken)
        stream.options, restart = split({**(options or {}), **stream.options}, stream.name)
        stream.restart = restart if stream.restart == "never" else stream.restart
    return found


def split(options: Mapping[str, Any], name: str) -> tuple[dict[str, Any], Any]:
    """The settings of the source, and the restart policy that stands among them."""
    rest = dict(options)
    restart = rest.pop("restart", "never")
    if restart not in RESTARTS:
        raise ConfigError(f"{name}: restart={restart!r} is not allowed: one of {', '.join(RESTARTS)}")
    return rest, restart


def source_of(stream: Stream) -> Source:
    """The source of a stream, not yet reading; its options are checked and converted. Raises ConfigError."""
    if isinstance(stream.uri, Source):
        if getattr(stream.uri, "stream", stream.name) != stream.name:
            stream.uri.stream = stream.name  # type: ignore[attr-defined]
        return stream.uri
    try:
        uri, inside = address(stream.uri)
        cls = source_class(stream.name, uri)
        settings = registry.check(stream.name, {**inside, **stream.options}, cls)
        return open_source(stream.name, uri, **settings)
    except ConfigError as error:
        key = getattr(error, "setting", None)
        raise stream.where.error(str(error), *([key] if key else [])) from error


def stream_names(uris: Sequence[str | Source]) -> list[str]:
    """A name for each source from its file or address, each once: gate, yard, gate-2."""
    taken: set[str] = set()
    return [unique(_stem(uri), taken) for uri in uris]


def unique(name: str, taken: set[str]) -> str:
    """`name`, or `name-2`, `name-3`, … when it is taken; notes it as taken."""
    out, number = name, 1
    while out in taken:
        number += 1
        out = f"{name}-{number}"
    taken.add(out)
    return out


def _listed(uri: str | Source) -> list[Stream]:
    if isinstance(uri, Source):
        return [Stream("", uri)]
    if uri.lower().endswith(_YAML):
        from .load import load_streams

        return load_streams(uri)
    return [Stream(name or "", place, options) for name, place, options in listed(uri)]


def _stem(uri: str | Source) -> str:
    if isinstance(uri, Source):
        return str(getattr(uri, "stream", "") or type(uri).__name__.lower())
    parts = urlsplit(uri) if "://" in uri and not uri.startswith("gst:") else None
    path = parts.path if parts else re.sub(r"^(pattern|scene|gst):.*", r"\1", uri, flags=re.DOTALL)
    base = os.path.splitext(os.path.basename(path.rstrip("/")))[0] or (parts.hostname if parts else None) or "stream"
    if "%" in base:  # frames/%04d.png is called after its folder
        base = re.sub(r"%\d*d", "", base).strip("-_. ") or os.path.basename(os.path.dirname(path)) or "stream"
    return re.sub(r"[^\w.-]+", "-", base).strip("-.") or "stream"
