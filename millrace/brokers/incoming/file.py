"""Messages from a file that grows: one line each."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from typing import BinaryIO

from ...core.errors import ConfigError
from ..base import Address, BrokerError
from .base import Incoming

LOOK = 0.05  # seconds between two looks at the file
LONGEST = 1 << 20  # bytes of a line; what is longer is no message


class FileSubscriber:
    """`file:commands.jsonl`: each line that is appended from now on is a message; the file may come later.

    Of a file that takes its place (rotation), or that was emptied, all lines are new.
    """

    def __init__(self, address: Address, topics: Sequence[str]) -> None:
        if not address.path or address.host:
            raise ConfigError("file: the address names no file on this machine: file:commands.jsonl")
        self._path = address.path
        self._file: BinaryIO | None = None
        self._rest = b""

    def connect(self) -> None:
        self.close()
        try:
            self._file = open(self._path, "rb", buffering=0)  # noqa: SIM115 it stays open
            self._file.seek(0, os.SEEK_END)
        except FileNotFoundError:
            return  # it may come: then all of it is new
        except OSError as error:
            raise BrokerError(f"file: {error}") from error

    def receive(self, seconds: float) -> list[Incoming]:
        until = time.monotonic() + seconds
        while True:
            try:
                if self._file is None and os.path.exists(self._path):
                    self._file = open(self._path, "rb", buffering=0)  # noqa: SIM115
                data = self._file.read(LONGEST) if self._file is not None else b""
                if self._file is not None and not data and self._is_another(self._file):
                    data = self._file.read(LONGEST)  # what came to the old one between the two looks
                    if not data:
                        self.close()
                        continue
            except OSError as error:
                raise BrokerError(f"file: {error}") from error
            *lines, self._rest = (self._rest + data).split(b"\n")
            if len(self._rest) > LONGEST:
                self._rest = b""
            if found := [Incoming(self._path, line) for line in lines if line.strip()]:
                return found
            if time.monotonic() >= until:
                return []
            time.sleep(LOOK)

    def _is_another(self, file: BinaryIO) -> bool:
        """Whether the file was replaced (rotated), or emptied: what is there now is all new."""
        try:
            there = os.stat(self._path)
        except FileNotFoundError:
            return False
        mine = os.fstat(file.fileno())
        return (there.st_dev, there.st_ino) != (mine.st_dev, mine.st_ino) or there.st_size < file.tell()

    def done(self, message: Incoming, error: str | None = None) -> None: ...

    def close(self) -> None:
        file, self._file, self._rest = self._file, None, b""
        if file is not None:
            file.close()
