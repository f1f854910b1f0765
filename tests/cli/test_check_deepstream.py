"""`millrace check` on DeepStream's files: a line for each key, and the exit code."""

from __future__ import annotations

from pathlib import Path

import pytest

from millrace.cli import OK, SOURCE, WRONG, invoke
from millrace.testing.models import make_detector

NVINFER = "[property]\ngpu-id=0\nonnx-file=m.onnx\nlabelfile-path=l.txt\nnetwork-type=0\ncluster-mode=2\n"


@pytest.fixture
def config(tmp_path: Path) -> Path:
    make_detector(tmp_path / "m.onnx", [(8, 8, 30, 30, 0.9, 1)])
    (tmp_path / "l.txt").write_text("person\ncar\nbike\n")
    path = tmp_path / "config_infer.txt"
    path.write_text(NVINFER)
    return path


def test_all_is_there(config: Path, capsys):
    assert invoke(["check", str(config)]) == OK
    out = capsys.readouterr().out
    assert "nvinfer configuration" in out and "    3  [property] onnx-file: applied" in out
    assert "[property] gpu-id: ignored: the setting `device`" in out
    assert "parser  " in out and "classes person, car, bike" in out
    assert "unknown" not in out and out.endswith("ok\n")


def test_only_files_are_missing(config: Path, capsys):
    (config.parent / "m.onnx").unlink()
    assert invoke(["check", str(config)]) == SOURCE
    out = capsys.readouterr().out
    assert f"missing: {config.parent}/m.onnx" in out and "l.txt" not in out.split("missing: ")[1]


def test_keys_that_nobody_knows(config: Path, capsys):
    config.write_text(NVINFER + "process_mode=2\n")
    assert invoke(["check", str(config)]) == OK
    assert "process_mode: unknown: Did you mean 'process-mode'?" in capsys.readouterr().out


def test_wrong_values(config: Path, capsys):
    config.write_text(NVINFER + "batch-size=many\n")
    assert invoke(["check", str(config)]) == WRONG
    assert "config_infer.txt:7: [property] batch-size: 'many' is not a whole number" in capsys.readouterr().err


def test_a_model_that_cannot_be_opened(config: Path, capsys):
    config.write_text("[property]\ntlt-encoded-model=m.etlt\ntlt-model-key=k\nnetwork-mode=0\n")
    (config.parent / "m.onnx").unlink()
    assert invoke(["check", str(config)]) == SOURCE
    assert "missing: a model: an encrypted model (.etlt, .tlt) can be opened" in capsys.readouterr().out


def test_the_other_kinds(tmp_path: Path, capsys):
    (tmp_path / "s.txt").write_text(
        'infer_config { backend { triton { model_name: "m" grpc { url: "u:secret@h:1" } } } postprocess { other {} } }'
    )
    assert invoke(["check", str(tmp_path / "s.txt")]) == OK
    assert "secret" not in capsys.readouterr().out
    (tmp_path / "p.yml").write_text("property:\n  network-type: 4\n")
    assert invoke(["check", str(tmp_path / "p.yml")]) == OK
    (tmp_path / "a.txt").write_text("[property]\nconfig-width=640\nconfig-height=480\n")
    assert invoke(["check", str(tmp_path / "a.txt")]) == OK
    (tmp_path / "t.yml").write_text("%YAML:1.0\nTargetManagement:\n  probationAge: 3\n")
    assert invoke(["check", str(tmp_path / "t.yml")]) == OK
    (tmp_path / "b.txt").write_text("[message-broker]\npartition-key=x\n")
    assert invoke(["check", str(tmp_path / "b.txt")]) == WRONG


def test_a_trackers_file(tmp_path: Path, capsys):
    path = tmp_path / "config_tracker.yml"
    path.write_text("TargetManagement:\n  probationAge: 3\n  minTrackerConfidence: 0.2\n  probationAgge: 1\n")
    assert invoke(["check", str(path)]) == OK
    out = capsys.readouterr().out
    assert "nvtracker configuration" in out and "[TargetManagement] probationAge: applied" in out
    assert "minTrackerConfidence: ignored: motion is always sure" in out and "probationAgge: unknown" in out


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        (
            "dewarper.txt",
            "[property]\noutput-width=640\n[surface0]\nprojection-type=4\nfocal-length=350\n",
            ["nvdewarper configuration", "[surface0] focal-length: applied", "[property] output-width: applied"],
        ),
        (
            "mux.txt",
            "[property]\nalgorithm-type=1\nadaptive-batching=1\nbatch-size=4\n",
            ["nvstreammux configuration", "[property] batch-size: ignored: adaptive-batching"],
        ),
        (
            "metamux.txt",
            "[property]\nactive-pad=sink_0\npts-tolerance=60000\n[group-0]\nsrc-ids-model-1=0;1\n",
            ["nvdsmetamux configuration", "[group-0] src-ids-model-1: applied", "pts-tolerance: ignored"],
        ),
        (
            "tracker.txt",
            "[tracker]\ntracker-width=640\nll-config-file=none.yml\ngpu-id=0\n",
            ["tracker configuration", "missing: ", "none.yml"],
        ),
    ],
)
def test_files_of_other_elements(tmp_path: Path, capsys, name: str, text: str, said: list[str]):
    (tmp_path / name).write_text(text)
    assert invoke(["check", str(tmp_path / name)]) == (SOURCE if name == "tracker.txt" else OK)
    out = capsys.readouterr().out
    assert all(each in out for each in said) and "unknown" not in out


def test_lidar_is_named_with_the_reason(tmp_path: Path, capsys):
    path = tmp_path / "lidar.yaml"
    path.write_text("source-list:\n  - 0: a/0.bin\n  - 50: a/1.bin\n")
    assert invoke(["check", str(path)]) == WRONG
    said = capsys.readouterr().err
    assert "lidar.yaml is a list of point clouds: lidar is out of scope for now" in said and "unknown" not in said
