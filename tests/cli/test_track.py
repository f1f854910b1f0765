"""`millrace track` and `millrace eval track`, from files to files."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from millrace.cli import invoke


def sequence(folder: Path) -> None:
    """Two that walk through the picture, in 20 frames of 10 a second."""
    (folder / "gt").mkdir(parents=True)
    (folder / "det").mkdir()
    (folder / "seqinfo.ini").write_text("[Sequence]\nname=a\nframeRate=10\n")
    truth, found = [], []
    for n in range(1, 21):
        for k in (1, 2):
            place = f"{100 * k + 8 * n},{20 + n},30,60"
            truth.append(f"{n},{k},{place},1,-1,-1,-1\n")
            found.append(f"{n},-1,{place},0.9,-1,-1,-1\n")
    (folder / "gt" / "gt.txt").write_text("".join(truth))
    (folder / "det" / "det.txt").write_text("".join(found))


def test_track_and_judge(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("a", "b"):
        sequence(tmp_path / "truth" / name)
    (tmp_path / "out").mkdir()
    for name in ("a", "b"):
        result = tmp_path / "out" / f"{name}.txt"
        detections = tmp_path / "truth" / name / "det" / "det.txt"
        assert invoke(["track", "--detections", str(detections), "--save", str(result)]) == 0
    assert "20 frames, 40 detections, 2 identities" in capsys.readouterr().out
    assert invoke(["eval", "track", str(tmp_path / "truth"), str(tmp_path / "out"), "--json"]) == 0
    figures = json.loads(capsys.readouterr().out)
    assert set(figures) == {"a", "b", "together"}
    assert figures["together"]["IDF1"] == pytest.approx(100)
    assert invoke(["eval", "track", str(tmp_path / "truth" / "a"), str(tmp_path / "out" / "a.txt")]) == 0
    head, line = capsys.readouterr().out.strip().splitlines()
    assert head.split()[:2] == ["sequence", "HOTA"]
    assert line.split()[0] == "a"


def test_options_and_every(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sequence(tmp_path / "a")
    detections, result = tmp_path / "a" / "det" / "det.txt", tmp_path / "a.txt"
    common = ["track", "--detections", str(detections), "--save", str(result)]
    assert invoke([*common, "--every", "2", "--tracker", "sort", "--option", "max_age=1.5"]) == 0
    assert invoke(["eval", "track", str(tmp_path / "a"), str(result), "--json"]) == 0
    assert json.loads(capsys.readouterr().out.partition("\n")[2])["a"]["IDF1"] > 80
    assert invoke([*common, "--option", "max_agge=1"]) == 2
    assert "max_agge" in capsys.readouterr().err
    assert invoke([*common, "--option", "max_age"]) == 2
    assert "setting=value" in capsys.readouterr().err


def test_what_is_not_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sequence(tmp_path / "truth" / "a")
    assert invoke(["eval", "track", str(tmp_path / "truth"), str(tmp_path / "nowhere")]) == 2
    (tmp_path / "out").mkdir()
    assert invoke(["eval", "track", str(tmp_path / "truth"), str(tmp_path / "out")]) == 2
    assert "has no results" in capsys.readouterr().err
    (tmp_path / "out" / "c.txt").write_text("1,1,1,1,1,1,1\n")
    assert invoke(["eval", "track", str(tmp_path / "truth"), str(tmp_path / "out")]) == 2
    assert "its truth is not there" in capsys.readouterr().err
