"""The screen, on an X server without a screen (Xvfb)."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from itertools import pairwise

import pytest

from millrace.core import Context
from millrace.elements.decode import Decode
from millrace.sources import open_source


@pytest.fixture(scope="module")
def display() -> Iterator[str]:
    if shutil.which("Xvfb") is None:
        message = "Xvfb is not installed: apt-get install -y --no-install-recommends xvfb"
        pytest.fail(message) if os.environ.get("CI") == "true" else pytest.skip(message)
    read, write = os.pipe()
    command = ["Xvfb", "-displayfd", str(write), "-screen", "0", "320x240x24", "-nolisten", "tcp", "-noreset"]
    server = subprocess.Popen(command, pass_fds=[write], stderr=subprocess.DEVNULL)
    os.close(write)
    with os.fdopen(read) as said:
        number = said.readline().strip()  # it is ready when it says which it is
    yield f":{number}"
    server.kill()
    server.wait(10)


@pytest.mark.parametrize(("uri", "size", "shape"), [("", None, (240, 320)), ("+16,8", "64x48", (48, 64))])
def test_pictures_of_the_screen(display: str, uri: str, size: str | None, shape: tuple[int, int]) -> None:
    source = open_source("me", f"screen://{display}{uri}", fps=20, size=size)
    source.open(Context("me"))
    items = source.read()
    decode = Decode()
    decode.open(Context("decode"))
    start = next(items)
    assert start.live and start.caps["codec"] == "rawvideo"
    decode.start_stream(start)
    frames = []
    while len(frames) < 3:
        frames += [out for out in decode.process(next(items)) if hasattr(out, "image")]
    source.interrupt()
    assert list(items) == []
    decode.close()
    assert all(frame.image.planes[0].shape == shape for frame in frames)
    assert all(after.pts > before.pts for before, after in pairwise(frames))
