"""`millrace convert`: what is written and said, what is refused, and that a wrong result is not written."""

from __future__ import annotations

import numpy as np
import pytest
from typer.testing import CliRunner

pytest.importorskip("onnx")
from caffe_nets import CASES, detector, write

from millrace import converters
from millrace.cli import convert as command
from millrace.cli.app import app
from millrace.converters.base import Conversion
from millrace.core import ConfigError
from millrace.runtimes import load


def run(*arguments):
    return CliRunner().invoke(app, ["convert", *map(str, arguments)], catch_exceptions=True)


def test_a_caffe_model_and_its_card(tmp_path):
    path = write(detector(), tmp_path)
    result = run(path)
    assert result.exit_code == 0, result.output
    assert "checked against the plain NumPy evaluation of the Caffe net, 3 random inputs" in result.output
    assert "output  found [1, 1," in result.output
    assert "largest difference" in result.output
    runtime = load(path.with_suffix(".onnx"))
    try:
        assert str(runtime.inputs[0]) == "data float32[1, 4, 12, 16]"
    finally:
        runtime.close()
    card = path.with_suffix(".yaml").read_text()
    assert "model: ssd_CENTER_SIZE_True.onnx" in card
    assert "Not recognised" in card  # four channels are no picture
    assert list(tmp_path.glob(".*")) == []


def test_the_number_of_pictures_stays_free_where_that_is_right(tmp_path):
    case = next(case for case in CASES if case.name == "conv")
    assert run(write(case, tmp_path), "-o", tmp_path / "out" / "net.onnx").exit_code == 0
    runtime = load(tmp_path / "out" / "net.onnx")
    try:
        assert runtime.inputs[0].shape == (None, 4, 9, 7)
    finally:
        runtime.close()


def test_a_batch_that_does_not_work_is_fixed(tmp_path):
    """A reshape that folds pictures together is right for one picture only."""
    case = next(case for case in CASES if case.name == "conv")
    made = converters.convert(write(case, tmp_path), "caffe")
    plain = made.reference

    def reference(feed):
        return plain(feed) if len(feed["data"]) == 1 else {"out": np.zeros((2, 6, 5, 4), np.float32)}

    command.write(Conversion(made.model, reference, "a test", "net"), tmp_path / "net.onnx", 1e-3)
    runtime = load(tmp_path / "net.onnx")
    try:
        assert runtime.inputs[0].shape == (1, 4, 9, 7)
    finally:
        runtime.close()


def test_a_result_that_is_wrong_is_not_written(tmp_path):
    case = next(case for case in CASES if case.name == "conv")
    made = converters.convert(write(case, tmp_path), "caffe")

    def wrong(feed):
        return {name: value + 0.5 for name, value in made.reference(feed).items()}

    with pytest.raises(
        ValueError, match=r"does not do what a test does: output out differs by 0\.5 at most, 0\.5 in the"
    ):
        command.write(Conversion(made.model, wrong, "a test", "net"), tmp_path / "net.onnx", 1e-3)
    assert not (tmp_path / "net.onnx").exists()
    assert list(tmp_path.glob(".*")) == []


def test_a_card_that_is_there_stays(tmp_path):
    path = write(next(case for case in CASES if case.name == "conv"), tmp_path)
    path.with_suffix(".yaml").write_text("parser: yolox\n")
    assert "is there, and stays as it is" in run(path).output
    assert path.with_suffix(".yaml").read_text() == "parser: yolox\n"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("m.onnx", "is an ONNX model already"),
        ("m.xml", "it runs as it is, with the runtime openvino"),
        ("m.engine", "is a TensorRT engine, from which no model can be made"),
        ("m.docx", "of an unknown kind"),
        ("m.caffemodel", "there is no file"),
    ],
)
def test_what_cannot_be_converted_says_why(tmp_path, name, message):
    path = tmp_path / name
    if "caffe" not in name:
        path.write_bytes(b"x")
    with pytest.raises(ConfigError, match=message):
        command.convert(path, None, 1e-3)


def test_a_torch_program(tmp_path):
    torch = pytest.importorskip("torch")
    net = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3, 2, 1), torch.nn.SiLU()).eval()
    free = ({0: torch.export.Dim("batch", min=1, max=64)},)
    program = torch.export.export(net, (torch.zeros(2, 3, 32, 48),), dynamic_shapes=free)
    torch.export.save(program, str(tmp_path / "net.pt2"))
    result = run(tmp_path / "net.pt2")
    assert result.exit_code == 0, result.output
    assert f"checked against PyTorch {torch.__version__}" in result.output
    runtime = load(tmp_path / "net.onnx")
    try:
        x = np.random.default_rng(2).normal(size=(3, 3, 32, 48)).astype(np.float32)
        (name,) = (info.name for info in runtime.inputs)
        got = next(iter(runtime.run({name: x}).values()))
        assert np.abs(got - net(torch.from_numpy(x)).detach().numpy()).max() < 1e-5
    finally:
        runtime.close()


def test_weights_need_a_class_and_a_size(tmp_path):
    torch = pytest.importorskip("torch")
    torch.save(torch.nn.Conv2d(3, 4, 1).state_dict(), tmp_path / "net.pth")
    assert "--size" in str(run(tmp_path / "net.pth", "--size", "big", "--network", "torch.nn:Conv2d").exception)
    with pytest.raises(ConfigError, match="holds weights alone"):
        command.convert(tmp_path / "net.pth", None, 1e-3)


def test_check_understands_models_of_other_formats(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    case = detector()
    path = write(
        case._replace(shape=(1, 3, 12, 16), blobs={k: [(n[0], 3, 1, 1), b] for k, (n, b) in case.blobs.items()}),
        tmp_path,
    )
    result = CliRunner().invoke(app, ["check", str(path.with_suffix(".prototxt"))])
    assert result.exit_code == 0, result.output
    assert "parser  ssd_rows" in result.output
    result = CliRunner().invoke(app, ["check", str(tmp_path / "none.xml")])
    assert "there is no such file" in str(result.exception)
