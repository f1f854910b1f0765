"""What is left when a run is killed, and what goes on when the disk is full: real processes, real file systems."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import av
import av.error
import pytest

from millrace.outputs.coco import finish_coco, journals
from millrace.testing.clips import numbered_clip, read_frame_number

ROOT = Path(__file__).parents[2]
FRAMES = 2000


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Long enough to be killed in the middle."""
    folder = tmp_path_factory.mktemp("long")
    return numbered_clip(folder / "in.mp4", FRAMES, 160, 120, gop=50)


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "millrace", "run", *arguments]


def killed(arguments: list[str], grown: list[Path], size: int) -> None:
    """Run until each of the files holds `size` bytes, then kill -9; once more where it was over before that."""
    folder = grown[0].parent
    before = set(folder.iterdir())
    for _ in range(3):
        process = subprocess.Popen(command(*arguments), cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        end = time.monotonic() + 60
        while not all(path.exists() and path.stat().st_size >= size for path in grown) and process.poll() is None:
            assert time.monotonic() < end
            time.sleep(0.005)
        process.kill()
        code = process.wait(10)
        if code == -signal.SIGKILL:
            return
        assert code == 0
        for path in set(folder.iterdir()) - before:
            path.unlink()
    pytest.fail("it ended before it could be killed")


def numbers(path: Path) -> list[int]:
    """What the pictures of a file say, up to the first that cannot be decoded."""
    found: list[int] = []
    with av.open(str(path)) as file, contextlib.suppress(av.error.InvalidDataError):
        for picture in file.decode(video=0):
            found.append(read_frame_number(picture.to_ndarray(format="gray")))
    return found


@pytest.mark.parametrize("ending", ["mp4", "mkv", "ts"])
def test_a_killed_run_leaves_a_file_that_plays(tmp_path: Path, clip: Path, ending: str) -> None:
    video, lines = tmp_path / f"out.{ending}", tmp_path / "out.jsonl"
    killed([str(clip), "--save", str(video), "--json", str(lines)], [video, lines], 60_000)
    found = numbers(video)
    assert 50 <= len(found) < FRAMES
    whole = found if ending == "mp4" else found[:-8]  # the others end in the middle of a picture, which others need
    assert whole == list(range(len(whole)))
    text = lines.read_text()
    assert text.endswith("\n")
    frames = [json.loads(line)["frame"] for line in text.splitlines()]
    assert frames == list(range(len(frames))) and len(frames) >= 50


def test_a_killed_run_leaves_segments_that_play_and_dumps_that_can_be_finished(tmp_path: Path, clip: Path) -> None:
    plan = tmp_path / "plan.yaml"
    plan.write_text(f"""
streams: {{a: {clip}}}
pipeline:
  - dump: {{path: {tmp_path}/all.json}}
  - encode: {{gop: 50}}
  - segments: {{path: {tmp_path}/o-%02d.mp4, seconds: 8}}
""")
    killed([str(plan)], [tmp_path / "o-02.mp4"], 30_000)
    parts = [numbers(path) for path in sorted(tmp_path.glob("o-*.mp4"))]
    assert [part[0] for part in parts[:3]] == [0, 200, 400]
    together = [number for part in parts for number in part]
    assert together == list(range(len(together))) and len(together) >= 400
    assert len(journals(str(tmp_path / "all.json"))) == 1
    count = finish_coco(str(tmp_path / "all.json"))
    images = json.loads((tmp_path / "all.json").read_text())["images"]
    assert len(images) == count and all(b["frame"] == a["frame"] + 1 for a, b in pairwise(images))


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 100 KB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=100k", "tmpfs", str(folder)], capture_output=True)
    if mounted.returncode:
        pytest.skip(f"a file system cannot be mounted here: {mounted.stderr.decode().strip()}")
    yield folder
    subprocess.run(["umount", str(folder)], check=True, timeout=20)


def full(arguments: list[str], path: Path | str, code: int = 1) -> str:
    """Run; the disk fills up: one message that names the file."""
    done = subprocess.run(command(*arguments), cwd=ROOT, capture_output=True, text=True, timeout=100)
    said = [line for line in done.stderr.splitlines() if "frames, " not in line]
    assert done.returncode == code, done.stderr
    assert len(said) == 1 and "No space left on device" in said[0] and str(path) in said[0], done.stderr
    return said[0]


def test_a_full_disk_is_one_error_and_the_other_outputs_go_on(tmp_path: Path, clip: Path, small_disk: Path) -> None:
    video, lines = small_disk / "out.mp4", tmp_path / "out.jsonl"
    said = full([str(clip), "--save", str(video), "--json", str(lines)], video)
    assert said == f"millrace: error: save.file: cannot write {video}: No space left on device"
    assert len(lines.read_text().splitlines()) == FRAMES
    found = numbers(video)  # what was written plays
    assert found == list(range(len(found))) and len(found) >= 50


def test_the_other_way_round(tmp_path: Path, clip: Path, small_disk: Path) -> None:
    video, lines = tmp_path / "out.mp4", small_disk / "out.jsonl"
    full([str(clip), "--save", str(video), "--json", str(lines)], lines)
    assert len(numbers(video)) == FRAMES
    assert all(line.endswith("}") for line in lines.read_text().splitlines()[:-1])


def test_when_nothing_else_is_written_the_run_ends(clip: Path, small_disk: Path) -> None:
    began = time.monotonic()
    said = full([str(clip), "--save", str(small_disk / "out.mkv")], "out.mkv")
    assert said.startswith("millrace: save.file") and ": cannot write " in said and "OutputError" not in said
    assert time.monotonic() - began < 30


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full here")
def test_a_full_device_without_a_mount(tmp_path: Path) -> None:
    (tmp_path / "out.mp4").symlink_to("/dev/full")
    short = numbered_clip(tmp_path / "in.mp4", 60, 160, 120)
    full([str(short), "--save", str(tmp_path / "out.mp4"), "--json", str(tmp_path / "o.jsonl")], tmp_path / "out.mp4")
    assert len((tmp_path / "o.jsonl").read_text().splitlines()) == 60
