"""Old recordings go, the oldest first; nothing else does."""

from __future__ import annotations

import os
from pathlib import Path

from millrace.outputs.retention import Retention, numbered_files

NOW = 1_000_000.0


def write(folder: Path, name: str, size: int, age: float) -> Path:
    path = folder / name
    path.write_bytes(b"x" * size)
    os.utime(path, (NOW - age, NOW - age))
    return path


def left(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_by_age(tmp_path: Path) -> None:
    for number, age in enumerate((500, 301, 299, 0)):
        write(tmp_path, f"gate-{number:05}.mp4", 10, age)
    retention = Retention(max_age=300)
    retention.watch(str(tmp_path / "gate-%05d.mp4"))
    assert [os.path.basename(path) for path in retention.tidy(now=NOW)] == ["gate-00000.mp4", "gate-00001.mp4"]
    assert left(tmp_path) == ["gate-00002.mp4", "gate-00003.mp4"]


def test_by_size_over_all_streams_the_oldest_first(tmp_path: Path) -> None:
    for stream, ages in (("gate", (90, 50, 10)), ("yard", (70, 30))):
        for number, age in enumerate(ages):
            write(tmp_path, f"{stream}-{number}.ts", 100, age)
    retention = Retention(max_size=250)
    for stream in ("gate", "yard"):
        retention.watch(str(tmp_path / f"{stream}-%d.ts"))
    assert [os.path.basename(path) for path in retention.tidy(now=NOW)] == ["gate-0.ts", "yard-0.ts", "gate-1.ts"]
    assert retention.tidy(now=NOW) == []


def test_what_is_being_written_stays_and_counts(tmp_path: Path) -> None:
    oldest = write(tmp_path, "a-0.mp4", 1000, 99)
    write(tmp_path, "a-1.mp4", 10, 50)
    retention = Retention(max_age=20, max_size=100)
    retention.watch(str(tmp_path / "a-%d.mp4"))
    assert retention.tidy([os.path.relpath(oldest)], NOW) == [str(tmp_path / "a-1.mp4")]
    assert not retention.make_room([str(oldest)]) and retention.make_room() and left(tmp_path) == []


def test_only_own_files(tmp_path: Path) -> None:
    others = ["a-1.mp4", "a-000001.mkv", "ba-00001.mp4", "a-00001.mp4.bak", "a-x0001.mp4", "notes.txt"]
    for name in others:
        write(tmp_path, name, 10, 900)
    target = write(tmp_path, "target", 10, 900)
    (tmp_path / "a-00007.mp4").symlink_to(target)
    (tmp_path / "a-00008.mp4").mkdir()
    mine = [write(tmp_path, name, 10, 900) for name in ("a-00001.mp4", "a-123456.mp4")]
    retention = Retention(max_age=1, max_size=1)
    retention.watch(str(tmp_path / "a-%05d.mp4"))
    assert sorted(retention.tidy(now=NOW)) == sorted(map(str, mine))
    assert left(tmp_path) == sorted([*others, "target", "a-00007.mp4", "a-00008.mp4"])


def test_numbers_of_a_pattern(tmp_path: Path) -> None:
    for name in ("a+b-7.mp4", "a+b-12.mp4", "aab-3.mp4"):
        write(tmp_path, name, 1, 0)
    found = sorted(number for _, number in numbered_files(str(tmp_path / "a+b-%d.mp4")))
    assert found == [7, 12] and list(numbered_files(str(tmp_path / "nowhere" / "a-%d.mp4"))) == []
