"""What fails, beside three healthy streams: those deliver every frame, each failure is one clear message.

The command line's exit code and summary are looked at, too. Numbered clips show which frames came.
"""

from __future__ import annotations

import re
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from servers.live import BALL, FROZEN, RtspServer, need_gstreamer, until

from millrace.cli import invoke
from millrace.core import Message
from millrace.elements.pull import Pull
from millrace.flow import Flow
from millrace.flow import open as flow
from millrace.media import Frame
from millrace.summary import Run
from millrace.testing.clips import numbered_clip, read_frame_number
from millrace.testing.ports import free_port

FRAMES = 40


@pytest.fixture(scope="module")
def healthy(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("healthy")
    return [numbered_clip(folder / f"good{n}.mp4", FRAMES, 160, 120, fps=30, gop=15, first=100 * n) for n in range(3)]


def dead(folder: Path) -> str:
    return f"rtsp://me:secret@127.0.0.1:{free_port()}/main"


def missing(folder: Path) -> str:
    return str(folder / "nowhere.mp4")


def text(folder: Path) -> str:
    (folder / "text.mp4").write_text("no video, only words\n" * 100)
    return str(folder / "text.mp4")


def truncated(folder: Path) -> str:
    whole = numbered_clip(folder / "whole.mp4", 20, 160, 120)
    (folder / "cut.mp4").write_bytes(whole.read_bytes()[:-2500])
    return str(folder / "cut.mp4")


CASES = [
    (dead, r"cannot open rtsp://\*\*\*@127\.0\.0\.1:\d+/main: Connection refused"),
    (missing, r"there is no file .*nowhere\.mp4"),
    (text, r"text\.mp4 is not a media file that FFmpeg can read"),
    (truncated, r"cut\.mp4 is an MP4 without its index"),
]


@pytest.mark.parametrize(("make", "message"), CASES, ids=[case[0].__name__ for case in CASES])
def test_a_failure_at_the_start(
    make: Callable[[Path], str], message: str, healthy: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out-{stream}.jsonl"
    sources = [str(healthy[0]), make(tmp_path), *map(str, healthy[1:])]
    code = invoke(["run", *sources, "--json", str(out)])
    shown = capsys.readouterr()
    assert code == 3
    failures = [line for line in shown.err.splitlines() if line.startswith("millrace: error: ")]
    assert len(failures) == 1
    assert re.search(message, failures[0]) and "secret" not in shown.err + shown.out
    assert shown.out.count("not read to its end") == 1
    for clip in healthy:
        assert frames_in(tmp_path / f"out-{clip.stem}.jsonl") == FRAMES


def frames_in(path: Path) -> int:
    return sum('"pts"' in line for line in path.read_text().splitlines())


class Live:
    """A flow in the background, and who said what."""

    def __init__(self, what: Flow) -> None:
        self.frames: list[tuple[str, int, int, int, Any]] = []
        self.numbers: dict[str, list[int]] = {}
        self.messages: list[Message] = []
        self.pull = Pull()
        self.run = Run(what.plan, self.pull)
        self.run.pipeline.bus.subscribe(self.messages.append)
        self.thread = threading.Thread(target=self._read, daemon=True)
        self.run.start()
        self.thread.start()

    def _read(self) -> None:
        for frame in self.pull.frames():
            self.note(frame)

    def note(self, frame: Frame) -> None:
        ids = [found.id for found in frame.objects]
        self.frames.append((frame.stream, frame.index, frame.epoch, frame.pts, ids))
        if frame.stream.startswith("good"):
            self.numbers.setdefault(frame.stream, []).append(read_frame_number(frame.image.planes[0]))

    def of(self, stream: str) -> list[Any]:
        return [frame for frame in list(self.frames) if frame[0] == stream]

    def state(self, stream: str) -> str:
        return next(reading.state for reading in self.run.readings() if reading.name == stream)

    def said(self, kind: str, stream: str) -> list[str]:
        return [m.text for m in list(self.messages) if m.kind == kind and m.stream == stream]

    def stop(self) -> None:
        self.run.pipeline.stop()
        self.thread.join(30)


@pytest.fixture
def live() -> Iterator[Callable[[Flow], Live]]:
    made: list[Live] = []

    def start(what: Flow) -> Live:
        made.append(Live(what))
        return made[-1]

    yield start
    for each in made:
        each.stop()


def healthy_are_complete(run: Live) -> None:
    assert run.numbers == {f"good{n}": list(range(100 * n, 100 * n + FRAMES)) for n in range(3)}


def test_a_stream_whose_size_changes(healthy: list[Path], tmp_path: Path, live: Callable[[Flow], Live]) -> None:
    parts = b""
    for n, width in enumerate((160, 240)):
        part = numbered_clip(tmp_path / f"{n}.ts", 12, width, 120, gop=12)
        parts += part.read_bytes()
    (tmp_path / "changes.ts").write_bytes(parts)
    run = live(flow(tmp_path / "changes.ts", *healthy))
    assert run.run.pipeline.wait(20)
    run.stop()
    healthy_are_complete(run)
    summary = run.run.summary()
    assert len(run.of("changes")) == 24 and not summary.errors
    assert [frame[3] for frame in run.of("changes")] == sorted({frame[3] for frame in run.of("changes")})


def test_a_camera_that_drops_and_comes_back(healthy: list[Path], live: Callable[[Flow], Live], tmp_path: Path) -> None:
    """After the return: the next epoch, growing pts and index, and the identities that were there before."""
    from millrace.testing.models import make_detector

    need_gstreamer()
    model = make_detector(tmp_path / "box.onnx", [(8, 8, 40, 40, 0.9, 0)])
    server = RtspServer(cam=BALL)
    options = {"timeout": 10, "reconnect": {"backoff": [0.1, 0.2]}}
    camera = flow(server.url("cam"), name="cam", **options)
    files = flow(*healthy)
    camera.plan.streams.extend(files.plan.streams)
    run = live(camera.infer(model).track())
    try:
        until(lambda: len(run.of("cam")) > 12)
        assert run.state("cam") == "running"
        server.kill()
        until(lambda: run.state("cam") == "reconnecting")
        server.start()
        until(lambda: sum(frame[2] == 1 for frame in run.of("cam")) > 10)
        assert run.state("cam") == "running"
        until(lambda: sum(map(len, run.numbers.values())) == 3 * FRAMES)
        run.stop()
    finally:
        server.kill()
    healthy_are_complete(run)
    frames = run.of("cam")
    assert {frame[2] for frame in frames} == {0, 1}
    assert all(after[3] > before[3] and after[1] > before[1] for before, after in pairwise(frames))
    ids = {number for frame in frames for number in frame[4] if number is not None}
    assert ids == {1}, "a thing that stands where it stood is the same one"
    said = [text for text in run.said("warning", "cam") if "rtsp://" in text]
    assert len(said) == 2 and " is lost: " in said[0] and " is back after " in said[1], said
    assert not [message for message in run.messages if message.kind == "error"]


def test_a_camera_that_freezes(healthy: list[Path], live: Callable[[Flow], Live]) -> None:
    need_gstreamer()
    server = RtspServer(cam=FROZEN)
    camera = flow(server.url("cam"), name="cam", reconnect={"backoff": [0.05, 0.1]})
    camera.plan.streams.extend(flow(*healthy).plan.streams)
    run = live(camera.watch(frozen=0.5))
    try:
        until(lambda: any(frame[2] for frame in run.of("cam")))
    finally:
        run.stop()
        server.kill()
    healthy_are_complete(run)
    assert sum("the picture has been the same" in text for text in run.said("warning", "cam")) >= 1
    assert not [message for message in run.messages if message.kind == "error"]


def test_a_camera_that_is_gone_for_good_ends_the_command_with_code_3(healthy: list[Path], tmp_path: Path) -> None:
    need_gstreamer()
    server = RtspServer(cam=BALL)
    (tmp_path / "p.yaml").write_text(
        "streams:\n"
        f"  cam: {{uri: '{server.url('cam')}', timeout: 10, reconnect: {{attempts: 2, backoff: [0.05, 0.1]}}}}\n"
        + "".join(f"  good{n}: {clip}\n" for n, clip in enumerate(healthy))
        + "pipeline:\n  - json: {path: '" + str(tmp_path / "{stream}.jsonl") + "'}\n"
    )  # fmt: skip
    command = [sys.executable, "-m", "millrace", "run", str(tmp_path / "p.yaml")]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        until(lambda: (tmp_path / "cam.jsonl").exists() and (tmp_path / "cam.jsonl").stat().st_size > 1000)
        server.kill()
        out, errors = process.communicate(timeout=30)
    finally:
        server.kill()
        process.kill()
    assert process.returncode == 3
    assert errors.count("error") == 1 and "is lost, given up after 2 attempts: Connection refused" in errors
    assert out.count("not read to its end") == 1
    for n in range(3):
        assert frames_in(tmp_path / f"good{n}.jsonl") == FRAMES
