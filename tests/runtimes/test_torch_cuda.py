"""What surrounds the graphs of the PyTorch runtime, with the GPU and the graphs played by the CPU (tests/gpu: real)."""

from __future__ import annotations

import gc
import threading
import time
import weakref
from types import SimpleNamespace

import numpy as np
import pytest
from host_gpu import host_gpu  # noqa: F401

torch = pytest.importorskip("torch", reason="needs millrace[torch]")

from millrace.media import TensorInfo  # noqa: E402
from millrace.runtimes import torch_cuda  # noqa: E402
from millrace.runtimes.torch import TorchThreads  # noqa: E402
from millrace.runtimes.torch_program import Program  # noqa: E402


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

    def record(self, module, size):
        inputs = [self._input(info, size) for info in self.inputs]
        outputs = [out.clone() for out in module(*inputs)]

        def replay():
            for out, new in zip(outputs, module(*inputs), strict=True):
                out.copy_(new)

        return torch_cuda._Captured(inputs, outputs, SimpleNamespace(replay=replay), None)


@pytest.fixture
def make(host_gpu, monkeypatch):  # noqa: F811
    monkeypatch.setattr(host_gpu, "name", "cpu", raising=False)
    monkeypatch.setattr(torch.cuda, "ExternalStream", lambda handle, device: None)
    monkeypatch.setattr(torch_cuda, "_to_host", lambda torch, values: values.clone())
    made = []

    def runtime(batch=None, **settings):
        tensor = TensorInfo("images", (batch, 3), "float32")
        made.append(Played(Double(), [tensor], [TensorInfo("out", (batch, 3), "float32")], {}, host_gpu, **settings))
        return made[-1]

    yield runtime
    for each in made:
        each.close()


def pictures(count, value=1.0):
    return {"images": np.full((count, 3), value, np.float32)}


def test_elements_that_share_a_network_get_their_own_answers(make):
    runtime, wrong = make(), []

    def ask(number):
        for value in range(number * 100, number * 100 + 40):
            out = runtime.run(pictures(2, value))["out"]
            if not (out == 2 * value).all():
                wrong.append((value, out.tolist()))

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not wrong


def test_a_network_of_a_fixed_batch_is_recorded_for_that(make):
    runtime = make(batch=6)
    assert runtime.run(pictures(6))["out"].shape == (6, 3)
    assert runtime.sizes == [6]


def test_others_are_recorded_for_powers_of_two(make):
    runtime = make()
    for count in (1, 3, 4, 5):
        assert runtime.run(pictures(count))["out"].shape == (count, 3)
    assert runtime.sizes == [1, 4, 8]


def test_what_goes_wrong_with_an_answer_is_told_and_the_next_call_works(make):
    runtime = make()
    outputs = runtime.outputs
    runtime.outputs = [*outputs, TensorInfo("more", (None, 3), "float32")]
    with pytest.raises(ValueError, match="zip"):
        runtime.submit(pictures(1)).result(20)
    runtime.outputs = outputs
    assert (runtime.submit(pictures(1)).result(20)["out"] == 2).all()


def test_a_closed_networks_weights_go_at_once_and_the_collector_may_find_the_rest(make):
    runtime = make()
    runtime.run(pictures(1))
    module = runtime._module
    weights, network = list(module.parameters()), weakref.ref(module)
    with torch_cuda._alone():
        pass  # another network was recorded since
    given_back = []
    runtime._torch = SimpleNamespace(cuda=SimpleNamespace(empty_cache=lambda: given_back.append(weights[0].numel())))
    runtime.close()
    assert given_back == [0]
    del module
    gc.collect()
    assert network() is None


def test_without_graphs_pictures_are_waited_for():
    tensor = TensorInfo("images", (None, 3), "float32")
    runtime = TorchThreads(Program(Double(), [tensor], [TensorInfo("out", (None, 3), "float32")]), "cpu", 1)
    waited = []
    try:
        event = SimpleNamespace(
            stream=SimpleNamespace(gpu=SimpleNamespace(use=lambda: None)), synchronize=lambda: waited.append(1)
        )
        array = np.ones((1, 3), np.float32).view(Written)
        array.ready = event
        assert (runtime.run({"images": array})["out"] == 2).all()
    finally:
        runtime.close()
    assert waited == [1]


class Written(np.ndarray):
    """An array with the event after which it may be read."""
