"""Convolutions in one kernel with what follows them, by cuDNN, against the network on the CPU."""

from __future__ import annotations

import os
import time
from functools import partial

import numpy as np
import pytest

if os.environ.get("FAIL_WITHOUT_CUDA") != "1":
    pytest.importorskip("torch", reason="torch is an extra")

import torch
from drawn import picture
from host_gpu import upload
from together import together

from millrace.cuda.context import gpu
from millrace.imaging.cuda import open_imaging
from millrace.media import InputSpec, TensorInfo
from millrace.runtimes import torch_convolution, torch_pooling, torch_stem
from millrace.runtimes.torch_cuda import TorchRuntime


class Residual(torch.nn.Module):
    """Convolutions with what follows them in networks of ResNet's kind."""

    def __init__(self):
        super().__init__()
        conv, norm = torch.nn.Conv2d, torch.nn.BatchNorm2d
        self.stem = torch.nn.Sequential(conv(3, 64, 7, 2, 3, bias=False), norm(64), torch.nn.ReLU(inplace=True))
        self.first = torch.nn.Sequential(conv(64, 128, 3, 2, 1, bias=False), norm(128), torch.nn.ReLU(inplace=True))
        self.second = torch.nn.Sequential(conv(128, 128, 3, 1, 1, bias=False), norm(128))
        self.shorter = torch.nn.Sequential(conv(64, 128, 1, 2, bias=False), norm(128))
        self.last = torch.nn.Sequential(conv(128, 128, 3, 1, 1), torch.nn.ReLU(), conv(128, 4, 1))

    def forward(self, x):
        x = self.stem(x)
        y = self.second(self.first(x))
        y += self.shorter(x)
        y = y.relu_()
        return (self.last(y) + 0,)


def runtime_of(net, device, precision, size=(96, 160), **how):
    infos = [TensorInfo("images", (None, 3, *size), precision)], [TensorInfo("out", (None, 4, 24, 40), precision)]
    return TorchRuntime(net.to(getattr(torch, precision)), *infos, {}, gpu(device), **how)


@pytest.mark.parametrize("precision", ["float32", "float16"])
def test_pictures_are_prepared_where_the_network_reads_them(device, precision):
    """Half precision with room for a fourth channel."""
    torch.manual_seed(4)
    runtime, imaging = runtime_of(Residual().eval(), device, precision), open_imaging(device)
    spec = InputSpec(160, 96, dtype=precision, scale=1 / 255)
    for count in (3, 2, 3, 4):
        images = [upload(gpu(device), picture("NV12", 320 - 2 * n, 200)) for n in range(count)]
        tensor, places = imaging.to_tensor(images, spec)
        want = runtime.run({"images": tensor})["out"]
        lent = runtime.lend("images", count)
        assert lent.strides[3] == (8 if precision == "float16" else 12)
        filled, also = imaging.to_tensor(images, spec, out=lent)
        assert filled is lent and also == places
        assert np.array_equal(lent.numpy(), tensor.numpy())
        assert np.array_equal(runtime.run({"images": lent})["out"], want)
        del lent, filled
    runtime.close()


def test_threads_get_their_own_answers_while_graphs_are_replaced(device):
    """Two threads prepare pictures in memory that is lent to one of them at a time; a third records graphs anew."""
    torch.manual_seed(4)
    runtime, imaging = runtime_of(Residual().eval(), device, "float16"), open_imaging(device)
    spec = InputSpec(160, 96, dtype="float16", scale=1 / 255)
    images = [upload(gpu(device), picture("NV12", 320 - 60 * n, 200)) for n in range(4)]
    want = [runtime.run({"images": imaging.to_tensor([image] * 2, spec)[0]})["out"] for image in images]
    near = 3e-3 * np.linalg.norm(want[0])
    assert all(np.linalg.norm(want[0] - each) > 10 * near for each in want[1:])
    wrong, lent, running = [], [], [True, True]

    def prepare(image):
        room = runtime.lend("images", 2)
        lent.append(room is not None)
        return {"images": imaging.to_tensor([image] * 2, spec, out=room)[0]}

    def ask(number):
        if number == 2:
            while any(running):
                pair = [runtime.record(2) for _ in range(2)]
                while not runtime.replace(2, pair):
                    time.sleep(0.001)
            return
        try:
            for turn in range(300):
                which = (turn + number) % 4
                if np.linalg.norm(runtime.run(partial(prepare, images[which]))["out"] - want[which]) > near:
                    wrong.append((number, turn))
        finally:
            running[number] = False

    together(ask)
    runtime.close()
    assert not wrong and any(lent)


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32])
@pytest.mark.parametrize("pool", [((3, 3), (2, 2), (1, 1)), ((2, 2), (2, 2), (0, 0)), ((5, 5), (1, 1), (2, 2))])
def test_max_pooling_gives_the_maxima_of_pytorch(device, dtype, pool):
    """In a graph, too."""
    generator = torch.Generator(device).manual_seed(6)
    x = torch.randn((3, 64, 37, 50), generator=generator, device=device, dtype=torch.float32).to(dtype)
    x = x.contiguous(memory_format=torch.channels_last)
    x[0, :, 5:9, 7], x[1, 3:30, :20], x[2, :2] = float("nan"), float("inf"), -float("inf")
    stream, graph = torch.cuda.Stream(), torch.cuda.CUDAGraph()
    assert torch_pooling.fits(x) and torch_pooling._kernels.on(x.device)
    torch.cuda.synchronize()
    with torch.inference_mode(), torch.cuda.graph(graph, stream=stream):
        got = torch_pooling.max_pool(x, *pool)
    graph.replay()
    torch.cuda.synchronize()
    want = torch.nn.functional.max_pool2d(x, *pool)
    assert got.stride() == want.stride()
    assert torch.equal(got.isnan(), want.isnan()) and want.isnan().any()
    assert torch.equal(got.nan_to_num(7.0, 9.0, -9.0), want.nan_to_num(7.0, 9.0, -9.0))


