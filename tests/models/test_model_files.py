"""Which model an nvinfer file means, and what is said of those that cannot be used."""

from __future__ import annotations

import pytest

from millrace.deepstream import Report
from millrace.deepstream.keyfile import parse_keyfile
from millrace.models.model_files import choose_model


@pytest.fixture
def choose(tmp_path):
    def call(keys: str, *there: str):
        for name in there:
            (tmp_path / name).touch()
        report = Report(parse_keyfile("[property]\n" + keys, str(tmp_path / "c.txt")))
        model, why = choose_model(report.section("property"))
        notes = {finding.key: finding.why for finding in report.findings()}
        return (model or "").removeprefix(f"{tmp_path}/"), why, notes

    return call


def test_the_onnx_counts(choose):
    model, _, notes = choose("onnx-file=a.onnx\nmodel-engine-file=a.engine\nmodel-file=x.caffemodel\nproto-file=x\n")
    assert model == "a.onnx"
    assert notes["model-engine-file"] == "an engine is for TensorRT on the GPU it was built for; a.onnx is taken"
    assert notes["model-file"] == notes["proto-file"] == "onnx-file counts"


def test_caffe(choose):
    model, _, notes = choose("model-file=r.caffemodel\nproto-file=r.prototxt\nmodel-engine-file=r.engine\n")
    assert model == "r.caffemodel" and notes["proto-file"] == "the network of model-file"


@pytest.mark.parametrize(
    ("keys", "there"),
    [
        ("model-engine-file=net.onnx_b4_gpu0_int8.engine\n", "net.onnx"),
        ("tlt-encoded-model=net.etlt\ntlt-model-key=k\n", "net.onnx"),
        ("uff-file=net.uff\n", "net.onnx"),
        ("tlt-encoded-model=net.etlt\n", "net.etlt.onnx"),
    ],
)
def test_an_onnx_beside_another_is_taken(choose, keys, there):
    assert choose(keys, there)[0] == there


@pytest.mark.parametrize(
    ("keys", "why"),
    [
        (
            "tlt-encoded-model=a.etlt\ntlt-model-key=k\n",
            "encrypted model (.etlt, .tlt) can be opened by NVIDIA's tools",
        ),
        ("uff-file=a.uff\nuff-input-blob-name=i\n", "UFF was TensorRT's own copy"),
        ("model-file=yolov4.weights\ncustom-network-config=yolov4.cfg\n", "Darknet's weights need a C++ function"),
        ("batch-size=1\n", "it names no model: onnx-file is missing"),
    ],
)
def test_what_cannot_be_used_has_a_sentence(choose, keys, why):
    model, said, _ = choose(keys)
    assert model == "" and why in said


def test_an_engine_alone_is_tensorrts(choose):
    assert choose("model-engine-file=a.engine\n")[0] == "a.engine"
