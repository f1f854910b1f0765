"""The command line: what it writes, what it says, how it ends."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

import millrace
from millrace.cli import FAILED, INTERRUPTED, OK, SOURCE, WRONG, invoke
from millrace.cli.live import clock
from millrace.cli.run import Options, line_of, plan_of, shapes
from millrace.config.plan import Step
from millrace.core import ConfigError
from millrace.core.errors import OutputError
from millrace.testing.clips import numbered_clip
from millrace.testing.models import make_detector

ROOT = Path(millrace.__file__).parents[1]


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("clip") / "clip.mp4"
    numbered_clip(path, frames=20, width=128, height=96)
    return str(path)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return make_detector(tmp_path_factory.mktemp("model") / "model.onnx", [(8, 8, 30, 30, 0.9, 2)])


def process(*arguments: str, **kwargs: Any) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(
        [sys.executable, "-m", "millrace", *arguments], env=environment, text=True, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, **kwargs,
    )  # fmt: skip


def test_run_writes_video_and_lines_and_a_summary(
    clip: str, model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, lines = tmp_path / "out.mp4", tmp_path / "out.jsonl"
    code = invoke(["run", clip, "--model", model, "--track", "--save", str(out), "--json", str(lines)])
    assert code == OK
    said = capsys.readouterr()
    assert said.out.splitlines()[1].split()[:6] == ["clip", "20", "20", "20", "1", "0"]
    assert "20 frames in" in said.out
    rows = [json.loads(line) for line in lines.read_text().splitlines()]
    assert [row["frame"] for row in rows] == list(range(20))
    assert [found["label"] for found in rows[5]["objects"]] == ["car"]
    assert len(list(millrace.open(out))) == 20


def test_two_runs_give_the_same_lines(clip: str, model: str, tmp_path: Path) -> None:
    """A file of lines for each stream, and a record in which the streams take turns."""
    made = []
    for number in range(2):
        folder = tmp_path / str(number)
        folder.mkdir()
        files = ["--json", str(folder / "{stream}.jsonl"), "--record", str(folder / "record.jsonl")]
        assert invoke(["run", clip, clip, clip, "--model", model, "--track", "-q", *files]) == OK
        made.append({path.name: path.read_bytes() for path in folder.iterdir()})
    names = ["clip", "clip-2", "clip-3"]
    assert made[0] == made[1] and set(made[0]) == {"record.jsonl", *(f"{name}.jsonl" for name in names)}
    lines = [json.loads(line) for line in made[0]["record.jsonl"].splitlines()]
    order = [(line["stream"], line["frame"]) for line in lines if line["kind"] == "frame"]
    assert order == [(name, number) for number in range(20) for name in names]


def test_max_frames_every_classes_and_quiet(
    clip: str, model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = str(tmp_path / "o.jsonl")
    arguments = ["--max-frames", "5", "--every", "2", "--classes", "car,person", "-q", "--json", lines]
    assert invoke(["run", clip, "--model", model, *arguments]) == OK
    said = capsys.readouterr()
    assert (said.out, said.err) == ("", "")
    objects = [len(json.loads(line)["objects"]) for line in Path(lines).read_text().splitlines()]
    assert objects == [1, 0, 1, 0, 1]


def test_a_pipeline_file_runs(clip: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "p.yaml"
    path.write_text(f"streams: {{door: {clip}}}\npipeline: [decode]\n")
    assert invoke(["run", str(path), "--max-frames", "7"]) == OK
    assert capsys.readouterr().out.splitlines()[1].split()[:5] == ["door", "7", "7", "0", "0"]
    assert invoke(["check", str(path)]) == OK
    assert capsys.readouterr().out == (
        f"stream door: {clip} (h264, 128x96, 25 fps, 20 frames, 0.8 s)\ndecode ← streams\nok\n"
    )
    path.write_text("streams: {door: nosuch.mp4}\npipeline: [decode]\n")
    assert invoke(["check", str(path)]) == SOURCE


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--model", "nowhere.onnx"], "there is no file nowhere.onnx"),
        (["--model", "m.onnx", "--confidence", "3"], "infer: confidence=3.0 is not allowed: 0 to 1"),
        (["--track"], "--track needs --model"),
        (["--codec", "h264"], "--codec needs --save"),
        (["--model", "m.onnx", "--line", "1,2,3"], "--line '1,2,3': it is written x1,y1,x2,y2"),
        (["--model", "m.onnx", "--zone", "a=1,2,3,x"], "--zone 'a=1,2,3,x': it is written x,y,x,y"),
        (["--model", "m.onnx", "--line", "0,0,1,1", "--no-track"], "leave --no-track away"),
        (["--save", "no/such/out.mp4"], "--save no/such/out.mp4: the folder no/such does not exist"),
        (["other.yaml"], "other.yaml: a pipeline file is given alone"),
    ],
)  # fmt: skip
def test_wrong_arguments_are_one_line_and_code_2(
    arguments: list[str], message: str, clip: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert invoke(["run", clip, *arguments]) == WRONG
    said = capsys.readouterr().err
    assert said.startswith("millrace: ") and said.count("\n") == 1 and message in said


def test_a_wrong_file_says_where(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "p.yaml"
    path.write_text("streams: {a: a.mp4}\npipeline:\n  - decode\n  - limt: {count: 3}\n")
    assert invoke(["run", str(path)]) == WRONG
    assert f"{path}:4: there is no element 'limt'. Did you mean 'limit'?" in capsys.readouterr().err
    path.write_text("streams: {a: a.mp4}\npipeline: [decode]\n")
    assert invoke(["run", str(path), "--save", "x.mp4", "--every", "3"]) == WRONG
    assert "--save, --every cannot be given with a pipeline file" in capsys.readouterr().err


def test_a_traceback_is_shown_only_when_asked_for(clip: str, capsys: pytest.CaptureFixture[str]) -> None:
    invoke(["run", clip, "--model", "nowhere.onnx"])
    assert "Traceback" not in capsys.readouterr().err
    invoke(["run", clip, "--model", "nowhere.onnx", "-v"])
    assert "Traceback" in capsys.readouterr().err


def test_a_source_that_fails_is_code_3_and_the_others_are_finished(
    clip: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "broken.mp4").write_bytes(b"not a video at all" * 100)
    assert invoke(["run", str(tmp_path / "broken.mp4"), clip]) == SOURCE
    said = capsys.readouterr()
    assert said.err.count("\n") == 1 and "millrace: error: broken" in said.err
    assert [line.split()[:3] for line in said.out.splitlines()[1:3]] == [["broken", "0", "0"], ["clip", "20", "20"]]
    assert "not read to its end" in said.out


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_and_a_polite_kill_drain_and_the_file_is_finished(number: int, tmp_path: Path) -> None:
    clip, out = tmp_path / "long.mp4", tmp_path / "out.mp4"
    numbered_clip(clip, frames=600, width=640, height=480)
    with process(
        "run", str(clip), "--pace", "--save", str(out), "--codec", "mpeg4", stdin=subprocess.DEVNULL
    ) as running:
        deadline = time.monotonic() + 30
        while not (out.exists() and out.stat().st_size > 4_000) and time.monotonic() < deadline:
            time.sleep(0.02)
        running.send_signal(number)
        said, _ = running.communicate(timeout=30)
    assert running.returncode == INTERRUPTED, said
    assert "stopped early" in said
    assert 0 < len(list(millrace.open(out))) < 600


def test_lines_and_zones_are_named() -> None:
    assert shapes(["door=0,0.5,1,0.5", "1,2,3,4"], ["0,0,1,0,1,1"]) == {
        "lines": {"door": {"points": [[0, 0.5], [1, 0.5]]}, "line-2": {"points": [[1, 2], [3, 4]]}},
        "zones": {"zone-1": {"points": [[0, 0], [1, 0], [1, 1]]}},
    }
    with pytest.raises(ConfigError, match="there is a line 'a' already"):
        shapes(["a=0,0,1,1", "a=0,0,1,1"], [])


def test_options_become_elements_in_order() -> None:
    options = Options(["a.mp4"], model="m.onnx", line=["0,0,1,1"], json="o.jsonl", save="o.mp4", max_frames=3)
    names = [step.element if isinstance(step, Step) else "tee" for step in line_of(options)]
    assert names == ["limit", "infer", "track", "analyze", "json", "draw", "tee"]
    assert [stream.name for stream in plan_of(Options(["a.mp4", "b/a.mkv"])).streams] == ["a", "a-2"]


def test_a_device_that_is_given_goes_before_that_of_the_file(clip: str, tmp_path: Path) -> None:
    path = tmp_path / "pipeline.yaml"
    path.write_text(
        f"device: cuda:0\nstreams: {{a: {{uri: {clip}}}}}\npipeline: [{{json: {{path: {tmp_path}/o.jsonl}}}}]\n"
    )
    assert plan_of(Options([str(path)])).device == "cuda:0"
    assert plan_of(Options([str(path)], device="cpu")).device == "cpu"
    assert invoke(["run", str(path), "--device", "auto", "--quiet"]) == OK  # there is no GPU, or there is one


def test_inspect_lists_and_shows(capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke(["inspect"]) == OK
    said = capsys.readouterr().out
    assert re.search(r"^limit +Lets the first `count` frames", said, re.MULTILINE) and "infer " in said
    assert invoke(["inspect", "limit"]) == OK
    said = capsys.readouterr().out
    assert (
        "must be given" in said
        and "at least 1" in said
        and "- limit: {count: 100}" in said
        and "flow.limit(count=100)" in said
    )
    assert invoke(["inspect", "limti"]) == WRONG
    assert "Did you mean 'limit'?" in capsys.readouterr().err


def test_the_schema_knows_every_element(capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke(["inspect", "--schema"]) == OK
    schema = json.loads(capsys.readouterr().out)
    steps = schema["$defs"]["line"]["items"]["anyOf"]
    limit = next(step for step in steps if "limit" in step.get("properties", {}))["properties"]["limit"]
    assert limit["required"] == ["count"] and limit["properties"]["count"]["minimum"] == 1
    batch = next(step for step in steps if "batch" in step.get("properties", {}))["properties"]["batch"]
    assert {"type": "string", "pattern": "^[0-9.]+ *(us|ms|s|m|h)$"} in batch["properties"]["timeout"]["anyOf"]


def test_check_tells_no_secrets(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "p.yaml"
    path.write_text(
        "streams: {a: 'rtsp://u:w0rd@127.0.0.1/x'}\npipeline:\n"
        "  - publish: {broker: 'https://h/hook?token=w0rd'}\n  - encode\n  - rtsp: {users: {me: w0rd}}\n"
    )
    assert invoke(["check", str(path)]) == OK
    told = capsys.readouterr().out
    assert "w0rd" not in told and "token=***" in told and "'me': '***'" in told


def test_check_of_a_model(model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke(["check", model]) == OK
    said = capsys.readouterr().out
    assert "parser  yolox" in said and "64x64" in said and said.endswith("ok\n")
    (tmp_path / "x.onnx").write_bytes(b"nothing")
    assert invoke(["check", str(tmp_path / "x.onnx")]) == WRONG
    assert invoke(["check", str(tmp_path / "nowhere.yaml")]) == WRONG
    assert invoke(["check", __file__]) == SOURCE
    assert "is not a media file" in capsys.readouterr().err


def test_version_and_devices(capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke(["version"]) == OK
    assert capsys.readouterr().out == f"millrace {millrace.__version__}\n"
    assert invoke(["devices"]) == OK
    said = capsys.readouterr().out
    assert "ONNX Runtime" in said and "libx264" in said and "cuda" in said


def test_an_unknown_option_is_code_2(capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke(["run", "a.mp4", "--modle", "x"]) == WRONG
    assert "--model" in capsys.readouterr().err


@pytest.mark.parametrize(("seconds", "text"), [(5, "0:05"), (75, "1:15"), (3700, "1:01:40")])
def test_clock(seconds: float, text: str) -> None:
    assert clock(seconds) == text


def loaded(statement: str) -> set[str]:
    """The top-level modules that a fresh interpreter has after a statement."""
    code = f"{statement}\nimport sys; print(' '.join({{name.partition('.')[0] for name in sys.modules}}))"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return set(done.stdout.splitlines()[-1].split())


HEAVY = {"cv2", "av", "onnxruntime", "pydantic", "yaml", "numpy", "torch"}


def test_import_loads_nothing_heavy() -> None:
    assert not loaded("import millrace") & HEAVY
    assert not loaded("import millrace; millrace.Flow, millrace.Element") & (HEAVY - {"numpy"})


def test_help_loads_nothing_heavy() -> None:
    assert not loaded("from millrace.cli import invoke; invoke(['--help'])") & HEAVY


def test_streams_that_are_made_and_options_of_every_source(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "{stream}.jsonl"
    arguments = ["pattern:?width=64&height=48&frames=4", "scene:?seconds=0.2&width=160&height=90", "--loop", "2"]
    assert invoke(["run", *arguments, "--start", "40ms", "--option", "live=false", "--json", str(out)]) == 0
    assert len((tmp_path / "pattern.jsonl").read_text().splitlines()) == 6
    assert len((tmp_path / "scene.jsonl").read_text().splitlines()) == 8
    assert invoke(["run", "pattern:", "--option", "nothing"]) == 2
    assert "it is written setting=value" in capsys.readouterr().err


def test_a_reader_that_has_gone_is_no_error() -> None:
    read, write = os.pipe()
    os.close(read)
    command = [sys.executable, "-m", "millrace", "inspect"]
    ended = subprocess.run(command, stdout=write, stderr=subprocess.PIPE, text=True, timeout=60, cwd=ROOT)
    os.close(write)
    assert (ended.returncode, ended.stderr) == (OK, "")


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (BrokenPipeError(32, "Broken pipe"), "BrokenPipeError: [Errno 32] Broken pipe (-v shows where)"),
        (OutputError("/tmp/fifo", OSError(32, "Broken pipe")), "cannot write /tmp/fifo: Broken pipe"),
        (EOFError("no data left"), "EOFError: no data left (-v shows where)"),
    ],
    ids=["of a server", "of an output", "of a file"],
)
def test_an_error_that_typer_has_its_own_mind_of_is_told_too(
    error: Exception, said: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def run(options: Options) -> int:
        raise error

    monkeypatch.setattr("millrace.cli.run.run", run)
    assert invoke(["run", "a.mp4"]) == FAILED
    assert capfd.readouterr().err == f"millrace: {said}\n"
    assert invoke(["run", "a.mp4", "-v"]) == FAILED
    assert f"{type(error).__name__}" in capfd.readouterr().err
