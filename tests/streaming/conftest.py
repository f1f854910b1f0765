from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest


@pytest.fixture
def talk(request: pytest.FixtureRequest) -> Iterator[Callable[[Any], Any]]:
    """Connections of the test file's own class `Talk`, closed at the end."""
    made: list[Any] = []

    def start(served: Any) -> Any:
        made.append(request.module.Talk(served))
        return made[-1]

    yield start
    for each in made:
        each.close()
