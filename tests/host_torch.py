"""The PyTorch runtime with a GPU and graphs that the CPU plays. Import it where torch is there."""

from __future__ import annotations

import shutil
import time
from types import SimpleNamespace

import pytest
import torch
from host_gpu import HostModule, host_gpu  # noqa: F401

from millrace.media import TensorInfo
from millrace.runtimes import torch_cuda, torch_kernels
from millrace.runtimes.torch_leaving import Leaving


def play_kernels(monkeypatch, folder):
    """Kernels of ours among PyTorch's operations are compiled as C++, in that folder."""
    if shutil.which("g++") is None:
        pytest.skip("g++ is not installed: kernels are compiled for the CPU with it")
    HostModule.folder = folder
    monkeypatch.setattr(torch_kernels.Kernels, "on", lambda self, device: HostModule(None, self.source))
    monkeypatch.setattr(torch.cuda, "current_stream", lambda device: SimpleNamespace(cuda_stream=0))


class Double(torch.nn.Module):
    """Twice its input, after a moment in which other threads run."""

    def __init__(self):
        super().__init__()
        self.itself = [self]  # a circle, as exported programs have them
        self.weight = torch.nn.Parameter(torch.ones(8))

    def forward(self, pictures):
        time.sleep(0.001)
        return (pictures * 2,)


class Played(torch_cuda.TorchRuntime):
    """Graphs are calls of the module."""

    def _record(self, network, size, compiled, breakable):
        module = network.module
        inputs = [self._input(info, size) for info in network.slots]
        outputs = Leaving(module(*inputs), len(network.leaves), size)

        def replay():
            for out, new in zip(outputs.tensors, module(*inputs), strict=True):
                out.copy_(new)

        return torch_cuda._Captured(network, inputs, outputs, SimpleNamespace(replay=replay), None)


@pytest.fixture
def make(host_gpu, monkeypatch):  # noqa: F811
    monkeypatch.setattr(host_gpu, "name", "cpu", raising=False)
    monkeypatch.setattr(torch.cuda, "ExternalStream", lambda handle, device: None)
    monkeypatch.setattr(torch_cuda, "_to_host", lambda torch, values: values.clone())
    monkeypatch.setattr(torch.cuda, "current_stream", lambda device: SimpleNamespace(synchronize=lambda: None))
    made = []

    def runtime(batch=None, module=None, infos=None, **settings):
        inputs, outputs = ([TensorInfo(name, (batch, 3), "float32")] for name in ("images", "out"))
        facts = (module or Double(), infos or inputs, infos or outputs, {})
        made.append(Played(*facts, host_gpu, **settings))
        return made[-1]

    yield runtime
    for each in made:
        each.close()
