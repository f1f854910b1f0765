"""A file of messages, one line each."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence

from ..core.errors import ConfigError
from .base import Address, BrokerError, Message


class File:
    """`file:messages.jsonl` or `file:///var/log/messages.jsonl`: appends {"id", "topic", "key", "body"} lines.

    The body stands in its line as JSON where it is JSON, else as text. Each batch is forced to the disk before it
    counts as delivered.
    """

    def __init__(self, address: Address) -> None:
        if not address.path or address.host:
            raise ConfigError("file: the address names no file on this machine: file:messages.jsonl, file:///var/log/…")
        self._path = address.path
        self._file: int | None = None

    def connect(self) -> None:
        self.close()
        try:
            self._file = os.open(self._path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o644)
            if _is_torn(self._file):
                os.write(self._file, b"\n")  # a line that a crash cut off stays by itself
        except OSError as error:
            raise BrokerError(f"file: {error}") from error

    def send(self, messages: Sequence[Message]) -> None:
        assert self._file is not None
        rest = memoryview(b"".join(map(_line, messages)))
        try:
            while rest:
                rest = rest[os.write(self._file, rest) :]
            os.fsync(self._file)
        except OSError as error:
            raise BrokerError(f"file: {self._path}: {error}") from error

    def close(self) -> None:
        file, self._file = self._file, None
        if file is not None:
            os.close(file)


def _is_torn(file: int) -> bool:
    """Whether its last line has no end."""
    size = os.fstat(file).st_size
    return size > 0 and os.pread(file, 1, size - 1) != b"\n"


def _line(message: Message) -> bytes:
    try:
        body = json.dumps(json.loads(message.body), separators=(",", ":"))
    except ValueError:
        body = json.dumps(message.body.decode("utf-8", "replace"))
    fields = (json.dumps(value) for value in (message.id, message.topic, message.key))
    return '{{"id":{},"topic":{},"key":{},"body":{}}}\n'.format(*fields, body).encode()
