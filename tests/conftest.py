"""What every test gets: no thread may outlive its test, and data outside the repository is found or skipped."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def no_thread_leaks() -> Iterator[None]:
    """Fails a test that leaves a thread behind."""
    before = set(threading.enumerate())
    yield
    deadline = time.monotonic() + 3.0
    while time.monotonic() < deadline:
        left = [thread for thread in threading.enumerate() if thread not in before and thread.is_alive()]
        if not left:
            return
        time.sleep(0.01)
    pytest.fail(f"threads left behind: {', '.join(thread.name for thread in left)}")


@pytest.fixture(scope="session")
def data() -> Path:
    """The folder of real clips, models and ground truth; skips the test when it is not there."""
    folder = os.environ.get("MILLRACE_TEST_DATA")
    if not folder or not Path(folder).is_dir():
        pytest.skip("MILLRACE_TEST_DATA does not name a folder of test data")
    return Path(folder)
