"""Networks on the GPU against ONNX Runtime on the CPU."""

from __future__ import annotations

import os
import threading
import time

import numpy as np
import pytest
from together import together

from millrace.runtimes import onnx as cpu

if os.environ.get("FAIL_WITHOUT_CUDA") != "1":
    pytest.importorskip("torch", reason="torch is an extra")

from millrace.runtimes.torch import load


def small_net(path):
    """Conv, silu, residual, pool, resize, concat: three layers of 8 channels over [N, 3, 32, 48]."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    rng = np.random.default_rng(5)
    weights = {
        "w1": rng.normal(0, 0.3, (8, 3, 3, 3)), "b1": rng.normal(0, 0.3, 8),
        "w2": rng.normal(0, 0.2, (8, 8, 3, 3)), "b2": rng.normal(0, 0.2, 8),
    }  # fmt: skip
    constants = [numpy_helper.from_array(value.astype(np.float32), name) for name, value in weights.items()]
    constants.append(numpy_helper.from_array(np.array([1, 1, 2, 2], np.float32), "scales"))
    nodes = [
        helper.make_node("Conv", ["images", "w1", "b1"], ["c1"], strides=[2, 2], pads=[1, 1, 1, 1]),
        helper.make_node("Sigmoid", ["c1"], ["s1"]),
        helper.make_node("Mul", ["c1", "s1"], ["a1"]),
        helper.make_node("Conv", ["a1", "w2", "b2"], ["c2"], pads=[1, 1, 1, 1]),
        helper.make_node("Add", ["c2", "a1"], ["r2"]),
        helper.make_node("MaxPool", ["r2"], ["p2"], kernel_shape=[2, 2], strides=[2, 2]),
        helper.make_node("Resize", ["p2", "", "scales"], ["u2"], mode="nearest"),
        helper.make_node("Concat", ["u2", "r2"], ["out"], axis=1),
    ]
    images = helper.make_tensor_value_info("images", TensorProto.FLOAT, ["N", 3, 32, 48])
    out = helper.make_tensor_value_info("out", TensorProto.FLOAT, ["N", 16, 16, 24])
    graph = helper.make_graph(nodes, "small", [images], [out], constants)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), str(path))
    return str(path)


@pytest.fixture
def net(tmp_path):
    return small_net(tmp_path / "small.onnx")


def pictures(count, seed=0):
    return np.random.default_rng(seed).random((count, 3, 32, 48), np.float32)


@pytest.mark.parametrize(("precision", "error"), [("float32", 1e-5), ("float16", 3e-3)])
@pytest.mark.parametrize("count", [1, 3, 8])
def test_the_same_numbers_as_on_the_cpu(device, net, precision, error, count):
    runtime, reference = load(net, device, precision=precision), cpu.load(net)
    got = runtime.run({"images": pictures(count).astype(precision)})["out"]
    want = reference.run({"images": pictures(count)})["out"]
    runtime.close()
    reference.close()
    assert got.shape == want.shape
    assert np.linalg.norm(got.astype(np.float64) - want) <= error * np.linalg.norm(want)


def test_what_is_not_of_pictures_leaves_whole(device):
    import torch

    from millrace.cuda.context import gpu
    from millrace.media import TensorInfo
    from millrace.runtimes.torch_cuda import TorchRuntime

    class Finds(torch.nn.Module):
        """Ten rows of one picture, and their sum."""

        def forward(self, images):
            rows = images[0, :, :10, :6].sum(0)
            return rows, rows.sum(), images + 1

    shapes = [(10, 6), (), (1, 3, 32, 48)]
    outputs = [TensorInfo(f"output{n}", shape, "float32") for n, shape in enumerate(shapes)]
    runtime = TorchRuntime(Finds(), [TensorInfo("images", (1, 3, 32, 48), "float32")], outputs, {}, gpu(device))
    got = [*runtime.run({"images": pictures(1)}).values()]
    runtime.close()
    rows = pictures(1)[0, :, :10, :6].sum(0)
    for found, want in zip(got, (rows, rows.sum(), pictures(1) + 1), strict=True):
        assert found.shape == want.shape and np.allclose(found, want, rtol=1e-5)


def test_calls_under_way_do_not_touch_each_others_results(device, net):
    runtime, reference = load(net, device, precision="float32"), cpu.load(net)
    inputs = [pictures(1 + n % 4, seed=n) for n in range(24)]
    woken = threading.Semaphore(0)
    futures = [runtime.submit({"images": x}, done=woken.release) for x in inputs]
    results = [future.result(30)["out"] for future in futures]
    assert all(woken.acquire(timeout=10) for _ in futures)
    for x, got in zip(inputs, results, strict=True):
        want = reference.run({"images": x})["out"]
        assert np.linalg.norm(got - want) <= 1e-5 * np.linalg.norm(want)
    runtime.close()
    reference.close()


def test_a_wrong_input_is_the_calls_own_error(device, net):
    runtime = load(net, device)
    with pytest.raises(RuntimeError):
        runtime.run({"images": np.zeros((1, 3, 30, 48), np.float16)})

    def broken():
        raise ValueError("no picture")

    with pytest.raises(ValueError, match="no picture"):
        runtime.run(broken)
    assert runtime.run({"images": pictures(2).astype(np.float16)})["out"].shape == (2, 16, 16, 24)
    runtime.close()


def test_files_that_cannot_be_run(device, tmp_path):
    (tmp_path / "bad.onnx").write_bytes(b"\xff\xfe no model")
    with pytest.raises(ValueError, match="is not an ONNX file"):
        load(tmp_path / "bad.onnx", device)
    with pytest.raises(ValueError, match="there is no file"):
        load(tmp_path / "none.onnx", device)
    with pytest.raises(ValueError, match="precision='int8' is not allowed: float32, float16"):
        load(tmp_path / "bad.onnx", device, precision="int8")


def test_sizes_that_were_recorded_before_serve_smaller_calls(device, net):
    runtime, reference = load(net, device, precision="float32"), cpu.load(net)
    runtime.warm([1, 4, 16])
    try:
        for count in (1, 2, 3, 5, 9, 16):
            feed = {"images": pictures(count, count)}
            assert np.abs(runtime.run(feed)["out"] - reference.run(feed)["out"]).max() < 1e-4
        assert sorted(runtime.sizes) == [1, 4, 16]
    finally:
        runtime.close()
        reference.close()


def test_a_closed_network_leaves_no_memory_even_where_it_holds_itself(device, tmp_path):
    import torch

    net = torch.nn.Sequential(torch.nn.Conv2d(3, 4096, 32, 32), torch.nn.Flatten())  # 50 MB of weights
    batch = torch.export.Dim("batch", min=1, max=8)
    program = torch.export.export(net.eval(), (torch.zeros(2, 3, 32, 32),), dynamic_shapes=({0: batch},))
    torch.export.save(program, str(tmp_path / "net.pt2"))
    del net, program

    def used():
        torch.cuda.synchronize()
        return torch.cuda.memory_allocated() / 1e6

    before = used()
    for _ in range(2):  # what is recorded second keeps from the collector what the first left
        runtime = load(tmp_path / "net.pt2", device)
        runtime.run({runtime.inputs[0].name: np.zeros((1, 3, 32, 32), np.float32)})
        assert used() > before + 45
        runtime.close()
        del runtime
        assert used() < before + 10


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # PyTorch's, about itself
def test_a_compiled_network_takes_over_while_the_plain_one_runs(compiler, device, net):
    runtime, reference = load(net, device, precision="float32", compiled="background"), cpu.load(net)
    before, told = None, []
    runtime.report = told.append
    try:
        feed = {"images": pictures(4)}
        want = reference.run(feed)["out"]
        until = time.monotonic() + 90
        while True:
            assert np.abs(runtime.run(feed)["out"] - want).max() < 1e-4
            now = runtime._captured[4]
            before = before or now
            if now is not before:
                break
            assert not told
            assert time.monotonic() < until, "nothing took over"
            time.sleep(0.05)
        assert np.abs(runtime.run(feed)["out"] - want).max() < 1e-4
    finally:
        runtime.close()
        reference.close()


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # PyTorch's, about itself
def test_a_compile_beside_the_use_is_broken_off_when_the_network_is_closed(compiler, device, net):
    for seconds in (0.05, 1.0):
        runtime = load(net, device, precision="float32", compiled="background")
        runtime.run({"images": pictures(2)})
        thread, until = runtime._compiler._thread, time.monotonic() + 20
        while runtime._compiler._breakable._thread is None and time.monotonic() < until:
            time.sleep(0.01)
        time.sleep(seconds)
        runtime.close()
        assert not thread.is_alive()
    runtime = load(net, device, precision="float32", compiled=True)  # PyTorch can compile it still
    try:
        reference = cpu.load(net)
        want = reference.run({"images": pictures(2)})["out"]
        assert np.abs(runtime.run({"images": pictures(2)})["out"] - want).max() < 1e-4
        reference.close()
    finally:
        runtime.close()


NETWORK = """
import torch

