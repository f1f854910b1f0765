"""What is shown while a run goes: the table on a real terminal, lines elsewhere, DeepStream's lines on request."""

from __future__ import annotations

import fcntl
import io
import os
import pty
import re
import select
import struct
import subprocess
import sys
import termios
import time
from pathlib import Path
from typing import Any

import pytest

import millrace
from millrace.cli.live import Lines, Pace, Perf, layout, line, milliseconds
from millrace.cli.report import Progress
from millrace.core import Message
from millrace.core.bus import Bus
from millrace.meter import Reading
from millrace.testing.clips import numbered_clip

ROOT = Path(millrace.__file__).parents[1]


def reading(name: str = "gate", state: str = "running", **changed: Any) -> Reading:
    facts: dict[str, Any] = {"frames_in": 130, "frames_out": 120, "fps_in": 25.0, "fps_out": 24.9, "drops": 3}
    return Reading(name, state, **{**facts, "waiting": 2, "p50": 0.012, "p99": 0.4, **changed})


def drawn(readings: list[Reading], width: int = 100, height: int = 10) -> list[str]:
    lines = layout(readings, "240 frames, 50.0 fps", width, height)
    assert len(lines) <= height and max(map(len, lines)) <= width
    return lines


def test_the_table_has_a_row_for_each_stream() -> None:
    text = drawn([reading(), reading("yard", "reconnecting", p50=None, p99=None, drops=0, waiting=0)])
    assert " ".join(text[0].split()) == "stream state frames fps in fps out dropped waiting p50 ms p99 ms"
    assert text[2].split() == ["gate", "running", "120", "25.0", "24.9", "3", "2", "12.0", "400"]
    assert text[3].split() == ["yard", "reconnecting", "120", "25.0", "24.9", "0", "0", "–", "–"]
    assert text[4] == "2 streams: 1 reconnecting, 1 running; 240 frames, 50.0 fps"


def test_with_more_streams_than_lines_those_in_trouble_come_first() -> None:
    many = [reading(f"cam-{number}", "failed" if number == 37 else "running") for number in range(64)]
    text = drawn(many, height=8)
    assert text[2].split()[:2] == ["cam-37", "failed"] and text[3].startswith("cam-0 ")
    assert text[6:] == ["… 60 more", "64 streams: 1 failed, 63 running; 240 frames, 50.0 fps"]
    assert len(drawn(many, height=1 + 64 + 2)) == 67


def test_in_a_narrow_terminal_columns_give_way_and_long_names_are_cut() -> None:
    text = drawn([reading("a" * 50)], width=80)
    assert " ".join(text[0].split()) == "stream state fps in fps out dropped p99 ms"
    assert text[2].startswith("a" * 31 + "…  running")
    assert " ".join(drawn([reading()], width=48)[0].split()) == "stream state fps out dropped p99 ms"


def test_a_reading_in_words() -> None:
    assert line(reading()) == (
        "running, 120 frames, 25.0 fps in, 24.9 out, 3 dropped, 2 waiting, latency 12.0/400 ms"
    )  # fmt: skip
    assert (milliseconds(None), milliseconds(0.0004), milliseconds(1.5)) == ("–", "0.4", "1500")


