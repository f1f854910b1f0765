"""What is said of the elements is taken from them: pages are up to date, and every example builds."""

from __future__ import annotations

import ast
import os
from pathlib import Path
from typing import Any

import pytest
from deepstream_texts import NVDSPREPROCESS, WHOLE_FRAMES

from millrace import flow, registry
from millrace.cli import OK, invoke
from millrace.cli.describe import body, default, examples, in_python, kinds, summary
from millrace.cli.pages import page, pages, source_classes
from millrace.config import loads
from millrace.config.build import build
from millrace.config.text import parse
from millrace.core import Element, setting
from millrace.testing.models import make_detector

FOLDER = Path(__file__).parents[2] / "docs" / "elements"
NAMES = registry.names()


def test_the_pages_are_up_to_date() -> None:
    made = pages()
    there = {path.name: path.read_text(encoding="utf-8") for path in FOLDER.iterdir()}
    assert sorted(there) == sorted(made), "run `make docs`"
    for name, text in made.items():
        assert there[name] == text, f"docs/elements/{name} is not up to date: run `make docs`"


def test_pages_are_written_and_those_of_gone_elements_removed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "gone.md").write_text("old")
    (tmp_path / "mine.txt").write_text("kept")
    assert invoke(["inspect", "--docs", str(tmp_path)]) == OK
    assert {path.name for path in tmp_path.iterdir()} == {*pages(), "mine.txt"}
    capsys.readouterr()
    assert invoke(["inspect", "track", "--markdown"]) == OK
    assert capsys.readouterr().out.strip() == page("track", registry.get("track")).strip()


@pytest.mark.parametrize("name", NAMES)
def test_the_docstring_shows_an_example_that_builds(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cls = registry.get(name)
    steps = examples(name, cls)
    assert not any("…" in step for step in steps), f"{name}: its docstring has no example"
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    for step in steps:
        [data] = parse(step).data
        settings = data[name] if isinstance(data, dict) else {}
        make_files(settings, tmp_path)
        if cls.in_files:
            before = "  - tee: {one: [], other: []}\n" if cls.joins else ""
            build(loads(f"streams: {{gate: gate.mp4}}\npipeline:\n{before}" + indented(step)))
            build(eval(in_python(name, cls, step), {"flow": flow.open("gate.mp4")}).plan) if not cls.joins else None
        else:
            assert isinstance(cls(**settings), Element)
        ast.parse(in_python(name, cls, step))


def indented(text: str) -> str:
    return "".join(f"  {line}\n" for line in text.splitlines())


def make_files(settings: Any, folder: Path) -> None:
    """What an example names: its model, its module, its folders, a file of DeepStream's."""
    for key, value in settings.items():
        if key == "gallery":
            (folder / value).mkdir()
        elif value == "config_preprocess.txt":
            (folder / value).write_text(NVDSPREPROCESS.format(more="", user="") + WHOLE_FRAMES)
        elif value == "gt.txt":
            (folder / value).write_text("1,1,1,1,5,5,1\n")
        elif isinstance(value, str) and value.endswith(".onnx"):
            make_detector(folder / value, [(8, 8, 30, 30, 0.9, 2)])
        elif isinstance(value, str) and ":" in value and value.replace(".", "").replace(":", "").isidentifier():
            module, _, function = value.partition(":")
            path = folder / f"{module.replace('.', os.sep)}.py"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"def {function}(frame):\n    return None\n")
        elif isinstance(value, str) and "/" in value:
            (folder / value).parent.mkdir(parents=True, exist_ok=True)


def test_the_reference_has_every_setting_and_is_yaml() -> None:
    text = pages()["reference.yaml"]
    data = parse(text).data
    steps = {step if isinstance(step, str) else next(iter(step)): step for step in data["pipeline"]}
    assert set(steps) == {name for name in NAMES if registry.get(name).in_files}
    assert steps["limit"] == {"limit": {"count": "…"}}
    for name in steps:
        for each in registry.settings_of(registry.get(name)):
            assert f"      {'' if each.required else '# '}{each.name}: " in text


def test_sources_are_described_too() -> None:
    page = pages()["sources.md"]
    for cls in source_classes():
        assert summary(cls) in page
        for each in registry.settings_of(cls):
            assert each.name in ("stream", "uri") or f"| `{each.name}` |" in page


class Blur(Element):
    """Blurs what should not be seen: `blur: {size: 9}`.

    Only faces.

        - blur:
            size: 3

    And no more.
    """

    gives = "packets"
    size: int = setting(default=5, help="pixels")
    cores: int = setting(factory=lambda: os.cpu_count() or 1, help="threads")


class Plain(Element):
    """Says nothing."""

    path: str = setting(help="where")


def test_examples_are_found_in_paragraphs_and_between_backticks() -> None:
    assert examples("blur", Blur) == ["- blur:\n    size: 3", "- blur: {size: 9}"]
    assert (summary(Blur), body(Blur)) == ("Blurs what should not be seen.", "Only faces.\n\nAnd no more.")
    assert in_python("blur", Blur, "- blur:\n    size: 3") == "flow.blur(size=3)"
    assert kinds(Blur) == "takes frames; gives packets"
    assert examples("plain", Plain) == ["- plain: {path: …}"]
    cores = registry.settings_of(Blur)[1]
    assert default(Blur, cores, anywhere=True) == "by the machine" and default(Blur, cores) == str(os.cpu_count())
