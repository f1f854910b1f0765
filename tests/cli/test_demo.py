"""The demo, a short one."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

import millrace
from millrace.cli import OK, invoke


def test_the_demo_writes_its_files_and_judges_itself(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke(["demo", "--out", str(tmp_path), "--seconds", "1", "-q"]) == OK
    said = capsys.readouterr().out
    figures = dict(re.findall(r"^(\w+(?: error)?) {2,}(\S+)", said, re.MULTILINE))
    assert figures["frames"] == "25"
    assert float(figures["precision"]) > 0.85 and float(figures["recall"]) > 0.8
    rows = [json.loads(line) for line in (tmp_path / "metadata.jsonl").read_text().splitlines()]
    assert [row["frame"] for row in rows] == list(range(25))
    assert int(figures["objects"]) == sum(len(row["objects"]) for row in rows) > 100
    assert (tmp_path / "picture.png").read_bytes().startswith(b"\x89PNG")
    assert len(list(millrace.open(tmp_path / "annotated.mp4"))) == 25
