"""Files of DeepStream stand for models, and every one of the corpus is read."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from millrace.core.errors import ConfigError
from millrace.deepstream.kinds import kind_of
from millrace.models.deepstream import READERS, read_model, where_else

COUNTS = {"nvinfer": 129, "nvinferserver": 64, "preprocess": 16, "postprocess": 3}


def test_a_model_is_read_from_either(tmp_path: Path):
    (tmp_path / "a.txt").write_text("[property]\nonnx-file=m.onnx\nonx-file=x\n")
    card = read_model(tmp_path / "a.txt")
    assert card.model == str(tmp_path / "m.onnx")
    assert card.warnings == (f"{tmp_path}/a.txt:3: [property] onx-file: unknown: Did you mean 'onnx-file'?",)
    (tmp_path / "b.txt").write_text('infer_config { backend { triton { model_name: "m" grpc { url: "h:1" } } } }')
    assert read_model(tmp_path / "b.txt").model == "grpc://h:1/m"


def test_others_are_left_alone(tmp_path: Path):
    (tmp_path / "card.yaml").write_text("model: m.onnx\n")
    (tmp_path / "labels.txt").write_text("cat\n")
    assert read_model(tmp_path / "card.yaml") is None and read_model(tmp_path / "labels.txt") is None
    assert read_model("m.onnx") is None and read_model(tmp_path / "gone.txt") is None
    (tmp_path / "app.txt").write_text("[application]\n")
    with pytest.raises(ConfigError, match="configures deepstream-app: it names no model"):
        read_model(tmp_path / "app.txt")


def test_where_else_to_look():
    assert "MILLRACE_DEEPSTREAM_ROOT" in where_else("/opt/nvidia/deepstream/deepstream/samples/m.onnx")
    assert where_else("/home/m.onnx") == ""


def test_corpus(deepstream_corpus: Path):
    read = dict.fromkeys(COUNTS, 0)
    with open(deepstream_corpus / "INDEX.csv", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["category"] in COUNTS]
    for row in rows:
        path = deepstream_corpus / row["path"]
        _, report = READERS[kind_of(path)](path)
        counts = report.counts()
        read[row["category"]] += 1
        assert counts["applied"] >= 3 and counts["wrong"] == 0, path
        assert all(finding.why for finding in report.findings() if finding.status != "applied"), path
    assert read == COUNTS
