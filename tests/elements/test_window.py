"""The window: on a display of Xvfb, seen as an X client sees it; without one, a clear message."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from millrace.testing.clips import numbered_clip

ROOT = Path(__file__).parents[2]
TOOLS = ("Xvfb", "xdotool", "import")  # the last two: packages xdotool and imagemagick


@pytest.fixture(scope="module")
def display() -> Iterator[str]:
    """A screen of 800 x 600 pixels."""
    pytest.importorskip("pygame")
    missing = [tool for tool in TOOLS if shutil.which(tool) is None]
    if missing:
        said = f"{', '.join(missing)} not installed (apt-get install xvfb xdotool imagemagick)"
        pytest.fail(said) if os.environ.get("CI") else pytest.skip(said)
    read, write = os.pipe()
    command = ["Xvfb", "-displayfd", str(write), "-screen", "0", "800x600x24", "-nolisten", "tcp", "-noreset"]
    server = subprocess.Popen(command, pass_fds=[write], stderr=subprocess.DEVNULL)
    os.close(write)
    with os.fdopen(read) as told:
        number = told.readline().strip()  # it comes in pieces
    yield f":{number}"
    server.terminate()
    server.wait(10)


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return numbered_clip(tmp_path_factory.mktemp("window") / "in.mp4", 1500, 160, 120)


def started(script: str, display: str | None) -> subprocess.Popen[str]:
    environment = {
        key: value for key, value in os.environ.items() if key not in ("DISPLAY", "WAYLAND_DISPLAY", "SDL_VIDEODRIVER")
    }
    if display is not None:
        environment["DISPLAY"] = display
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(script)], env=environment, cwd=ROOT, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


def tool(display: str, *command: str) -> str:
    done = subprocess.run(command, env={**os.environ, "DISPLAY": display}, capture_output=True, text=True, timeout=20)
    return done.stdout.strip()


def lit(shot: np.ndarray) -> tuple[int, int]:
    """How far what is not dark reaches across and down, pixels."""
    rows, columns = np.nonzero(shot.max(axis=2) > 60)
    return (int(np.ptp(columns)), int(np.ptp(rows))) if rows.size else (0, 0)


SHOW = """
    import millrace
    from millrace.summary import Run
    summary = millrace.open({clip!r}, {clip!r}, name=["a", "b"]).window(title="seen", sync={sync}).run()
    print(*(stream.frames_out for stream in summary.streams.values()))
"""


def test_a_screenshot_shows_every_stream(display: str, clip: Path, tmp_path: Path) -> None:
    process = started(SHOW.format(clip=str(clip), sync=True), display)
    picture = tmp_path / "screen.png"
    for _ in range(200):
        tool(display, "import", "-window", "root", str(picture))
        shot = cv2.imread(str(picture))
        across, down = lit(shot) if shot is not None else (0, 0)
        if across > 150 and down < 70:  # both streams have shown something; the first alone fills the window
            break
    tool(display, "xdotool", "key", "q")
    out, said = process.communicate(timeout=30)
    assert process.returncode == 0, said
    kept = os.environ.get("MILLRACE_KEEP_PICTURES")
    if kept:
        shutil.copy(picture, Path(kept) / "window.png")
    across, down = lit(shot)
    assert across > 150 and down < 70  # two pictures of 80 x 60, side by side in a window of 160 x 120
    assert len(np.unique(shot.reshape(-1, 3), axis=0)) > 500  # coloured boxes on a ramp, not one colour
    frames = [int(count) for count in out.split()]
    assert all(0 < count < 1500 for count in frames)  # q ended both streams


def test_at_its_own_speed_or_as_fast_as_possible(display: str, tmp_path: Path) -> None:
    seconds = []
    for sync, fps in ((True, 25), (False, 1)):
        clip = numbered_clip(tmp_path / f"{fps}.mp4", 50, 160, 120, fps=fps)
        process = started(SHOW.format(clip=str(clip), sync=sync).replace("print(", "print(summary.seconds, "), display)
        out, said = process.communicate(timeout=60)
        assert process.returncode == 0, said
        took, *frames = out.split()
        assert frames == ["50", "50"]
        seconds.append(float(took))
    assert seconds[0] >= 1.96 and seconds[1] < 40  # the second takes 49 s at its own speed


def test_without_a_display_there_is_a_clear_message(clip: Path) -> None:
    pytest.importorskip("pygame")
    process = started(SHOW.format(clip=str(clip), sync=False), None)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "ConfigError: a window cannot be opened: there is no display here" in said.splitlines()[-1]
    assert "set DISPLAY or WAYLAND_DISPLAY" in said


def test_without_pygame_the_extra_is_named(clip: Path) -> None:
    hidden = "    import sys\n    sys.modules['pygame'] = None\n"
    process = started(hidden + SHOW.format(clip=str(clip), sync=False), None)
    _, said = process.communicate(timeout=60)
    assert "a window needs pygame-ce: pip install 'millrace[window]'" in said.splitlines()[-1]


TWO = """
from millrace.config import loads
from millrace.summary import Run

summary = Run(loads('''
streams:
  a: "pattern:?width=160&height=120&fps=20&frames=300&pattern=red"
  b: "pattern:?width=160&height=120&fps=20&frames=300&pattern=blue"
pipeline:
  - tee:
      left: [select: a, window: {title: left, x: 0, y: 0, width: 200, height: 100}]
      right: [select: b, window: {title: right, x: 400, y: 300}]
''')).run()
print(*(stream.frames_out for stream in summary.streams.values()), len(summary.errors))
"""


def test_two_windows_at_once(display: str, tmp_path: Path) -> None:
    """Each where it should be; closing one ends its stream, the other goes on to its end."""
    process = started(TWO, display)
    picture = tmp_path / "screen.png"
    for _ in range(200):
        tool(display, "import", "-window", "root", str(picture))
        shot = cv2.imread(str(picture))
        if shot is not None and shot[50, 50, 2] > 200 and shot[350, 450, 0] > 200:
            break
    assert shot[50, 50, 2] > 200 and shot[50, 50, 0] < 50 and shot[350, 450, 0] > 200 and shot[350, 450, 2] < 50
    said = tool(display, "xdotool", "mousemove", "100", "50", "getmouselocation", "--shell")
    window = dict(line.split("=") for line in said.splitlines())["WINDOW"]
    tool(display, "xdotool", "windowfocus", "--sync", window, "key", "q")
    out, said = process.communicate(timeout=60)
    assert process.returncode == 0, said
    left, right, errors = (int(word) for word in out.split())
    assert right == 300 and 0 < left < 300 and errors == 0