class Going:
    """A run at a known place."""

    frames, total, interrupted = 0, 400, False

    def readings(self) -> list[Reading]:
        return [reading(), reading("b", "starting")]

    def frames_out(self) -> dict[str, int]:
        return {"gate": self.frames, "b": self.frames // 2}


def test_counts_that_begin_anew_are_no_negative_rate(now: list[float]) -> None:
    run, pace = Going(), Pace()
    for _ in range(9):
        now[0] += 1
        run.frames += 40
        text = pace.text(run)  # type: ignore[arg-type]
    assert text.startswith("360 of 400 frames, 40.0 fps")
    now[0] += 1
    run.frames = 10
    assert pace.text(run) == "10 of 400 frames, 0.0 fps"  # type: ignore[arg-type]


def test_that_a_process_died_is_said_without_being_asked(capsys: pytest.CaptureFixture[str]) -> None:
    run = Going()
    run.bus = Bus()  # type: ignore[attr-defined]
    with Progress(run, quiet=True):  # type: ignore[arg-type]
        run.bus.post(Message("warning", "decode", "3 damaged packets", "gate"))  # type: ignore[attr-defined]
        run.bus.post(Message("warning", "fleet", "process 0 (cpu): it was ended"))  # type: ignore[attr-defined]
    assert capsys.readouterr().err == "millrace: warning: process 0 (cpu): it was ended\n"


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    moment = [100.0]
    monkeypatch.setattr("millrace.cli.live.time.monotonic", lambda: moment[0])
    return moment


def test_lines_say_frames_rate_and_time_left(now: list[float]) -> None:
    going: Any = Going()
    file = io.StringIO()
    lines = Lines(5.0, file)
    for seconds in (1, 2, 3, 4, 5):
        now[0] = 100.0 + seconds
        going.frames = 20 * seconds
        lines.tick(going)
    said = file.getvalue().splitlines()
    assert said[0] == "100 of 400 frames, 20.0 fps, 0:15 left"
    assert said[1].startswith("  gate  running, 120 frames") and said[2].startswith("  b     starting")
    assert len(said) == 3


def test_perf_lines_are_deepstreams(now: list[float]) -> None:
    going: Any = Going()
    file = io.StringIO()
    perf = Perf(5.0, file)
    for tick in range(1, 26 * 50 + 1):
        now[0] = 100.0 + tick / 10
        going.frames = 3 * tick
        perf.tick(going)
    said = file.getvalue().split("\n")
    assert said[:2] == ["", "**PERF:  FPS 0 (Avg)\tFPS 1 (Avg)\t"]
    assert re.fullmatch(r"\*\*PERF:  29\.\d\d \(30\.00\)\t14\.\d\d \(1[45]\.\d\d\)\t", said[2])
    assert re.fullmatch(r"\*\*PERF:  30\.00 \(30\.00\)\t15\.00 \(15\.\d\d\)\t", said[3])
    assert said[22:24] == ["", "**PERF:  FPS 0 (Avg)\tFPS 1 (Avg)\t"]  # again after 20 lines


def in_terminal(*arguments: str, columns: int = 120, rows: int = 30) -> tuple[int, str]:
    """Run millrace with its stdout and stderr on a terminal; its exit code and all that it wrote."""
    mine, its = pty.openpty()
    fcntl.ioctl(its, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "TERM": "xterm-256color"}
    running = subprocess.Popen(
        [sys.executable, "-m", "millrace", *arguments], env=environment, stdin=its, stdout=its, stderr=its
    )
    os.close(its)
    said, deadline = b"", time.monotonic() + 60
    try:
        while time.monotonic() < deadline:
            if select.select([mine], [], [], 0.2)[0]:
                try:
                    said += os.read(mine, 65536)
                except OSError:  # it has ended
                    break
        return running.wait(timeout=10), said.decode()
    finally:
        running.kill()
        running.wait()
        os.close(mine)


def test_on_a_terminal_the_table_is_drawn_and_goes_when_the_run_ends(tmp_path: Path) -> None:
    clip = tmp_path / "clip.mp4"
    numbered_clip(clip, frames=125, width=320, height=240, fps=25)
    (tmp_path / "broken.mp4").write_bytes(b"not a video" * 100)
    save = ["--save", str(tmp_path / "out.mp4"), "--pace"]  # 5 s, so that a busy machine draws it now and then, too
    code, said = in_terminal("run", str(clip), str(tmp_path / "broken.mp4"), *save)
    assert code == 3, said
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", said)
    assert re.search(r"clip +running +\d+ +\d+\.\d +\d+\.\d", plain), plain
    assert re.search(r"broken +failed", plain) and "2 streams: 1 failed, 1 running" in plain
    assert plain.count("millrace: error: broken") == 1
    assert re.search(r"\d+ frames in \d", plain.splitlines()[-1]) and re.search(r"clip +125 +\d+", plain)
    assert said.count("\x1b[?25l") == said.count("\x1b[?25h") == 1  # the cursor is there again


def test_perf_on_request(tmp_path: Path) -> None:
    clip = tmp_path / "clip.mp4"
    numbered_clip(clip, frames=600, width=320, height=240)
    command = ["run", str(clip), "--save", str(tmp_path / "o.mp4"), "--perf", "--interval", "0.2"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-m", "millrace", *command], env=environment, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("\n**PERF:  FPS 0 (Avg)\t\n**PERF:  ") and done.stderr == ""
