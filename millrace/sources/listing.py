"""Addresses that name several streams: a glob, a folder of videos, and lists in CSV.

`cameras.csv` has a header; the columns `name` and `uri` say where a stream is, all others are its settings:

    name,uri,loop,pace
    gate,gate.mp4,0,true
"""

from __future__ import annotations

import csv
import glob
import os
import re
from typing import NamedTuple

from ..core.errors import ConfigError

VIDEOS = (
    ".264", ".265", ".3gp", ".asf", ".av1", ".avi", ".flv", ".gif", ".h264", ".h265", ".hevc", ".ivf", ".m2ts", ".m4v",
    ".mjpeg", ".mjpg", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".mts", ".mxf", ".nut", ".obu", ".ogv", ".ts", ".vob",
    ".webm", ".wmv", ".y4m",
)  # fmt: skip


IMAGES = (
    ".bmp", ".jpeg", ".jpg", ".pbm", ".pgm", ".png", ".pnm", ".ppm", ".tif", ".tiff", ".webp",
)  # fmt: skip


class Listed(NamedTuple):
    """One stream of a list. `name` is None where the list does not say one; a setting is a text as it stands there."""

    name: str | None
    uri: str
    options: dict[str, str]


def is_images(uri: str) -> bool:
    """Whether a path names images: by its suffix, which a numbered sequence has too, or as a folder that holds any."""
    if os.path.isdir(uri):
        return any(name.lower().endswith(IMAGES) for name in os.listdir(uri))
    return uri.lower().endswith(IMAGES)


def natural(text: str) -> list[tuple[int, int, str]]:
    """A key that sorts names as people do: frame2 before frame10."""
    parts = re.split(r"(\d+)", text.lower())
    return [(1, int(part), part) if index % 2 else (0, 0, part) for index, part in enumerate(parts)]


def is_many(uri: str) -> bool:
    """Whether an address names a list of streams rather than one."""
    if "://" in uri or uri.startswith(("pattern:", "scene:")):
        return False
    if uri.lower().endswith(".csv"):
        return True
    if os.path.isdir(uri):
        return any(name.lower().endswith(VIDEOS) for name in os.listdir(uri))
    return glob.has_magic(uri) and not os.path.exists(uri)


def listed(uri: str) -> list[Listed]:
    """The streams that an address names, in natural order; one that is no list names itself. Raises ConfigError."""
    if not is_many(uri):
        return [Listed(None, uri, {})]
    if uri.lower().endswith(".csv"):
        return _rows(uri)
    if os.path.isdir(uri):
        names = os.listdir(uri)
        if any(name.lower().endswith(IMAGES) for name in names):
            raise ConfigError(f"{uri} holds videos and images: say which, as in '{uri.rstrip('/')}/*.mp4'")
        found = [os.path.join(uri, name) for name in names if name.lower().endswith(VIDEOS)]
    else:
        found = [path for path in glob.glob(uri, recursive=True) if os.path.isfile(path)]
        if not found:
            raise ConfigError(f"no file matches {uri!r}")
    return [Listed(None, path, {}) for path in sorted(found, key=natural)]


def _rows(path: str) -> list[Listed]:
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file, skipinitialspace=True)
            rows = [(reader.line_num, row) for row in reader]
            columns = reader.fieldnames or []
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ConfigError(f"{path}: cannot be read as CSV: {error}") from None
    if "uri" not in columns:
        raise ConfigError(f"{path}:1: there is no column 'uri'; its columns: {', '.join(columns) or 'none'}")
    out, names = [], set()
    for line, row in rows:
        if None in row or not row["uri"]:
            raise ConfigError(f"{path}:{line}: {'more values than columns' if None in row else 'no uri'}")
        name = row.get("name") or None
        if name in names and name is not None:
            raise ConfigError(f"{path}:{line}: a stream {name!r} is there already")
        names.add(name)
        options = {key: value for key, value in row.items() if key not in ("name", "uri") and value}
        uri = row["uri"]
        beside = os.path.join(os.path.dirname(path), uri)  # of the list, unless it is something else
        out.append(Listed(name, beside if os.path.exists(beside) else uri, options))
    return out
