"""`millrace run … --view`: a page beside what a run does anyway."""

from __future__ import annotations

import json
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any

import av
import pytest

from millrace.cli.run import Options, plan_of
from millrace.cli.view import _url, address
from millrace.config.plan import Line, Step, Tee
from millrace.core.errors import ConfigError
from millrace.elements.web import Web
from millrace.testing.clips import numbered_clip
from millrace.testing.ports import free_port

pytest.importorskip("aiohttp")


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    return numbered_clip(tmp_path / "gate.mp4", 200, 160, 120)


def names(line: Line) -> list[Any]:
    """A line as names, branches as lists."""
    return [
        {label: names(branch) for label, branch in step.branches.items()} if isinstance(step, Tee)
        else step.element if isinstance(step, Step) else None
        for step in line
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("host", "said"), [("0.0.0.0", "127.0.0.1"), ("::", "[::1]"), ("::1", "[::1]"), ("cam", "cam")]
)
def test_the_address_is_one_that_a_browser_understands(host: str, said: str) -> None:
    assert _url(Web(host=host, port=8080)) == f"http://{said}:8080/"


def test_the_page_stands_beside_the_rest(clip: Path, tmp_path: Path) -> None:
    save = str(tmp_path / "out.mp4")
    plan = plan_of(Options([str(clip)], model="street", save=save, view=True))
    assert names(plan.line) == ["infer", "draw", {"view": ["web"]}, {"save": ["encode", "file"]}]
    plan = plan_of(Options([str(clip)], view=True))
    assert names(plan.line) == [{"view": ["web"]}]
    plan = plan_of(Options([str(clip)], model="street", view=True, draw=False))
    assert names(plan.line) == ["infer", {"view": ["web"]}]


@pytest.mark.parametrize(
    ("steps", "wanted"),
    [
        ("[{infer: {model: street}}]", ["infer", {"view": ["draw", "web"]}]),
        (
            "[{infer: {model: street}}, draw, encode, {file: {path: out.mp4}}]",
            ["infer", "draw", {"view": ["web"]}, "encode", "file"],
        ),
        (
            "[{infer: {model: street}}, encode, {file: {path: out.mp4}}]",
            ["infer", {"view": ["draw", "web"]}, "encode", "file"],
        ),
    ],
)
def test_the_page_of_a_file(
    clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, steps: str, wanted: list[Any]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "p.yaml").write_text(f"streams: {{gate: {{uri: gate.mp4}}}}\npipeline: {steps}\n")
    assert names(plan_of(Options(["p.yaml"], view=True)).line) == wanted


def test_addresses() -> None:
    assert address("0.0.0.0:8080") == ("0.0.0.0", 8080)
    assert address("9000") == address(":9000") == ("127.0.0.1", 9000)
    assert address("[::1]:80") == ("::1", 80)
    assert address(None)[0] == "127.0.0.1"
    for wrong in ("here", "0.0.0.0", "host:99999", "a b:80", ""):
        with pytest.raises(ConfigError, match="HOST:PORT"):
            address(wrong)


def test_it_runs_and_says_where(clip: Path, tmp_path: Path) -> None:
    port, out = free_port(), tmp_path / "out.mp4"
    command = [sys.executable, "-m", "millrace", "run", str(clip), "--save", str(out), "--view-on", str(port)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True) as process:
        try:
            known: dict[str, Any] = {}
            until = time.monotonic() + 40
            while "width" not in known.get("gate", ()) and time.monotonic() < until:
                try:
                    with urllib.request.urlopen(f"http://127.0.0.1:{port}/streams", timeout=5) as answer:
                        known = json.load(answer)["streams"]
                except OSError:
                    time.sleep(0.1)
            assert known["gate"]["width"] == 160
            _, said = process.communicate(timeout=40)
        finally:
            process.kill()
    assert process.returncode == 0 and f"watch: http://127.0.0.1:{port}/" in said
    with av.open(str(out)) as file:
        assert sum(1 for _ in file.decode(video=0)) == 200
