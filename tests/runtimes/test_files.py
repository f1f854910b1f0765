"""Which format a file is in, and which runtime is taken for it."""

from __future__ import annotations

import sys
import zipfile

import pytest

from millrace import devices, runtimes
from millrace.core.errors import ConfigError, MissingExtraError
from millrace.runtimes.files import FORMATS, format_of
from millrace.testing.models import make_level_model


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("m.onnx", "onnx"), ("M.ONNX", "onnx"), ("m.xml", "openvino"), ("m.tflite", "tflite"), ("m.pb", "frozen"),
        ("m.caffemodel", "caffe"), ("m.prototxt", "caffe"), ("m.engine", "engine"), ("m.plan", "engine"),
        ("m.torchscript", "torchscript"), ("m.pth", "weights"), ("m.pdmodel", "paddle"),
        ("triton://127.0.0.1:8001/yolox", "remote"), ("http://127.0.0.1:8000/v2/models/yolox", "remote"),
    ],
)  # fmt: skip
def test_formats_by_name(name, kind):
    assert format_of(name) == kind


@pytest.mark.parametrize(
    ("inside", "kind"),
    [
        (["m/constants.pkl", "m/code/x.py", "m/data.pkl"], "torchscript"),
        (["m/data.pkl", "m/data/0"], "weights"),
        (["m/models/model.json", "m/archive_format"], "export"),
        (["m/data/aotinductor/model/x.so"], "aoti"),
        (["serialized_exported_program.json"], "export"),
    ],
)
def test_archives_of_pytorch_by_what_is_inside(tmp_path, inside, kind):
    path = tmp_path / "m.pt"
    with zipfile.ZipFile(path, "w") as archive:
        for name in inside:
            archive.writestr(name, b"")
    assert format_of(path) == kind


def test_a_savedmodel_is_a_folder(tmp_path):
    with pytest.raises(ConfigError, match=r"a folder without a saved_model\.pb"):
        format_of(tmp_path)
    (tmp_path / "saved_model.pb").write_bytes(b"")
    assert format_of(tmp_path) == "savedmodel"


def test_an_unknown_kind_says_what_there_is(tmp_path):
    with pytest.raises(ConfigError, match=r"of an unknown kind \(\.docx\); models are \.onnx, \.xml"):
        format_of("model.docx")


def test_every_format_names_runtimes_that_exist():
    assert all(set(kind.runtimes) <= runtimes.RUNTIMES.keys() for kind in FORMATS.values())


@pytest.mark.parametrize(
    ("name", "device", "runtime", "chosen"),
    [
        ("m.onnx", "cpu", "auto", "onnx"), ("m.onnx", "cuda:0", "auto", "torch"), ("m.onnx", "gpu", "auto", "openvino"),
        ("m.onnx", "npu", "auto", "openvino"), ("m.onnx", "cpu", "openvino", "openvino"),
        ("m.onnx", "cuda", "tensorrt", "tensorrt"), ("m.xml", "cpu", "auto", "openvino"),
        ("m.tflite", "cpu", "auto", "tflite"), ("m.tflite", "cpu", "openvino", "openvino"),
        ("m.pth", "cuda", "auto", "torch"), ("m.engine", "cuda:1", "auto", "tensorrt"),
        ("triton://h:1/m", "cpu", "auto", "triton"), ("m.pb", "cpu", "auto", "openvino"),
    ],
)  # fmt: skip
def test_the_choice(name, device, runtime, chosen):
    assert runtimes.choose_runtime(name, device, runtime, devices.TABLE[devices.kind(device)].runtime) == chosen


@pytest.mark.parametrize(
    ("name", "device", "runtime", "message"),
    [
        ("m.onnx", "cpu", "openvno", "Did you mean 'openvino'"),
        ("m.xml", "cpu", "onnx", "m.xml is an OpenVINO model, which runs on: openvino; not on 'onnx'"),
        ("m.xml", "cuda:0", "auto", "no runtime for it knows the device 'cuda:0'"),
        ("m.onnx", "cpu", "tensorrt", "does not know the device 'cpu': it knows cuda"),
        ("m.caffemodel", "cpu", "openvino", "is a Caffe model, which is converted first"),
    ],
)
def test_what_cannot_be_says_why(name, device, runtime, message):
    with pytest.raises(ConfigError, match=message):
        runtimes.choose_runtime(name, device, runtime)


@pytest.mark.parametrize(
    ("library", "name", "device", "extra"),
    [
        ("openvino", "m.xml", "cpu", "openvino"),
        ("torch", "m.pth", "cpu", "torch"),
        ("ai_edge_litert", "m.tflite", "cpu", "tflite"),
        ("tensorrt", "m.engine", "cuda:0", "tensorrt"),
    ],
)
def test_a_missing_library_names_its_extra(tmp_path, monkeypatch, library, name, device, extra):
    for loaded in [each for each in sys.modules if each.startswith(f"{library}.")]:  # other tests have used it
        monkeypatch.delitem(sys.modules, loaded)
    monkeypatch.setitem(sys.modules, library, None)
    monkeypatch.delitem(sys.modules, f"millrace.runtimes.{runtimes.choose_runtime(name, device)}", raising=False)
    with pytest.raises(MissingExtraError, match=rf"needs {library}.*: pip install 'millrace\[{extra}\]'"):
        runtimes.load(tmp_path / name, device)


def test_a_missing_client_of_servers_names_its_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "tritonclient", None)
    monkeypatch.delitem(sys.modules, "millrace.runtimes.triton_grpc", raising=False)
    with pytest.raises(MissingExtraError, match=r"needs tritonclient.*: pip install 'millrace\[triton\]'"):
        runtimes.load("triton://127.0.0.1:1/m")


def test_a_missing_converter_names_its_extra(tmp_path, monkeypatch):
    from millrace import converters

    monkeypatch.setitem(sys.modules, "tensorflow", None)
    with pytest.raises(MissingExtraError, match=r"needs tensorflow.*: pip install 'millrace\[tensorflow\]'"):
        converters.convert(tmp_path / "m.tflite", "tflite")


def test_the_size_of_pictures_reaches_only_those_that_need_it(tmp_path):
    runtime = runtimes.load(make_level_model(tmp_path / "level.onnx"), size=(32, 32))
    runtime.close()


@pytest.mark.parametrize("options", [{"parallel": 0}, {"parallel": 1.5}, {"threads": 0}, {"threads": "two"}])
def test_calls_and_threads_are_whole_numbers(tmp_path, options):
    model = make_level_model(tmp_path / "level.onnx")
    ((name, value),) = options.items()
    with pytest.raises(ValueError, match=f"{name}={value!r} is not allowed: a whole number from"):
        runtimes.load(model, **options)
