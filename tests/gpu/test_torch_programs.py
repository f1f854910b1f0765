"""PyTorch's own files on a GPU: the results are those of the network on the CPU."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from millrace.runtimes import load  # noqa: E402
from millrace.runtimes.torch_program import quiet  # noqa: E402

SIZE = (64, 96)


class Slow(torch.nn.Module):
    """A network whose trial runs keep the GPU busy for a moment, as other processes do."""

    def __init__(self):
        super().__init__()
        self.layers = torch.nn.Sequential(*[torch.nn.Conv2d(3, 3, 3, 1, 1) for _ in range(8)])

    def forward(self, pictures):
        if pictures.is_cuda and pictures.dtype == torch.float32:
            torch.cuda._sleep(200_000_000)
        return self.layers(pictures)


@pytest.fixture
def net():
    torch.manual_seed(3)
    layers = torch.nn.Conv2d(3, 8, 3, 2, 1), torch.nn.SiLU(), torch.nn.Conv2d(8, 4, 3, 1, 1), torch.nn.Sigmoid()
    return torch.nn.Sequential(*layers).eval()


def files(net, folder):
    free = ({0: torch.export.Dim("batch", min=1, max=64)},)
    with quiet():
        exported = torch.export.export(net, (torch.zeros(2, 3, *SIZE),), dynamic_shapes=free)
        torch.export.save(exported, str(folder / "net.pt2"))
        torch.jit.save(torch.jit.trace(net, torch.zeros(1, 3, *SIZE)), str(folder / "net.pt"))
    return {"net.pt2": {}, "net.pt": {"size": SIZE}}


@pytest.mark.parametrize("graphs", [True, False])
@pytest.mark.parametrize("name", ["net.pt2", "net.pt"])
@pytest.mark.parametrize(("precision", "limit"), [("float32", 1e-5), ("float16", 5e-3)])
def test_programs(device, net, tmp_path, name, graphs, precision, limit):
    options = files(net, tmp_path)[name]
    runtime = load(tmp_path / name, device, prefer="torch", graphs=graphs, precision=precision, **options)
    try:
        (info,) = runtime.inputs
        assert info.dtype == precision
        for count in (1, 3, 8, 3):
            x = np.random.default_rng(count).uniform(0, 1, (count, 3, *SIZE)).astype(precision)
            with torch.inference_mode():
                want = net(torch.from_numpy(x.astype(np.float32))).numpy()
            (got,) = runtime.run({info.name: x}).values()
            assert got.dtype == np.float32
            assert np.abs(got - want).max() < limit
    finally:
        runtime.close()


@pytest.mark.parametrize("graphs", [True, False])
def test_outputs_of_bfloat16_leave_as_float32(device, net, tmp_path, graphs):
    with quiet():
        torch.jit.save(torch.jit.trace(net.bfloat16(), torch.zeros(1, 3, *SIZE).bfloat16()), str(tmp_path / "net.pt"))
        script = torch.jit.load(tmp_path / "net.pt")

    class Whole(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.net = script

        def forward(self, pictures):
            return self.net(pictures.bfloat16())

    x = np.random.default_rng(1).uniform(0, 1, (3, 3, *SIZE)).astype(np.float32)
    with quiet():
        torch.jit.save(torch.jit.trace(Whole(), torch.from_numpy(x)), str(tmp_path / "whole.pt"))
    runtime = load(tmp_path / "whole.pt", device, prefer="torch", graphs=graphs, size=SIZE)
    try:
        with torch.inference_mode():
            want = Whole()(torch.from_numpy(x)).float().numpy()
        (got,) = runtime.run({runtime.inputs[0].name: x}).values()
        assert got.dtype == np.float32
        assert np.abs(got - want).max() < 2e-2
    finally:
        runtime.close()


def test_weights_are_there_before_they_are_used(device, tmp_path):
    """They are made half on PyTorch's stream, and laid out anew on the runtime's, which waits for no other."""
    torch.manual_seed(3)
    net = Slow().eval()
    torch.save(net.state_dict(), tmp_path / "net.pth")
    options = {"model": f"{__file__}:Slow", "size": SIZE, "precision": "float16", "graphs": True}
    runtime = load(tmp_path / "net.pth", device, prefer="torch", **options)
    try:
        x = np.random.default_rng(1).uniform(0, 1, (2, 3, *SIZE)).astype(np.float16)
        (got,) = runtime.run({runtime.inputs[0].name: x}).values()
        with torch.inference_mode():
            assert np.abs(got - net(torch.from_numpy(x.astype(np.float32))).numpy()).max() < 5e-3
    finally:
        runtime.close()
