"""Max pooling by our kernel, compiled for the processor, against PyTorch's; on a GPU: tests/gpu/test_torch_fused.py."""

from __future__ import annotations

from importlib.resources import files

import pytest
from host_gpu import HostModule, host_gpu  # noqa: F401

torch = pytest.importorskip("torch", reason="needs millrace[torch]")

from millrace.runtimes import torch_pooling  # noqa: E402
from millrace.runtimes.torch_fused import Fusion  # noqa: E402
from millrace.runtimes.torch_pooling import by_kernel, fits, max_pool  # noqa: E402

pooled = torch.nn.functional.max_pool2d
WINDOWS = [((3, 3), (2, 2), (1, 1)), ((2, 2), (2, 2), (0, 0)), ((5, 5), (1, 1), (2, 2)), ((1, 4), (3, 2), (0, 2))]


def numbers(dtype, *shape):
    generator = torch.Generator().manual_seed(8)
    return torch.randn(shape, generator=generator).to(dtype).contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32])
@pytest.mark.parametrize(("window", "step", "border"), WINDOWS)
@pytest.mark.parametrize("size", [(17, 23), (16, 40), (5, 4)])
def test_the_kernel_gives_the_maxima_of_pytorch(host_gpu, dtype, window, step, border, size):  # noqa: F811
    module = HostModule(host_gpu, files("millrace.runtimes").joinpath("pooling.cu").read_text())
    kernel = module[torch_pooling._KINDS[dtype]]
    x = numbers(dtype, 2, 24, *size)
    chance = torch.rand(x.shape, generator=torch.Generator().manual_seed(3))
    for number, special in enumerate((0.0, float("nan"), -float("nan"), float("inf"), -float("inf"))):
        x[(chance * 50).int() == number] = special
    x[1, :8] = -float("inf")
    assert fits(x)
    got, want = by_kernel(kernel, None, x, window, step, border), pooled(x, window, step, border)
    assert got.stride() == want.stride() and got.dtype == dtype
    assert torch.equal(got.isnan(), want.isnan()) and want.isnan().any() and not want.isnan().all()
    assert torch.equal(got.nan_to_num(7.0, 9.0, -9.0), want.nan_to_num(7.0, 9.0, -9.0))


def test_numbers_that_lie_otherwise_are_not_for_the_kernel():
    x = numbers(torch.float16, 2, 24, 8, 8)
    assert fits(x)
    assert not fits(x.contiguous())
    assert not fits(numbers(torch.float16, 2, 12, 8, 8))
    assert fits(numbers(torch.float32, 2, 12, 8, 8))
    assert not fits(numbers(torch.float64, 2, 24, 8, 8))
    assert not fits(x[:0])
    assert not fits(numbers(torch.float16, 2, 48, 8, 8)[:, 4:28])
    assert torch.equal(max_pool(x, (3, 3), (2, 2), (1, 1)), pooled(x, 3, 2, 1))


class Pools(torch.nn.Module):
    """What a function makes of a convolution's result."""

    def __init__(self, then):
        super().__init__()
        self.conv = torch.nn.Conv2d(3, 8, 3, padding=1)
        self.then = then

    def forward(self, x):
        return (self.then(self.conv(x)),)


def targets(graph):
    return [node.target for node in graph.graph.nodes]


TAKEN = {
    "a window": lambda x: pooled(x, 2),
    "a ResNet's": lambda x: pooled(x.relu(), 3, 2, 1),
    "one number over another": lambda x: pooled(x, (3, 2), (2, 1), (1, 0)).relu_(),
    "lines": lambda x: torch.nn.functional.max_pool1d(x[0], 2),
    "a row of three": lambda x: torch.cat([x, y := pooled(x, 5, 1, 2), z := pooled(y, 5, 1, 2), pooled(z, 5, 1, 2)], 1),
}
LEFT = {
    "rounded up": lambda x: pooled(x, 3, 2, ceil_mode=True),
    "apart": lambda x: pooled(x, 3, 2, dilation=2),
    "where": lambda x: torch.add(*pooled(x, 2, return_indices=True)),
    "of three dimensions": lambda x: pooled(x[0], 2),
    "of other numbers": lambda x: pooled(x.double(), 2),
}


@torch.inference_mode()
@pytest.mark.parametrize("name", TAKEN)
def test_a_networks_pooling_is_ours_unless_it_is_compiled(name):
    net, x = Pools(TAKEN[name]), torch.rand(2, 3, 9, 12)
    fusion = Fusion(net)
    fast = fusion.of([x])
    assert targets(fast).count(max_pool) == (3 if name == "a row of three" else 1)
    assert not any("max_pool2d" in str(each) for each in targets(fast))
    assert torch.allclose(fast(x)[0], net(x)[0], rtol=1e-5, atol=1e-6)
    kept = fusion.of([x], compiled=True)
    assert kept is None if "ResNet" not in name else max_pool not in targets(kept)


@torch.inference_mode()
@pytest.mark.parametrize("name", LEFT)
def test_other_pooling_stays(name):
    assert Fusion(Pools(LEFT[name])).of([torch.rand(2, 3, 9, 12)]) is None
