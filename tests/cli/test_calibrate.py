"""`millrace calibrate`: pairs in, YAML out, the error said."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import millrace
from millrace.cli import invoke
from millrace.config.text import read
from millrace.testing.camera import Camera

GROUND = [(-4.0, 12.0), (5.0, 11.0), (6.0, 40.0), (-5.0, 38.0), (0.0, 20.0)]


def pairs(count: int) -> list[str]:
    camera = Camera(1280, 720, (1.0, 0.0, 6.0), 12.0, 14.0, 1100.0)
    seen = camera.project(np.array([(x, y, 0.0) for x, y in GROUND]))[0]
    return [f"{u:.6f},{v:.6f}={x},{y}" for (u, v), (x, y) in list(zip(seen, GROUND, strict=True))[:count]]


def test_four_pairs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "world.yaml"
    at = pairs(5)[4].partition("=")[0]
    assert invoke(["calibrate", *pairs(4), "--out", str(out), "--size", "1280x720", "--at", at]) == 0
    said = capsys.readouterr().out
    assert "error (root of the mean square): 0.00 px, 0.000 m over 4 pairs" in said
    assert "four pairs always fit" in said
    assert "is 0.00, 20.00 m" in said or "is -0.00, 20.00 m" in said
    assert read(out).data["world"]["size"] == [1280, 720]
    millrace.open("pattern:?frames=1&width=64&height=36").analyze(config=str(out)).run()


def test_more_pairs_are_judged_by_leaving_each_out(capsys: pytest.CaptureFixture[str]) -> None:
    wrong = pairs(5)
    wrong[4] = wrong[4].replace("=0.0,20.0", "=0.0,21.0")
    assert invoke(["calibrate", *wrong]) == 0
    out = capsys.readouterr().out
    assert "left out of the fit: 1.000 m" in out
    assert "world:" in out


def test_files_of_pairs_and_streams_of_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    points, out = tmp_path / "points.csv", tmp_path / "world.yaml"
    points.write_text("# x,y,X,Y\n" + "\n".join(pair.replace("=", ",") for pair in pairs(4)) + "\n")
    for stream in ("gate", "yard"):
        assert invoke(["calibrate", "--points", str(points), "--out", str(out), "--stream", stream]) == 0
    assert list(read(out).data["world"]) == ["gate", "yard"]
    assert invoke(["calibrate", "--points", str(points), "--out", str(out), "--stream", "gate"]) == 0
    out.write_text("lines: {}\n")
    assert invoke(["calibrate", "--points", str(points), "--out", str(out)]) == 2
    assert out.read_text() == "lines: {}\n"
    assert "is left as it is" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "at least four pairs"),
        (["1,2=3"], "x,y=X,Y"),
        (["1,2"], "x,y=X,Y"),
        (["0,0=0,0", "1,0=1,0", "2,0=2,0", "0,1=0,1"], "three of four lie on a line"),
        (["--points", "/nowhere.csv"], "cannot be read"),
        ([*pairs(4), "--size", "12"], "WIDTHxHEIGHT"),
    ],
)
def test_what_is_wrong_is_said(arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke(["calibrate", *arguments]) == 2
    assert words in capsys.readouterr().err
