"""What a stranger does in the first ten minutes, and what is said then."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

import millrace
from millrace.cli import FAILED, INTERRUPTED, OK, SOURCE, WRONG, invoke
from millrace.testing.clips import numbered_clip

ROOT = Path(millrace.__file__).parents[1]


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("clip") / "clip.mp4"
    numbered_clip(path, frames=300, width=128, height=96)
    return str(path)


def start(*arguments: str, **kwargs: Any) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(
        [sys.executable, "-m", "millrace", *arguments], env=environment, text=True, stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE, **kwargs,
    )  # fmt: skip


def test_nothing_at_all_shows_the_commands_and_how_to_begin(capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke([]) == WRONG
    said = "".join(capsys.readouterr())
    assert "millrace demo" in said and "inspect" in said and "Traceback" not in said
    assert invoke(["-h"]) == OK
    assert "run" in capsys.readouterr().out
    assert invoke(["--version"]) == OK
    assert capsys.readouterr().out == f"millrace {millrace.__version__}\n"


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["run"], WRONG, "run what? Give a video or a pipeline file"),
        (["run", "nosuch.mp4", "-q"], SOURCE, "there is no file nosuch.mp4"),
        (["run", "a.mp4", "--model", "yolox"], WRONG, "there is no file yolox; the models that millrace ships"),
        (["run", "a.mp4", "--modle", "x"], WRONG, "--model"),
        (["rnu", "a.mp4"], WRONG, "Did you mean 'run'?"),
        (["inspect", "nosuch"], WRONG, "There are: analyze, batch"),
        (["check", "nosuch.mp4"], WRONG, "there is no such file"),
        (["check", "."], SOURCE, "is a folder, not a file"),
    ],
)
def test_mistakes_are_told_in_a_sentence(
    arguments: list[str], code: int, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert invoke(arguments) == code
    said = capsys.readouterr().err
    assert message in said and "Traceback" not in said


def test_check_of_a_video_says_what_it_is(clip: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke(["check", clip]) == OK
    assert capsys.readouterr().out == f"video   {clip}: h264, 128x96, 25 fps, 300 frames, 12.0 s\nok\n"


def test_a_source_is_not_written_over(clip: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    copy = tmp_path / "copy.mp4"
    copy.write_bytes(Path(clip).read_bytes())
    for path in (copy, f"{tmp_path}/../{tmp_path.name}/copy.mp4"):
        assert invoke(["run", str(copy), "--save", str(path)]) == WRONG
        assert "is the source of stream 'copy': take another path" in capsys.readouterr().err
    file = tmp_path / "p.yaml"
    file.write_text(f"streams:\n  a: {copy}\npipeline:\n  - file: {{path: {copy}}}\n")
    assert invoke(["run", str(file)]) == WRONG
    assert f"{file}:2: file: {copy} is the source of stream 'a'" in capsys.readouterr().err
    assert copy.read_bytes() == Path(clip).read_bytes()


def test_a_folder_that_cannot_be_written(
    clip: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("millrace.cli.run.os.access", lambda path, mode: mode != os.W_OK)  # root may write anywhere
    assert invoke(["run", clip, "--save", str(tmp_path / "out.mp4")]) == WRONG
    assert f"nothing can be written in the folder {tmp_path}" in capsys.readouterr().err


def test_a_full_disk_is_one_line_without_class_names(clip: str, capsys: pytest.CaptureFixture[str]) -> None:
    if not os.path.exists("/dev/full"):
        pytest.skip("this system has no /dev/full")
    assert invoke(["run", clip, "-q", "--json", "/dev/full"]) == FAILED
    said = capsys.readouterr().err
    assert said == "millrace: json: cannot write /dev/full: No space left on device\n"


def test_lines_into_head_end_without_a_word(clip: str) -> None:
    with start("run", clip, "-q", "--json", "-", stdout=subprocess.PIPE) as running:
        assert running.stdout is not None and running.stderr is not None
        assert running.stdout.readline().startswith('{"stream":"clip","frame":0')
        running.stdout.close()
        assert running.wait(timeout=30) == OK
        assert running.stderr.read() == ""


def test_ctrl_c_twice_ends_at_once(tmp_path: Path) -> None:
    (tmp_path / "slow.py").write_text("import time\n\n\ndef slowly(frame):\n    time.sleep(0.4)\n")
    clip, file = tmp_path / "clip.mp4", tmp_path / "p.yaml"
    numbered_clip(clip, frames=300, width=64, height=64)
    file.write_text(f"streams: {{a: {clip}}}\npipeline: [{{function: {{call: 'slow:slowly'}}}}]\n")
    with start("run", str(file), "--interval", "0.1", stdout=subprocess.PIPE, cwd=tmp_path) as running:
        assert running.stderr is not None
        assert " of 300 frames, " in running.stderr.readline()
        running.send_signal(signal.SIGINT)
        said = running.stderr.readline()
        while "stopping" not in said and said:
            said = running.stderr.readline()
        assert said == "millrace: stopping; what is under way is finished (Ctrl+C again ends at once)\n"
        running.send_signal(signal.SIGINT)
        began = time.monotonic()
        assert running.wait(timeout=20) == INTERRUPTED
        assert time.monotonic() - began < 10
        assert "Traceback" not in running.stderr.read()
