"""How long recordings stay: files of continuous recording are deleted by age and by size, the oldest first."""

from __future__ import annotations

import math
import os
import re
import shutil
import time
from collections.abc import Collection, Iterator
from contextlib import suppress
from typing import NamedTuple

from ..core.errors import OutputError
from .segments import NUMBER


class Kept(NamedTuple):
    """A finished file; the oldest sorts first. `ended` is when it was last written, seconds since 1970."""

    ended: float
    path: str
    size: int


class Retention:
    """Deletes files whose names the patterns (`gate-%05d.mp4`) could have made, also those of earlier runs.

    `max_age` in seconds since a file was finished; `max_size` in bytes of all files together, those that are being
    written among them. Also goes what the disk needs for the files that are being written: as much again as the largest
    for each. Nothing else in the folders is touched: no other names, no links, no folders.
    """

    def __init__(self, max_age: float | None = None, max_size: int | None = None) -> None:
        self.max_age, self.max_size = max_age, max_size
        self._patterns: list[str] = []

    def watch(self, pattern: str) -> None:
        """Count the files of this pattern, too."""
        if pattern not in self._patterns:
            self._patterns.append(pattern)

    def tidy(self, writing: Collection[str] = (), now: float | None = None) -> list[str]:
        """Delete what is too old or too much, but what is being written; returns the paths. Raises OutputError."""
        now = time.time() if now is None else now
        mine = {os.path.abspath(path) for path in writing}
        files = sorted(self._files())
        total = sum(each.size for each in files)
        need = len(mine) * max((each.size for each in files), default=0)
        gone = []
        for each in files:
            too_old = self.max_age is not None and now - each.ended > self.max_age
            too_much = self.max_size is not None and total > self.max_size
            if each.path in mine or not (too_old or too_much or _free(each.path) < need):
                continue
            _delete(each.path)
            total -= each.size
            gone.append(each.path)
        return gone

    def make_room(self, writing: Collection[str] = ()) -> bool:
        """Delete the oldest file that is finished, for the disk is full; False where there is none."""
        mine = {os.path.abspath(path) for path in writing}
        oldest = min((each for each in self._files() if each.path not in mine), default=None)
        if oldest is not None:
            _delete(oldest.path)
        return oldest is not None

    def _files(self) -> Iterator[Kept]:
        for pattern in self._patterns:
            for path, _ in numbered_files(pattern):
                with suppress(FileNotFoundError):
                    facts = os.stat(path, follow_symlinks=False)
                    yield Kept(facts.st_mtime, path, facts.st_size)


def numbered_files(pattern: str) -> Iterator[tuple[str, int]]:
    """The files that a pattern with one number could have made, and their numbers; absolute paths, no links."""
    folder, name = os.path.split(os.path.abspath(pattern))
    found = NUMBER.search(name)
    if found is None:
        return
    width = int(found[0].strip("%d") or 1)
    shape = re.compile(re.escape(name[: found.start()]) + rf"(\d{{{width},}})" + re.escape(name[found.end() :]))
    try:
        entries = list(os.scandir(folder))
    except OSError:
        return
    for entry in entries:
        match = shape.fullmatch(entry.name)
        if match and entry.is_file(follow_symlinks=False):
            yield entry.path, int(match[1])


def _free(path: str) -> float:
    """Bytes that may still be written where a file is."""
    try:
        return float(shutil.disk_usage(os.path.dirname(path)).free)
    except OSError:
        return math.inf


def _delete(path: str) -> None:
    try:
        os.unlink(path)
    except FileNotFoundError:
        return
    except OSError as error:
        raise OutputError(path, error) from error
