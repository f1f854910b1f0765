"""The world → packets. `open_source(stream, uri)` picks the file that knows the address."""

from __future__ import annotations

import re
from dataclasses import fields
from functools import cache
from importlib import import_module
from typing import Any
from urllib.parse import parse_qsl

from ..core.element import Source
from ..core.errors import ConfigError, redact
from .base import SCHEMES
from .listing import is_images, is_many, listed

__all__ = ["add_scheme", "address", "is_many", "listed", "open_source", "source_class"]

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):(//)?")
_MADE = re.compile(r"(pattern|scene):(?://)?(?:\?(.*))?$")  # what is made has settings, and no place
_CAMERA = re.compile(r"\d+|/dev/video\d+")
RECORDINGS = (".bag", ".db3")  # of depth cameras
_own: dict[str, type[Source]] = {}


def add_scheme(scheme: str, cls: type[Source]) -> None:
    """Let a class of another package open addresses: `add_scheme("scene", SceneSource)` for `scene:?seed=7`."""
    _own[scheme] = cls


def address(uri: str) -> tuple[str, dict[str, str]]:
    """An address without the settings that stand in it, and these: `pattern:?fps=5` → `pattern:`, {"fps": "5"}."""
    made = _MADE.match(uri)
    if made is None or not made[2]:
        return uri, {}
    return f"{made[1]}:", dict(parse_qsl(made[2], keep_blank_values=True))


def source_class(stream: str, uri: str) -> type[Source]:
    """The class that reads an address: a plain path is a file, `0` and /dev/video0 are cameras.

    Raises ConfigError for a scheme that is not known.
    """
    made, found = _MADE.match(uri), _SCHEME.match(uri)
    scheme = made[1] if made else found[1].lower() if found and found[2] else "file"
    scheme = "camera" if _CAMERA.fullmatch(uri) else "gst" if uri.startswith("gst:") else scheme
    if scheme in _own:
        return _own[scheme]
    if scheme == "file" and is_images(uri):
        scheme = "images"
    elif scheme == "file" and uri.lower().endswith(RECORDINGS):
        scheme = "realsense"
    if scheme not in SCHEMES or (scheme == "images" and found and found[1].lower() == "images"):
        known = ", ".join(
            f"{name}:" if name in ("pattern", "gst") else f"{name}://" for name in SCHEMES if name != "images"
        )
        hint = " (import millrace.testing.scene_source first)" if scheme == "scene" else ""
        raise ConfigError(
            f"{stream}: cannot read {redact(uri)!r}: there is no source for {scheme}://{hint}; use a path or {known}"
        )
    return _load(scheme)


@cache
def _load(scheme: str) -> type[Source]:
    module, _, name = SCHEMES[scheme].partition(":")
    cls: type[Source] = getattr(import_module(f".{module}", __package__), name)
    return cls


def open_source(stream: str, uri: str, **options: Any) -> Source:
    """The source for an address, not yet reading.

    `options` are further settings of that source, of their own types. Raises ConfigError for a scheme or an option
    that is not known.
    """
    cls = source_class(stream, uri)
    allowed = [field.name for field in fields(cls) if field.init and field.name not in ("stream", "uri")]
    wrong = sorted(set(options) - set(allowed))
    if wrong:
        raise ConfigError(
            f"{stream}: {cls.__name__} has no setting {wrong[0]!r}; there are: {', '.join(allowed) or 'none'}"
        )
    source: Source = cls(stream=stream, uri=uri, **options)  # type: ignore[call-arg]
    return source
