"""The world → packets. `open_source(stream, uri)` picks the file that knows the address."""

from __future__ import annotations

import re
from dataclasses import fields
from importlib import import_module
from typing import Any

from ..core.element import Source
from ..core.errors import ConfigError, redact
from .base import SCHEMES

__all__ = ["open_source"]

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
_CAMERA = re.compile(r"\d+|/dev/video\d+")


def open_source(stream: str, uri: str, **options: Any) -> Source:
    """The source for an address, not yet reading. A plain path is a file, `0` and /dev/video0 are cameras.

    `options` are further settings of that source. Raises ConfigError for a scheme or an option that is not known.
    """
    found = _SCHEME.match(uri)
    scheme = found.group(1).lower() if found else "camera" if _CAMERA.fullmatch(uri) else "file"
    if scheme not in SCHEMES:
        known = ", ".join(f"{name}://" for name in SCHEMES)
        raise ConfigError(
            f"{stream}: cannot read {redact(uri)!r}: there is no source for {scheme}://; use a path or {known}"
        )
    module, _, name = SCHEMES[scheme].partition(":")
    cls = getattr(import_module(f".{module}", __package__), name)
    allowed = [each.name for each in fields(cls) if each.init and each.name not in ("stream", "uri")]
    wrong = sorted(set(options) - set(allowed))
    if wrong:
        raise ConfigError(f"{stream}: {name} has no setting {wrong[0]!r}; there are: {', '.join(allowed) or 'none'}")
    source: Source = cls(stream=stream, uri=uri, **options)
    return source
