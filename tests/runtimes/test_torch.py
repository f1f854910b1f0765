"""PyTorch on the CPU: each kind of file gives the results of the network, and clean errors."""

from __future__ import annotations

import json
import os
import shutil
import threading
import warnings

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs millrace[torch]")

from millrace.core.errors import ConfigError  # noqa: E402
from millrace.runtimes import load  # noqa: E402
from millrace.runtimes.files import format_of  # noqa: E402
from millrace.testing.models import make_level_model  # noqa: E402

CODE = """
import torch

class Net(torch.nn.Module):
    def __init__(self, width=4):
        super().__init__()
        self.conv = torch.nn.Conv2d(3, width, 3, 2, 1)
        self.norm = torch.nn.BatchNorm2d(width)

    def forward(self, images):
        y = self.norm(self.conv(images)).relu()
        return {"map": y, "mean": y.mean((2, 3))}
"""
SIZE = (32, 48)


@pytest.fixture
def code(tmp_path):
    path = tmp_path / "net.py"
    path.write_text(CODE)
    return path


@pytest.fixture
def net(code):
    space = {}
    exec(compile(CODE, str(code), "exec"), space)
    torch.manual_seed(1)
    network = space["Net"]()
    with torch.no_grad():  # statistics that matter: evaluation must use them
        network.norm.running_mean.uniform_(-1, 1)
        network.norm.running_var.uniform_(0.5, 2)
    return network.eval()


class Tuple(torch.nn.Module):
    def __init__(self, net):
        super().__init__()
        self.net = net

    def forward(self, images):
        return tuple(self.net(images).values())


def as_script(net, path, **extra):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PyTorch calls TorchScript old
        traced = torch.jit.trace(Tuple(net), torch.zeros(1, 3, *SIZE))
        torch.jit.save(traced, str(path), _extra_files=extra)
    return path


def as_export(net, path, batch=True, **extra):
    free = ({0: torch.export.Dim("batch", min=1, max=64)},) if batch else None
    program = torch.export.export(net, (torch.zeros(2 if batch else 1, 3, *SIZE),), dynamic_shapes=free)
    torch.export.save(program, str(path), extra_files=extra)
    return path


def as_weights(net, path):
    torch.save({"epoch": 3, "model": net.state_dict()}, path)
    return path


def pictures(count=1):
    return np.random.default_rng(5).uniform(0, 1, (count, 3, *SIZE)).astype(np.float32)


def agrees(runtime, net, counts=(1, 3)):
    (image,) = runtime.inputs
    try:
        for count in counts:
            x = pictures(count)
            want = net(torch.from_numpy(x))
            got = runtime.run({image.name: x})
            for info, value in zip(runtime.outputs, want.values(), strict=True):
                assert np.abs(got[info.name] - value.detach().numpy()).max() < 1e-5
    finally:
        runtime.close()


def test_torchscript(net, tmp_path):
    path = as_script(net, tmp_path / "m.pt", **{"config.txt": json.dumps({"names": {"0": "a"}, "imgsz": list(SIZE)})})
    runtime = load(path)
    assert str(runtime.inputs[0]) == "images float32[?, 3, 32, 48]"
    assert [str(info) for info in runtime.outputs] == ["output0 float32[?, 4, 16, 24]", "output1 float32[?, 4]"]
    assert runtime.metadata["names"] == "{'0': 'a'}"
    agrees(runtime, net)


def test_torchscript_whose_size_is_not_known(net, tmp_path):
    path = as_script(net, tmp_path / "m.torchscript")
    with pytest.raises(
        ValueError, match=r"does not say what shape its inputs have: give the picture's size in a model"
    ):
        load(path)
    agrees(load(path, size=SIZE), net)
    agrees(load(path, inputs={"images": "float32[?, 3, 32, 48]"}), net)
    with pytest.raises(ValueError, match="not of the form"):
        load(path, inputs={"images": "3x32x48"})


def test_exported_program(net, tmp_path):
    path = as_export(net, tmp_path / "m.pt2", **{"metadata.json": json.dumps({"names": "{0: 'a'}"})})
    runtime = load(path)
    assert str(runtime.inputs[0]) == "images float32[?, 3, 32, 48]"
    assert runtime.metadata["names"] == "{0: 'a'}"
    agrees(runtime, net)


@pytest.mark.parametrize("make", [as_export, as_script])
def test_weights_are_freed_when_a_network_is_closed(net, tmp_path, make):
    runtime = load(make(net, tmp_path / "net.pt2"), **({"size": SIZE} if make is as_script else {}))
    module = runtime._program.module
    assert all(weight.numel() for weight in module.parameters())
    runtime.close()
    runtime.close()
    assert not any(tensor.numel() for tensor in (*module.parameters(), *module.buffers()))


def test_exported_program_of_one_batch_size(net, tmp_path):
    runtime = load(as_export(net, tmp_path / "m.pt2", batch=False))
    assert runtime.inputs[0].shape == (1, 3, *SIZE)
    agrees(runtime, net, counts=(1,))


def test_weights_with_the_users_class(net, code, tmp_path, monkeypatch):
    path = as_weights(net, tmp_path / "m.pth")
    runtime = load(path, model=f"{code}:Net", size=SIZE)
    assert [info.name for info in runtime.outputs] == ["map", "mean"]
    agrees(runtime, net)
    monkeypatch.syspath_prepend(tmp_path)
    agrees(load(path, model="net:Net", arguments={"width": 4}, size=SIZE), net)


