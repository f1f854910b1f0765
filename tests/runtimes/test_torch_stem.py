"""The first layers in one kernel, compiled for the processor, against PyTorch; on a GPU: tests/gpu."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
from importlib.resources import files
from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="needs millrace[torch]")

from millrace.runtimes.torch_fused import Fusion, roomy  # noqa: E402
from millrace.runtimes.torch_stem import _MEMORY, _THREADS, Stem, layout, packed, stem  # noqa: E402

functional = torch.nn.functional
RUN = """
extern "C" int memory_of_a_block() { return SHARED; }
extern "C" void run(const int* grid, int threads, const Half* in, const Half* weights, const Half* bias, Half* out,
                    const Stem* stem) {
    launch(grid, threads, [=] { stem_float16(in, weights, bias, out, *stem); });
}
"""


@pytest.fixture(scope="module")
def kernel(tmp_path_factory):
    if shutil.which("g++") is None:
        pytest.skip("no g++ to compile the kernel with")
    folder = tmp_path_factory.mktemp("stem")
    header = Path(__file__).parents[1] / "host_warps.h"
    source = files("millrace.runtimes").joinpath("stem.cu").read_text()
    (folder / "stem.cpp").write_text(f'#include "{header}"\n{source}{RUN}')
    command = ["g++", "-O2", "-std=c++17", "-ffp-contract=off", "-shared", "-fPIC", "-w", "stem.cpp", "-o", "stem.so"]
    made = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60, check=False)
    if made.returncode and "_Float16" in made.stderr:
        pytest.skip("this g++ has no float16")
    assert made.returncode == 0, made.stderr
    return ctypes.CDLL(str(folder / "stem.so"))


def pictures(count, height, width):
    x = roomy(torch.empty((count, 3, height, width), dtype=torch.float16))
    return x.copy_(torch.rand(x.shape, generator=torch.Generator().manual_seed(7)))


def layers(channels):
    torch.manual_seed(5)
    net = torch.nn.Sequential(torch.nn.Conv2d(3, channels, 7, 2, 3), torch.nn.ReLU(), torch.nn.MaxPool2d(3, 2, 1))
    return net.half().to(memory_format=torch.channels_last).eval()


def whole(x):
    """All four channels."""
    count, _, height, width = x.shape
    return x.as_strided((count, 4, height, width), (4 * width * height, 1, 4 * width, 4))


@torch.inference_mode()
@pytest.mark.parametrize(
    ("count", "height", "width", "channels", "processors"),
    [(2, 37, 66, 64, 1), (1, 40, 36, 128, 1), (1, 67, 34, 64, 999), (1, 8, 8, 64, 1)],
)
def test_the_kernel_gives_what_the_layers_give(kernel, count, height, width, channels, processors):
    x, net = pictures(count, height, width), layers(channels)
    conv = net[0]
    float32 = functional.conv2d(x.float(), conv.weight.float(), conv.bias.float(), 2, 3)
    want = functional.max_pool2d(float32.relu().half(), 3, 2, 1)
    weight, bias = packed(functional.pad(conv.weight, (0, 0, 0, 0, 0, 1))), conv.bias
    facts, grid = layout(x, channels, processors)
    out = torch.full((count, facts.rows, facts.columns, channels), -7.0, dtype=torch.float16)
    assert kernel.memory_of_a_block() == _MEMORY
    assert ctypes.sizeof(Stem) == 32 and (processors == 1 or grid[1] > 1)
    tensors = [ctypes.c_void_p(each.data_ptr()) for each in (x, weight, bias, out)]
    kernel.run((ctypes.c_int * 3)(*grid), _THREADS, *tensors, ctypes.byref(facts))
    got = out.permute(0, 3, 1, 2)
    assert got.shape == want.shape
    assert (got.float() - want.float()).abs().max() <= 1e-3 * want.float().abs().max()
    assert (got != want).float().mean() < 0.05  # sums of another order, rounded to half precision


class Layers(torch.nn.Module):
    def __init__(self, *layers):
        super().__init__()
        self.layers = torch.nn.Sequential(*layers)

    def forward(self, x):
        return (self.layers(x),)


def targets(graph):
    return [node.target for node in graph.graph.nodes]


@torch.inference_mode()
@pytest.mark.parametrize("compiled", [False, True])
def test_the_first_layers_of_a_network_are_one_call(compiled):
    net, x = Layers(*layers(64), torch.nn.Conv2d(64, 8, 1).half()), pictures(2, 40, 64)
    fused = Fusion(net).of([x], compiled)
    assert targets(fused).count(stem) == 1 and fused.roomy == {0}
    assert not any("pool" in str(each) for each in targets(fused))
    want = net(x)[0].float()
    assert (fused(x)[0].float() - want).abs().max() <= 2e-3 * want.abs().max()


OTHERS = {
    "another pooling": [*layers(64)[:2], torch.nn.MaxPool2d(2, 2)],
    "few channels": layers(32),
    "another window": [torch.nn.Conv2d(3, 64, 5, 2, 2).half(), torch.nn.ReLU(), torch.nn.MaxPool2d(3, 2, 1)],
    "single precision": layers(64).float(),
    "not of pictures": [torch.nn.Identity(), torch.nn.Conv2d(3, 3, 1).half(), torch.nn.ReLU(), *layers(64)],
}


@torch.inference_mode()
@pytest.mark.parametrize("name", OTHERS)
def test_others_are_not(name):
    net, x = Layers(*OTHERS[name]), pictures(1, 40, 64)
    fused = Fusion(net).of([x.float() if "single" in name else x])
    assert fused is not None and stem not in targets(fused)


@torch.inference_mode()
def test_one_whose_convolution_others_read_is_not():
    class Both(Layers):
        def forward(self, x):
            y = self.layers[:2](x)
            return self.layers[2](y), y

    net, x = Both(*layers(64)), pictures(1, 40, 64)
    assert stem not in targets(Fusion(net).of([x]))
    odd = pictures(1, 40, 63)
    assert stem not in targets(Fusion(Layers(*layers(64))).of([odd]))


@torch.inference_mode()
def test_the_compiler_knows_what_it_makes():
    x, weight, bias = whole(pictures(2, 41, 64)), packed(torch.zeros(64, 4, 7, 7).half()), torch.zeros(64).half()
    with torch._subclasses.FakeTensorMode() as fake:
        there = stem(*(fake.from_tensor(each) for each in (x, weight, bias)))
    real = stem(x, weight, bias)
    assert there.shape == real.shape and there.stride() == real.stride() and there.dtype == real.dtype
