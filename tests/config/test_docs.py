"""The pipeline files that the documentation shows are right."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from millrace.config import loads
from millrace.config.build import build
from millrace.config.text import parse

PAGE = Path(__file__).parents[2] / "docs" / "configuration.md"
BLOCKS = re.findall(r"```yaml\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)


@pytest.mark.parametrize("text", BLOCKS)
def test_what_the_page_shows_can_be_built(text: str) -> None:
    built = build(loads(text, environment={"YARD": "yard.mp4"}))
    names = list(built.pipeline.graph.nodes)
    assert names == [
        "streams", "decode", "batch", "people", "track", "analyze", "picture.draw", "picture.encode", "picture.file",
        "events.json",
    ]  # fmt: skip
    assert built.last == "analyze" and parse(text, environment={"YARD": "x"}).data["streams"]["yard"] == {"uri": "x"}