class Net(torch.nn.Module):
    def __init__(self, reads=False):
        super().__init__()
        self.table, self.reads = torch.arange(6.0).reshape(1, 2, 3), reads  # no buffer, so it stays on the CPU

    def forward(self, pictures):
        rows = torch.zeros((2, 3), device=pictures.device)
        rows[0, 1], rows[1] = 5, 7.0
        rows = rows + self.table.to(pictures) + torch.tensor([1.0, 2.0, 3.0], device=pictures.device)
        if self.reads and rows.sum().item() < 0:
            return rows
        return pictures.mean((2, 3))[:, None] * rows
"""


def with_python_numbers(folder, device, graphs=True, **arguments):
    import torch

    (folder / "net.py").write_text(NETWORK)
    torch.save({}, folder / "net.pth")
    source = {"inputs": {"images": "float32[?, 3, 8, 8]"}, "model": f"{folder / 'net.py'}:Net", "arguments": arguments}
    return load(folder / "net.pth", device, graphs=graphs, **source)


def test_what_a_network_makes_on_the_cpu_is_part_of_its_graph(device, tmp_path):
    runtime = with_python_numbers(tmp_path, device)
    rows = np.array([[0, 5, 0], [7, 7, 7]]) + np.arange(6.0).reshape(2, 3) + [1, 2, 3]
    try:
        for seed in range(3):
            feed = np.random.default_rng(seed).random((2, 3, 8, 8), np.float32)
            want = feed.mean((2, 3))[:, None] * rows
            assert np.allclose(next(iter(runtime.run({"images": feed}).values())), want, atol=1e-4)
    finally:
        runtime.close()


def test_a_network_that_cannot_be_recorded_says_what_to_do(device, tmp_path):
    runtime = with_python_numbers(tmp_path, device, reads=True)
    try:
        with pytest.raises(ValueError, match=r"cannot be recorded as a CUDA graph .* `graphs: false` runs it"):
            runtime.run({"images": np.zeros((1, 3, 8, 8), np.float32)})
    finally:
        runtime.close()
    with pytest.raises(ValueError, match="cannot be recorded"):
        with_python_numbers(tmp_path, device, graphs=[1], reads=True)
    assert not any(thread.name == "millrace-torch" for thread in threading.enumerate())


def test_batches_run_on_the_sizes_that_are_given(device, net):
    runtime, reference = load(net, device, precision="float32", graphs=[8, 3]), cpu.load(net)
    try:
        assert runtime.sizes == [3, 8]
        for count in (1, 3, 4, 8):
            feed = {"images": pictures(count)}
            assert np.abs(runtime.run(feed)["out"] - reference.run(feed)["out"]).max() < 1e-5
        assert runtime.sizes == [3, 8]
        runtime.run({"images": pictures(9)})
        assert runtime.sizes == [3, 8, 16]
    finally:
        runtime.close()
        reference.close()


def test_without_memory_for_a_graph_a_larger_one_is_used(device, net, monkeypatch):
    import torch

    runtime, reference = load(net, device, precision="float32"), cpu.load(net)

    tried = []

    def full(size, compiled):
        tried.append(size)
        raise torch.OutOfMemoryError("CUDA out of memory")

    try:
        want = reference.run({"images": pictures(2)})["out"]
        runtime.run({"images": pictures(4)})
        monkeypatch.setattr(runtime, "record", full)
        for _ in range(3):
            assert np.abs(runtime.run({"images": pictures(2)})["out"] - want).max() < 1e-5
        assert tried == [2]
        with pytest.raises(RuntimeError, match="out of memory"):
            runtime.run({"images": pictures(5)})
    finally:
        runtime.close()
        reference.close()


def test_threads_that_share_a_network_get_their_own_answers(device, net):
    runtime, reference = load(net, device, precision="float32"), cpu.load(net)
    wrong, feeds = [], [pictures(4, seed) for seed in range(3)]
    wanted = [reference.run({"images": feed})["out"] for feed in feeds]

    def ask(number):
        for _ in range(200):
            out = runtime.run({"images": feeds[number]})["out"]
            if np.abs(out - wanted[number]).max() > 1e-4:
                wrong.append(number)

    try:
        runtime.warm([4])
        together(ask)
        assert not wrong
    finally:
        runtime.close()
        reference.close()


def test_networks_that_come_and_go_leave_no_memory(device, net):
    import torch

    free = []
    for _ in range(6):
        runtime = load(net, device, precision="float32", graphs=[1, 8, 32])
        runtime.run({"images": pictures(8)})
        runtime.close()
        del runtime
        free.append(torch.cuda.mem_get_info(device)[0])
    assert free[-1] > free[1] - (16 << 20), free  # the first brings libraries along


@pytest.mark.parametrize("graphs", [True, False])
def test_pictures_that_the_gpu_still_makes_are_waited_for(device, net, graphs):
    from millrace.imaging.cpu import open_imaging as on_cpu
    from millrace.imaging.cuda import open_imaging
    from millrace.imaging.cuda_upload import open_upload
    from millrace.media import Image, InputSpec

    spec = InputSpec(width=48, height=32, scale=1 / 255)
    levels = np.random.default_rng(7).integers(0, 255, (2160, 3840, 3)).astype(np.uint8)
    image = Image("RGB", [levels], 3840, 2160)
    there, imaging = open_upload(device)(image), open_imaging(device)
    runtime, reference = load(net, device, precision="float32", graphs=graphs), cpu.load(net)
    try:
        want = reference.run({"images": on_cpu("cpu").to_tensor([image], spec)[0]})["out"]
        for _ in range(20):
            feed, _ = imaging.to_tensor([there] * 64, spec)
            assert np.abs(runtime.run({"images": feed})["out"] - want).max() < 1e-4
    finally:
        runtime.close()
        reference.close()


def test_what_one_graph_answered_outlasts_the_replay_of_another(device, net):
    """It is copied to the CPU on a stream of its own, while the next graph runs in the memory that they share."""
    import torch

    runtime = load(net, device, precision="float32")
    inside = torch.inference_mode()
    inside.__enter__()
    graphs = [runtime.record(size) for size in (8, 8, 4)]
    for graph in graphs:
        graph.inputs[0].copy_(torch.as_tensor(pictures(len(graph.inputs[0])), device=device))
    for graph in (*graphs, *graphs):
        graph.graph.replay()
        torch.cuda.synchronize()
        answered = [out.clone() for out in graph.outputs.tensors]
        for other in graphs:
            if other is not graph:
                other.inputs[0].mul_(0.5)
                other.graph.replay()
        torch.cuda.synchronize()
        assert all(torch.equal(out, was) for out, was in zip(graph.outputs.tensors, answered, strict=True))
    inside.__exit__(None, None, None)
    runtime.close()
