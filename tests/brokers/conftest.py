"""Real brokers: started for a test, ended after it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from millrace.testing.brokers import SERVERS, Server


@pytest.fixture
def server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Server]:
    """The broker that the parameter names; a test without it is skipped, under CI it fails."""
    cls = SERVERS[request.param]
    if missing := cls.missing():
        pytest.fail(missing) if os.environ.get("CI") == "true" else pytest.skip(missing)
    made = cls(tmp_path)
    made.start()
    try:
        made.prepare()
        yield made
    finally:
        made.close()