class Stem(torch.nn.Module):
    """Layers that one kernel takes."""

    def __init__(self, channels):
        super().__init__()
        self.body = torch.nn.Sequential(
            torch.nn.Conv2d(3, channels, 7, 2, 3), torch.nn.ReLU(), torch.nn.MaxPool2d(3, 2, 1)
        )

    def forward(self, x):
        return (self.body(x),)


@pytest.mark.parametrize(("size", "channels", "count"), [((96, 160), 64, 3), ((99, 62), 128, 1), ((544, 960), 64, 5)])
def test_first_layers_in_one_kernel_give_what_the_layers_give(device, size, channels, count):
    torch.manual_seed(7)
    net = Stem(channels)
    x = torch.rand(count, 3, *size)
    with torch.inference_mode():
        want = net(x)[0].numpy()
    infos = [TensorInfo("images", (None, 3, *size), "float16")], [TensorInfo("out", (None, *want.shape[1:]), "float16")]
    runtime = TorchRuntime(net.half(), *infos, {}, gpu(device))
    got = runtime.run({"images": x.numpy().astype("float16")})["out"]
    (program,) = runtime._networks[0]._programs.values()
    runtime.close()
    kind = channels, min(size[0], 160 + size[0] % 16), min(size[1], 120 + size[1] % 60)
    assert (device, kind) in torch_stem._kernels._right
    assert torch_stem.stem in [node.target for node in program.graph.nodes]
    assert np.linalg.norm(got - want) <= 2e-3 * np.linalg.norm(want)
    assert np.abs(got - want).max() <= 5e-3 * np.abs(want).max()


def first_layers(device, count, height, width):
    """Pictures, packed weights and bias of random numbers."""
    generator = torch.Generator(device).manual_seed(5)
    x = torch.randn((count, 4, height, width), generator=generator, device=device).half()
    weight = torch.randn((64, 4, 7, 7), generator=generator, device=device).half() / 12
    bias = torch.randn(64, generator=generator, device=device).half()
    return x.contiguous(memory_format=torch.channels_last), torch_stem.packed(weight), bias


@pytest.fixture
def untried(monkeypatch):
    """The kernel, as if it had not been tried before."""
    monkeypatch.setattr(torch_stem._kernels, "_modules", {})
    monkeypatch.setattr(torch_stem._kernels, "_right", set())
    return torch_stem._kernels


@torch.inference_mode()
def test_the_kernel_is_not_tried_while_a_graph_is_recorded(device, untried, caplog):
    """What is recorded then are PyTorch's own steps."""
    inputs = first_layers(device, 3, 98, 130)
    want = torch_stem.step_by_step(*inputs)
    stream, graph = torch.cuda.Stream(), torch.cuda.CUDAGraph()
    torch.cuda.synchronize()
    with torch.cuda.graph(graph, stream=stream):
        got = torch_stem.stem(*inputs)
    graph.replay()
    torch.cuda.synchronize()
    assert torch.allclose(got, want, rtol=2e-3, atol=2e-3) and not untried._modules
    used = torch_stem.stem(*inputs)
    assert untried._modules[device] and torch.allclose(used, want, rtol=2e-3, atol=2e-3)
    assert untried._right == {(device, torch_stem.kind_of(*inputs[:2]))} and not caplog.records


@torch.inference_mode()
def test_a_kernel_that_gives_other_numbers_is_not_used(device, untried, monkeypatch, caplog):
    inputs = first_layers(device, 2, 98, 130)
    want = torch_stem.step_by_step(*inputs)
    packed = torch_stem.packed
    monkeypatch.setattr(torch_stem, "packed", lambda weight: packed(weight.flip(3)))  # of the pictures that are tried
    for _ in range(2):
        assert torch.allclose(torch_stem.stem(*inputs), want, rtol=2e-3, atol=2e-3)
    assert untried._modules == {device: None} and len(caplog.records) == 1


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize(("precision", "error"), [("float32", 1e-5), ("float16", 3e-3)])
def test_fused_convolutions_give_what_the_network_gives(device, compiler, precision, error, compiled):
    torch.manual_seed(2)
    net = Residual()
    for each in net.modules():
        if isinstance(each, torch.nn.BatchNorm2d):
            each.running_mean.normal_(), each.running_var.uniform_(0.5, 2), each.weight.data.normal_()
    net.eval()
    x = torch.rand(3, 3, 96, 160)
    with torch.inference_mode():
        want = net(x)[0].numpy()
    runtime = runtime_of(net, device, precision, compiled=compiled)
    refused = set(torch_convolution._refused)
    got = runtime.run({"images": x.numpy().astype(precision)})["out"]
    (program,) = runtime._networks[0]._programs.values()
    fused = getattr(program, "_orig_mod", program)
    calls = [node.target for node in fused.graph.nodes].count(torch_convolution.convolution_relu)
    runtime.close()
    assert calls == 4 and torch_convolution._refused == refused
    assert fused.roomy == ({0} if precision == "float16" else set())
    assert np.linalg.norm(got - want) <= error * np.linalg.norm(want)
