"""The spool: in order, bounded, on disk."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from millrace.brokers.base import Message
from millrace.brokers.spool import Spool
from millrace.core.errors import ConfigError, OutputError


def messages(*numbers: int, body: bytes = b"x") -> list[Message]:
    return [Message(str(number), "t", "k", body) for number in numbers]


def ids(spool: Spool) -> list[str]:
    return [message.id for _, message in spool.first(1000)]


def test_what_was_put_comes_out_in_order_and_is_there_after_a_restart(tmp_path: Path) -> None:
    path = str(tmp_path / "deep" / "spool.sqlite")
    spool = Spool(path)
    assert spool.put(messages(1, 2)) and spool.put(messages(3))
    spool.done(spool.first(1))
    spool.close()
    again = Spool(path)
    assert ids(again) == ["2", "3"] and len(again) == 2
    assert again.first(1)[0][1] == Message("2", "t", "k", b"x", "application/json")
    again.close()


def test_killing_the_process_loses_nothing_that_was_put(tmp_path: Path) -> None:
    path = str(tmp_path / "spool.sqlite")
    code = (
        "import os, sys; from millrace.brokers.spool import Spool; from millrace.brokers.base import Message\n"
        "s = Spool(sys.argv[1])\n"
        "for n in range(50): s.put([Message(str(n), 't', 'k', b'x')])\n"
        "os.kill(os.getpid(), 9)"
    )
    assert subprocess.run([sys.executable, "-c", code, path], timeout=60).returncode == -9
    spool = Spool(path)
    assert ids(spool) == [str(n) for n in range(50)]
    spool.close()


def test_it_is_bounded_by_messages_and_by_bytes(tmp_path: Path) -> None:
    spool = Spool(str(tmp_path / "a.sqlite"), most=3, most_bytes=100)
    assert spool.put(messages(1, 2)) and not spool.put(messages(3, 4)) and spool.put(messages(3))
    assert spool.drop_oldest(messages(4, 5)) == 2
    assert spool.put(messages(4, 5)) and ids(spool) == ["3", "4", "5"]
    spool.done(spool.first(10))
    assert not spool.put(messages(6, body=b"x" * 101))
    assert spool.put(messages(6, body=b"x" * 100)) and not spool.put(messages(7))
    spool.close()


def test_a_spool_in_use_or_of_another_kind_is_one_clear_error(tmp_path: Path) -> None:
    path = tmp_path / "a.sqlite"
    spool = Spool(str(path))
    with pytest.raises(ConfigError, match=r"a\.sqlite cannot be used: another run is using it"):
        Spool(str(path))
    spool.close()
    path.write_bytes(b"this is no database at all, whatever its name says" * 20)
    with pytest.raises(ConfigError, match="not a database"):
        Spool(str(path))


def test_a_disk_without_room_is_an_output_error_and_nothing_is_half_taken(tmp_path: Path) -> None:
    spool = Spool(str(tmp_path / "a.sqlite"))
    spool.put(messages(1))
    spool._file.execute("PRAGMA max_page_count = 8")
    with pytest.raises(OutputError, match=r"cannot write .*a\.sqlite: .*full"):
        spool.put(messages(2, 3, body=b"x" * 50_000))
    assert ids(spool) == ["1"] and len(spool) == 1
    spool.close()
