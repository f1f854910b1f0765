"""Launch lines on the command line: run, check, migrate; and from Python."""

from __future__ import annotations

import json
from pathlib import Path

import av
import numpy as np
import pytest

import millrace
from millrace.cli import OK, SOURCE, WRONG, invoke
from millrace.cli.launch import is_line, joined
from millrace.config import loads
from millrace.summary import Run
from millrace.testing.clips import write_video
from millrace.testing.models import make_detector

TEST1 = (  # the chain of deepstream-test1, into a file
    "filesrc location=street.mp4 ! qtdemux ! h264parse ! nvv4l2decoder ! m.sink_0 nvstreammux name=m batch-size=1 "
    "width=128 height=128 batched-push-timeout=40000 ! nvinfer config-file-path=primary.txt ! nvvideoconvert ! "
    "nvdsosd ! "
)
FILE = "nvvideoconvert ! nvv4l2h264enc ! h264parse ! qtmux ! filesink location=out.mp4"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MILLRACE_DEEPSTREAM_ROOT", raising=False)
    monkeypatch.delenv("MILLRACE_SUBSTITUTIONS", raising=False)
    write_video("street.mp4", [np.full((64, 64, 3), 90, np.uint8)] * 5)
    make_detector("cars.onnx", [(8, 8, 40, 40, 0.9, 0)], classes=2)
    Path("labels.txt").write_text("car\nvan\n")
    Path("primary.txt").write_text(
        "[property]\nonnx-file=cars.onnx\nlabelfile-path=labels.txt\nnetwork-type=0\ncluster-mode=2\ngie-unique-id=1\n"
    )
    return tmp_path


def test_run_scales_infers_draws_and_writes(capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke(["run", TEST1 + FILE]) == OK
    assert "5 frames" in capsys.readouterr().out
    with av.open("out.mp4") as video:
        pictures = [frame.to_ndarray(format="gray") for frame in video.decode(video=0)]
    assert len(pictures) == 5 and pictures[0].shape == (128, 128)
    assert np.ptp(pictures[0]) > 60  # a box is drawn on grey


def test_run_takes_it_in_words_and_as_an_option(capsys: pytest.CaptureFixture[str]) -> None:
    Path("a b.mp4").write_bytes(Path("street.mp4").read_bytes())
    words = ["filesrc", "location=a b.mp4", "!", "decodebin", "!", "fakesink"]
    assert invoke(["run", "--max-frames", "2", *words]) == OK
    assert "2 frames" in capsys.readouterr().out
    assert invoke(["run", "--launch", 'filesrc location="a b.mp4" ! decodebin ! fakesink', "-q"]) == OK


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["run", "filesrc location=street.mp4 ! decodbin ! fakesink"], "column 31: there is no element 'decodbin'"),
        (["run", "filesrc location=gone.mp4 ! decodebin ! fakesink"], "there is no file gone.mp4"),
        (["run", "--launch", "videotestsrc ! fakesink", "street.mp4"], "--launch is given alone"),
        (["run", "--track", "videotestsrc ! fakesink"], "--track cannot be given with a pipeline file"),
        (["check"], "check what?"),
        (["migrate"], "migrate what?"),
    ],
)
def test_wrong_command_lines(arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke(arguments) == WRONG
    assert said in capsys.readouterr().err


def test_check_says_what_becomes_of_each_property(capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke(["check", "--launch", TEST1 + "autovideosink"]) == OK
    out = capsys.readouterr().out
    assert "m batched-push-timeout: ignored: frames of files wait" in out
    assert "m width: applied: `resize`: width" in out
    assert "nvinfer0 ← m model='primary.txt'" in out
    assert "unknown" not in out


def test_check_says_what_is_missing(capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke(["check", "--launch", "filesrc location=gone.mp4 ! decodebin ! fakesink"]) == SOURCE
    assert "missing: launch column 18: filesrc location: there is no file gone.mp4" in capsys.readouterr().out
    assert invoke(["check", "--launch", "filesrc location=street.mp4 ! decodebin foo=1 ! fakesink"]) == WRONG


def test_a_codec_that_is_not_expected(capsys: pytest.CaptureFixture[str]) -> None:
    line = "filesrc location=street.mp4 ! qtdemux ! h265parse ! nvv4l2decoder ! fakesink"
    assert invoke(["check", "--launch", line]) == WRONG
    assert "column 41: h265parse reads hevc, and the file is h264" in capsys.readouterr().err


def test_migrate_finds_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke(["migrate", "--launch", TEST1 + "fakesink"]) == OK
    said = capsys.readouterr()
    assert "column 97: m batch-size: ignored" in said.err
    found = []
    for plan in (millrace.launch(TEST1 + "fakesink").plan, loads(said.out)):
        plan.line = [*plan.line, *loads("pipeline: [{json: {path: out.jsonl}}]").line]
        assert not Run(plan).run().errors
        found.append(Path("out.jsonl").read_text())
    assert found[0] == found[1]
    boxes = [found["box"] for line in found[0].splitlines() for found in json.loads(line)["objects"]]
    assert len(boxes) == 5 and boxes[0] == pytest.approx([16, 16, 80, 80], abs=1)  # pixels of 128 x 128


def test_from_python() -> None:
    flow = millrace.launch(TEST1 + "appsink")
    labels = [found.label for frame in flow for found in frame.objects]
    assert labels == ["car"] * 5
    with pytest.raises(millrace.ConfigError, match=r"gone\.mp4"):
        millrace.launch("filesrc location=gone.mp4 ! decodebin ! fakesink")


def test_what_is_a_line() -> None:
    assert not is_line(["gst:videotestsrc ! identity"])
    assert is_line(["a ! b"]) and is_line(["a", "!", "b"]) and is_line(["gst-launch-1.0 x"])
    assert not is_line(["street.mp4", "wow!.mp4"])
    assert joined(["a", "b=c d", 'e="f g"']) == 'a b=c\\ d e="f g"'
