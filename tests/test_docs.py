"""What the documentation shows works: Python and command lines are run, pipeline files built, links lead somewhere."""

from __future__ import annotations

import re
import runpy
import shlex
from pathlib import Path

import pytest

from millrace.cli import OK, invoke
from millrace.config import loads
from millrace.config.build import build
from millrace.config.text import parse
from millrace.testing.clips import numbered_clip
from millrace.testing.models import make_detector

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")), *sorted((ROOT / "docs" / "elements").glob("*.md"))]
SHOWN = [page for page in PAGES if page.parent.name != "elements"]  # examples of elements: tests/cli/test_describe.py
FENCE = re.compile(r"^```([\w-]*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
NAMED = re.compile(r"(?<![\w/.${}-])[\w-][\w/-]*\.(?:mp4|mkv|onnx)\b")
CARD = re.compile(r"model: ([\w/-]+\.yaml)")


def blocks(*kinds: str) -> list[object]:
    found = []
    for page in SHOWN:
        text = page.read_text(encoding="utf-8")
        for match in FENCE.finditer(text):
            if match[1] in kinds:
                line = text.count("\n", 0, match.start()) + 2
                found.append(pytest.param(match[2], id=f"{page.name}:{line}"))
    return found


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="session")
def film(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("film") / "film.mp4"
    numbered_clip(path, frames=12, width=128, height=96)
    return path.read_bytes()


def furnish(folder: Path, text: str, film: bytes) -> None:
    """Make the clips, models and cards that a text names."""
    for name in NAMED.findall(text):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == ".onnx":
            make_detector(path, [(8, 8, 30, 30, 0.9, 2)])
        elif not name.startswith("out"):
            path.write_bytes(film)
    for name in CARD.findall(text):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        make_detector(path.with_suffix(".onnx"), [(8, 8, 30, 30, 0.9, 2)])
        path.write_text(f"model: {path.stem}.onnx\n")


@pytest.mark.parametrize("page", SHOWN, ids=lambda page: page.name)
def test_python_runs(page: Path, place: Path, film: bytes, capsys: pytest.CaptureFixture[str]) -> None:
    """The blocks of a page are one program, in their order."""
    text = "\n".join(match[2] for match in FENCE.finditer(page.read_text(encoding="utf-8")) if match[1] == "python")
    furnish(place, text, film)
    program = place / "shown.py"
    program.write_text(text)
    runpy.run_path(str(program), run_name="shown")


@pytest.mark.parametrize("text", blocks("", "sh", "bash", "console"))
def test_command_lines_run(text: str, place: Path, film: bytes, capsys: pytest.CaptureFixture[str]) -> None:
    lines = [line.removeprefix("$ ") for line in text.splitlines()]
    for line in lines:
        if line.startswith("millrace ") and "://" not in line and ".yaml" not in line:
            furnish(place, line, film)
            assert invoke(shlex.split(line, comments=True)[1:]) == OK, capsys.readouterr().err


@pytest.mark.parametrize("text", blocks("yaml"))
def test_pipeline_files_can_be_built(text: str, place: Path, film: bytes) -> None:
    variables = dict.fromkeys(re.findall(r"\$\{env:(\w+)\}", text), "yard.mp4")
    data = parse(text, environment=variables).data
    if not (isinstance(data, dict) and "pipeline" in data):
        return  # a part of a file, or a card: valid YAML at least
    furnish(place, text, film)
    graph = build(loads(text, environment=variables)).pipeline.graph
    assert graph.nodes


def test_there_is_something_to_test() -> None:
    assert len(blocks("python")) >= 3 and len(blocks("yaml")) >= 2 and blocks("")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    text = FENCE.sub("", page.read_text(encoding="utf-8"))
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if "://" not in target and not target.startswith("#"):
            assert (page.parent / target.partition("#")[0]).exists(), f"{page.name}: {target} is not there"