def test_weights_that_do_not_fit(net, code, tmp_path):
    path = as_weights(net, tmp_path / "m.pt")
    assert format_of(path) == "weights"
    with pytest.raises(ValueError, match=r"holds weights alone: name the network's class"):
        load(path, size=SIZE)
    with pytest.raises(
        ValueError, match=r"m\.pt is not a model that PyTorch can read: .*size mismatch|Error\(s\) in load"
    ):
        load(path, model=f"{code}:Net", arguments={"width": 7}, size=SIZE)
    with pytest.raises(ValueError, match="is not a class"):
        load(path, model=f"{code}:Nett", size=SIZE)
    with pytest.raises(ValueError, match=r"there is no file .*gone\.py"):
        load(path, model=f"{tmp_path}/gone.py:Net", size=SIZE)
    other = tmp_path / "other.pth"
    torch.save({"conv.weight": net.conv.weight, "extra": net.conv.bias}, other)
    with pytest.raises(ValueError, match=r"it lacks conv\.bias, norm.* and has extra too many"):
        load(other, model=f"{code}:Net", size=SIZE)


def test_a_pickled_network_is_refused_because_it_could_run_code(tmp_path):
    path = tmp_path / "whole.pth"
    torch.save(torch.nn.Linear(2, 2), path)
    with pytest.raises(ValueError, match=r"could run code when it is read: save the network's state_dict"):
        load(path, model="torch.nn:Linear", size=SIZE)


def test_onnx_on_pytorch(tmp_path):
    pytest.importorskip("onnx")
    path = make_level_model(tmp_path / "level.onnx")
    runtime = load(path, runtime="torch")
    try:
        x = np.full((2, 3, 32, 32), 0.5, np.float32)
        assert runtime.run({"images": x})["output0"][:, 0, 0] == pytest.approx([8.0, 8.0])
    finally:
        runtime.close()


def test_compiled_ahead_of_time_and_kept(net, tmp_path):
    if not os.environ.get("MILLRACE_SLOW_TESTS"):
        pytest.skip("compiles C++ for half a minute: set MILLRACE_SLOW_TESTS")
    if shutil.which("g++") is None and shutil.which("clang++") is None:
        pytest.skip("needs a C++ compiler")
    path = as_export(net, tmp_path / "m.pt2")
    agrees(load(path, compiled=str(tmp_path / "kept")), net)
    (package,) = (tmp_path / "kept").iterdir()
    assert format_of(package) == "aoti"
    before = package.stat().st_mtime_ns
    agrees(load(path, compiled=str(tmp_path / "kept")), net)
    assert package.stat().st_mtime_ns == before
    agrees(load(package, size=SIZE), net)


def test_calls_run_side_by_side(net, tmp_path):
    runtime = load(as_export(net, tmp_path / "m.pt2"), parallel=2)
    meet = threading.Barrier(2, timeout=10)

    def make():
        meet.wait()
        return {"images": pictures()}

    try:
        results = [future.result(timeout=10) for future in [runtime.submit(make) for _ in range(2)]]
        assert [result["output0"].shape for result in results] == [(1, 4, 16, 24)] * 2
    finally:
        runtime.close()


def test_a_read_only_picture_is_taken_without_a_warning(net, tmp_path):
    runtime = load(as_export(net, tmp_path / "m.pt2"))
    try:
        x = pictures()
        x.flags.writeable = False
        runtime.run({"images": x})
        with pytest.raises(ValueError, match="refused its input"):
            runtime.run({"images": np.zeros((1, 3, 5, 5), np.float32)})
    finally:
        runtime.close()


@pytest.mark.parametrize("name", ["m.pt", "m.pt2", "m.torchscript", "m.pth"])
@pytest.mark.parametrize("content", [b"", b"not a model at all", b"PK\x03\x04 broken"])
def test_a_bad_file_is_named(tmp_path, name, content):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(ValueError, match=name):
        load(path, runtime="torch", size=SIZE, model="torch.nn:Linear")


def test_options_and_precision(net, tmp_path):
    path = as_export(net, tmp_path / "m.pt2")
    with pytest.raises(ValueError, match=r"no option 'sizes'\. Did you mean 'size'"):
        load(path, sizes=1)
    with pytest.raises(ValueError, match="precision='float16' is not allowed: float32"):
        load(path, precision="float16")
    with pytest.raises(ConfigError, match="not on 'onnx'"):
        load(path, runtime="onnx")


@pytest.mark.parametrize("graphs", ["4", [0], [1.5], [], [True]])
def test_graphs_are_of_batches(net, tmp_path, graphs):
    with pytest.raises(ValueError, match=r"graphs: .* is not allowed: true, false, or the sizes of batches"):
        load(as_export(net, tmp_path / "m.pt2"), graphs=graphs)


@pytest.mark.parametrize(("option", "value"), [("threads", 0), ("tuned", 3), ("compiled", 1)])
def test_options_of_another_kind_are_refused(net, tmp_path, option, value):
    with pytest.raises(ValueError, match=option):
        load(as_export(net, tmp_path / "m.pt2"), **{option: value})
