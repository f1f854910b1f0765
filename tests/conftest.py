"""What every test gets: no thread may outlive its test, and data outside the repository is found or skipped."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, settings

# an example that takes long says something of the machine, not of what is tested
settings.register_profile("patient", settings(), deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")


@pytest.fixture(autouse=True)
def no_thread_leaks() -> Iterator[None]:
    """Fails a test that leaves a thread behind."""
    before = set(threading.enumerate())
    yield
    deadline = time.monotonic() + 10.0
    while time.monotonic() < deadline:
        left = [thread for thread in threading.enumerate() if thread not in before and thread.is_alive()]
        if not left:
            return
        time.sleep(0.01)
    pytest.fail(f"threads left behind: {', '.join(thread.name for thread in left)}")


@pytest.fixture(autouse=True, scope="session")
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> None:
    """What this machine's user has built or fetched is nothing to the tests."""
    os.environ["MILLRACE_CACHE"] = str(tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="session")
def corpus() -> Path:
    """The folder of real clips, models and ground truth; skips the test when it is not there."""
    folder = os.environ.get("MILLRACE_TEST_DATA")
    if not folder or not Path(folder).is_dir():
        pytest.skip("MILLRACE_TEST_DATA does not name a folder of test data")
    return Path(folder)


@pytest.fixture(scope="session")
def deepstream_corpus(corpus: Path) -> Path:
    """The folder of DeepStream's own configuration files, beside the test data; skips the test without it."""
    folder = corpus.parent / "corpus"
    if not folder.is_dir():
        pytest.skip(f"there is no folder {folder} of DeepStream's configuration files")
    return folder


def grey_level(index: int) -> int:
    """The luma of picture `index` of a clip that `clip` wrote."""
    return 32 + index * 7 % 180


@pytest.fixture
def clip(tmp_path: Path) -> Callable[..., Path]:
    """Writes a clip with plain PyAV: picture i is grey_level(i) everywhere, at the given ticks of 1/90000 s."""

    def write(
        name: str = "clip.mp4",
        count: int = 10,
        width: int = 64,
        height: int = 48,
        codec: str = "libx264",
        pixels: str = "yuv420p",
        ticks: list[int] | None = None,
        options: dict[str, str] | None = None,
        container: dict[str, str] | None = None,
        **tags: int,
    ) -> Path:
        import av

        path = tmp_path / name
        with av.open(str(path), "w", options=container or {}) as out:
            stream = out.add_stream(codec, rate=25, width=width, height=height, pix_fmt=pixels)
            stream.codec_context.options = options or {}
            stream.codec_context.time_base = Fraction(1, 90000 if codec != "mpeg4" else 25)
            for tag, value in tags.items():
                setattr(stream.codec_context, tag, value)
            for index in range(count):
                frame = av.VideoFrame(width, height, pixels)
                for number, plane in enumerate(frame.planes):
                    np.frombuffer(plane, np.uint8)[:] = 128 if number else grey_level(index)
                frame.pts = ticks[index] if ticks else index * 3600
                frame.time_base = Fraction(1, 90000)
                out.mux(stream.encode(frame))
            out.mux(stream.encode(None))
        return path

    return write


@pytest.fixture(scope="session")
def data(corpus: Path) -> Path:
    return corpus
