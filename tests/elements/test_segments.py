"""`segments` that record for ever: files come and go, a full disk is borne."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import av
import pytest

import millrace
from millrace.core import Context, StreamStart
from millrace.core.errors import OutputError
from millrace.elements.segments import Segments
from millrace.sources import open_source
from millrace.testing.clips import numbered_clip, read_frame_number

COUNT = 200  # pictures of 40 ms, a key picture each 10


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return numbered_clip(tmp_path_factory.mktemp("clips") / "in.mp4", COUNT, 320, 240, gop=10)


def numbers(path: Path) -> list[int]:
    with av.open(str(path)) as file:
        return [read_frame_number(frame.to_ndarray(format="gray")) for frame in file.decode(video=0)]


class Hand:
    """Pushes a clip through an element, and keeps what it warns of."""

    def __init__(self, element: Segments, *streams: str) -> None:
        self.element, self.said = element, list[str]()
        element.open(Context("segments", warn=lambda text, stream: self.said.append(f"{stream}: {text}")))
        element.expect(streams)

    def push(self, path: Path, stream: str, on_packet: Any = lambda number: None) -> None:
        for number, item in enumerate(open_source(stream, str(path)).read()):
            if isinstance(item, StreamStart):
                self.element.start_stream(item)
            else:
                on_packet(number)
                assert list(self.element.process(item)) == [item]  # the pipeline goes on, whatever happens


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_size_is_kept_over_runs_and_streams(source: Path, tmp_path: Path) -> None:
    (tmp_path / "cam-a-note.txt").write_text("not ours")
    pattern = str(tmp_path / "cam-{stream}-%03d.mp4")
    most = 0.00025
    for run in range(2):
        millrace.open(str(source), str(source), name=["a", "b"]).segments(
            pattern, seconds=0.8, max_size=most, sound=False
        ).run()
        left = [path for path in tmp_path.iterdir() if path.suffix == ".mp4"]
        largest = max(path.stat().st_size for path in left)
        assert sum(path.stat().st_size for path in left) <= most * 1e9 + 2 * largest
        assert f"cam-a-{10 * run + 9:03}.mp4" in names(tmp_path), names(tmp_path)  # numbers go on
        for stream in "ab":
            mine = sorted(tmp_path.glob(f"cam-{stream}-*.mp4"))
            seen = [number for path in mine for number in numbers(path)]
            assert seen[-1] == COUNT - 1
    assert "cam-a-000.mp4" not in names(tmp_path) and (tmp_path / "cam-a-note.txt").exists()


def test_age_counts_also_while_nothing_comes(source: Path, tmp_path: Path) -> None:
    hand = Hand(Segments(path=str(tmp_path / "%05d.ts"), seconds=0.8, max_age=60.0), "a")
    hand.push(source, "a")
    assert len(names(tmp_path)) == 10
    for name in names(tmp_path):
        os.utime(tmp_path / name, (time.time() - 100,) * 2)
    assert hand.element.deadline is not None and hand.element.deadline <= time.monotonic() + 15
    hand.element.deadline = None
    assert list(hand.element.on_deadline()) == [] and hand.element.deadline is not None
    assert names(tmp_path) == ["00009.ts"]  # it is being written
    hand.element.close()
    assert hand.said == []


def test_a_file_that_cannot_be_written_is_one_warning_and_the_next_is_begun(source: Path, tmp_path: Path) -> None:
    for number in (3, 4):  # whatever is written to these finds the disk full
        (tmp_path / f"{number:05}.mp4").symlink_to("/dev/full")
    hand = Hand(Segments(path=str(tmp_path / "%05d.mp4"), seconds=0.8, max_size=1.0), "a")
    hand.push(source, "a")
    hand.element.close()
    [lost, back] = hand.said
    assert "No space left on device; recording goes on as soon as it can" in lost and "00003.mp4" in lost
    assert "recording goes on" in back and "a: " in back
    seen = [numbers(tmp_path / name) for name in names(tmp_path) if not (tmp_path / name).is_symlink()]
    assert [run[0] % 10 for run in seen] == [0] * len(seen)
    flat = [number for run in seen for number in run]
    assert flat == sorted(flat) and flat[-1] == COUNT - 1 and len(flat) >= COUNT - 80


def test_without_a_limit_a_full_disk_is_an_error_as_for_all_outputs(source: Path, tmp_path: Path) -> None:
    (tmp_path / "00001.mp4").symlink_to("/dev/full")
    hand = Hand(Segments(path=str(tmp_path / "%05d.mp4"), seconds=0.8), "a")
    with pytest.raises(OutputError, match="No space left"):
        hand.push(source, "a")
    with suppress(OutputError):
        hand.element.close()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 96 kB."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=96k", "tmpfs", str(place)]
    if os.name != "posix" or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("only root may mount a small disk")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


def test_a_disk_that_is_really_full_is_emptied_from_its_oldest_file(
    source: Path, small_disk: Path, tmp_path: Path
) -> None:
    large = numbered_clip(tmp_path / "large.mp4", COUNT, 640, 480, gop=10)
    assert large.stat().st_size > 150_000
    hand = Hand(Segments(path=str(small_disk / "%05d.mp4"), seconds=0.8, max_age=3600.0), "a")
    hand.push(large, "a")
    hand.element.close()
    assert hand.said == []  # room is made before it lacks
    left = names(small_disk)
    seen = [number for name in left for number in numbers(small_disk / name)]
    assert "00000.mp4" not in left and seen == list(range(seen[0], COUNT))
