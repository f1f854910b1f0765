"""DeepStream's own files: what they say, and what became of each key. See `keyfile`, `yamlfile` and `report`."""

from __future__ import annotations

import os
from pathlib import Path

from .keyfile import Entry, Group, KeyFile, read_keyfile
from .paths import resolve
from .report import Finding, Report, Section
from .yamlfile import read_yamlfile

__all__ = ["Entry", "Finding", "Group", "KeyFile", "Report", "Section", "read", "resolve"]


def read(path: str | os.PathLike[str]) -> KeyFile:
    """The groups and keys of a file: YAML by its suffix (.yml, .yaml), else a GLib key file.

    Raises ConfigError with file and line.
    """
    return (read_yamlfile if Path(path).suffix in (".yml", ".yaml") else read_keyfile)(path)
