"""What was accepted and is not acknowledged yet, in order, on disk."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Sequence
from pathlib import Path

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
            hint = "another run is using it: give each a spool of its own" if "locked" in str(error) else str(error)
            raise ConfigError(f"the spool {path} cannot be used: {hint}") from error
        self._count, self._bytes = row

    def __len__(self) -> int:
        return int(self._count)

    def put(self, messages: Sequence[Message]) -> bool:
        """Take all of them, or none when there is no room. Raises OutputError when the disk does not take them."""
        size = sum(len(message.body) for message in messages)
        with self._lock:
            if self._count + len(messages) > self.most or self._bytes + size > self.most_bytes:
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

    def done(self, messages: Sequence[tuple[int, Message]]) -> None:
        """Forget these: the oldest ones, as `first` gave them."""
        if not messages:
            return
        with self._lock:
            self._file.execute("DELETE FROM message WHERE number <= ?", (messages[-1][0],))
            self._count -= len(messages)
            self._bytes -= sum(len(message.body) for _, message in messages)

    def drop_oldest(self, messages: Sequence[Message]) -> int:
        """Make room for these by forgetting the oldest; returns how many were forgotten."""
        size = sum(len(message.body) for message in messages)
        dropped = 0
        while len(self) and (len(self) + len(messages) > self.most or self._bytes + size > self.most_bytes):
            oldest = self.first(max(1, len(messages)))
            self.done(oldest)
            dropped += len(oldest)
        return dropped

    def close(self) -> None:
        with self._lock:
            self._file.close()
