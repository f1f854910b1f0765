"""Files of deepstream-app on the command line: run, app, check, migrate."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from millrace.cli import OK, SOURCE, WRONG, invoke
from millrace.config import load
from millrace.config.deepstream import load_app
from millrace.config.plan import Step
from millrace.summary import Run
from millrace.testing.clips import write_video
from millrace.testing.models import make_detector

FILE = """[application]
enable-perf-measurement=0
[tiled-display]
enable=0
[source0]
enable=1
type=2
uri=file://street.mp4
[sink0]
enable=1
type=3
output-file=out.mp4
[osd]
enable=1
[primary-gie]
enable=1
config-file=primary.txt
"""
INSTALLED = "/opt/nvidia/deepstream/deepstream/samples/streams/sample_720p.mp4"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MILLRACE_DEEPSTREAM_ROOT", raising=False)
    monkeypatch.delenv("MILLRACE_SUBSTITUTIONS", raising=False)
    write_video("street.mp4", [np.full((64, 64, 3), 90, np.uint8)] * 5)
    make_detector("cars.onnx", [(8, 8, 30, 30, 0.9, 0)], classes=2)
    Path("primary.txt").write_text("[property]\nonnx-file=cars.onnx\ncluster-mode=2\ngie-unique-id=1\n")
    Path("app.txt").write_text(FILE)
    return tmp_path


def test_run(folder, capsys):
    assert invoke(["run", "app.txt", "--max-frames", "3"]) == OK
    assert "3 frames in" in capsys.readouterr().out and Path("out.mp4").stat().st_size > 0


def test_a_file_is_run_alone(folder, capsys):
    assert invoke(["run", "app.txt", "street.mp4"]) == WRONG
    assert "a pipeline file is given alone" in capsys.readouterr().err
    assert invoke(["run", "app.txt", "--save", "o.mp4"]) == WRONG


def test_app_says_how_it_went(folder, capsys):
    assert invoke(["app", "-c", "app.txt", "-q"]) == OK
    assert capsys.readouterr().out == "App run successful\n"
    assert invoke(["app", "-c", "app.txt", "-c", "app.txt"]) == WRONG


def test_input_uri_stands_where_the_file_gives_none(folder, capsys):
    Path("app.txt").write_text(FILE.replace("enable=1\ntype=2", "enable=0\ntype=2"))
    assert invoke(["app", "-c", "app.txt", "-q"]) == WRONG
    assert "no sources that are on" in capsys.readouterr().err
    assert invoke(["app", "-c", "app.txt", "-q", "-i", "street.mp4"]) == OK


def test_check(folder, capsys):
    assert invoke(["check", "app.txt"]) == OK
    out = capsys.readouterr().out
    assert "deepstream-app configuration" in out and "unknown" not in out
    Path("app.txt").write_text(FILE + "intervall=1\n")
    assert invoke(["check", "app.txt"]) == OK
    assert "[primary-gie] intervall: unknown: Did you mean 'interval'?" in capsys.readouterr().out
    Path("app.txt").write_text(FILE + "interval=often\n")
    assert invoke(["check", "app.txt"]) == WRONG
    assert "app.txt:18: [primary-gie] interval: 'often' is not a whole number" in capsys.readouterr().err


def test_what_is_missing_can_be_substituted(folder, capsys, monkeypatch):
    Path("app.txt").write_text(FILE.replace("file://street.mp4", f"file://{INSTALLED}"))
    assert invoke(["check", "app.txt"]) == SOURCE
    said = capsys.readouterr().out
    assert f"app.txt:8: [source0] uri: there is no file {INSTALLED}" in said and "MILLRACE_DEEPSTREAM_ROOT" in said
    assert invoke(["run", "app.txt"]) == WRONG
    assert "MILLRACE_SUBSTITUTIONS" in capsys.readouterr().err
    Path("subst.yaml").write_text("sample_720p.mp4: street.mp4\n")
    monkeypatch.setenv("MILLRACE_SUBSTITUTIONS", str(folder / "subst.yaml"))
    assert invoke(["run", "app.txt", "-q"]) == OK
    monkeypatch.delenv("MILLRACE_SUBSTITUTIONS")
    monkeypatch.setenv("MILLRACE_DEEPSTREAM_ROOT", str(folder / "root"))
    (folder / "root/samples/streams").mkdir(parents=True)
    Path("street.mp4").rename(folder / "root/samples/streams/sample_720p.mp4")
    assert invoke(["run", "app.txt", "-q"]) == OK


def test_a_missing_model_is_told(folder, capsys):
    Path("cars.onnx").unlink()
    assert invoke(["check", "app.txt"]) == SOURCE
    assert f"there is no model {folder}/cars.onnx" in capsys.readouterr().out


@pytest.mark.parametrize("text", ["[1, 2]", "a: {b: c}", "a: [", "3"])
def test_wrong_substitutions(folder, capsys, monkeypatch, text):
    Path("subst.yaml").write_text(text)
    monkeypatch.setenv("MILLRACE_SUBSTITUTIONS", "subst.yaml")
    assert invoke(["run", "app.txt"]) == WRONG
    assert "subst.yaml" in capsys.readouterr().err


def test_a_migrated_file_finds_the_same(folder, capsys):
    Path("app.txt").write_text(FILE + "[tests]\nfile-loop=0\n")
    assert invoke(["migrate", "app.txt"]) == OK
    text = capsys.readouterr().out
    found = []
    for name, written in (("app.txt", None), ("ours.yaml", text)):
        if written is not None:
            Path(name).write_text(written)
        plan = load(name) if written is not None else load_app(name).plan
        plan.line.insert(1, Step("json", {"path": f"{name}.jsonl"}))
        Run(plan).run()
        lines = Path(f"{name}.jsonl").read_text().splitlines()
        found.append([json.loads(line) for line in lines if '"objects"' in line])
    assert len(found[0]) == 5 and found[0] == found[1]
    assert invoke(["run", "ours.yaml", "-q"]) == OK
