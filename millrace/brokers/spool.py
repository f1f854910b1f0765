"""What was accepted and is not acknowledged yet, in order, on disk."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..core.errors import ConfigError, OutputError
from .base import Message

_TABLE = """
CREATE TABLE IF NOT EXISTS message (
    number INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL, topic TEXT NOT NULL, key TEXT NOT NULL,
    body BLOB NOT NULL, content_type TEXT NOT NULL
)
"""
_COLUMNS = "id, topic, key, body, content_type"


class Spool:
    """A queue in a SQLite file: what `put` took outlives the process and is there at the next start.

    Bounded by messages and by bytes of their bodies. Any thread may call it. One process at a time may use a file.
    A write-ahead log without waiting for the disk at each commit: killing the process loses nothing; a power cut may
    lose the last moments.
    """

    def __init__(self, path: str, most: int = 100_000, most_bytes: int = 1 << 30) -> None:
        """Raises ConfigError when the file cannot be opened, is no spool, or is in use."""
        self.path = path
        self.most, self.most_bytes = most, most_bytes
        self._lock = threading.Lock()
        self._file: Any = None
        try:
            Path(path).parent.mkdir(parents=True, exist_ok=True)
            self._file = sqlite3.connect(path, check_same_thread=False, timeout=1.0, isolation_level=None)
            self._file.execute("PRAGMA locking_mode = EXCLUSIVE")
            self._file.execute("PRAGMA journal_mode = WAL")
            self._file.execute("PRAGMA synchronous = NORMAL")
            self._file.execute(_TABLE)
            self._file.execute("BEGIN IMMEDIATE")
            self._file.execute("COMMIT")
            row = self._file.execute("SELECT COUNT(*), COALESCE(SUM(LENGTH(body)), 0) FROM message").fetchone()
        except (OSError, sqlite3.Error) as error:
            if self._file is not None:
                self._file.close()
            hint = "another run is using it: give each a spool of its own" if "locked" in str(error) else str(error)
            raise ConfigError(f"the spool {path} cannot be used: {hint}") from error
        self._count, self._bytes = row

    def __len__(self) -> int:
        return int(self._count)

    @property
    def full(self) -> bool:
        """Whether there is no room for one more message."""
        return bool(self._count >= self.most or self._bytes >= self.most_bytes)

    def put(self, messages: Sequence[Message], all_at_once: bool = False) -> bool:
        """Take all of them, or none when there is no room. Raises OutputError when the disk does not take them.

        With `all_at_once` one more message's room is room for all: they belong together.
        """
        size = sum(len(message.body) for message in messages)
        with self._lock:
            fits = self._count + len(messages) <= self.most and self._bytes + size <= self.most_bytes
            if not fits and (self.full or not all_at_once):
                return False
            rows = [(m.id, m.topic, m.key, m.body, m.content_type) for m in messages]
            try:
                self._file.execute("BEGIN")
                self._file.executemany(f"INSERT INTO message ({_COLUMNS}) VALUES (?, ?, ?, ?, ?)", rows)
                self._file.execute("COMMIT")
            except sqlite3.Error as error:
                if self._file.in_transaction:
                    self._file.execute("ROLLBACK")
                raise OutputError(self.path, OSError(str(error))) from error
            self._count += len(messages)
            self._bytes += size
        return True

    def first(self, count: int) -> list[tuple[int, Message]]:
        """The oldest messages with their numbers."""
        with self._lock:
            rows = self._file.execute(f"SELECT number, {_COLUMNS} FROM message ORDER BY number LIMIT ?", (count,))
            return [(number, Message(*rest)) for number, *rest in rows]

    def done(self, messages: Sequence[tuple[int, Message]]) -> int:
        """Forget these: the oldest ones, as `first` gave them; returns how many of them were still there."""
        if not messages:
            return 0
        upto = (messages[-1][0],)
        with self._lock:  # counted anew: the same ones may have been dropped in the meantime
            told = "SELECT COUNT(*), COALESCE(SUM(LENGTH(body)), 0) FROM message WHERE number <= ?"
            count, size = self._file.execute(told, upto).fetchone()
            self._file.execute("DELETE FROM message WHERE number <= ?", upto)
            self._count -= count
            self._bytes -= size
        return int(count)

    def drop_oldest(self, messages: Sequence[Message]) -> int:
        """Make room for these by forgetting the oldest; returns how many were forgotten."""
        size = sum(len(message.body) for message in messages)
        dropped = 0
        while len(self) and (len(self) + len(messages) > self.most or self._bytes + size > self.most_bytes):
            dropped += self.done(self.first(max(1, len(messages))))
        return dropped

    def close(self) -> None:
        with self._lock:
            self._file.close()
